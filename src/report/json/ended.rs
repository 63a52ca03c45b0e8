//! How something ended, as JSON: what a host and one of several commands have
//! alike.

use std::borrow::Cow;

use serde::Serialize;

use super::streamed::{Base64, Text};
use crate::ids::VmId;
use crate::outcome::{CommandResult, Failure, HostResult, Kill, Status};
use crate::remote::{Captured, ExitStatus};

/// All of a command's result, and the first part of a host's. The first eight are
/// the names that automation has known since before this program; their order is
/// kept.
#[derive(Serialize)]
pub(in crate::report) struct Ended<'a> {
    vm_id: &'a VmId,
    command: &'a str,
    stdout: Text<'a>,
    stderr: Text<'a>,
    exit_code: Option<u32>,
    success: bool,
    execution_time: f64,
    timestamp: String,
    status: Status,
    signal: Option<&'a str>,
    attempts: u32,
    error: Option<&'a Failure>,
    stdout_bytes: u64,
    stderr_bytes: u64,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_file: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_file: Option<Cow<'a, str>>,
    kill: Option<&'a Kill>,
    output_incomplete: Option<&'static str>,
}

/// Takes a result of either kind: their fields have the same names.
macro_rules! ended {
    ($vm_id:expr, $result:expr) => {{
        let result = $result;
        let (stdout, stderr) = (&result.stdout, &result.stderr);
        Self {
            vm_id: $vm_id,
            command: &result.command,
            stdout: Text(stdout),
            stderr: Text(stderr),
            exit_code: result.exit.as_ref().and_then(ExitStatus::code),
            success: result.success(),
            execution_time: result.elapsed.as_secs_f64(),
            timestamp: result.finished_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            status: result.status,
            signal: result.exit.as_ref().and_then(ExitStatus::signal),
            attempts: result.attempts,
            error: result.failure.as_ref(),
            stdout_bytes: stdout.len(),
            stderr_bytes: stderr.len(),
            truncated: stdout.truncated() || stderr.truncated(),
            stdout_base64: Base64::where_needed(stdout),
            stderr_base64: Base64::where_needed(stderr),
            stdout_sha256: sha256(stdout),
            stderr_sha256: sha256(stderr),
            stdout_file: file(stdout),
            stderr_file: file(stderr),
            kill: result.kill.as_ref(),
            output_incomplete: result.output_incomplete,
        }
    }};
}

impl<'a> Ended<'a> {
    /// One of several commands.
    pub(in crate::report) fn command(vm_id: &'a VmId, result: &'a CommandResult) -> Self {
        ended!(vm_id, result)
    }

    /// A host.
    pub(super) fn host(result: &'a HostResult) -> Self {
        ended!(&result.vm, result)
    }
}

/// The digest of a stream that is not shown whole.
fn sha256(stream: &Captured) -> Option<&str> {
    stream.truncated().then(|| stream.sha256())
}

/// Where the stream was written to, too.
fn file(stream: &Captured) -> Option<Cow<'_, str>> {
    stream.copy().map(|copy| copy.path.to_string_lossy())
}
