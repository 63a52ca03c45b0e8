//! A plan file, carried out: exactly what it says, once.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::written::expires_max;
use super::{Report, Request, RequestError};
use crate::approval::{
    self, Book, Entry, NotApproved, NotDated, NotPlannable, PlanFile, Reach, SpendError, judge,
};
use crate::audit::{AuditError, Event};
use crate::ids::VmId;
use crate::nodeset::HostPattern;
use crate::orchestrator::Orchestrator;
use crate::orchestrator::labels::Labels;
use crate::plan::{Applied, Plan};
use crate::remote::Secret;
use crate::retry::RetryPolicy;
use crate::run::{Gate, Rollout, RunHandle, Schedule, Share};
use crate::scan::{Mode, RuleName};

/// Why a plan file is not carried out. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not approved.
    #[error(transparent)]
    Approval(#[from] NotApproved),
    /// It cannot be put on record. It is spent all the same.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Now is not the time.
    #[error("the plan cannot be applied now: {0}")]
    Dated(#[from] NotDated),
    /// A host may not be used so any more.
    #[error("{vm}: {reason} (rule {rule})")]
    Denied {
        /// The host.
        vm: VmId,
        /// Why.
        reason: String,
        /// By which rule.
        rule: String,
    },
    /// A host is not what it was.
    #[error("{vm} is not the host that the plan was made for: {how}")]
    Host {
        /// The host.
        vm: String,
        /// What differs.
        how: String,
    },
    /// There is nowhere to write down that it is applied.
    #[error("there is no state directory, where it is written down that a plan was applied")]
    NoStateDir,
    /// It cannot be done as it is written.
    #[error(transparent)]
    NotPlannable(#[from] NotPlannable),
    /// It would be written down elsewhere, and so could be applied twice.
    #[error("this plan is to be applied on {node}, where {book} tells which plans were")]
    Elsewhere {
        /// The machine's name.
        node: String,
        /// The directory.
        book: String,
    },
    /// Another policy is in force than the one that decided.
    #[error("the policy is not the one that the plan was made under")]
    Policy,
    /// It is no request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It was applied, or it cannot be written down that it is.
    #[error("the plan cannot be applied: {0}")]
    Spend(#[from] SpendError),
}

impl ApplyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Approval(why) => why.code(),
            Self::Audit(_) => "audit_failed",
            Self::Dated(NotDated::Expired(_)) => "plan_expired",
            Self::Dated(_) => "plan_expires",
            Self::Denied { .. } => "policy_denied",
            Self::Elsewhere { .. } => "plan_elsewhere",
            Self::Host { .. } => "plan_host_changed",
            Self::NoStateDir => "plan_no_state",
            Self::NotPlannable(why) => why.code(),
            Self::Policy => "plan_policy_changed",
            Self::Request(error) => error.code(),
            Self::Spend(SpendError::Spent(_)) => "plan_spent",
            Self::Spend(_) => "plan_no_state",
        }
    }

    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Approval(why) => why.hint(),
            Self::NotPlannable(why) => why.hint(),
            Self::Dated(_) | Self::Host { .. } | Self::Policy => {
                "make a new plan, and have it approved anew"
            }
            Self::Spend(SpendError::Spent(_)) => "to do it again, make a new plan",
            Self::Denied { .. } => "ask as somebody who may, or have the policy changed",
            Self::Elsewhere { .. } => {
                "apply it there, as the account that made it; or name a directory that accounts \
                 share as approvals.spent_plans in the policy, and make a new plan"
            }
            Self::NoStateDir => "set HOME or XDG_STATE_HOME",
            Self::Spend(_) => "check the directory, its owner and the disk",
            Self::Audit(_) | Self::Request(_) => return None,
        })
    }
}

/// A plan file that is about to be carried out.
pub struct Application {
    request: Request,
    file: PlanFile,
    signatures: Vec<Vec<u8>>,
}

impl Orchestrator {
    /// Takes up a plan file, to carry it out with these values for its
    /// [secrets](PlanFile::secrets). Blocks: every file that it sends is read, and
    /// must be what it was.
    ///
    /// The orchestrator must reach hosts as the plan says: with the same
    /// [`Overrides`](crate::Overrides), if there were any.
    ///
    /// # Errors
    /// A secret is missing, or a file has changed.
    pub fn apply(
        &self,
        file: PlanFile,
        secrets: impl IntoIterator<Item = (String, Secret)>,
    ) -> Result<Application, ApplyError> {
        let secrets: BTreeMap<String, Secret> = secrets.into_iter().collect();
        let request = self.request_of(&file, &secrets).inspect_err(|error| {
            let recorder = self.inner.engine.recorder();
            let operator = &self.inner.operator;
            recorder.plan_refused(operator, file.noted(), error.code(), &error.to_string());
        })?;
        Ok(Application { request, file, signatures: Vec::new() })
    }

