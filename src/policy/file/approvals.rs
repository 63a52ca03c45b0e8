//! `approvals`.

use std::path::Path;
use std::time::Duration;

use super::super::approvers::Approvals;
use super::reader::Reader;
use crate::yaml::Value;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// No plan is good for longer, whatever a policy says.
const EXPIRES_MAX: Duration = Duration::from_secs(7 * 86_400);

impl<'d> Reader<'d> {
    /// Relative paths are relative to the directory of the policy file.
    pub(super) fn approvals(&mut self, value: Option<Value<'d>>, file: &str) -> Option<Approvals> {
        let value = value?;
        let mut section = self.section(value)?;
        let (signers, spent) = (section.get("allowed_signers"), section.get("spent_plans"));
        let expires = section.get("expires_max").map(|value| value.duration(MINUTE, EXPIRES_MAX));
        self.end(&section);
        let mut path = |value: Option<Value<'d>>| {
            let text = self.keep(value?.word())?;
            let dir = Path::new(file).parent().unwrap_or(Path::new(""));
            Some(dir.join(text))
        };
        let (allowed_signers, spent_plans) = (path(signers), path(spent));
        let expires_max = expires.and_then(|read| self.keep(read)).unwrap_or(DAY);
        if signers.is_none() {
            self.problem(value.diagnostic("allowed_signers is missing: whose signatures count?"));
        }
        Some(Approvals { allowed_signers: allowed_signers?, expires_max, spent_plans })
    }

    /// Refuses a policy by which something needs an approval that nobody could
    /// give.
    pub(super) fn check_approvals(&mut self, approvals: Option<Value<'d>>) {
        if approvals.is_none()
            && let Some(value) = self.approval_required
        {
            let message = "nobody can approve it: say under approvals which allowed_signers can";
            self.problem(value.diagnostic(message));
        }
    }
}
