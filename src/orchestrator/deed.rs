//! The two records around something done for one host that is no command.

use super::request::refused_host;
use super::{Orchestrator, RequestError};
use crate::audit::{
    ActionFacts, ActionKind, AuditError, AuditLog, Event, OpId, Record, TargetFacts,
};
use crate::ids::{RunId, VmId};
use crate::inventory::Host;
use crate::outcome::{HostResult, Status};
use crate::plan::Asker;
use crate::policy::{ActionView, Decision, HostView, Request};
use crate::run::{audit_failure, decision_facts, denied, tell};
use crate::transport::Endpoint;

/// Something whose attempt is on record and whose result is owed.
pub(super) struct Deed {
    log: Option<AuditLog>,
    record: Record,
}

impl Orchestrator {
    /// Who asks, where nobody else is named.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            operator: self.inner.operator.clone(),
            os_user: self.inner.os_user.clone(),
            metadata: self.inner.metadata.clone(),
            ..Asker::default()
        }
    }

    /// Whether such a thing may be done for a host, which is asked before
    /// anything is.
    pub(super) fn may(&self, host: &Host, action: ActionView<'_>) -> Decision {
        let groups = self.inventory().memberships().of(host);
        let reached = self.inner.access.endpoint(self.inventory(), host).ok();
        self.policy().decide(&Request {
            operator: &self.inner.operator,
            os_user: self.inner.os_user.as_deref(),
            host: HostView {
                id: &host.id,
                allowed: host.allowed,
                groups: &groups,
                tags: &host.tags,
                reached: reached.as_ref(),
            },
            action,
            shell: None,
            run_as: None,
            env: &[],
            cwd: None,
            stdin_given: false,
            allow_interactive: false,
            allow_threat: false,
        })
    }

    /// What comes of something that is denied: its records, and a result.
    pub(super) async fn deny(
        &self,
        deed: Result<Deed, AuditError>,
        host: &VmId,
        decision: &Decision,
    ) -> HostResult {
        let mut result = HostResult::new(host.clone(), String::new(), Status::PolicyDenied);
        result.failure = Some(denied(decision));
        let recorded = async { deed?.end(|record| tell(record, &result)).await };
        if let Err(error) = recorded.await {
            result.failure = Some(audit_failure(&error));
        }
        result
    }

    /// A connection for its own sake.
    pub(super) async fn begin_check(
        &self,
        run: RunId,
        host: &VmId,
        endpoint: Option<&Endpoint>,
        decision: &Decision,
    ) -> Result<Deed, AuditError> {
        let target = target(host, endpoint);
        let mut record = Record::new(Event::SessionAttempt);
        record.run_id = Some(run);
        self.begin(record, ActionKind::Check, target, decision).await
    }

    /// A connection for its own sake, by which the host is examined.
    pub(super) async fn begin_doctor(
        &self,
        run: RunId,
        host: &VmId,
        endpoint: Option<&Endpoint>,
        decision: &Decision,
    ) -> Result<Deed, AuditError> {
        let target = target(host, endpoint);
        let mut record = Record::new(Event::SessionAttempt);
        record.run_id = Some(run);
        record.metadata.insert("check".into(), "doctor".into());
        self.begin(record, ActionKind::Check, target, decision).await
    }

    /// Something to be done for a host that may not be used: it is not begun,
    /// but on record.
    pub(super) fn refuse(&self, kind: ActionKind, error: &RequestError) {
        let Some(vm) = refused_host(error) else { return };
        let asker = self.asker();
        let action = ActionFacts::new(kind);
        let policy = self.policy().sha256();
        self.inner.engine.recorder().refused(vm, action, &asker, policy, &error.to_string());
    }

    /// A change of what is trusted.
    pub(super) async fn begin_trust(
        &self,
        target: TargetFacts,
        decision: &Decision,
    ) -> Result<Deed, AuditError> {
        self.begin(Record::new(Event::HostkeyAttempt), ActionKind::Trust, target, decision).await
    }

    /// A change of the keys that may log in; `facts` say which, and who makes it.
    pub(super) async fn begin_keys(
        &self,
        run: RunId,
        target: TargetFacts,
        facts: &[(&str, &str)],
        decision: &Decision,
    ) -> Result<Deed, AuditError> {
        let mut record = Record::new(Event::KeysAttempt);
        record.run_id = Some(run);
        let facts = facts.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned()));
        record.metadata.extend(facts);
        self.begin(record, ActionKind::Keys, target, decision).await
    }

    async fn begin(
        &self,
        mut record: Record,
        kind: ActionKind,
        target: TargetFacts,
        decision: &Decision,
    ) -> Result<Deed, AuditError> {
        record.decision = Some(decision_facts(decision));
        let recorder = self.inner.engine.recorder();
        record.metadata.extend(recorder.labels(&self.inner.metadata));
        record.op_id = Some(OpId::new());
        record.attempt = Some(1);
        record.actor = Some(recorder.actor(&self.inner.operator));
        record.target = Some(target);
        record.action = Some(ActionFacts::new(kind));
        let log = self.inner.audit.clone();
        if let Some(log) = &log {
            log.append(record.clone()).await?;
        }
        Ok(Deed { log, record })
    }
}

impl Deed {
    /// Records the result, to which `complete` adds what is known by now.
    pub(super) async fn end(
        mut self,
        complete: impl FnOnce(&mut Record),
    ) -> Result<(), AuditError> {
        let Some(log) = self.log else { return Ok(()) };
        self.record.event = match self.record.event {
            Event::HostkeyAttempt => Event::HostkeyResult,
            Event::KeysAttempt => Event::KeysResult,
            _ => Event::SessionResult,
        };
        complete(&mut self.record);
        log.append(self.record).await.map(drop)
    }
}

/// A host, before anything is known of its connection.
pub(super) fn target(host: &VmId, endpoint: Option<&Endpoint>) -> TargetFacts {
    TargetFacts {
        host: host.clone(),
        addr: endpoint.map(Endpoint::authority),
        user: endpoint.map(|endpoint| endpoint.user.clone()),
        hostkey: None,
        ssh: None,
    }
}
