//! What came of each of several commands, as it stands in the details of their
//! host.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::detail::{Failure, Kill, Name, effect, effect_name, micros, status, word};
use super::output::Output;
use crate::outcome::{CommandResult, Status};
use crate::remote::{Captured, Ends, ExitStatus};

/// One command.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CommandEnded {
    command: String,
    status: String,
    effect: String,
    exit_code: Option<u32>,
    signal: Option<String>,
    failure: Option<Failure>,
    kill: Option<Kill>,
    output_incomplete: Option<String>,
    attempts: u32,
    at: i64,
    elapsed: u64,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

impl CommandEnded {
    /// A command, at most `cap` bytes of each stream. `told` is what was shown
    /// and not kept.
    pub(super) fn of(
        result: &CommandResult,
        (stdout, stderr): (Option<Ends>, Option<Ends>),
        cap: usize,
    ) -> Self {
        Self {
            command: result.command.to_string(),
            status: result.status.as_str().to_owned(),
            effect: effect_name(result.effect).to_owned(),
            exit_code: result.exit.as_ref().and_then(ExitStatus::code),
            signal: result.exit.as_ref().and_then(ExitStatus::signal).map(str::to_owned),
            failure: result.failure.as_ref().map(Failure::of),
            kill: result.kill.as_ref().map(Kill::of),
            output_incomplete: result.output_incomplete.map(str::to_owned),
            attempts: result.attempts,
            at: result.finished_at.as_microsecond(),
            elapsed: micros(result.elapsed),
            stdout: Output::new(&result.stdout, stdout, cap),
            stderr: Output::new(&result.stderr, stderr, cap),
        }
    }

    pub(super) fn restore(self) -> CommandResult {
        let exit = match (self.exit_code, self.signal) {
            (Some(code), _) => Some(ExitStatus::Code(code)),
            (None, signal) => signal.map(ExitStatus::Signal),
        };
        CommandResult {
            command: self.command.into(),
            status: status(&self.status).unwrap_or(Status::Unknown),
            effect: effect(&self.effect),
            exit,
            stdout: captured(self.stdout),
            stderr: captured(self.stderr),
            failure: self.failure.map(Failure::restore),
            kill: self.kill.map(Kill::restore),
            output_incomplete: self.output_incomplete.as_deref().map(word),
            attempts: self.attempts,
            elapsed: Duration::from_micros(self.elapsed),
            finished_at: Timestamp::from_microsecond(self.at).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

fn captured(output: Output) -> Captured {
    if output.bytes == 0 {
        return Captured::default();
    }
    Captured::restored(output.head, output.tail, output.bytes, output.sha256)
}

/// Bytes, as text where they are text.
pub(super) fn write<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    Name::new(OsStr::from_bytes(bytes)).serialize(to)
}

/// Bytes back.
pub(super) fn read<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
    Name::deserialize(from).map(|name| name.to_os().into_vec())
}
