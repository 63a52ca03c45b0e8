//! The result of one of several commands as JSON.

use std::borrow::Cow;

use serde::Serialize;

use super::streamed::{Base64, Text};
use crate::ids::VmId;
use crate::outcome::{CommandResult, Failure, Kill, Status};
use crate::remote::Captured;

/// A command's result. It has the names of a host's result.
#[derive(Serialize)]
pub(in crate::report) struct Command<'a> {
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

impl<'a> Command<'a> {
    pub(in crate::report) fn new(vm_id: &'a VmId, result: &'a CommandResult) -> Self {
        let file = |stream: &'a Captured| stream.copy().map(|copy| copy.path.to_string_lossy());
        let sha256 = |stream: &'a Captured| stream.truncated().then(|| stream.sha256());
        Self {
            vm_id,
            command: &result.command,
            stdout: Text(&result.stdout),
            stderr: Text(&result.stderr),
            exit_code: result.exit.as_ref().and_then(|exit| exit.code()),
            success: result.success(),
            execution_time: result.elapsed.as_secs_f64(),
            timestamp: result.finished_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            status: result.status,
            signal: result.exit.as_ref().and_then(|exit| exit.signal()),
            attempts: result.attempts,
            error: result.failure.as_ref(),
            stdout_bytes: result.stdout.len(),
            stderr_bytes: result.stderr.len(),
            truncated: result.stdout.truncated() || result.stderr.truncated(),
            stdout_base64: Base64::where_needed(&result.stdout),
            stderr_base64: Base64::where_needed(&result.stderr),
            stdout_sha256: sha256(&result.stdout),
            stderr_sha256: sha256(&result.stderr),
            stdout_file: file(&result.stdout),
            stderr_file: file(&result.stderr),
            kill: result.kill.as_ref(),
            output_incomplete: result.output_incomplete,
        }
    }
}
