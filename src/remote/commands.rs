//! Several commands for a host, each with its own result.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;

use super::{Command, InvalidCommand, Stdin};

/// The most commands in one list.
pub const COMMANDS_MAX: usize = 10_000;

/// The most bytes of a text with one command a line.
pub const COMMANDS_TEXT_MAX: usize = 1024 * 1024;

/// How many bytes of commands stand in the list's own line.
const SHOWN_MAX: usize = 200;

/// Commands that run on one connection to each host, one after another unless
/// [`parallel`](Self::parallel) says otherwise.
///
/// A host stops at its first command that is no success, and those after it are
/// not started; [`keep_going`](Self::keep_going) goes on.
#[derive(Clone, Debug)]
pub struct CommandList {
    pub(crate) commands: Vec<Command>,
    pub(crate) keep_going: bool,
    pub(crate) parallel: NonZeroUsize,
    pub(crate) shell_session: bool,
}

/// Why a list of commands can be run on no host.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidCommandList {
    /// One of them cannot be sent.
    #[error("command {number}: {cause}")]
    Command {
        /// Which one, from 1.
        number: usize,
        /// Why not.
        cause: InvalidCommand,
    },
    /// There is none.
    #[error("there is no command: one a line, and lines that begin with # are left out")]
    Empty,
    /// The text with the commands is too long.
    #[error("the commands have more than {COMMANDS_TEXT_MAX} bytes: make a script of them")]
    Large,
    /// A NUL byte.
    #[error("line {0} holds a NUL byte, which no command line can carry")]
    Nul(usize),
    /// One shell runs them one after another.
    #[error("the commands of a shell session run one after another, not in parallel")]
    ParallelSession,
    /// Several commands cannot share this process's stdin, and in a session stdin
    /// is what the shell reads its commands from.
    #[error("command {0}: it cannot be given an input in a list of commands")]
    Stdin(usize),
    /// A session is one process: its surroundings are those of all its commands.
    #[error("command {0}: directory, environment, user and shell are those of the whole session")]
    Surroundings(usize),
    /// Too many.
    #[error("{0} commands are too many: {COMMANDS_MAX} fit into a list")]
    TooMany(usize),
}

impl CommandList {
    /// These commands, in this order.
    pub fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        Self {
            commands: commands.into_iter().collect(),
            keep_going: false,
            parallel: NonZeroUsize::MIN,
            shell_session: false,
        }
    }

    /// One shell string a line, each with everything else of `like`. Lines
    /// without text, and those whose first byte that is not blank is `#`, are
    /// left out. A line may end as on Windows.
    ///
    /// # Errors
    /// There is none, or a line can be no command.
    pub fn from_lines(text: &[u8], like: &Command) -> Result<Self, InvalidCommandList> {
        if text.len() > COMMANDS_TEXT_MAX {
            return Err(InvalidCommandList::Large);
        }
        let mut commands = Vec::new();
        for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.contains(&0) {
                return Err(InvalidCommandList::Nul(number));
            }
            if matches!(line.trim_ascii_start().first(), None | Some(b'#')) {
                continue;
            }
            commands.push(like.with_text(OsStr::from_bytes(line)));
        }
        let list = Self::new(commands);
        list.check_number()?;
        Ok(list)
    }

    /// Goes on after a command that is no success.
    pub fn keep_going(mut self, keep_going: bool) -> Self {
        self.keep_going = keep_going;
        self
    }

    /// How many run at once, each on a channel of its own. The bound of commands
    /// on one connection (`max_channels`) stays.
    pub fn parallel(mut self, commands: NonZeroUsize) -> Self {
        self.parallel = commands;
        self
    }

    /// Has one shell on each host run them all, so that directory, variables,
    /// umask and functions persist from one to the next. The shell is that of the
    /// commands; it must understand POSIX.
    pub fn shell_session(mut self, session: bool) -> Self {
        self.shell_session = session;
        self
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The list in a line: how many there are, and the first of them.
    pub fn display(&self) -> String {
        let count = self.commands.len();
        let mut line = match count {
            1 => "1 command".to_owned(),
            _ => format!("{count} commands"),
        };
        for (index, command) in self.commands.iter().enumerate() {
            let command = command.display();
            // Only whole ones: half a secret might be taken for none.
            if line.len() + command.len() > SHOWN_MAX {
                line += if index == 0 { "" } else { "; …" };
                break;
            }
            line += if index == 0 { ": " } else { "; " };
            line += &command;
        }
        line
    }

    /// Refuses what could never be run as it was meant.
    pub(crate) fn validate(&self) -> Result<(), InvalidCommandList> {
        self.check_number()?;
        if self.shell_session && self.parallel.get() > 1 {
            return Err(InvalidCommandList::ParallelSession);
        }
        let first = self.commands.first();
        for (number, command) in (1..).zip(&self.commands) {
            let cause = |cause| InvalidCommandList::Command { number, cause };
            command.validate().map_err(cause)?;
            let reads = match command.stdin {
                Stdin::Empty => false,
                Stdin::Bytes(_) | Stdin::File(_) => self.shell_session,
                Stdin::Inherit => true,
            };
            if reads {
                return Err(InvalidCommandList::Stdin(number));
            }
            if self.shell_session && first.is_some_and(|first| !command.is_surrounded_as(first)) {
                return Err(InvalidCommandList::Surroundings(number));
            }
        }
        Ok(())
    }

    fn check_number(&self) -> Result<(), InvalidCommandList> {
        match self.commands.len() {
            0 => Err(InvalidCommandList::Empty),
            count if count > COMMANDS_MAX => Err(InvalidCommandList::TooMany(count)),
            _ => Ok(()),
        }
    }
}

