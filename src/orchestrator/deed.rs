//! The two records around something done for one host that is no command.

use super::request::refused_host;
use super::{Orchestrator, RequestError};
use crate::audit::{
    ActionFacts, ActionKind, AuditError, AuditLog, Event, OpId, Record, TargetFacts,
};
use crate::ids::{RunId, VmId};
use crate::plan::Asker;
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
            ..Asker::default()
        }
    }

    /// A connection for its own sake.
    pub(super) async fn begin_check(
        &self,
        run: RunId,
        host: &VmId,
        endpoint: Option<&Endpoint>,
    ) -> Result<Deed, AuditError> {
        let target = target(host, endpoint);
        let mut record = Record::new(Event::SessionAttempt);
        record.run_id = Some(run);
        self.begin(record, ActionKind::Check, target).await
    }

    /// A connection for its own sake, by which the host is examined.
    pub(super) async fn begin_doctor(
        &self,
        run: RunId,
        host: &VmId,
        endpoint: Option<&Endpoint>,
    ) -> Result<Deed, AuditError> {
        let target = target(host, endpoint);
        let mut record = Record::new(Event::SessionAttempt);
        record.run_id = Some(run);
        record.metadata.insert("check".into(), "doctor".into());
        self.begin(record, ActionKind::Check, target).await
    }

    /// Something to be done for a host that may not be used: it is not begun,
    /// but on record.
    pub(super) fn refuse(&self, kind: ActionKind, error: &RequestError) {
        let Some(vm) = refused_host(error) else { return };
        let asker = self.asker();
        let action = ActionFacts::new(kind);
        self.inner.engine.recorder().refused(vm, action, &asker, &error.to_string());
    }

    /// A change of what is trusted.
    pub(super) async fn begin_trust(&self, target: TargetFacts) -> Result<Deed, AuditError> {
        self.begin(Record::new(Event::HostkeyAttempt), ActionKind::Trust, target).await
    }

    /// A change of the keys that may log in; `facts` say which, and who makes it.
    pub(super) async fn begin_keys(
        &self,
        run: RunId,
        target: TargetFacts,
        facts: [(&str, &str); 3],
    ) -> Result<Deed, AuditError> {
        let mut record = Record::new(Event::KeysAttempt);
        record.run_id = Some(run);
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact.to_owned()));
        record.metadata.extend(facts);
        self.begin(record, ActionKind::Keys, target).await
    }

    async fn begin(
        &self,
        mut record: Record,
        kind: ActionKind,
        target: TargetFacts,
    ) -> Result<Deed, AuditError> {
        record.op_id = Some(OpId::new());
        record.attempt = Some(1);
        record.actor = Some(self.inner.engine.recorder().actor(&self.inner.operator));
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
