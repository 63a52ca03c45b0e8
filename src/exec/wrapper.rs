//! What is sent to a host in place of a bare command.
//!
//! The login shell replaces itself by `/bin/sh`, which marks its environment,
//! changes directory, sets variables, reports its process id on stderr and
//! replaces itself by the command. That costs two `exec`s and no fork, and
//! gives what a bare command cannot: arguments that arrive byte for byte
//! whatever the login shell is, a failed `cd` that stops the command, proof
//! that the command was reached, and a mark by which all of its processes can
//! be found.
//!
//! Words that no login shell would change stand in the command line; all
//! others, secrets, and whatever is too long travel as the first line of
//! stdin, which only `/bin/sh` reads.

use std::os::unix::ffi::OsStrExt;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::bounds::Bounds;
use super::confine;
use super::mark::Mark;
use crate::quote;
use crate::remote::{Command, OnDisconnect, Program, RunAs, SudoPassword};

/// The kernel takes 131,071 bytes in one argument, and the login shell gets
/// our line as one.
const LINE_MAX: usize = 100_000;

/// The same limit for the string that a second shell would get.
const STRING_MAX: usize = 100_000;

/// The PATH of a clean environment.
const PLAIN_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command ready to be sent.
pub(super) struct Wrapped {
    /// The exec request's string.
    pub(super) line: Vec<u8>,
    /// The first line of stdin; empty if nothing needs it.
    pub(super) preamble: Zeroizing<Vec<u8>>,
    /// Whether `/bin/sh` says when it is ready to read stdin, because sudo
    /// reads its password there first.
    pub(super) says_ready: bool,
    /// Whether our own `/bin/sh` interprets the command.
    pub(super) interpreted: bool,
}

/// Wraps a command, which is held to these bounds.
pub(super) fn wrap(command: &Command, mark: &Mark, bounds: &Bounds) -> Wrapped {
    let argv = argv(command);
    let inline = Inline::of(command, &argv);
    let says_ready =
        matches!(&command.run_as, Some(RunAs { password: SudoPassword::Given(_), .. }));
    let preamble = preamble(command, mark, &argv, &inline, bounds);
    let script = script(command, &argv, bounds, &inline, !preamble.is_empty(), says_ready);
    let mut words: Vec<Vec<u8>> = Vec::new();
    words.extend(sudo(command, mark));
    words.extend(shell(command, &script, bounds));
    words.push(mark.to_string().into());
    words.extend(inline.arguments(command, &argv));
    let mut line = b"exec".to_vec();
    for word in words {
        line.push(b' ');
        // Every word here was checked to fit, or is made of our own text.
        line.extend(quote::login_word(&word).unwrap_or_default().bytes());
    }
    Wrapped { line, preamble, says_ready, interpreted: inline.eval }
}

/// What is finally executed: an argument list, in which a shell string is one
/// argument of its shell.
fn argv(command: &Command) -> Vec<Vec<u8>> {
    match &command.program {
        Program::Argv(argv) => argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        Program::Shell(text) => {
            let shell = command.shell.as_deref().unwrap_or("/bin/sh");
            vec![shell.into(), b"-c".to_vec(), text.as_bytes().to_vec()]
        }
    }
}

/// Which parts stand in the command line.
struct Inline {
    cwd: bool,
    env: bool,
    argv: bool,
    /// The shell string is too long to be an argument at all, so our own
    /// `/bin/sh` interprets it.
    eval: bool,
}

impl Inline {
    fn of(command: &Command, argv: &[Vec<u8>]) -> Self {
        // Nothing may follow what sudo's outer shell appends.
        let open = !tells_parent(command);
        let fits = |text: &std::ffi::OsStr| quote::fits_login_shell(text.as_bytes());
        let cwd = open && command.cwd.as_deref().is_none_or(fits);
        // The directory is changed before a variable can have a say in that.
        let env = cwd && command.env.iter().all(|(_, value)| fits(value));
        let words = open && argv.iter().all(|arg| quote::fits_login_shell(arg));
        let bytes: usize = argv.iter().map(|arg| arg.len() + 3).sum::<usize>()
            + command
                .env
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum::<usize>();
        let short = bytes < LINE_MAX / 5;
        let string = matches!(command.program, Program::Shell(_));
        let eval =
            string && command.shell.is_none() && argv.iter().any(|arg| arg.len() > STRING_MAX);
        Self { cwd, env: env && short, argv: words && short, eval }
    }