    fn request_of(
        &self,
        file: &PlanFile,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Request, ApplyError> {
        let document = file.document();
        let nonsense = |what: &dyn ToString| NotPlannable::Unwritable(what.to_string());
        let hosts: Vec<&str> = document.hosts.iter().map(|host| host.vm.as_str()).collect();
        let hosts: HostPattern = hosts.join(",").parse().map_err(RequestError::Syntax)?;
        let mut request = self.on(hosts).action(document.action.action(secrets)?);
        request.asker.reason.clone_from(&document.reason);
        request.labels = Labels::of(document.metadata.clone());
        let mode = Mode::CHOICES.into_iter().find(|(name, _)| *name == document.scan.mode);
        request.scan = mode.ok_or_else(|| nonsense(&"its scan is not known"))?.1;
        let rules = document.scan.accepted.iter().map(|rule| rule.parse::<RuleName>());
        request.accepted =
            rules.collect::<Result<_, _>>().map_err(|error| nonsense(&error.to_string()))?;
        let (bounds, options) = (&document.bounds, &mut request.options);
        let time = Duration::from_millis;
        options.limits.timeout = bounds.timeout_ms.map(time);
        options.limits.grace = time(bounds.grace_ms);
        options.fanout = bounds.fanout;
        options.retry =
            RetryPolicy::new(NonZeroU32::new(bounds.attempts).unwrap_or(NonZeroU32::MIN));
        if bounds.insist {
            options.retry = options.retry.insisting();
        }
        let rollout = &document.rollout;
        let share = |text: &String| text.parse::<Share>().map_err(|error| nonsense(&error));
        let gate = |gate: &approval::Gate| {
            Ok(match gate {
                approval::Gate::Match(regex) => format!("match:{regex}")
                    .parse()
                    .map_err(|error: crate::run::InvalidGate| nonsense(&error))?,
                approval::Gate::Probe(probe) => Gate::Probe(Box::new(probe.to_command(secrets)?)),
                approval::Gate::Rc => Gate::Rc,
                approval::Gate::SameOutput => Gate::SameOutput,
            })
        };
        options.rollout = Rollout {
            schedule: Schedule {
                canary: rollout.canary,
                sizes: rollout.batch.iter().map(share).collect::<Result<_, _>>()?,
            },
            wait: time(rollout.wait_ms),
            gates: rollout.gates.iter().map(gate).collect::<Result<_, NotPlannable>>()?,
            max_fail: rollout.max_fail.as_ref().map(share).transpose()?,
            deadline: rollout.deadline_ms.map(time),
        };
        Ok(request)
    }
}

impl Application {
    /// Adds a detached signature of the file (SSHSIG, in PEM). Every one must
    /// count, even where none is required.
    pub fn signature(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.signatures.push(pem.into());
        self
    }

    /// How output is told and kept: nothing of what is done is changed by that.
    #[cfg(feature = "cli")]
    pub(crate) fn shown(self, show: impl FnOnce(Request) -> Request) -> Self {
        Self { request: show(self.request), ..self }
    }

    /// Whether output is told in events as it comes.
    pub fn stream(mut self, stream: bool) -> Self {
        self.request = self.request.stream(stream);
        self
    }

    /// Checks all that is checked before it is carried out, and spends nothing.
    /// Blocks.
    ///
    /// # Errors
    /// Why it would not be carried out.
    pub fn check(&self) -> Result<(Plan, Applied), ApplyError> {
        let plan = self.request.plan()?;
        let (applied, _) = self.verdict(&plan)?;
        Ok((plan, applied))
    }

