//! The parts of a host's result that have no column of their own, as JSON, and
//! back.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::CommandEnded;
use crate::outcome::{
    self, Effect, FileOutcome, HostResult, Phase, Skipped, Status, Timing, Transferred, VerifiedBy,
};
use crate::redact::Redactor;
use crate::remote::Direction;
use crate::transport::ConnectionFacts;

/// How many files of a transfer are kept, the failed ones first.
const FILES_MAX: usize = 1000;

/// See the module.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Detail {
    failure: Option<Failure>,
    kill: Option<Kill>,
    /// Connecting, authenticating, running.
    timing: [u64; 3],
    output_incomplete: Option<String>,
    #[serde(default)]
    script_id: Option<String>,
    script_sha256: Option<String>,
    ssh: Option<Ssh>,
    refused_host_key: Option<String>,
    files: Option<Vec<File>>,
    #[serde(default)]
    skipped: Vec<(Name, String)>,
    /// How many files there were, if not all are kept.
    files_total: Option<usize>,
    /// Whether they came from the host.
    #[serde(default)]
    downloaded: bool,
    /// Of several commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<CommandEnded>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Failure {
    code: String,
    phase: String,
    message: String,
    hint: Option<String>,
    retryable: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Kill {
    ended: Option<u32>,
    survivors: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Ssh {
    kex: String,
    cipher: String,
    mac: String,
    host_key_type: String,
    host_key: String,
    strict_kex: bool,
    post_quantum: bool,
    server: String,
    address: String,
    user: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct File {
    local: Name,
    remote: Name,
    bytes: u64,
    sha256: Option<String>,
    verified_by: Option<String>,
    unchanged: bool,
    resumed_from: u64,
    failure: Option<Failure>,
}

/// Bytes that are text almost always: a path, an argument.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Name {
    /// As text.
    Text(String),
    /// Bytes that are not UTF-8.
    Bytes {
        /// The bytes.
        base64: String,
    },
}

impl Name {
    pub(super) fn new(name: impl AsRef<std::ffi::OsStr>) -> Self {
        let bytes = name.as_ref().as_bytes();
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { base64: STANDARD.encode(bytes) },
        }
    }

    pub(super) fn to_os(&self) -> OsString {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes { base64 } => {
                OsString::from_vec(STANDARD.decode(base64).unwrap_or_default())
            }
        }
    }
}

/// Takes the secrets out of every text of a JSON value.
pub(super) fn redact(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            let redacted = redactor.redact(text);
            if !redacted.hits.is_empty() {
                *text = redacted.text.into_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, redactor)),
        Value::Object(fields) => fields.values_mut().for_each(|field| redact(field, redactor)),
        _ => {}
    }
}

impl Detail {
    /// The details of a result.
    pub(super) fn of(result: &HostResult) -> Self {
        let Timing { connect, auth, run } = result.timing;
        let mut detail = Self {
            failure: result.failure.as_ref().map(Failure::of),
            kill: result.kill.as_ref().map(Kill::of),
            timing: [connect, auth, run].map(micros),
            output_incomplete: result.output_incomplete.map(str::to_owned),
            script_id: result.script_id.clone(),
            script_sha256: result.script_sha256.clone(),
            ssh: result.ssh.as_ref().map(Ssh::of),
            refused_host_key: result.refused_host_key.clone(),
            ..Self::default()
        };
        if let Some(moved) = &result.transfer {
            detail.downloaded = moved.direction == Direction::Download;
            let mut files: Vec<&FileOutcome> = moved.files.iter().collect();
            if files.len() > FILES_MAX {
                detail.files_total = Some(files.len());
                files.sort_by_key(|file| file.failure.is_none());
                files.truncate(FILES_MAX);
            }
            detail.files = Some(files.into_iter().map(File::of).collect());
            let skipped = moved.skipped.iter().take(FILES_MAX);
            detail.skipped =
                skipped.map(|left| (Name::new(&left.path), left.why.to_owned())).collect();
        }
        detail
    }

    /// The same, with those of its commands.
    pub(super) fn with(self, commands: Vec<CommandEnded>) -> Self {
        Self { commands, ..self }
    }

    /// They as JSON, without secrets.
    pub(super) fn to_json(&self, redactor: &Redactor) -> Value {
        let mut detail = serde_json::to_value(self).unwrap_or_default();
        redact(&mut detail, redactor);
        detail
    }

