//! A script for a host.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Command, InvalidCommand};

/// The largest script that is sent, in bytes. It is held in memory, once for
/// all hosts.
pub const SCRIPT_MAX: usize = 16 * 1024 * 1024;

/// A script, its arguments, and how it is run.
///
/// Unless it is on the host already, it is sent there, proven by its SHA-256,
/// run, and removed again whatever becomes of it; or, with
/// [`place`](Self::place), put where it is to stay and run from there.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) source: ScriptSource,
    pub(crate) interpreter: Vec<OsString>,
    pub(crate) args: Vec<OsString>,
    pub(crate) place: Option<OsString>,
    pub(crate) settings: Command,
}

/// Where a script comes from.
#[derive(Clone)]
pub enum ScriptSource {
    /// Its text, as it will be sent.
    Bytes {
        /// What it is called on the host.
        name: OsString,
        /// The whole of it.
        bytes: Arc<[u8]>,
        /// The SHA-256 of `bytes`, in hexadecimal.
        sha256: String,
    },
    /// A local file, not read yet.
    File(PathBuf),
    /// A file that is on the host already.
    Host(OsString),
}

impl fmt::Debug for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { name, sha256, .. } => write!(f, "{} ({sha256})", name.display()),
            Self::File(path) => path.fmt(f),
            Self::Host(path) => write!(f, "host:{}", path.display()),
        }
    }
}

/// Why a script can be run on no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScript {
    /// What it shares with a command.
    #[error(transparent)]
    Command(#[from] InvalidCommand),
    /// Nothing in it.
    #[error("the script is empty")]
    Empty,
    /// There is nothing to be put there.
    #[error("a script that is on the host already cannot be placed elsewhere")]
    Placed,
    /// No path.
    #[error("the path of the script on the host is empty")]
    EmptyPath,
}

impl Script {
    /// A local file, to be sent.
    pub fn upload(path: impl AsRef<Path>) -> Self {
        Self::new(ScriptSource::File(path.as_ref().into()))
    }

    /// A text, to be sent; on the host the file is called `name`.
    pub fn text(name: impl AsRef<OsStr>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::new(source(name.as_ref(), bytes.into()))
    }

    /// A file that is on the host already.
    pub fn on_host(path: impl AsRef<OsStr>) -> Self {
        Self::new(ScriptSource::Host(path.as_ref().into()))
    }

    fn new(source: ScriptSource) -> Self {
        Self {
            source,
            interpreter: Vec::new(),
            args: Vec::new(),
            place: None,
            settings: Command::new(""),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds several arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// The program that reads the script, and words that go before its path.
    /// Without one the script's first line says, or else it is `/bin/sh`.
    pub fn interpreter<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, words: I) -> Self {
        self.interpreter = words.into_iter().map(|word| word.as_ref().into()).collect();
        self
    }

    /// Puts it at this path of the host, whole or not at all and executable,
    /// runs it from there and leaves it.
    pub fn place(mut self, path: impl AsRef<OsStr>) -> Self {
        self.place = Some(path.as_ref().into());
        self
    }

    /// Sets what a script has in common with a command: variables, working
    /// directory, stdin, sudo and limits.
    pub fn settings(mut self, set: impl FnOnce(Command) -> Command) -> Self {
        self.settings = set(self.settings);
        self
    }

    /// Reads a local file, so that what is decided on is what is sent. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`SCRIPT_MAX`].
    pub fn load(&mut self) -> io::Result<()> {
        let ScriptSource::File(path) = &self.source else { return Ok(()) };
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let bytes = read_script(&mut file)?;
        let name = path.file_name().unwrap_or(OsStr::new("script"));
        self.source = source(name, bytes.into());
        Ok(())
    }

    /// The SHA-256 of what will be sent, once it is known.
    pub fn sha256(&self) -> Option<&str> {
        match &self.source {
            ScriptSource::Bytes { sha256, .. } => Some(sha256),
            ScriptSource::File(_) | ScriptSource::Host(_) => None,
        }
    }

    /// The script as text, for people and records: its path or name, and its
    /// arguments.
    pub fn display(&self) -> String {
        let path = match &self.source {
            ScriptSource::Bytes { name, .. } => name.clone(),
            ScriptSource::File(path) => path.clone().into_os_string(),
            ScriptSource::Host(path) => path.clone(),
        };
        Command::new(path).args(&self.args).display()
    }

    /// Refuses what could never be run as it was meant.
    ///
    /// # Errors
    /// Why not.
    pub fn validate(&self) -> Result<(), InvalidScript> {
        match (&self.source, &self.place) {
            (ScriptSource::Host(_), Some(_)) => return Err(InvalidScript::Placed),
            (ScriptSource::Host(path), None) | (_, Some(path)) if path.is_empty() => {
                return Err(InvalidScript::EmptyPath);
            }
            (ScriptSource::Bytes { bytes, .. }, _) if bytes.is_empty() => {
                return Err(InvalidScript::Empty);
            }
            _ => {}
        }
        let path = match (&self.source, &self.place) {
            (ScriptSource::Host(path), _) | (_, Some(path)) => path.as_os_str(),
            _ => OsStr::new("/script"),
        };
        Ok(self.command(path).validate()?)
    }

    /// What runs the script once it is at `path` of the host.
    pub(crate) fn command(&self, path: &OsStr) -> Command {
        // A path without a slash would be looked for on PATH.
        let path = match path.as_bytes().contains(&b'/') {
            true => path.to_owned(),
            false => [OsStr::new("./"), path].into_iter().collect(),
        };
        let mut words = self.interpreter.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(program) => Command::new(program).args(words).arg(path),
            None => Command::new(path),
        };
        command = command.args(&self.args);
        Command { program: command.program, ..self.settings.clone() }
    }
}

/// Reads a script to its end.
///
/// # Errors
/// That of the reader, or it is larger than [`SCRIPT_MAX`].
pub fn read_script(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SCRIPT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SCRIPT_MAX {
        let message = format!("a script has at most {} MiB; push it as a file", SCRIPT_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn source(name: &OsStr, bytes: Arc<[u8]>) -> ScriptSource {
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ScriptSource::Bytes { name: name.into(), bytes, sha256 }
}