    /// The arguments of our script, after the mark.
    fn arguments(&self, command: &Command, argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut arguments = Vec::new();
        if self.cwd {
            arguments.extend(command.cwd.as_ref().map(|cwd| directory(cwd.as_bytes())));
        }
        if self.env {
            arguments.extend(
                command.env.iter().map(|(name, value)| assignment(name.as_str(), value.as_bytes())),
            );
        }
        if self.argv {
            arguments.extend(argv.iter().cloned());
        }
        arguments
    }
}

/// `cd` takes `-` for the previous directory.
fn directory(cwd: &[u8]) -> Vec<u8> {
    if cwd.starts_with(b"-") { [b"./", cwd].concat() } else { cwd.to_vec() }
}

fn assignment(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"=", value].concat()
}

/// Our script: plain text without quotes, backslashes, `!` and newlines, so
/// that it survives every login shell.
fn script(
    command: &Command,
    argv: &[Vec<u8>],
    bounds: &Bounds,
    inline: &Inline,
    reads_preamble: bool,
    says_ready: bool,
) -> String {
    let mut script = String::from("ORCH_RUN=$1; export ORCH_RUN; shift; ");
    let fails =
        bounds.confine() || reads_preamble || command.cwd.is_some() || !command.env.is_empty();
    if fails {
        script += "orch_fail() { echo \"orch1 $ORCH_RUN E $1\" >&2; exit 125; }; ";
    }
    if says_ready {
        script += "echo \"orch1 $ORCH_RUN R\" >&2; ";
    }
    if command.on_disconnect == OnDisconnect::Kill {
        // Before a variable of the command can change PATH or IFS.
        let parent = if tells_parent(command) { "$1; shift" } else { "$PPID" };
        script += &format!("ORCH_PARENT={parent}; {LIFELINE}");
    }
    if reads_preamble {
        // A login shell that reads stdin itself must not make us run the rest.
        script +=
            "IFS= read -r ORCH_LINE || orch_fail stdin; case $ORCH_LINE in \": $ORCH_RUN; \"*) ;; ";
        script += "*) orch_fail stdin; esac; ";
    }
    if inline.cwd && command.cwd.is_some() {
        script += "unset CDPATH; cd -- \"$1\" 2>/dev/null || orch_fail cwd; shift; ";
    }
    if inline.env {
        for (name, _) in &command.env {
            script += &format!("export \"$1\" || orch_fail {}; shift; ", name.as_str());
        }
    }
    if bounds.needs_tool() {
        script += "ORCH_FILE=; ";
    }
    if reads_preamble {
        script += "eval \"$ORCH_LINE\"; ";
    }
    if argv.first().is_some_and(|program| !program.iter().any(|byte| b"/=".contains(byte))) {
        script += NAMES_ARE_FILES;
    }
    script += &confine::before(bounds, command.cwd.is_some());
    script += "echo \"orch1 $ORCH_RUN S $$\" >&2; ";
    script += match inline.eval {
        true => "unset -f orch_fail; eval \" $ORCH_TEXT\"",
        false => confine::execute(bounds),
    };
    script
}

/// mksh executes what it has built in, and functions, in place of a program of
/// that name.
const NAMES_ARE_FILES: &str = "case ${KSH_VERSION-} in *MIRBSD*|*LEGACY*) \
set -- /usr/bin/env -- \"$@\";; esac; ";

/// Ends the tree when sshd's process for this connection is gone. It looks
/// once a second and gives the tree one second between TERM and KILL, so that
/// nothing is left 3 s after sshd noticed.
///
/// The parent of our shell is that process, except under sudo, where it is
/// told. A server whose process belongs to another user cannot be asked by
/// `kill -0`, but its directory in /proc can be seen. The group is signalled
/// only if our shell leads it: some servers put all their commands in one.
const LIFELINE: &str = "( ( trap \"\" TERM HUP INT; exec </dev/null >/dev/null 2>&1; \
orch_send() { for p in $(grep -slF \"ORCH_RUN=$ORCH_RUN\" /proc/[0-9]*/environ); do \
p=${p#/proc/}; kill -s $1 ${p%/environ}; done; kill -s $1 $$; kill -s $1 -- -$$; }; \
while kill -0 $$; do \
kill -0 $ORCH_PARENT || test -d /proc/$ORCH_PARENT || \
{ orch_send TERM; sleep 1; orch_send KILL; exit; }; \
sleep 1; done ) & ); ";

