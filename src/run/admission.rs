//! What the rules count, counted before anything is begun.

use std::time::Duration;

use super::counters::{Entry, Refused};
use super::slots::Slot;
use super::unit::{CONNECT_SOON, Unit};
use crate::outcome::{Failure, HostResult, Phase, Status};
use crate::policy::Constraints;
use crate::remote::Action;

impl Unit {
    /// Lets the action begin, or the command of this number among several;
    /// otherwise what that is for a result. While it waits others may have the
    /// slot. The entry is to be held until the end.
    pub(super) async fn admit(
        &self,
        nth: Option<usize>,
        slot: Option<&Slot>,
    ) -> Result<Entry, Box<HostResult>> {
        let Some(bounds) = self.counted(nth) else { return Ok(Entry::default()) };
        let entering = self.counters.enter(&self.host().vm, bounds, self.longest_wait(nth));
        let entering = async {
            match slot {
                Some(slot) => slot.lend(CONNECT_SOON, entering).await,
                None => entering.await,
            }
        };
        let entered = tokio::select! {
            entered = entering => entered,
            () = self.cancel.cancelled() => {
                let mut result = self.blank(Status::Cancelled);
                self.halt.explain(&mut result);
                return Err(Box::new(result));
            }
        };
        if let Some(slot) = slot {
            slot.take_back(&self.cancel).await;
        }
        entered.map_err(|refused| {
            let mut result = self.blank(status(&refused));
            result.failure = Some(failure(&refused));
            Box::new(result)
        })
    }

    /// The bounds, if something in them is counted.
    fn counted(&self, nth: Option<usize>) -> Option<&Constraints> {
        let host = self.host();
        let bounds = match nth {
            Some(index) => host.each.get(index)?,
            None => &host.decision.constraints,
        };
        (!bounds.rates.is_empty() || !bounds.instances.is_empty()).then_some(bounds)
    }

    /// How long it may wait: as long as it may run.
    fn longest_wait(&self, nth: Option<usize>) -> Option<Duration> {
        match &self.plan.action {
            Action::Command(command) => self.limits(command).timeout,
            Action::Commands(list) => {
                nth.and_then(|index| self.limits(&list.commands()[index]).timeout)
            }
            Action::Script(script) => self.limits(&script.settings).timeout,
            Action::Transfer(transfer) => transfer.timeout,
        }
    }
}

fn status(refused: &Refused) -> Status {
    match refused {
        Refused::Instances { .. } | Refused::Rate { .. } => Status::RateLimited,
        Refused::Unusable(_) => Status::PolicyDenied,
    }
}

fn failure(refused: &Refused) -> Failure {
    let (code, hint, retryable) = match refused {
        Refused::Instances { .. } => {
            ("max_instances", "run it again when one of them has ended", true)
        }
        Refused::Rate { .. } => (
            "rate_limited",
            "run it again then; a rule with `when_exceeded: wait` waits, no longer than --timeout",
            true,
        ),
        Refused::Unusable(_) => (
            "counters_unusable",
            "make the state directory yours and writable; it is below ~/.local/state/orchestrator",
            false,
        ),
    };
    let (message, hint) = (refused.to_string(), Some(hint.to_owned()));
    Failure { code, phase: Phase::Policy, message, hint, retryable }
}