    /// Begins. The plan is spent before anything is sent: whatever happens then,
    /// it is not carried out again. Blocks.
    ///
    /// # Errors
    /// It has expired, was applied, is not approved, or something is not what it
    /// was. That is on record, too.
    pub fn start(self) -> Result<RunHandle, ApplyError> {
        let Self { request, file, signatures } = self;
        let orchestrator = request.orchestrator.clone();
        let recorder = orchestrator.inner.engine.recorder().clone();
        let judged = Judged { orchestrator: &orchestrator, file: &file, signatures: &signatures };
        let started = request.begin(|plan| {
            let (applied, book) = judged.verdict(plan)?;
            let by = orchestrator.inner.os_user.clone().unwrap_or_else(|| "nobody known".into());
            let at = Timestamp::now().to_string();
            let entry = Entry { sha256: file.sha256().into(), run: plan.run.to_string(), at, by };
            book.spend(file.nonce(), &entry)?;
            plan.applied = Some(Arc::new(applied));
            recorder.plan(Event::PlanApplied, plan, file.noted())?;
            Ok(())
        });
        started.inspect_err(|error: &ApplyError| {
            let operator = &orchestrator.inner.operator;
            recorder.plan_refused(operator, file.noted(), error.code(), &error.to_string());
        })
    }

    /// Begins, and waits for the end.
    ///
    /// # Errors
    /// As [`start`](Self::start). That hosts failed is no error here.
    ///
    /// # Cancel safety
    /// The run goes on when the future is dropped.
    pub async fn run(self) -> Result<Report, ApplyError> {
        Ok(super::wait(self.start()?).await)
    }

    fn verdict(&self, plan: &Plan) -> Result<(Applied, Book), ApplyError> {
        let (file, signatures) = (&self.file, self.signatures.as_slice());
        Judged { orchestrator: &self.request.orchestrator, file, signatures }.verdict(plan)
    }
}

/// A plan file and what speaks for it.
struct Judged<'a> {
    orchestrator: &'a Orchestrator,
    file: &'a PlanFile,
    signatures: &'a [Vec<u8>],
}

impl Judged<'_> {
    /// Everything that must be true before a plan is carried out.
    fn verdict(&self, plan: &Plan) -> Result<(Applied, Book), ApplyError> {
        let (inner, file) = (&self.orchestrator.inner, self.file);
        let (document, now) = (file.document(), Timestamp::now());
        let policy = self.orchestrator.policy();
        file.dated(now, expires_max(&policy))?;
        let (once, book) = inner.once(&policy).ok_or(ApplyError::NoStateDir)?;
        if once != document.once {
            let approval::Once { node, book } = document.once.clone();
            let book = book.to_os().to_string_lossy().into_owned();
            return Err(ApplyError::Elsewhere { node, book });
        }
        book.check(file.nonce())?;
        if policy.sha256() != document.policy_sha256 {
            return Err(ApplyError::Policy);
        }
        self.hosts(plan)?;
        let os_user = inner.os_user.as_deref();
        let approvers = judge(file, self.signatures, &policy, os_user, now)?;
        if plan.needs_approval() && approvers.is_empty() {
            return Err(NotApproved::Missing.into());
        }
        let requester = file.requester().to_owned();
        let (sha256, nonce) = (file.sha256().to_owned(), file.nonce().to_owned());
        Ok((Applied::new(sha256, nonce, requester, approvers), book))
    }

    /// The same hosts, reached in the same way, and all of them still allowed.
    fn hosts(&self, plan: &Plan) -> Result<(), ApplyError> {
        let written = &self.file.document().hosts;
        if plan.hosts.len() != written.len() {
            let how = "the plan has another number of hosts".to_owned();
            return Err(ApplyError::Host { vm: "the inventory".into(), how });
        }
        for (now, was) in plan.hosts.iter().zip(written) {
            let other = |how: String| ApplyError::Host { vm: was.vm.clone(), how };
            if now.vm.as_str() != was.vm {
                return Err(other(format!("{} stands in its place", now.vm)));
            }
            let endpoint =
                now.endpoint.as_ref().map_err(|failure| other(failure.message.clone()))?;
            if let Some(how) = was.reach.difference(&Reach::of(endpoint)) {
                return Err(other(how));
            }
            if now.shell != was.shell {
                return Err(other("its shell is another one now".into()));
            }
            if !now.decision.allow {
                let reason = now.decision.reason.clone().unwrap_or_else(|| "denied".into());
                let rule = now.decision.rule.clone();
                return Err(ApplyError::Denied { vm: now.vm.clone(), reason, rule });
            }
            // What decided and what is compared must be one policy.
            if now.decision.policy_sha256 != self.file.document().policy_sha256 {
                return Err(ApplyError::Policy);
            }
        }
        Ok(())
    }
}
