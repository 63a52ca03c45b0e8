//! A request, written down as a plan file.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Request, RequestError};
use crate::approval::{
    self, Book, Bounds, Document, EXPIRES_MAX, FORMAT, NotPlannable, Once, PlanFile, PlannedOn,
    Reach, Requester, Rollout, Scan, Way, What,
};
use crate::audit::{AuditError, Event};
use crate::hex;
use crate::ids::VmId;
use crate::orchestrator::Inner;
use crate::outcome::Failure;
use crate::plan::Plan;
use crate::policy::{Decision, Policy};
use crate::remote::Action;
use crate::run::Gate;
use crate::units::duration;

/// Why a request cannot be written down as a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It is not allowed, and nobody could approve it.
    #[error("{vm}: {} (rule {})", .decision.reason.as_deref().unwrap_or("denied"), .decision.rule)]
    Denied {
        /// Where.
        vm: VmId,
        /// By what.
        decision: Box<Decision>,
    },
    /// It would be good for too long, or not at all.
    #[error("a plan is good for a second up to {} here", duration::format(*.0))]
    Expires(Duration),
    /// There is nowhere to write down later that it was applied.
    #[error("there is no state directory, where it is written down that a plan was applied")]
    NoStateDir,
    /// It cannot be written down.
    #[error(transparent)]
    NotPlannable(#[from] NotPlannable),
    /// The system has no randomness.
    #[error("the system has no randomness: {0}")]
    Randomness(String),
    /// It is no request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A host cannot be reached as it is configured.
    #[error("{vm}: {}", .failure.message)]
    Unusable {
        /// The host.
        vm: VmId,
        /// Why not.
        failure: Box<Failure>,
    },
}

impl PlanError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Audit(_) => "audit_failed",
            Self::Denied { .. } => "policy_denied",
            Self::Expires(_) => "plan_expires",
            Self::NoStateDir => "plan_no_state",
            Self::NotPlannable(why) => why.code(),
            Self::Randomness(_) => "randomness",
            Self::Request(error) => error.code(),
            Self::Unusable { failure, .. } => failure.code,
        }
    }
}

impl Request {
    /// Everything that would be done, as a file for somebody else to approve and
    /// for [`Orchestrator::apply`](crate::Orchestrator::apply) to carry out,
    /// exactly so and once. It is good for `expires`, and that it was made is on
    /// record. Blocks: every file that would be sent is read.
    ///
    /// Secrets must have a [source](crate::remote::Secret::from_source), which is
    /// written in their place.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); it is denied somewhere; it cannot be written down,
    /// or not be put on record.
    pub fn plan_file(&self, expires: Duration) -> Result<PlanFile, PlanError> {
        let plan = self.plan()?;
        let file = self.draft(&plan, expires)?;
        let inner = &self.orchestrator.inner;
        inner.engine.recorder().plan(Event::PlanCreated, &plan, file.noted())?;
        Ok(file)
    }

    /// The same of a plan of this request, and nothing on record.
    pub(crate) fn draft(&self, plan: &Plan, expires: Duration) -> Result<PlanFile, PlanError> {
        let inner = &self.orchestrator.inner;
        let policy = self.orchestrator.policy();
        let at_most = expires_max(&policy);
        if expires < Duration::from_secs(1) || expires > at_most {
            return Err(PlanError::Expires(at_most));
        }
        let nonce = hex::random().map_err(|error| PlanError::Randomness(error.to_string()))?;
        let now = Timestamp::now();
        let until = now.checked_add(SignedDuration::try_from(expires).unwrap_or_default());
        let until = until.map_err(|_| PlanError::Expires(at_most))?;
        let os_user = inner.os_user.clone();
        let principal = policy
            .approvers()
            .find_map(|approvers| Some(approvers.principal(os_user.as_deref()?)?.to_owned()));
        let operator = plan.operator.clone();
        let document = Document {
            format: FORMAT.into(),
            nonce,
            created: now.to_string(),
            expires: until.to_string(),
            requester: Requester { os_user, principal, operator },
            reason: plan.reason.clone(),
            metadata: plan.metadata.clone(),
            policy_sha256: policy.sha256(),
            once: inner.once(&policy).ok_or(PlanError::NoStateDir)?.0,
            action: self.written(&plan.action)?,
            hosts: plan.hosts.iter().map(planned_on).collect::<Result<_, _>>()?,
            way: self.way(),
            scan: Scan {
                mode: self.scan.as_str().into(),
                accepted: self.accepted.iter().map(|rule| rule.as_str().into()).collect(),
            },
            bounds: self.bounds(),
            rollout: self.rollout_written()?,
        };
        Ok(PlanFile::of(&document)?)
    }

