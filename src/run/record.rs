//! Making facts durable: an attempt before it is made, a result before it is
//! told.

mod commands;
mod files;
mod plans;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::audit::{
    ActionFacts, ActionKind, ActorFacts, AuditError, AuditLog, DecisionFacts, Event, OpId, Record,
    ResultFacts, SshFacts, TargetFacts,
};
use crate::hex::hex;
use crate::ids::VmId;
use crate::outcome::{Effect, Failure, HostResult, Phase, Status};
use crate::plan::{Asker, Plan, PlannedHost};
use crate::policy::Decision;
use crate::redact::{KNOWN_SECRET, Redactor};
use crate::remote::{Action, Command, Direction, Program, RunAs, Script, ScriptSource, Transfer};

/// Writes to the audit log, if there is one.
#[derive(Clone)]
pub struct Recorder {
    log: Option<AuditLog>,
    redactor: Arc<Redactor>,
    os_user: Option<String>,
}

/// What ties a result to its attempt.
pub(super) struct Op {
    id: OpId,
    number: u32,
}

pub(super) use commands::Nth;

impl Recorder {
    /// A recorder; without a log it records nothing.
    pub fn new(log: Option<AuditLog>, redactor: Arc<Redactor>, os_user: Option<String>) -> Self {
        Self { log, redactor, os_user }
    }