    /// Puts the details back into a result.
    pub(super) fn restore(self, result: &mut HostResult) {
        let [connect, auth, run] = self.timing.map(Duration::from_micros);
        result.timing = Timing { connect, auth, run };
        result.failure = self.failure.map(Failure::restore);
        result.kill = self.kill.map(Kill::restore);
        result.output_incomplete = self.output_incomplete.as_deref().map(word);
        result.script_id = self.script_id;
        result.script_sha256 = self.script_sha256;
        result.ssh = self.ssh.map(Ssh::restore);
        result.refused_host_key = self.refused_host_key;
        result.commands = self.commands.into_iter().map(CommandEnded::restore).collect();
        let skipped = self.skipped.into_iter();
        let skipped = skipped.map(|(path, why)| Skipped { path: path.to_os(), why: word(&why) });
        let total = self.files_total;
        result.transfer = self.files.map(|files| {
            let gone = total.map(|total| total.saturating_sub(files.len()));
            let gone = gone.map(|gone| Skipped {
                path: format!("{gone} files").into(),
                why: "they are not remembered",
            });
            Transferred {
                direction: if self.downloaded { Direction::Download } else { Direction::Upload },
                files: files.into_iter().map(File::restore).collect(),
                skipped: skipped.chain(gone).collect(),
            }
        });
    }
}

impl Kill {
    pub(super) fn of(kill: &outcome::Kill) -> Self {
        Self { ended: kill.ended, survivors: kill.survivors.clone() }
    }

    pub(super) fn restore(self) -> outcome::Kill {
        outcome::Kill { ended: self.ended, survivors: self.survivors }
    }
}

impl Failure {
    pub(super) fn of(failure: &outcome::Failure) -> Self {
        Self {
            code: failure.code.to_owned(),
            phase: failure.phase.as_str().to_owned(),
            message: failure.message.clone(),
            hint: failure.hint.clone(),
            retryable: failure.retryable,
        }
    }

    pub(super) fn restore(self) -> outcome::Failure {
        let phase = Phase::ALL.into_iter().find(|phase| phase.as_str() == self.phase);
        outcome::Failure {
            code: word(&self.code),
            phase: phase.unwrap_or(Phase::Exec),
            message: self.message,
            hint: self.hint,
            retryable: self.retryable,
        }
    }
}

impl Ssh {
    fn of(facts: &ConnectionFacts) -> Self {
        Self {
            kex: facts.kex.clone(),
            cipher: facts.cipher.clone(),
            mac: facts.mac.clone(),
            host_key_type: facts.host_key_type.clone(),
            host_key: facts.host_key.clone(),
            strict_kex: facts.strict_kex,
            post_quantum: facts.post_quantum,
            server: facts.server.clone(),
            address: facts.address.clone(),
            user: facts.user.clone(),
        }
    }

    fn restore(self) -> ConnectionFacts {
        ConnectionFacts {
            kex: self.kex,
            cipher: self.cipher,
            mac: self.mac,
            host_key_type: self.host_key_type,
            host_key: self.host_key,
            strict_kex: self.strict_kex,
            post_quantum: self.post_quantum,
            server: self.server,
            address: self.address,
            user: self.user,
            ..ConnectionFacts::default()
        }
    }
}

impl File {
    fn of(file: &FileOutcome) -> Self {
        Self {
            local: Name::new(&file.local),
            remote: Name::new(&file.remote),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            verified_by: file.verified_by.map(|by| by.as_str().to_owned()),
            unchanged: file.unchanged,
            resumed_from: file.resumed_from,
            failure: file.failure.as_ref().map(Failure::of),
        }
    }

    fn restore(self) -> FileOutcome {
        let all =
            [VerifiedBy::Openssl, VerifiedBy::Readback, VerifiedBy::Sha256sum, VerifiedBy::Shasum];
        let by = self.verified_by.as_deref();
        FileOutcome {
            local: self.local.to_os(),
            remote: self.remote.to_os(),
            bytes: self.bytes,
            sha256: self.sha256,
            verified_by: all.into_iter().find(|known| Some(known.as_str()) == by),
            unchanged: self.unchanged,
            resumed_from: self.resumed_from,
            failure: self.failure.map(Failure::restore),
        }
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn status(text: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.as_str() == text)
}

const EFFECTS: [(Effect, &str); 3] =
    [(Effect::Absent, "absent"), (Effect::Present, "present"), (Effect::Unknown, "unknown")];

pub(super) fn effect_name(effect: Effect) -> &'static str {
    EFFECTS.into_iter().find(|(known, _)| *known == effect).map_or("unknown", |(_, name)| name)
}

