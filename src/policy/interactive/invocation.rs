//! One program with its arguments, and what can be asked about them.

use super::Around;
use super::shell::Word;
use super::unwrap::{basename, has_flag, takes_next};

/// A program that is run.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    /// Its name without the path.
    pub(super) program: &'a str,
    /// Its stdin is a file, a pipe or what the caller gives.
    pub(super) stdin: bool,
    /// Its stdout is a file or a pipe.
    pub(super) stdout: bool,
    /// A variable such as EDITOR or PAGER is set for it.
    pub(super) chosen_editor: bool,
    args: &'a [Word],
}

impl<'a> Invocation<'a> {
    pub(super) fn new(words: &'a [Word], around: Around) -> Option<Self> {
        let (program, args) = words.split_first()?;
        Some(Self {
            program: basename(&program.text),
            stdin: around.stdin,
            stdout: around.stdout,
            chosen_editor: around.chosen_editor,
            args,
        })
    }

    /// Whether an argument is an unquoted expansion: the arguments are not known.
    pub(super) fn is_open(&self) -> bool {
        self.args.iter().any(|arg| arg.splits)
    }

    /// Whether one of `flags` seems to be given, anywhere and also in a cluster
    /// of letters. It may see one too many: use it for what makes a command harmless.
    pub(super) fn any(&self, flags: &[&str]) -> bool {
        self.args.iter().any(|arg| has_flag(&arg.text, flags))
    }

    /// Whether one of `flags` is an argument as it stands.
    pub(super) fn exactly(&self, flags: &[&str]) -> bool {
        self.args.iter().any(|arg| flags.contains(&arg.text.as_str()))
    }

    /// The options before the first operand. The letters in `values` are the
    /// short options that take a value.
    pub(super) fn leading(&self, values: &str) -> &'a [Word] {
        let mut end = 0;
        while let Some(arg) = self.args.get(end) {
            if !is_option(&arg.text) {
                break;
            }
            end += if takes_next(&arg.text, values) { 2 } else { 1 };
        }
        &self.args[..end.min(self.args.len())]
    }

    /// What is left without the options and their values.
    pub(super) fn operands(&self, values: &str) -> Vec<&'a Word> {
        let mut operands = Vec::new();
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            if arg.text == "--" {
                operands.extend(args);
                break;
            } else if !is_option(&arg.text) {
                operands.push(arg);
            } else if takes_next(&arg.text, values) {
                args.next();
            }
        }
        operands
    }

    /// The subcommand, and the invocation that is left behind it.
    pub(super) fn subcommand(&self, values: &str) -> Option<(&'a str, Self)> {
        let (first, args) = self.args[self.leading(values).len()..].split_first()?;
        Some((first.text.as_str(), Self { args, ..*self }))
    }
}

fn is_option(arg: &str) -> bool {
    arg.starts_with('-') && arg.len() > 1
}
