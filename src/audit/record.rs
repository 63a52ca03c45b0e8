//! What one record says. The writer adds when, where and the chain.

mod files;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::files::{FileFacts, TransferFacts};
pub use self::plan::{ApproverFacts, PlanFacts};
use super::escape::escape_json;
use crate::ids::{RunId, VmId};
use crate::outcome::{Kill, Phase, Status};

/// One fact to be made durable. Fields that do not apply stay `None` and are
/// left out of the line; the order of the fields is the order in the line.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The action on one host; an attempt and its result share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_id: Option<OpId>,
    /// Which try this is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What caused the run, when no person did (`schedule:nightly`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorFacts>,
    /// On which host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetFacts>,
    /// To do what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionFacts>,
    /// Why it was allowed or denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionFacts>,
    /// The plan file that it is about, or comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFacts>,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultFacts>,
    /// The reason the operator gave (a ticket, a sentence).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whatever else the caller wants to find again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Record {
    /// A record of `event` that says nothing else yet.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            run_id: None,
            op_id: None,
            attempt: None,
            parent: None,
            actor: None,
            target: None,
            action: None,
            decision: None,
            plan: None,
            result: None,
            reason: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// A record ready to be sealed.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) kind: Kind,
    /// Its members in JSON, without the braces.
    pub(super) text: String,
    /// Whether it may wait a moment for others to be made durable with.
    pub(super) patient: bool,
}

impl Body {
    /// A record of `members`, in their order.
    pub(super) fn new(kind: Kind, members: Map<String, Value>) -> Self {
        let mut text = escape_json(&Value::Object(members).to_string());
        text.pop();
        text.remove(0);
        Self { kind, text, patient: false }
    }

    /// A record of the log's own, which holds no secrets.
    pub(super) fn plain(record: &Record) -> Self {
        Self::new(record.event.kind(), members(record))
    }
}

/// The members of `record`, not yet redacted.
pub(super) fn members(record: &Record) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(members)) => members,
        // A record is a struct of strings and numbers: it has a JSON form.
        _ => Map::from_iter([("event".to_owned(), record.event.as_str().into())]),
    }
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The log signed its own head.
    AuditCheckpoint,
    /// A broken chain was accepted by the operator; a new segment begins.
    AuditGap,
    /// A torn tail was cut off.
    AuditRecovered,
    /// A command or script is about to be sent.
    ExecAttempt,
    /// A command or script ended, or was refused.
    ExecResult,
    /// Files are about to be moved.
    FileAttempt,
    /// Files were moved, or not.
    FileResult,
    /// A host key is about to be trusted.
    HostkeyAttempt,
    /// A host key was trusted, or not.
    HostkeyResult,
    /// The keys that may log in on a host are about to be changed.
    KeysAttempt,
    /// They were changed, or not.
    KeysResult,
    /// A plan file passed every check, is spent, and is about to be carried out.
    PlanApplied,
    /// A plan file was signed by somebody who approves it.
    PlanApproved,
    /// A plan was written to a file.
    PlanCreated,
    /// A plan file was to be applied, and was not.
    PlanRefused,
    /// Another policy decides from now on.
    PolicyReloaded,
    /// A host is about to be connected to, for the connection's own sake.
    SessionAttempt,
    /// The connection was made and ended, or could not be made.
    SessionResult,
}

/// What the log owes a record when it can no longer write all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Must be durable before anything is done; refused when the log fails.
    Attempt,
    /// Says something that no later step depends on; refused when the log fails.
    Fact,
    /// Closes an attempt; kept somewhere even when the log fails.
    Result,
}

