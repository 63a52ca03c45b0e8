//! A command for a host, in the shape of [`std::process::Command`].

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

/// What to run on a host, and how.
///
/// [`Command::new`] takes a program and arguments that arrive byte for byte;
/// [`Command::shell`] takes a string for the host's `/bin/sh`. Where this
/// differs from [`std::process::Command`]: nothing of the local environment or
/// working directory is inherited, stdin is empty unless given, and there is
/// never a terminal.
#[derive(Clone, Debug)]
pub struct Command {
    pub(crate) program: Program,
    pub(crate) cwd: Option<OsString>,
    pub(crate) env: Vec<(EnvName, OsString)>,
    pub(crate) secret_env: Vec<(EnvName, Secret)>,
    pub(crate) clean_env: bool,
    pub(crate) stdin: Stdin,
    pub(crate) shell: Option<String>,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) idempotent: bool,
    pub(crate) allow_interactive: bool,
}

/// The two forms of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program and its arguments, run without a shell's interpretation.
    Argv(Vec<OsString>),
    /// A string that a shell interprets: `/bin/sh -c STRING` unless
    /// [`Command::shell_path`] says otherwise.
    Shell(OsString),
}

/// What the command reads on stdin.
#[derive(Clone, Debug, Default)]
pub enum Stdin {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// End of file at once.
    #[default]
    Empty,
    /// The content of a local file, read while the command runs.
    File(PathBuf),
    /// This process's own stdin. For one host only.
    Inherit,
}

/// Another user to run as, by sudo.
#[derive(Clone, Debug)]
pub struct RunAs {
    /// The user; root when `None`.
    pub user: Option<String>,
    /// How sudo is satisfied.
    pub password: SudoPassword,
}

/// How sudo is satisfied.
#[derive(Clone, Debug)]
pub enum SudoPassword {
    /// `sudo -n`: the host's sudoers asks for none.
    NotNeeded,
    /// This one, sent only after sudo's own prompt was recognised.
    Given(Secret),
}

/// What becomes of the command when the connection is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It goes on, as under `ssh`.
    #[default]
    Keep,
    /// The host ends its process tree within 3 s of noticing.
    Kill,
}

/// A value that is never printed: its `Debug` says `[redacted]`.
#[derive(Clone)]
pub struct Secret(pub(crate) Arc<SecretString>, Option<Arc<str>>);

impl Secret {
    /// Takes a secret.
    pub fn new(value: impl Into<SecretString>) -> Self {
        Self(Arc::new(value.into()), None)
    }

    /// Says where it came from and can be had again, such as `env:TOKEN`: a plan
    /// that is written down holds this in its place.
    pub fn from_source(self, source: impl Into<Arc<str>>) -> Self {
        Self(self.0, Some(source.into()))
    }

    /// Where it came from, if that was said.
    pub fn source(&self) -> Option<&str> {
        self.1.as_deref()
    }

    /// Whether it is the same secret.
    fn is(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret;
        self.0.expose_secret() == other.0.expose_secret()
    }

