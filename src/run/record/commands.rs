//! Records of several commands: a pair for each.

use std::ffi::OsStr;

use super::{Op, Recorder, audit_failure, tell};
use crate::audit::{ActionFacts, Event, OpId};
use crate::outcome::{Failure, HostResult};
use crate::plan::{Plan, PlannedHost};
use crate::remote::{Command, CommandList};

/// One of several commands on a host.
#[derive(Clone, Copy)]
pub(in crate::run) struct Nth<'a> {
    pub(in crate::run) plan: &'a Plan,
    pub(in crate::run) host: &'a PlannedHost,
    pub(in crate::run) command: &'a Command,
    /// From 0.
    pub(in crate::run) index: usize,
}

impl Recorder {
    /// As [`attempt`](Self::attempt), of one command. The record is on its way
    /// when this returns, so that many are made durable together.
    pub(in crate::run) fn attempt_nth(
        &self,
        nth: Nth<'_>,
        number: u32,
    ) -> impl Future<Output = Result<Op, Failure>> + Send + use<> {
        let op = Op { id: OpId::new(), number };
        let queued = self.log.as_ref().map(|log| {
            let Nth { plan, host, .. } = nth;
            log.append(self.record(Event::ExecAttempt, plan, host, &op, self.facts(nth)))
        });
        async move {
            match queued {
                Some(queued) => queued.await.map(|_| op).map_err(|error| audit_failure(&error)),
                None => Ok(op),
            }
        }
    }

    /// As [`result`](Self::result), of one command; it is on its way too.
    pub(in crate::run) fn result_nth(
        &self,
        nth: Nth<'_>,
        op: &Op,
        result: &HostResult,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let queued = self.log.as_ref().map(|log| {
            let Nth { plan, host, .. } = nth;
            let mut record = self.record(Event::ExecResult, plan, host, op, self.facts(nth));
            tell(&mut record, result);
            log.append_among(true, record)
        });
        async move {
            match queued {
                Some(queued) => queued.await.map(drop).map_err(|error| audit_failure(&error)),
                None => Ok(()),
            }
        }
    }

    fn facts(&self, nth: Nth<'_>) -> ActionFacts {
        let mut facts = self.command(nth.command, nth.host.shell.as_deref());
        facts.index = Some(nth.index);
        facts
    }

    /// All of them at once, of a request that never became a plan.
    pub(super) fn commands(&self, list: &CommandList, shell: Option<&str>) -> ActionFacts {
        let lines: Vec<String> = list.commands().iter().map(Command::display).collect();
        let like = list.commands().first().cloned().unwrap_or_else(|| Command::shell(""));
        self.command(&like.with_text(OsStr::new(&lines.join("\n"))), shell)
    }
}