impl<C: IntoIterator<Item = Command>> From<C> for CommandList {
    fn from(commands: C) -> Self {
        Self::new(commands)
    }
}

/// Reads a text with one command a line to its end.
///
/// # Errors
/// That of the reader, or it is larger than [`COMMANDS_TEXT_MAX`].
pub fn read_commands(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(COMMANDS_TEXT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > COMMANDS_TEXT_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, InvalidCommandList::Large));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{RunAs, Secret, SudoPassword};

    fn list(text: &str) -> Result<CommandList, InvalidCommandList> {
        CommandList::from_lines(text.as_bytes(), &Command::shell(""))
    }

    fn shown(text: &str) -> Vec<String> {
        list(text).unwrap().commands.iter().map(Command::display).collect()
    }

    #[test]
    fn one_command_a_line() {
        assert_eq!(shown("a\n\n  # no\n\t\n b # c \r\nd"), ["a", " b # c ", "d"]);
        assert_eq!(list("\n#x\n").unwrap_err(), InvalidCommandList::Empty);
        assert_eq!(list("a\n\nb\0c\n").unwrap_err(), InvalidCommandList::Nul(3));
        assert_eq!(list("#\0").unwrap_err(), InvalidCommandList::Nul(1));
        let many = "x\n".repeat(COMMANDS_MAX);
        assert_eq!(list(&many).unwrap().commands.len(), COMMANDS_MAX);
        assert_eq!(list(&(many + "x")).unwrap_err(), InvalidCommandList::TooMany(10_001));
        let long = format!("#{}", "x".repeat(COMMANDS_TEXT_MAX));
        assert_eq!(list(&long).unwrap_err(), InvalidCommandList::Large);
    }

    #[test]
    fn every_command_has_the_settings() {
        let like = Command::shell("").current_dir("/x").idempotent(true);
        let list = CommandList::from_lines(b"a\nb", &like).unwrap();
        assert!(list.commands.iter().all(|command| command.cwd.is_some() && command.idempotent));
        assert!(list.validate().is_ok());
        let dash = CommandList::new([Command::new("a"), Command::new("-a")]).validate();
        assert_eq!(dash.unwrap_err().to_string().split(':').next(), Some("command 2"));
    }

    #[test]
    fn only_whole_commands_stand_in_the_line() {
        assert_eq!(list("a").unwrap().display(), "1 command: a");
        assert_eq!(list("a\nb c").unwrap().display(), "2 commands: a; b c");
        let long = "x".repeat(300);
        assert_eq!(list(&format!("a\n{long}\nb")).unwrap().display(), "3 commands: a; …");
        assert_eq!(list(&long).unwrap().display(), "1 command");
    }

    #[test]
    fn a_session_has_one_surrounding() {
        let check = |commands: [Command; 2], expected: Result<(), InvalidCommandList>| {
            let session = CommandList::new(commands).shell_session(true);
            assert_eq!(session.validate(), expected);
        };
        let secret = |text: &str| {
            Command::shell("a").secret_env("T".parse().unwrap(), Secret::new(text.to_owned()))
        };
        let other = Err(InvalidCommandList::Surroundings(2));
        check([Command::new("a"), Command::shell("b").idempotent(true)], Ok(()));
        check([Command::new("a"), Command::new("b").current_dir("/")], other.clone());
        check([secret("x"), secret("x")], Ok(()));
        check([secret("x"), secret("y")], other.clone());
        let root = RunAs { user: None, password: SudoPassword::NotNeeded };
        check([Command::new("a").run_as(root.clone()), Command::new("b").run_as(root)], Ok(()));
        let input = Command::new("b").stdin(Stdin::Bytes([0].as_slice().into()));
        check([Command::new("a"), input.clone()], Err(InvalidCommandList::Stdin(2)));
        assert!(CommandList::new([input]).validate().is_ok());
        let both = CommandList::new([Command::new("a")]).shell_session(true);
        let both = both.parallel(NonZeroUsize::new(2).unwrap());
        assert_eq!(both.validate(), Err(InvalidCommandList::ParallelSession));
    }
}
