//! A script for a host.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Command, InvalidCommand, Program};

use crate::hex::hex;

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
    pub(crate) mode: Option<u32>,
    pub(crate) settings: Command,
    pub(crate) id: Option<String>,
    pub(crate) systems: Vec<String>,
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
    /// Its first line ends as on Windows, so that no interpreter is found.
    #[error(
        "the script's lines end in CR LF, and no host has the interpreter its first line names: \
         convert it (dos2unix), or name an interpreter"
    )]
    CarriageReturn,
    /// Nothing in it.
    #[error("the script is empty")]
    Empty,
    /// Larger than [`SCRIPT_MAX`].
    #[error("a script has at most {} MiB: push it as a file, then run that", SCRIPT_MAX >> 20)]
    Large,
    /// A mode that it could not be executed with.
    #[error("{0:o} is no mode for a script: use octal digits that let it be executed, as 755")]
    Mode(u32),
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
            mode: None,
            settings: Command::new(""),
            id: None,
            systems: Vec::new(),
        }
    }

    /// Its id in a library of scripts, which the records will carry.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The only operating systems that it can run on, as the inventory names
    /// them (`linux`). Without any it can on all.
    pub fn supports<I: IntoIterator<Item = S>, S: Into<String>>(mut self, systems: I) -> Self {
        self.systems = systems.into_iter().map(Into::into).collect();
        self
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

    /// The permission bits of what is [placed](Self::place). Without them an
    /// existing file keeps its own, and a new one gets 755 under the host's
    /// umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
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
            _ => {}
        }
        if let ScriptSource::Bytes { bytes, .. } = &self.source {
            if bytes.iter().all(|&byte| byte == 0) {
                return Err(InvalidScript::Empty);
            }
            if bytes.len() > SCRIPT_MAX {
                return Err(InvalidScript::Large);
            }
            if self.interpreter.is_empty() && first_line(bytes).is_some_and(ends_in_cr) {
                return Err(InvalidScript::CarriageReturn);
            }
        }
        if let Some(mode) = self.mode.filter(|mode| mode & 0o100 == 0 || mode & !0o7777 != 0) {
            return Err(InvalidScript::Mode(mode));
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
        let mut words = self.interpreter.clone();
        if words.is_empty() && !self.is_executed() {
            words.push("/bin/sh".into());
        }
        words.push(path);
        words.extend(self.args.iter().cloned());
        Command { program: Program::Argv(words), ..self.settings.clone() }
    }

    /// Whether the file itself is executed: it says what reads it, or is no
    /// text. What is on the host already is left to the host.
    pub(crate) fn is_executed(&self) -> bool {
        let ScriptSource::Bytes { bytes, .. } = &self.source else {
            return self.interpreter.is_empty();
        };
        self.interpreter.is_empty() && (first_line(bytes).is_some() || bytes.contains(&0))
    }

    /// The ending of its name, if that means it was written for Windows and
    /// nothing says otherwise.
    pub(crate) fn windows_ending(&self) -> Option<&'static str> {
        let name = match &self.source {
            ScriptSource::Bytes { bytes, .. } if first_line(bytes).is_some() => return None,
            ScriptSource::Bytes { name, .. } => Path::new(name),
            ScriptSource::File(path) => path,
            ScriptSource::Host(path) => Path::new(path),
        };
        let ending = name.extension().filter(|_| self.interpreter.is_empty())?;
        WINDOWS.into_iter().find(|windows| ending.eq_ignore_ascii_case(windows))
    }
}

/// What only Windows runs.
const WINDOWS: [&str; 4] = ["bat", "cmd", "ps1", "vbs"];

/// The line that says what reads a script.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    if !bytes.starts_with(b"#!") {
        return None;
    }
    bytes.split(|&byte| byte == b'\n').next()
}

fn ends_in_cr(line: &[u8]) -> bool {
    line.ends_with(b"\r")
}

/// Reads a script to its end.
///
/// # Errors
/// That of the reader, or it is larger than [`SCRIPT_MAX`].
pub fn read_script(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SCRIPT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SCRIPT_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, InvalidScript::Large));
    }
    Ok(bytes)
}

fn source(name: &OsStr, bytes: Arc<[u8]>) -> ScriptSource {
    let sha256 = hex(Sha256::digest(&bytes));
    ScriptSource::Bytes { name: name.into(), bytes, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(script: &Script) -> Vec<OsString> {
        match script.command(OsStr::new("/d/s")).program {
            Program::Argv(argv) => argv,
            Program::Shell(_) => Vec::new(),
        }
    }

    #[test]
    fn what_reads_a_script() {
        let text = |bytes: &[u8]| Script::text("s", bytes).arg("a b");
        assert_eq!(argv(&text(b"echo")), ["/bin/sh", "/d/s", "a b"]);
        assert_eq!(argv(&text(b"#!/bin/awk -f\n")), ["/d/s", "a b"]);
        assert_eq!(argv(&text(b"\x7fELF\0")), ["/d/s", "a b"]);
        let python = text(b"#!/bin/sh").interpreter(["python3", "-u"]);
        assert_eq!(argv(&python), ["python3", "-u", "/d/s", "a b"]);
        assert_eq!(argv(&Script::on_host("/x")), ["/d/s"]);
    }

    #[test]
    fn what_can_run_nowhere_is_refused() {
        let text = |bytes: &[u8]| Script::text("s", bytes);
        assert_eq!(text(b"").validate(), Err(InvalidScript::Empty));
        assert_eq!(text(&[0; 9]).validate(), Err(InvalidScript::Empty));
        let cr = text(b"#!/bin/sh\r\necho\r\n");
        assert_eq!(cr.validate(), Err(InvalidScript::CarriageReturn));
        assert_eq!(cr.interpreter(["cat"]).validate(), Ok(()));
        assert_eq!(text(b"x").place("/s").mode(0o644).validate(), Err(InvalidScript::Mode(0o644)));
        assert_eq!(Script::text("s", vec![b'x'; SCRIPT_MAX]).validate(), Ok(()));
        let large = Script::text("s", vec![b'x'; SCRIPT_MAX + 1]);
        assert_eq!(large.validate(), Err(InvalidScript::Large));
    }

    #[test]
    fn scripts_for_windows_are_known_by_name() {
        assert_eq!(Script::upload("a/Setup.PS1").windows_ending(), Some("ps1"));
        assert_eq!(Script::on_host("/x.bat").windows_ending(), Some("bat"));
        assert_eq!(Script::text("x.cmd", *b"#!/bin/sh").windows_ending(), None);
        assert_eq!(Script::upload("x.ps1").interpreter(["pwsh"]).windows_ending(), None);
        assert_eq!(Script::upload("ps1").windows_ending(), None);
    }
}