    fn written(&self, action: &Action) -> Result<What, NotPlannable> {
        let inner = &self.orchestrator.inner;
        What::of(action, inner.cwd.as_deref(), inner.engine.recorder().redactor())
    }

    fn way(&self) -> Way {
        let way = self.circumstances().way;
        Way { user: way.user, port: way.port, proxy_jump: way.proxy_jump }
    }

    fn bounds(&self) -> Bounds {
        let options = &self.options;
        let milliseconds = approval::milliseconds;
        Bounds {
            timeout_ms: options.limits.timeout.map(milliseconds),
            grace_ms: milliseconds(options.limits.grace),
            attempts: options.retry.attempts().get(),
            insist: options.retry.insists(),
            fanout: options.fanout,
            single: self.hosts.hosts().is_single_literal(),
        }
    }

    fn rollout_written(&self) -> Result<Rollout, NotPlannable> {
        let rollout = &self.options.rollout;
        let gate = |gate: &Gate| {
            Ok(match gate {
                Gate::Match(regex) => approval::Gate::Match(regex.as_str().to_owned()),
                Gate::Probe(command) => {
                    let probe = Action::from((**command).clone());
                    approval::Gate::Probe(Box::new(self.written(&probe)?))
                }
                Gate::Rc => approval::Gate::Rc,
                Gate::SameOutput => approval::Gate::SameOutput,
            })
        };
        Ok(Rollout {
            canary: rollout.schedule.canary,
            batch: rollout.schedule.sizes.iter().map(ToString::to_string).collect(),
            wait_ms: approval::milliseconds(rollout.wait),
            gates: rollout.gates.iter().map(gate).collect::<Result<_, NotPlannable>>()?,
            max_fail: rollout.max_fail.map(|share| share.to_string()),
            deadline_ms: rollout.deadline.map(approval::milliseconds),
        })
    }
}

fn planned_on(host: &crate::plan::PlannedHost) -> Result<PlannedOn, PlanError> {
    if !host.decision.allow {
        let decision = Box::new(host.decision.clone());
        return Err(PlanError::Denied { vm: host.vm.clone(), decision });
    }
    let endpoint = host.endpoint.as_ref().map_err(|failure| PlanError::Unusable {
        vm: host.vm.clone(),
        failure: Box::new(failure.clone()),
    })?;
    Ok(PlannedOn {
        vm: host.vm.to_string(),
        reach: Reach::of(endpoint),
        shell: host.shell.clone(),
        rule: host.decision.rule.clone(),
        requires_approval: host.decision.requires_approval,
    })
}

/// How long a plan may be good for by every policy.
pub(in crate::orchestrator) fn expires_max(policy: &Policy) -> Duration {
    let by_policy = policy.approvers().map(|approvers| approvers.expires_max());
    by_policy.min().unwrap_or(EXPIRES_MAX)
}

impl Inner {
    /// Where it is written down which plans were applied.
    pub(in crate::orchestrator) fn once(&self, policy: &Policy) -> Option<(Once, Book)> {
        let shared = policy.approvers().find_map(|approvers| approvers.spent_plans());
        let own = || self.config.state_dir.as_deref().map(Book::own);
        let book = shared.map(Book::shared).or_else(own)?;
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some((
            Once { node, book: approval::octets(absolute(book.dir(), self.cwd.as_deref())) },
            book,
        ))
    }
}

fn absolute(path: &Path, cwd: Option<&Path>) -> std::path::PathBuf {
    cwd.map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
}
