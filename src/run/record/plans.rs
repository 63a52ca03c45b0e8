//! Plan files: made, approved, applied, refused.

use super::Recorder;
use crate::audit::{ApproverFacts, AuditError, Event, PlanFacts, Record};
use crate::plan::{Applied, Plan};

impl Recorder {
    /// What finds secrets in texts.
    pub(crate) fn redactor(&self) -> &crate::redact::Redactor {
        &self.redactor
    }

    /// Records what became of a plan file. Blocks until that is durable.
    pub(crate) fn plan(
        &self,
        event: Event,
        plan: &Plan,
        file: PlanFacts,
    ) -> Result<(), AuditError> {
        let mut record = Record::new(event);
        record.run_id = (event == Event::PlanApplied).then_some(plan.run);
        record.actor = Some(self.actor(&plan.operator));
        record.action = Some(self.action(&plan.action, None));
        record.reason = plan.reason.clone();
        record.metadata = plan.metadata.clone();
        record.plan = Some(plan.applied().map_or(file, facts));
        self.append_plan(record)
    }

    /// Records what became of a plan file that nobody may have carried out. Blocks until that is durable.
    pub(crate) fn plan_file(
        &self,
        event: Event,
        operator: &str,
        file: PlanFacts,
    ) -> Result<(), AuditError> {
        let mut record = Record::new(event);
        record.actor = Some(self.actor(operator));
        record.plan = Some(file);
        self.append_plan(record)
    }

    /// Records that a plan file was not carried out. A log that fails cannot stop
    /// what is refused anyway.
    pub(crate) fn plan_refused(&self, operator: &str, mut file: PlanFacts, code: &str, why: &str) {
        file.error_class = Some(code.to_owned());
        file.message = Some(why.to_owned());
        let _ = self.plan_file(Event::PlanRefused, operator, file);
    }

    fn append_plan(&self, record: Record) -> Result<(), AuditError> {
        match &self.log {
            Some(log) => log.append_blocking(record).map(drop),
            None => Ok(()),
        }
    }
}

/// What is on record of the plan file that a plan comes from.
pub(super) fn facts(applied: &Applied) -> PlanFacts {
    let approver = |one: &crate::plan::Approver| ApproverFacts {
        principal: Some(one.principal.clone()),
        key: one.key.clone(),
    };
    PlanFacts {
        sha256: applied.sha256().into(),
        nonce: applied.nonce().into(),
        requester: applied.requester().into(),
        approvers: applied.approvers().iter().map(approver).collect(),
        ..PlanFacts::default()
    }
}