    /// A text without the secrets in it.
    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text).text.into_owned()
    }

    /// What whoever asks puts into the records.
    pub(crate) fn labels(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        labels.iter().map(|(name, value)| (name.clone(), self.without_known(value))).collect()
    }

    /// A text as the log may have it: what it finds by itself it also makes
    /// comparable, and this run's own secrets must not reach it.
    fn without_known(&self, text: &str) -> String {
        let redacted = self.redactor.redact(text);
        let known = redacted.hits.iter().any(|(rule, _)| *rule == KNOWN_SECRET);
        if known { redacted.text.into_owned() } else { text.to_owned() }
    }

    /// Records that an attempt is about to be made. Nothing may be done before
    /// this is `Ok`.
    pub(super) async fn attempt(
        &self,
        plan: &Plan,
        host: &PlannedHost,
        number: u32,
    ) -> Result<Op, Failure> {
        let op = Op { id: OpId::new(), number };
        let Some(log) = &self.log else { return Ok(op) };
        let (attempt, _) = events(&plan.action);
        let record = self.record(attempt, plan, host, &op, self.planned(plan, host));
        log.append(record).await.map_err(|error| audit_failure(&error))?;
        Ok(op)
    }

    /// Records how an attempt ended.
    pub(super) async fn result(
        &self,
        plan: &Plan,
        host: &PlannedHost,
        op: &Op,
        result: &HostResult,
    ) -> Result<(), Failure> {
        let Some(log) = &self.log else { return Ok(()) };
        let (_, closing) = events(&plan.action);
        let mut record = self.record(closing, plan, host, op, self.planned(plan, host));
        tell(&mut record, result);
        if let (Some(facts), Some(moved)) = (&mut record.result, &result.transfer) {
            facts.transfer = Some(files::facts(moved, &self.redactor));
        }
        let others = plan.hosts.len() > 1;
        log.append_among(others, record).await.map_err(|error| audit_failure(&error))?;
        Ok(())
    }

    fn planned(&self, plan: &Plan, host: &PlannedHost) -> ActionFacts {
        self.action(&plan.action, host.shell.as_deref())
    }

    /// Records a request for a host that may not be used: it never became a
    /// plan, so that the policy in force did not decide it. Blocks until it is
    /// durable; a log that fails cannot stop what is refused anyway.
    pub(crate) fn refused(
        &self,
        vm: &VmId,
        action: ActionFacts,
        asker: &Asker,
        policy_sha256: Option<String>,
        why: &str,
    ) {
        let Some(log) = &self.log else { return };
        let (attempt, result) = match action.kind {
            ActionKind::Check => (Event::SessionAttempt, Event::SessionResult),
            ActionKind::Download | ActionKind::Upload => (Event::FileAttempt, Event::FileResult),
            ActionKind::Keys => (Event::KeysAttempt, Event::KeysResult),
            _ => (Event::ExecAttempt, Event::ExecResult),
        };
        let mut record = Record::new(attempt);
        record.op_id = Some(OpId::new());
        record.attempt = Some(1);
        record.actor = Some(self.actor(&asker.operator));
        record.target = Some(TargetFacts {
            host: vm.clone(),
            addr: None,
            user: None,
            hostkey: None,
            ssh: None,
        });
        record.action = Some(action);
        let rule = "builtin/allowed-vms".to_owned();
        record.decision = Some(DecisionFacts { allow: false, rule, policy_sha256, within: None });
        record.reason = asker.reason.as_deref().map(|text| self.without_known(text));
        record.metadata = self.labels(&asker.metadata);
        let mut closing = record.clone();
        closing.event = result;
        let mut facts = ResultFacts::new(Status::PolicyDenied);
        facts.phase = Some(Phase::Policy);
        facts.error_class = Some("host_not_usable".into());
        facts.message = Some(why.to_owned());
        closing.result = Some(facts);
        for record in [record, closing] {
            let _ = log.append_blocking(record);
        }
    }

    /// Who asks, and as which account of this machine.
    pub(crate) fn actor(&self, operator: &str) -> ActorFacts {
        ActorFacts { id: operator.to_owned(), os_user: self.os_user.clone(), src: None }
    }

    fn record(
        &self,
        event: Event,
        plan: &Plan,
        host: &PlannedHost,
        op: &Op,
        action: ActionFacts,
    ) -> Record {
        let mut record = Record::new(event);
        record.run_id = Some(plan.run);
        record.op_id = Some(op.id);
        record.attempt = Some(op.number);
        record.actor = Some(self.actor(&plan.operator));
        let endpoint = host.endpoint.as_ref().ok();
        record.target = Some(TargetFacts {
            host: host.vm.clone(),
            addr: endpoint.map(|endpoint| endpoint.authority()),
            user: endpoint.map(|endpoint| endpoint.user.clone()),
            hostkey: None,
            ssh: None,
        });
        record.action = Some(action);
        record.decision = Some(decision_facts(&host.decision));
        record.plan = plan.applied().map(plans::facts);
        record.reason = plan.reason.as_deref().map(|text| self.without_known(text));
        record.metadata = self.labels(&plan.metadata);
        record
    }

    /// An action as the records have it.
    pub(crate) fn action(&self, action: &Action, shell: Option<&str>) -> ActionFacts {
        match action {
            Action::Command(command) => self.command(command, shell),
            Action::Commands(list) => self.commands(list, shell),
            Action::Script(script) => self.script(script),
            Action::Transfer(transfer) => self.transfer(transfer),
        }
    }

    fn script(&self, script: &Script) -> ActionFacts {
        // What runs it is an argument list, in which the path is the host's.
        let path = match &script.source {
            ScriptSource::Host(path) => path.clone(),
            ScriptSource::Bytes { name, .. } => name.clone(),
            ScriptSource::File(path) => path.clone().into_os_string(),
        };
        let mut action = self.command(&script.command(&path), None);
        action.kind = ActionKind::Script;
        action.sha256 = None;
        action.script_id.clone_from(&script.id);
        action.script_sha256 = script.sha256().map(str::to_owned);
        action.interpreter =
            clip_words(script.interpreter.iter().map(|word| self.redact(&word.to_string_lossy())));
        action.script_args = Some(script.args.len());
        action.remote = match (&script.source, &script.place) {
            (ScriptSource::Host(path), _) | (_, Some(path)) => Some(self.path(path)),
            _ => None,
        };
        action
    }

    fn transfer(&self, transfer: &Transfer) -> ActionFacts {
        let each = transfer.sources.iter().map(|path| self.path(path)).collect::<Vec<_>>();
        let (sources, target) = (each.join(" "), self.path(&transfer.target));
        let (kind, local, remote) = match transfer.direction {
            Direction::Download => (ActionKind::Download, target, sources),
            Direction::Upload => (ActionKind::Upload, sources, target),
        };
        let mut action = ActionFacts::new(kind);
        action.sources = clip_words(each.into_iter());
        action.recursive = Some(transfer.recursive);
        action.local = Some(local);
        action.remote = Some(remote);
        action.sha256.clone_from(&transfer.sha256);
        action.run_as = transfer.run_as.as_ref().map(run_as);
        action
    }

    /// A path, without the secrets in it and no longer than records are.
    fn path(&self, path: &OsStr) -> String {
        clip(self.redact(&path.to_string_lossy()))
    }

    fn command(&self, command: &Command, shell: Option<&str>) -> ActionFacts {
        let mut action;
        let secrets;
        match &command.program {
            Program::Argv(argv) => {
                action = ActionFacts::new(ActionKind::Argv);
                let words: Vec<String> =
                    argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
                // The log redacts each string by itself and cannot see that one
                // word is the value of the flag before it.
                let redacted = self.redactor.redact_argv(&words);
                secrets = redacted.iter().any(|word| !word.hits.is_empty());
                action.argv = clip_words(redacted.into_iter().map(|word| word.text.into_owned()));
            }
            Program::Shell(text) => {
                action = ActionFacts::new(ActionKind::Shell);
                let text = text.to_string_lossy();
                let redacted = self.redactor.redact(&text);
                secrets = !redacted.hits.is_empty();
                // What the log finds by itself it also makes comparable; only
                // this run's own secrets, and what is cut, must not reach it.
                let known = redacted.hits.iter().any(|(rule, _)| *rule == KNOWN_SECRET);
                let whole = !known && text.len() <= COMMAND_MAX;
                action.command =
                    Some(if whole { text.into_owned() } else { clip(redacted.text.into_owned()) });
                action.shell =
                    Some(command.shell.as_deref().or(shell).unwrap_or("/bin/sh").to_owned());
            }
        }
        // A digest of a text with a secret in it would let that be guessed.
        action.sha256 = (!secrets).then(|| digest(command));
        let plain = command.env.iter().map(|(name, _)| name);
        let secret = command.secret_env.iter().map(|(name, _)| name);
        action.env_names = plain.chain(secret).map(|name| name.as_str().to_owned()).collect();
        action.cwd = command.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
        action.run_as = command.run_as.as_ref().map(run_as);
        action
    }
}

