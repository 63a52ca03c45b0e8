//! Actions on a host and what comes back from them. Pure: nothing here connects.

mod action;
mod capture;
mod command;
mod commands;
mod manifest;
mod script;
mod transfer;

pub use action::{Action, InvalidAction};
pub(crate) use capture::Ends;
pub use capture::{
    Capture, Captured, Collector, Cut, Keep, OutputCopy, OutputDir, OutputFile, Reader, Spool,
};
pub use command::{
    Command, EnvName, InvalidCommand, OnDisconnect, Program, RunAs, Secret, Stdin, SudoPassword,
};
pub use commands::{
    COMMANDS_MAX, COMMANDS_TEXT_MAX, CommandList, InvalidCommandList, read_commands,
};
pub use manifest::{Item, Manifest};
pub use script::{InvalidScript, SCRIPT_MAX, Script, ScriptSource, read_script};
pub use transfer::{Direction, InvalidTransfer, Transfer};

/// How a remote process ended (RFC 4254, 6.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u32),
    /// The server closed the channel without saying. Not a success and not a
    /// failure: what happened is unknown.
    Missing,
    /// It was ended by a signal: the RFC's name without `SIG`.
    Signal(String),
}

impl ExitStatus {
    /// Whether this is exit code 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }

    /// The exit code, when there is one.
    pub fn code(&self) -> Option<u32> {
        if let Self::Code(code) = self { Some(*code) } else { None }
    }

    /// The signal's name, when a signal ended it.
    pub fn signal(&self) -> Option<&str> {
        if let Self::Signal(name) = self { Some(name) } else { None }
    }
}

/// Which stream bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}
