//! What a program around this one has to say before something is done on a host,
//! and what it is told after it.
//!
//! A hook can only forbid. It is asked once for each host of a run, after policy
//! allowed it and before its first attempt is recorded; what policy denies, no hook
//! is asked about. One that vetoes, panics or does not answer in time denies: the
//! host ends as `policy_denied` by the rule `hook/NAME`, on record, and nothing
//! was sent.
//!
//! Plans that are only shown ask no hook, and changes of keys do not either: who may
//! make those, the policy's permission `admin` says.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::time::timeout;

use crate::ids::{RunId, VmId};
use crate::outcome::HostResult;
use crate::policy::Decision;
use crate::remote::Action;

/// What stands before the name of a hook where a decision names it.
const RULE_PREFIX: &str = "hook/";

/// How much of what a hook says is kept, in bytes.
const REASON_MAX: usize = 1024;

/// Somebody who is asked before something is done on a host, and told after it.
///
/// Several hooks are asked in the order in which they were given; the first veto
/// ends the asking.
pub trait Hook: Send + Sync {
    /// How long it may take to answer, and to be told; 30 seconds without this.
    /// It counts only while the hook's future waits: one that blocks its thread
    /// holds up the whole run.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Whether it may be done. A panic, and no answer in time, are no.
    ///
    /// # Errors
    /// It may not.
    ///
    /// # Cancel safety
    /// The future is dropped when its time is over or the run is cancelled; then
    /// nothing is done.
    fn before<'a>(&'a self, _intent: &'a Intent<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        ready(Ok(())).boxed()
    }

    /// What came of it, once that is on record and before anybody else is told;
    /// called for each host that this hook was asked about, also if another one
    /// vetoed. It changes nothing, and a panic in it is contained.
    ///
    /// # Cancel safety
    /// The future is dropped when its time is over.
    fn after<'a>(&'a self, _intent: &'a Intent<'a>, _result: &'a HostResult) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

/// What is about to be done on one host.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The run.
    pub run: RunId,
    /// The host.
    pub vm: &'a VmId,
    /// Who asks, as the records have it.
    pub operator: &'a str,
    /// Why, in the operator's words.
    pub reason: Option<&'a str>,
    /// Whatever else the records carry.
    pub metadata: &'a BTreeMap<String, String>,
    /// What is to be done.
    pub action: &'a Action,
    /// What policy said of it; after a veto, what came of that.
    pub decision: &'a Decision,
}

/// A no, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    reason: String,
    hint: Option<String>,
}

impl Veto {
    /// A no for this reason: one sentence, which is recorded. A secret has no
    /// place in it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    /// What to do instead.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All hooks, with their names, in order. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Arc<[(String, Arc<dyn Hook>)]>);

/// What all hooks together said.
pub(crate) struct Answer {
    /// How many were asked: they are to be told what came of it.
    pub(crate) asked: usize,
    /// The no, if it is one.
    pub(crate) denied: Option<Decision>,
}

impl Hooks {
    pub(crate) fn new(hooks: Vec<(String, Arc<dyn Hook>)>) -> Self {
        Self(hooks.into())
    }

    /// Asks one after another.
    pub(crate) async fn before(&self, intent: &Intent<'_>) -> Answer {
        for (index, (name, hook)) in self.0.iter().enumerate() {
            let answer = contained(async {
                let limit = hook.time_limit();
                timeout(limit, hook.before(intent)).await.map_err(|_| limit)
            });
            let veto = match answer.await {
                Some(Ok(Ok(()))) => continue,
                Some(Ok(Err(veto))) => veto,
                Some(Err(limit)) => {
                    Veto::new(format!("it did not answer within {} s", limit.as_secs_f32()))
                }
                None => Veto::new("it panicked instead of answering"),
            };
            return Answer { asked: index + 1, denied: Some(denied(name, veto, intent.decision)) };
        }
        Answer { asked: self.0.len(), denied: None }
    }

    /// Tells the first so many, the last first: what was taken in one order is
    /// given back in the other.
    pub(crate) async fn after(&self, asked: usize, intent: &Intent<'_>, result: &HostResult) {
        for (name, hook) in self.0.iter().take(asked).rev() {
            let told = contained(async {
                timeout(hook.time_limit(), hook.after(intent, result)).await.is_ok()
            });
            if told.await != Some(true) {
                tracing::warn!(vm = %intent.vm, hook = name, "was told, and panicked or hung");
            }
        }
    }
}

/// What it gives, unless it panics.
async fn contained<T>(what: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(what).catch_unwind().await.ok()
}

fn denied(name: &str, veto: Veto, by_policy: &Decision) -> Decision {
    let Veto { mut reason, hint } = veto;
    reason.truncate(reason.floor_char_boundary(REASON_MAX));
    let rule = format!("{RULE_PREFIX}{name}");
    let hint = hint.unwrap_or_else(|| format!("ask whoever answers for the hook {name}"));
    Decision {
        allow: false,
        rule,
        reason: Some(reason),
        hint: Some(hint),
        token: None,
        place: None,
        ..by_policy.clone()
    }
}