    /// A copy of what is kept from being printed.
    #[cfg(feature = "cli")]
    pub(crate) fn reveal(&self) -> SecretString {
        use secrecy::ExposeSecret;
        self.0.expose_secret().to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, and none that
/// a shell holds read-only or that begins with our own `ORCH_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvName(String);

impl EnvName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvName {
    type Err = InvalidCommand;

    fn from_str(name: &str) -> Result<Self, InvalidCommand> {
        /// Assigning one of these ends some shells.
        const TAKEN: [&str; 7] =
            ["BASHOPTS", "BASH_VERSINFO", "EUID", "GROUPS", "PPID", "SHELLOPTS", "UID"];
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let valid = name.bytes().next().is_some_and(letter)
            && name.bytes().all(|b| letter(b) || b.is_ascii_digit());
        if !valid {
            return Err(InvalidCommand::EnvName(name.into()));
        }
        if TAKEN.contains(&name) || name.starts_with("ORCH_") {
            return Err(InvalidCommand::EnvTaken(name.into()));
        }
        Ok(Self(name.into()))
    }
}

/// The most bytes in one argument or variable (`NAME=value`) on Linux.
const ARGUMENT_MAX: usize = 131_071;

/// Why a command cannot be sent to any host.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidCommand {
    /// No program.
    #[error("the command is empty")]
    Empty,
    /// A working directory without a name; some shells would stay where they are.
    #[error("the working directory is empty")]
    EmptyCwd,
    /// Not a variable name.
    #[error("{0:?} is not a name for an environment variable: use A-Z a-z 0-9 _")]
    EnvName(String),
    /// A name that cannot be set.
    #[error("the environment variable {0} cannot be set: shells or the orchestrator hold it")]
    EnvTaken(String),
    /// Linux takes no argument or variable beyond 131,071 bytes.
    #[error(
        "the {0} has {1} bytes: Linux takes at most {ARGUMENT_MAX} in one argument or variable"
    )]
    Long(&'static str, usize),
    /// A NUL byte cannot be part of an argument, a variable or a path, and
    /// makes sshd drop the connection.
    #[error("the {0} holds a NUL byte, which no command line can carry")]
    Nul(&'static str),
    /// Some shells would take it for their own option.
    #[error("{0:?} is not a program: its name begins with a dash")]
    Program(String),
    /// A relative shell path would depend on the host's PATH.
    #[error("the shell {0:?} is not an absolute path")]
    ShellPath(String),
    /// Not a user name.
    #[error("{0:?} is not a user name for sudo")]
    User(String),
}

impl Command {
    /// A program, found by the host's PATH unless it holds a slash, to which
    /// [`arg`](Self::arg) adds arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::with(Program::Argv(vec![program.as_ref().into()]))
    }

    /// A string for a shell. Nothing in it is quoted for you.
    pub fn shell(text: impl AsRef<OsStr>) -> Self {
        Self::with(Program::Shell(text.as_ref().into()))
    }

    fn with(program: Program) -> Self {
        Self {
            program,
            cwd: None,
            env: Vec::new(),
            secret_env: Vec::new(),
            clean_env: false,
            stdin: Stdin::Empty,
            shell: None,
            run_as: None,
            timeout: None,
            on_disconnect: OnDisconnect::Keep,
            idempotent: false,
            allow_interactive: false,
        }
    }

    /// Another shell string with the same settings.
    pub(crate) fn with_text(&self, text: &OsStr) -> Self {
        Self { program: Program::Shell(text.into()), ..self.clone() }
    }

    /// Whether everything that a process has around it is the same.
    pub(super) fn is_surrounded_as(&self, other: &Self) -> bool {
        let secrets =
            |one: &(EnvName, Secret), two: &(EnvName, Secret)| one.0 == two.0 && one.1.is(&two.1);
        let users = match (&self.run_as, &other.run_as) {
            (None, None) => true,
            (Some(one), Some(two)) => {
                one.user == two.user
                    && match (&one.password, &two.password) {
                        (SudoPassword::NotNeeded, SudoPassword::NotNeeded) => true,
                        (SudoPassword::Given(one), SudoPassword::Given(two)) => one.is(two),
                        _ => false,
                    }
            }
            _ => false,
        };
        users
            && self.cwd == other.cwd
            && self.env == other.env
            && self.secret_env.len() == other.secret_env.len()
            && self.secret_env.iter().zip(&other.secret_env).all(|(one, two)| secrets(one, two))
            && (self.clean_env, &self.shell) == (other.clean_env, &other.shell)
            && self.on_disconnect == other.on_disconnect
    }

    /// Adds an argument. On a shell string it becomes a further, quoted word.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        match &mut self.program {
            Program::Argv(argv) => argv.push(arg.as_ref().into()),
            Program::Shell(text) => {
                text.push(" ");
                text.push(OsStr::from_bytes(&crate::quote::word(arg.as_ref().as_bytes())));
            }
        }
        self
    }

    /// Adds several arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable. Its value can be seen by other users of the host in
    /// `ps`; for secrets use [`secret_env`](Self::secret_env).
    pub fn env(mut self, name: EnvName, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name, value.as_ref().into()));
        self
    }

    /// Sets a variable whose value travels on stdin ahead of the command's own
    /// and stands in no argument list, log, audit record or store.
    pub fn secret_env(mut self, name: EnvName, value: Secret) -> Self {
        self.secret_env.push((name, value));
        self
    }

    /// Starts from an empty environment: only `HOME USER LOGNAME SHELL`, a
    /// plain `PATH`, and what was set here.
    pub fn clean_env(mut self, clean: bool) -> Self {
        self.clean_env = clean;
        self
    }

    /// Changes to this directory first; when that fails, nothing runs.
    pub fn current_dir(mut self, dir: impl AsRef<OsStr>) -> Self {
        self.cwd = Some(dir.as_ref().into());
        self
    }

    /// Gives the command something to read.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// The shell for a shell string, as an absolute path on the host.
    pub fn shell_path(mut self, path: impl Into<String>) -> Self {
        self.shell = Some(path.into());
        self
    }

    /// Runs it by sudo.
    pub fn run_as(mut self, run_as: RunAs) -> Self {
        self.run_as = Some(run_as);
        self
    }

    /// How long it may run, counted from the exec request; zero is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What becomes of it when the connection is lost.
    pub fn on_disconnect(mut self, action: OnDisconnect) -> Self {
        self.on_disconnect = action;
        self
    }

    /// Promises that running it twice does no harm, so that it may be sent
    /// again after the link was lost.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Runs it even if it is known to need a terminal.
    pub fn allow_interactive(mut self, allow: bool) -> Self {
        self.allow_interactive = allow;
        self
    }

    /// The command as text, for people and records. Not what is executed.
    pub fn display(&self) -> String {
        match &self.program {
            Program::Shell(text) => text.to_string_lossy().into_owned(),
            Program::Argv(argv) => {
                let words: Vec<_> = argv
                    .iter()
                    .map(|word| {
                        String::from_utf8_lossy(&crate::quote::word(word.as_bytes())).into_owned()
                    })
                    .collect();
                words.join(" ")
            }
        }
    }

    /// Refuses what could never arrive as it was meant.
    pub fn validate(&self) -> Result<(), InvalidCommand> {
        let no_nul = |what, text: &OsStr| {
            if text.as_bytes().contains(&0) { Err(InvalidCommand::Nul(what)) } else { Ok(()) }
        };
        let fits = |what, length| {
            if length > ARGUMENT_MAX { Err(InvalidCommand::Long(what, length)) } else { Ok(()) }
        };
        match &self.program {
            Program::Argv(argv) => {
                let program = argv.first().map(|program| program.as_bytes()).unwrap_or_default();
                if program.is_empty() {
                    return Err(InvalidCommand::Empty);
                }
                if program.starts_with(b"-") {
                    let program = String::from_utf8_lossy(program).into_owned();
                    return Err(InvalidCommand::Program(program));
                }
                argv.iter().try_for_each(|arg| {
                    no_nul("command", arg).and_then(|()| fits("argument", arg.len()))
                })?;
            }
            Program::Shell(text) => {
                if text.as_bytes().trim_ascii().is_empty() {
                    return Err(InvalidCommand::Empty);
                }
                no_nul("command", text)?;
                if self.shell.is_some() {
                    fits("command", text.len())?;
                }
            }
        }
        for (name, value) in &self.env {
            no_nul("environment", value)?;
            fits("environment", name.0.len() + 1 + value.len())?;
        }
        for (name, secret) in &self.secret_env {
            use secrecy::ExposeSecret;
            let secret = secret.0.expose_secret();
            no_nul("secret", OsStr::new(secret))?;
            fits("secret", name.0.len() + 1 + secret.len())?;
        }
        if let Some(cwd) = &self.cwd {
            no_nul("working directory", cwd)?;
            if cwd.is_empty() {
                return Err(InvalidCommand::EmptyCwd);
            }
        }
        if let Some(shell) = &self.shell {
            no_nul("shell", OsStr::new(shell))?;
            if !shell.starts_with('/') {
                return Err(InvalidCommand::ShellPath(shell.clone()));
            }
        }
        if let Some(RunAs { user: Some(user), .. }) = &self.run_as {
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"._-+$#@".contains(&b);
            if user.is_empty() || user.starts_with('-') || !user.bytes().all(valid) {
                return Err(InvalidCommand::User(user.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names() {
        for good in ["A", "_x", "LANG", "a1"] {
            assert!(good.parse::<EnvName>().is_ok(), "{good}");
        }
        for bad in ["", "1A", "A-B", "A=B", "UID", "PPID", "ORCH_RUN", "ORCH_NL", "é"] {
            assert!(bad.parse::<EnvName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_never_arrive_is_refused() {
        let env: EnvName = "A".parse().unwrap();
        assert_eq!(Command::shell(" ").validate(), Err(InvalidCommand::Empty));
        assert_eq!(Command::new("").validate(), Err(InvalidCommand::Empty));
        assert_eq!(Command::new("a").arg("b\0").validate(), Err(InvalidCommand::Nul("command")));
        assert_eq!(
            Command::new("a").env(env, "\0").validate(),
            Err(InvalidCommand::Nul("environment"))
        );
        assert!(Command::new("a").shell_path("sh").validate().is_err());
        assert_eq!(Command::new("-a").validate(), Err(InvalidCommand::Program("-a".into())));
        assert_eq!(Command::new("a").current_dir("").validate(), Err(InvalidCommand::EmptyCwd));
        let run_as =
            |user: &str| RunAs { user: Some(user.into()), password: SudoPassword::NotNeeded };
        assert!(Command::new("a").run_as(run_as("D\\u")).validate().is_err());
        assert!(Command::new("a").run_as(run_as("u@d")).validate().is_ok());
    }

    #[test]
    fn the_longest_argument() {
        let long = "x".repeat(131_072);
        let name: EnvName = "A".parse().unwrap();
        assert!(Command::new("a").arg(&long[1..]).validate().is_ok());
        assert!(Command::new("a").arg(&long).validate().is_err());
        assert!(Command::new("a").env(name, &long[2..]).validate().is_err());
        assert!(Command::shell(&long).validate().is_ok());
        assert!(Command::shell(&long).shell_path("/bin/bash").validate().is_err());
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let name: EnvName = "TOKEN".parse().unwrap();
        let command = Command::new("x").secret_env(name, Secret::new("hunter2".to_string()));
        assert!(!format!("{command:?}").contains("hunter2"));
    }

    #[test]
    fn display_quotes_words() {
        assert_eq!(Command::new("echo").arg("a b").display(), "echo 'a b'");
        assert_eq!(Command::shell("echo  a").arg("b c").display(), "echo  a 'b c'");
    }
}