fn run_as(run_as: &RunAs) -> String {
    run_as.user.clone().unwrap_or_else(|| "root".into())
}

/// What an attempt and its result are called.
fn events(action: &Action) -> (Event, Event) {
    match action {
        Action::Command(_) | Action::Commands(_) | Action::Script(_) => {
            (Event::ExecAttempt, Event::ExecResult)
        }
        Action::Transfer(_) => (Event::FileAttempt, Event::FileResult),
    }
}

/// How much of a command stands in a record; its digest covers the whole.
const COMMAND_MAX: usize = 64 * 1024;

fn clip(mut text: String) -> String {
    if text.len() > COMMAND_MAX {
        let total = text.len();
        text.truncate(text.floor_char_boundary(COMMAND_MAX));
        text += &format!("… [{total} bytes in all]");
    }
    text
}

fn clip_words(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut length = 0;
    for word in words {
        if length > COMMAND_MAX {
            kept.push("…".into());
            break;
        }
        length += word.len();
        kept.push(clip(word));
    }
    kept
}

/// The digest of what was asked for, so that a long or unprintable command can
/// still be compared: the string, or the words each ended by a NUL.
fn digest(command: &Command) -> String {
    let mut hash = Sha256::new();
    match &command.program {
        Program::Argv(argv) => {
            for arg in argv {
                hash.update(arg.as_bytes());
                hash.update([0]);
            }
        }
        Program::Shell(text) => hash.update(text.as_bytes()),
    }
    hex(hash.finalize())
}

/// A decision as the records have it.
pub(crate) fn decision_facts(decision: &Decision) -> DecisionFacts {
    DecisionFacts {
        allow: decision.allow,
        rule: [std::slice::from_ref(&decision.rule), &decision.notes].concat().join("; "),
        policy_sha256: decision.policy_sha256.clone(),
        within: Some(decision.constraints.within()).filter(|within| !within.is_empty()),
    }
}

/// Adds how an attempt ended, and on what connection.
pub(crate) fn tell(record: &mut Record, result: &HostResult) {
    if let Some(target) = &mut record.target {
        target.hostkey.clone_from(&result.refused_host_key);
    }
    if let (Some(target), Some(ssh)) = (&mut record.target, &result.ssh) {
        target.hostkey = Some(ssh.host_key.clone());
        target.ssh = Some(SshFacts {
            kex: ssh.kex.clone(),
            cipher: ssh.cipher.clone(),
            mac: Some(ssh.mac.clone()).filter(|mac| mac != "aead"),
            pq: ssh.post_quantum,
            strict_kex: ssh.strict_kex,
        });
    }
    if let (Some(action), Some(sha256)) = (&mut record.action, &result.script_sha256) {
        action.script_sha256 = Some(sha256.clone());
    }
    record.result = Some(facts(result));
}

fn facts(result: &HostResult) -> ResultFacts {
    let mut facts = ResultFacts::new(result.status);
    facts.exit = result.exit.as_ref().and_then(|exit| exit.code());
    facts.signal = result.exit.as_ref().and_then(|exit| exit.signal()).map(str::to_owned);
    facts.phase = result.failure.as_ref().map(|failure| failure.phase);
    facts.error_class = result.failure.as_ref().map(|failure| failure.code.to_owned());
    facts.message = result.failure.as_ref().map(|failure| failure.message.clone());
    facts.may_have_run = result.effect != Effect::Absent;
    facts.retryable = result.failure.as_ref().is_some_and(|failure| failure.retryable);
    facts.duration = result.timing.connect + result.timing.auth + result.timing.run;
    facts.waited = result.waited;
    facts.out_bytes = result.stdout.len() + result.stderr.len();
    facts.truncated = result.stdout.truncated() || result.stderr.truncated();
    facts.kill = result.kill.clone();
    if !result.stdout.is_empty() {
        facts.out_sha256 = Some(result.stdout.sha256().to_owned());
    }
    facts
}

/// A record that could not be written, as what became of a host.
pub(crate) fn audit_failure(error: &AuditError) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Failure {
        code: "audit_failed",
        phase: Phase::Audit,
        message,
        hint: Some(error.hint().to_owned()),
        retryable: false,
    }
}
