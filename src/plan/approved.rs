//! A plan that was written down, looked at by others, and is now carried out.

use super::Plan;
use crate::policy::Decision;

/// What is proven of the plan file that a plan comes from. Only
/// [`Orchestrator::apply`](crate::Orchestrator::apply) makes one, after it has
/// checked everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    sha256: String,
    nonce: String,
    requester: String,
    approvers: Vec<Approver>,
}

/// Somebody who approved a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Who.
    pub principal: String,
    /// The fingerprint of the key that signed, `SHA256:…`.
    pub key: String,
}

impl Applied {
    pub(crate) fn new(
        sha256: String,
        nonce: String,
        requester: String,
        approvers: Vec<Approver>,
    ) -> Self {
        Self { sha256, nonce, requester, approvers }
    }

    /// The SHA-256 of the plan file's bytes, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What makes the plan file the only one of its kind.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The account that asked for it, as the file says.
    pub fn requester(&self) -> &str {
        &self.requester
    }

    /// Who approved it; nobody, where nothing required it.
    pub fn approvers(&self) -> &[Approver] {
        &self.approvers
    }
}

impl Plan {
    /// The plan file that it comes from.
    pub fn applied(&self) -> Option<&Applied> {
        self.applied.as_deref()
    }

    /// Whether something of it must be approved first.
    pub fn needs_approval(&self) -> bool {
        let all = std::iter::once(self).chain(&self.probes).flat_map(|plan| &plan.hosts);
        all.map(|host| &host.decision).any(|it| it.allow && it.requires_approval)
    }

    /// Denies what needs an approval that this plan does not have, in its probes,
    /// too, which run by its approval and by no other. The engine does this to
    /// every plan.
    pub(crate) fn hold_unapproved(&mut self) {
        let approved = self.applied().is_some_and(|applied| !applied.approvers.is_empty());
        for probe in &mut self.probes {
            probe.applied.clone_from(&self.applied);
            if !approved {
                probe.deny_unapproved();
            }
        }
        if !approved {
            self.deny_unapproved();
        }
    }

    fn deny_unapproved(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| host.decision.requires_approval) {
            if host.decision.allow {
                host.decision = Decision {
                    allow: false,
                    reason: Some("this needs an approval".into()),
                    hint: Some(HINT.into()),
                    ..host.decision.clone()
                };
            }
        }
    }
}

const HINT: &str = "write it down: orchestrator plan … --out FILE; have somebody else say yes: \
                    orchestrator approve FILE; then: orchestrator apply FILE";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Phase};
    use crate::plan::{Asker, Target};
    use crate::policy::Policy;
    use crate::remote::{Action, Command};

    fn plan(program: &str) -> Plan {
        let text = "approvals: {allowed_signers: /x}\noperators: {a: b}\nbinaries:\n\
                    - {path: /bin/true}\n- {path: /bin/echo, require_approval: true}\n";
        let policy = Policy::from_yaml_str(text, "p.yml").unwrap();
        let nowhere = Failure {
            code: "key_not_found",
            phase: Phase::Auth,
            message: String::new(),
            hint: None,
            retryable: false,
        };
        let target = Target {
            vm: "vm01".parse().unwrap(),
            allowed: true,
            groups: Vec::new(),
            tags: Vec::new(),
            shell: None,
            endpoint: Err(nowhere),
        };
        let action = Action::from(Command::new(program));
        Plan::decide(action, vec![target], Asker::default(), &policy)
    }

    fn allowed(plan: &Plan) -> [bool; 2] {
        [plan, &plan.probes[0]].map(|plan| plan.hosts[0].decision.allow)
    }

    #[test]
    fn a_probe_needs_what_its_plan_needs() {
        for (action, probe, held) in [
            ("/bin/true", "/bin/true", [true, true]),
            ("/bin/true", "/bin/echo", [true, false]),
            ("/bin/echo", "/bin/true", [false, true]),
        ] {
            let mut plan_of = plan(action);
            plan_of.probes.push(plan(probe));
            assert_eq!(plan_of.needs_approval(), held != [true, true], "{action} {probe}");
            let mut approved = plan_of.clone();
            plan_of.hold_unapproved();
            assert_eq!(allowed(&plan_of), held, "{action} {probe}");

            let by = Approver { principal: "b".into(), key: "SHA256:x".into() };
            let applied = Applied::new("0".into(), "1".into(), "a".into(), vec![by]);
            approved.applied = Some(applied.into());
            approved.hold_unapproved();
            assert_eq!(allowed(&approved), [true, true], "{action} {probe}");
            assert_eq!(approved.probes[0].applied(), approved.applied());
        }
    }
}
