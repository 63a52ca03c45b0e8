//! The rule against commands that would wait for a terminal they do not have.
//!
//! It saves an operator from waiting for the deadline of a `vi` or a `top`
//! that nobody can see. It is no security boundary: it knows some programs and
//! reads a shell string only as far as it can be sure, and where it is not
//! sure it allows. The deadline ends what it misses.

mod invocation;
mod programs;
mod shell;
mod unwrap;

use std::fmt;

use self::invocation::Invocation;
use self::programs::{PROGRAMS, Program, shell_text};
use self::shell::{Script, Word};
use self::unwrap::{Unwrapped, unwrap};
use super::{ActionView, Request};

/// How deep `sh -c "sh -c …"` is followed.
const NESTING_MAX: usize = 3;

/// A command that needs a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    program: String,
    reason: &'static str,
    /// What to do instead.
    pub(super) hint: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.program, self.reason)
    }
}

/// The first command of the request that needs a terminal.
pub(super) fn find(request: &Request<'_>) -> Option<Finding> {
    let around = Around {
        stdin: request.stdin_given,
        stdout: false,
        root: request.run_as == Some("root"),
        chosen_editor: false,
    };
    match request.action {
        ActionView::Argv(argv) => {
            let words: Vec<Word> =
                argv.iter().map(|word| Word::literal(&word.to_string_lossy())).collect();
            in_command(&words, around, NESTING_MAX)
        }
        ActionView::Shell(text) => in_script(text, around, NESTING_MAX),
        ActionView::Admin
        | ActionView::Check
        | ActionView::Download { .. }
        | ActionView::Kill
        | ActionView::Schedule
        | ActionView::Script { .. }
        | ActionView::Upload { .. } => None,
    }
}

/// What the surroundings of a command say about it.
#[derive(Clone, Copy, Debug)]
struct Around {
    /// Its stdin is a file, a pipe or what the caller gives.
    stdin: bool,
    /// Its stdout is a file or a pipe to another command.
    stdout: bool,
    /// It runs as root.
    root: bool,
    /// A variable such as EDITOR or PAGER is set in the text.
    chosen_editor: bool,
}

/// The ends of the names of variables that choose an editor or a pager.
const CHOICES: &[&str] = &["EDITOR", "VISUAL", "PAGER"];

fn in_script(text: &str, around: Around, nesting: usize) -> Option<Finding> {
    let script = Script::read(text)?;
    script.commands.iter().find_map(|command| {
        if script.functions.contains(&command.words.first()?.text) {
            return None;
        }
        let around = Around {
            stdin: around.stdin || script.compound_stdin || command.stdin,
            stdout: around.stdout || command.stdout,
            chosen_editor: around.chosen_editor || script.assigns(CHOICES),
            ..around
        };
        in_command(&command.words, around, nesting)
    })
}

fn in_command(words: &[Word], around: Around, nesting: usize) -> Option<Finding> {
    let chosen_editor = around.chosen_editor || unwrap::sets(words, CHOICES);
    match unwrap(words, around.root)? {
        Unwrapped::AsksForPassword { program } => Some(Finding {
            program: program.to_owned(),
            reason: "may ask for a password on a terminal, and there is none",
            hint: "use --sudo, or sudo -n where no password is needed",
        }),
        Unwrapped::Program { words, as_root } => {
            let around = Around { root: as_root, chosen_editor, ..around };
            let run = Invocation::new(words, around)?;
            match PROGRAMS.iter().find(|program| program.needs_terminal(&run)) {
                Some(Program { reason, hint, .. }) => {
                    Some(Finding { program: run.program.to_owned(), reason, hint })
                }
                None => in_script(shell_text(&run)?, around, nesting.checked_sub(1)?),
            }
        }
    }
}

#[cfg(test)]
mod tests;