pub(super) fn effect(text: &str) -> Effect {
    let found = EFFECTS.into_iter().find(|(_, name)| *name == text);
    found.map_or(Effect::Unknown, |(effect, _)| effect)
}

/// One of this program's own fixed texts, from a file. Results hold such texts
/// as if they were in the program; each is kept once, and no more of them than
/// the program could have.
pub(super) fn word(text: &str) -> &'static str {
    const WORDS_MAX: usize = 512;
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = words.get(text) {
        return word;
    }
    if words.len() >= WORDS_MAX || text.len() > 256 {
        return "not known to this version";
    }
    let word: &'static str = Box::leak(text.into());
    words.insert(word);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_as_it_was() {
        let failure = outcome::Failure {
            code: "connect_failed",
            phase: Phase::Tcp,
            message: "connection refused".into(),
            hint: Some("check sshd".into()),
            retryable: true,
        };
        let file = FileOutcome {
            local: OsString::from_vec(vec![b'a', 0xff]),
            remote: "/opt/a".into(),
            bytes: 7,
            sha256: Some("ab".repeat(32)),
            verified_by: Some(VerifiedBy::Readback),
            unchanged: true,
            resumed_from: 3,
            failure: Some(failure.clone()),
        };
        let mut result = HostResult::new("vm01".parse().unwrap(), "x".into(), Status::Failed);
        result.failure = Some(failure);
        result.kill = Some(outcome::Kill { ended: Some(2), survivors: None });
        result.timing.run = Duration::from_micros(1234);
        result.output_incomplete = Some("a process holds stdout");
        result.ssh = Some(ConnectionFacts { kex: "k".into(), ..ConnectionFacts::default() });
        let skipped = vec![Skipped { path: "/s".into(), why: "a socket" }];
        result.transfer =
            Some(Transferred { files: vec![file], skipped, ..Transferred::default() });

        let json = Detail::of(&result).to_json(&Redactor::builtin());
        let detail: Detail = serde_json::from_value(json).unwrap();
        let mut restored = HostResult::new(result.vm.clone(), "x".into(), Status::Failed);
        restored.finished_at = result.finished_at;
        detail.restore(&mut restored);
        assert_eq!(format!("{restored:?}"), format!("{result:?}"));
    }

    #[test]
    fn details_have_no_secrets() {
        let mut result = HostResult::new("vm01".parse().unwrap(), "x".into(), Status::Failed);
        result.failure = Some(outcome::Failure {
            code: "not_started",
            phase: Phase::Exec,
            message: "password=hunter2".into(),
            hint: None,
            retryable: false,
        });
        let json = Detail::of(&result).to_json(&Redactor::builtin()).to_string();
        assert!(json.contains("[redacted]") && !json.contains("hunter2"), "{json}");
    }

    #[test]
    fn of_many_files_the_failed_are_kept() {
        let file = |failed: bool| FileOutcome {
            local: "a".into(),
            remote: "b".into(),
            bytes: 1,
            sha256: None,
            verified_by: None,
            unchanged: false,
            resumed_from: 0,
            failure: failed.then(|| outcome::Failure {
                code: "io",
                phase: Phase::Transfer,
                message: "no".into(),
                hint: None,
                retryable: false,
            }),
        };
        let mut result = HostResult::new("vm01".parse().unwrap(), "x".into(), Status::Failed);
        let files = (0..=FILES_MAX).map(|number| file(number == FILES_MAX)).collect();
        result.transfer = Some(Transferred { files, ..Transferred::default() });
        let detail = Detail::of(&result);
        let mut restored = result.clone();
        detail.restore(&mut restored);
        let moved = restored.transfer.unwrap();
        assert!(moved.files[0].failure.is_some());
        assert_eq!(
            (moved.files.len(), moved.skipped[0].path.to_str()),
            (FILES_MAX, Some("1 files"))
        );
    }
}
