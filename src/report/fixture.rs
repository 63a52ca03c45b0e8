//! Results and events for the tests of this module.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Streams, View};
use crate::event::{Chunk, Event, EventKind, StopReason, Stopped};
use crate::ids::{RunId, VmId};
use crate::outcome::{
    CommandResult, Effect, Failure, FileOutcome, HostResult, Phase, Status, Timing, Transferred,
    VerifiedBy,
};
use crate::remote::Stream;
use crate::remote::{Capture, Captured, ExitStatus};

pub(super) fn vm(id: &str) -> VmId {
    id.parse().unwrap()
}

pub(super) fn at() -> Timestamp {
    "2026-11-21T02:40:00.123456789Z".parse().unwrap()
}

pub(super) fn stopped() -> Stopped {
    Stopped { reason: StopReason::MaxFail, message: "3 of 40 failed (limit 2)".into() }
}

pub(super) fn captured(bytes: &[u8], cap: usize) -> Captured {
    let mut capture = Capture::new(cap);
    capture.push(bytes);
    capture.finish()
}

pub(super) fn result(id: &str, status: Status) -> HostResult {
    let finished_at = at();
    HostResult { finished_at, ..HostResult::new(vm(id), "echo hello".into(), status) }
}

/// A command that ran, by its exit code.
pub(super) fn exited(id: &str, code: u32, stdout: &[u8], stderr: &[u8]) -> HostResult {
    let status = if code == 0 { Status::Success } else { Status::Failed };
    HostResult {
        effect: Effect::Present,
        exit: Some(ExitStatus::Code(code)),
        stdout: captured(stdout, 1024),
        stderr: captured(stderr, 1024),
        attempts: 1,
        elapsed: Duration::from_millis(41),
        ..result(id, status)
    }
}

/// Several commands, each with its exit code and what it wrote to stdout.
pub(super) fn commands(id: &str, each: &[(&str, u32, &str)]) -> HostResult {
    let of = |&(command, code, stdout): &(&str, u32, &str)| {
        CommandResult::of(command.into(), exited(id, code, stdout.as_bytes(), b""))
    };
    let mut host = HostResult { command: "commands".into(), ..exited(id, 0, b"", b"") };
    host.conclude(each.iter().map(of).collect());
    host
}

/// A file that is in place.
pub(super) fn file(remote: &str) -> FileOutcome {
    FileOutcome {
        local: "a.tar".into(),
        remote: remote.into(),
        bytes: 12_897_485,
        sha256: Some("ab".repeat(32)),
        verified_by: Some(VerifiedBy::Sha256sum),
        unchanged: false,
        resumed_from: 0,
        failure: None,
    }
}

pub(super) fn failed_file(remote: &str, message: &str) -> FileOutcome {
    let failure = Some(failure("transfer_failed", Phase::Transfer, message));
    FileOutcome { sha256: None, verified_by: None, failure, ..file(remote) }
}

/// A transfer that ended as its files did.
pub(super) fn moved(id: &str, files: Vec<FileOutcome>) -> HostResult {
    let failure = files.iter().find_map(|file| file.failure.clone());
    let status = if failure.is_none() { Status::Success } else { Status::Failed };
    HostResult {
        command: "upload: a.tar -> /opt/".into(),
        effect: Effect::Present,
        failure,
        transfer: Some(Transferred { files, ..Transferred::default() }),
        attempts: 1,
        timing: Timing { run: Duration::from_millis(1234), ..Timing::default() },
        ..result(id, status)
    }
}

pub(super) fn failure(code: &'static str, phase: Phase, message: &str) -> Failure {
    Failure { code, phase, message: message.into(), hint: None, retryable: false }
}

pub(super) fn output(id: &str, stream: Stream, bytes: &[u8]) -> EventKind {
    let bytes = Chunk::new(Bytes::copy_from_slice(bytes), None);
    EventKind::Output { vm: vm(id), index: None, stream, bytes }
}

pub(super) fn started(ids: &[&str]) -> EventKind {
    EventKind::RunStarted { hosts: ids.iter().map(|id| vm(id)).collect(), command: "x".into() }
}

pub(super) fn finished(result: HostResult) -> EventKind {
    EventKind::HostFinished(Box::new(result))
}

/// Shows a run, and gives what came on stdout and stderr.
pub(super) fn watch(view: &mut dyn View, kinds: Vec<EventKind>) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut to = Streams { out: &mut out, err: &mut err };
    let run = RunId::new();
    let mut results = Vec::new();
    let mut hosts = Vec::new();
    for (seq, kind) in (0..).zip(kinds) {
        match &kind {
            EventKind::RunStarted { hosts: all, .. } => hosts.clone_from(all),
            EventKind::HostFinished(result) => results.push((**result).clone()),
            _ => {}
        }
        view.event(&Event { seq, at: at(), run, kind }, &mut to).unwrap();
    }
    results.sort_by_key(|result| hosts.iter().position(|host| *host == result.vm));
    view.finish(run, &results, &mut to).unwrap();
    (out, err)
}

/// The same as text, without the run's id.
pub(super) fn watch_text(view: &mut dyn View, kinds: Vec<EventKind>) -> (String, String) {
    let (out, err) = watch(view, kinds);
    let text = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.split(" · run ").next().unwrap().to_owned() + "\n").collect()
    };
    (text(out), text(err))
}