/// Whether our shell, being sudo's child, is told what its parent would be.
fn tells_parent(command: &Command) -> bool {
    command.run_as.is_some() && command.on_disconnect == OnDisconnect::Kill
}

/// The line of shell text that stdin begins with.
fn preamble(
    command: &Command,
    mark: &Mark,
    argv: &[Vec<u8>],
    inline: &Inline,
    bounds: &Bounds,
) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::new());
    let word = |bytes: &[u8]| Zeroizing::new(quote::word_on_one_line(bytes, "ORCH_NL"));
    if !inline.cwd
        && let Some(cwd) = &command.cwd
    {
        text.extend_from_slice(b"unset CDPATH; cd -- ");
        text.extend_from_slice(&word(&directory(cwd.as_bytes())));
        text.extend_from_slice(b" 2>/dev/null || orch_fail cwd; ");
    }
    let mut export = |name: &str, value: &[u8]| {
        text.extend_from_slice(format!("export {name}=").as_bytes());
        text.extend_from_slice(&word(value));
        text.extend_from_slice(format!(" || orch_fail {name}; ").as_bytes());
    };
    if !inline.env {
        for (name, value) in &command.env {
            export(name.as_str(), value.as_bytes());
        }
    }
    for (name, secret) in &command.secret_env {
        export(name.as_str(), secret.0.expose_secret().as_bytes());
    }
    if inline.eval {
        text.extend_from_slice(b"ORCH_TEXT=");
        text.extend_from_slice(&word(argv.last().map_or(&[][..], Vec::as_slice)));
        text.extend_from_slice(b"; set --; ");
    } else if !inline.argv {
        text.extend_from_slice(b"set --");
        for arg in argv {
            text.push(b' ');
            text.extend_from_slice(&word(arg));
        }
        text.extend_from_slice(b"; ");
    }
    if let Some(file) = bounds.visible.as_ref().filter(|_| bounds.needs_tool()) {
        text.extend_from_slice(b"ORCH_FILE=");
        text.extend_from_slice(&word(file.as_bytes()));
        text.extend_from_slice(b"; ");
    }
    if text.is_empty() {
        return text;
    }
    // A line cannot hold a newline, so a variable does. mksh has no printf of
    // its own.
    let newline = "ORCH_NL=$(printf '\\nx'); ORCH_NL=${ORCH_NL%x}; \
                   case $ORCH_NL in ?) ;; *) orch_fail newline; esac; ";
    let mut line = Zeroizing::new(format!(": {mark}; {newline}").into_bytes());
    line.extend_from_slice(&text);
    line.push(b'\n');
    line
}

/// The interpreter of our script and what makes its environment.
fn shell(command: &Command, script: &str, bounds: &Bounds) -> Vec<Vec<u8>> {
    let word = |text: &str| text.as_bytes().to_vec();
    // Our script is `$0` of a first shell, which passes it on.
    if !command.clean_env {
        return match bounds.unset.as_slice() {
            [] => vec![word("/bin/sh"), word("-c"), word(script), word("sh")],
            names => vec![word("/bin/sh"), word("-c"), word(&confine::scrub(names)), word(script)],
        };
    }
    let keep = r#""HOME=$HOME" "USER=$USER" "LOGNAME=$LOGNAME" "SHELL=$SHELL""#;
    let first = format!(r#"exec env -i {keep} {PLAIN_PATH} /bin/sh -c "$0" sh "$@""#);
    vec![word("/bin/sh"), word("-c"), word(&first), word(script)]
}

/// sudo, if the command runs as somebody else.
fn sudo(command: &Command, mark: &Mark) -> Vec<Vec<u8>> {
    let Some(run_as) = &command.run_as else { return Vec::new() };
    let words = sudo_words(run_as, &mark.prompt());
    if tells_parent(command) {
        let prefix = ["/bin/sh", "-c", r#"exec "$@" $PPID"#, "sh"];
        return prefix.map(|word| word.as_bytes().to_vec()).into_iter().chain(words).collect();
    }
    words
}

/// The words that start sudo, up to its `--`.
pub(crate) fn sudo_words(run_as: &RunAs, prompt: &str) -> Vec<Vec<u8>> {
    let mut words: Vec<&str> = vec!["sudo"];
    match run_as.password {
        SudoPassword::NotNeeded => words.push("-n"),
        SudoPassword::Given(_) => words.extend(["-S", "-k", "-p", prompt]),
    }
    if let Some(user) = &run_as.user {
        words.extend(["-u", user]);
    }
    words.push("--");
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}