impl Event {
    /// The stable name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditCheckpoint => "audit.checkpoint",
            Self::AuditGap => "audit.gap",
            Self::AuditRecovered => "audit.recovered",
            Self::ExecAttempt => "exec.attempt",
            Self::ExecResult => "exec.result",
            Self::FileAttempt => "file.attempt",
            Self::FileResult => "file.result",
            Self::HostkeyAttempt => "hostkey.attempt",
            Self::HostkeyResult => "hostkey.result",
            Self::KeysAttempt => "keys.attempt",
            Self::KeysResult => "keys.result",
            Self::PlanApplied => "plan.applied",
            Self::PlanApproved => "plan.approved",
            Self::PlanCreated => "plan.created",
            Self::PlanRefused => "plan.refused",
            Self::PolicyReloaded => "policy.reloaded",
            Self::SessionAttempt => "session.attempt",
            Self::SessionResult => "session.result",
        }
    }

    /// Whether it opens an action, closes one, or does neither.
    pub fn kind(self) -> Kind {
        match self {
            Self::ExecAttempt
            | Self::FileAttempt
            | Self::HostkeyAttempt
            | Self::KeysAttempt
            | Self::SessionAttempt => Kind::Attempt,
            Self::ExecResult
            | Self::FileResult
            | Self::HostkeyResult
            | Self::KeysResult
            | Self::SessionResult => Kind::Result,
            Self::AuditCheckpoint
            | Self::AuditGap
            | Self::AuditRecovered
            | Self::PlanApplied
            | Self::PlanApproved
            | Self::PlanCreated
            | Self::PlanRefused
            | Self::PolicyReloaded => Kind::Fact,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The id of one action on one host: a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(Uuid);

impl OpId {
    /// A new id, unique on any machine.
    #[allow(clippy::new_without_default)] // a default that differs each time would surprise
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl Serialize for OpId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Who asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ActorFacts {
    /// The operator, as named by whoever called (`--operator`).
    pub id: String,
    /// The account the process runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_user: Option<String>,
    /// Where the request came from, when not from this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// The host, and what was negotiated with it.
#[derive(Clone, Debug, Serialize)]
pub struct TargetFacts {
    /// Its id in the inventory.
    pub host: VmId,
    /// The address dialled (`10.1.2.3:22`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The login name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The fingerprint of the key it showed (`SHA256:…`), accepted or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostkey: Option<String>,
    /// The algorithms in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshFacts>,
}

/// The algorithms of one connection, by their SSH names.
#[derive(Clone, Debug, Serialize)]
pub struct SshFacts {
    /// Key exchange.
    pub kex: String,
    /// Cipher.
    pub cipher: String,
    /// MAC; `None` for a cipher that authenticates by itself.
    pub mac: Option<String>,
    /// Whether the key exchange resists a quantum computer.
    pub pq: bool,
    /// Whether strict key exchange (the answer to Terrapin) was negotiated.
    pub strict_kex: bool,
}

/// What was to be done.
#[derive(Clone, Debug, Serialize)]
pub struct ActionFacts {
    /// What kind of action it is.
    pub kind: ActionKind,
    /// Which of several commands of a run, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The shell string, for [`ActionKind::Shell`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The words, for [`ActionKind::Argv`] and [`ActionKind::Script`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The shell that gets the string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// The names, never the values, of the variables that were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_names: Vec<String>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Whom it runs as, when not the login user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// The id of the script in its library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_id: Option<String>,
    /// The digest of the script's bytes as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_sha256: Option<String>,
    /// The words that were asked to read a script; the path follows them in
    /// `argv`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpreter: Vec<String>,
    /// How many words at the end of `argv` are a script's own arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_args: Option<usize>,
    /// What a transfer moves, path by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Whether a transfer moves what is in directories, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<bool>,
    /// The local path of a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// The path on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// How many bytes are sent or fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The digest of those bytes, or of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl ActionFacts {
    /// An action of `kind` that says nothing else yet.
    pub fn new(kind: ActionKind) -> Self {
        Self {
            kind,
            index: None,
            command: None,
            argv: Vec::new(),
            shell: None,
            env_names: Vec::new(),
            cwd: None,
            run_as: None,
            script_id: None,
            script_sha256: None,
            interpreter: Vec::new(),
            script_args: None,
            sources: Vec::new(),
            recursive: None,
            local: None,
            remote: None,
            bytes: None,
            sha256: None,
        }
    }
}

/// The kinds of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// A command given as words.
    Argv,
    /// A connection and nothing more.
    Check,
    /// A file fetched from the host.
    Download,
    /// A change of the keys that may log in.
    Keys,
    /// A script sent and run.
    Script,
    /// A command given as one shell string.
    Shell,
    /// A host key accepted.
    Trust,
    /// A file sent to the host.
    Upload,
}

/// Why the action was allowed or denied.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionFacts {
    /// Whether it was allowed.
    pub allow: bool,
    /// The rule that decided (`builtin/interactive`).
    pub rule: String,
    /// The digest of the policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<String>,
    /// The limits and the sandbox within which it was allowed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What became of the action.
#[derive(Clone, Debug, Serialize)]
pub struct ResultFacts {
    /// How it ended.
    pub status: Status,
    /// The exit code, when there is one.
    pub exit: Option<u32>,
    /// The signal's RFC 4254 name without `SIG`, when one ended it.
    pub signal: Option<String>,
    /// Where it went wrong.
    pub phase: Option<Phase>,
    /// The stable code of the error.
    pub error_class: Option<String>,
    /// The error in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether anything may have been done on the host.
    pub may_have_run: bool,
    /// Whether trying again may help and can do no harm.
    pub retryable: bool,
    /// How long it took; in the line as whole milliseconds, `dur_ms`.
    #[serde(rename = "dur_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// How long it waited for its rate before; in the line as whole
    /// milliseconds, `waited_ms`.
    #[serde(rename = "waited_ms", serialize_with = "milliseconds")]
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub waited: Duration,
    /// Bytes the command wrote to stdout and stderr.
    pub out_bytes: u64,
    /// The digest of stdout, where there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_sha256: Option<String>,
    /// Whether more output came than was kept.
    pub truncated: bool,
    /// What became of the files of a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferFacts>,
    /// How the process tree ended, when it was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<Kill>,
    /// Written later, by another process than the one that acted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

impl ResultFacts {
    /// A result of `status` that says nothing else yet: no exit code, no
    /// output, nothing run.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            exit: None,
            signal: None,
            phase: None,
            error_class: None,
            message: None,
            may_have_run: false,
            retryable: false,
            duration: Duration::ZERO,
            waited: Duration::ZERO,
            out_bytes: 0,
            out_sha256: None,
            truncated: false,
            transfer: None,
            kill: None,
            recovered: false,
        }
    }
}

fn milliseconds<S: serde::Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_order_and_leaves_out_what_it_does_not_say() {
        let mut record = Record::new(Event::ExecResult);
        record.result = Some(ResultFacts::new(Status::Success));
        record.actor = Some(ActorFacts { id: "alice".into(), ..ActorFacts::default() });
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"event":"exec.result","actor":{"id":"alice"},"result":{"status":"success","exit":null,"signal":null,"phase":null,"error_class":null,"may_have_run":false,"retryable":false,"dur_ms":0,"out_bytes":0,"truncated":false}}"#
        );
    }

    #[test]
    fn every_attempt_has_a_result_of_the_same_family() {
        for event in [
            Event::ExecAttempt,
            Event::FileAttempt,
            Event::HostkeyAttempt,
            Event::KeysAttempt,
            Event::SessionAttempt,
        ] {
            assert_eq!(event.kind(), Kind::Attempt);
            assert!(event.as_str().ends_with(".attempt"), "{event}");
        }
        for event in [
            Event::ExecResult,
            Event::FileResult,
            Event::HostkeyResult,
            Event::KeysResult,
            Event::SessionResult,
        ] {
            assert_eq!(event.kind(), Kind::Result);
            assert!(event.as_str().ends_with(".result"), "{event}");
        }
    }
}
