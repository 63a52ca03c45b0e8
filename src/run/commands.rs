//! Several commands on one host: one connection, and a result for each.

mod line;
mod turn;

use std::collections::{HashMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use self::line::Line;
use self::turn::{Done, End};
use super::record::{Nth, Op};
use super::slots::Slot;
use super::unit::Unit;
use crate::event::EventKind;
use crate::outcome::{CommandResult, Failure, HostResult, Phase, Status};
use crate::remote::{Action, CommandList};

/// The commands of one host, and what became of them so far.
struct Work<'a> {
    unit: &'a Unit,
    list: &'a CommandList,
    results: Vec<Option<CommandResult>>,
}

impl Unit {
    /// Runs several commands, unless something forbids it.
    pub(super) async fn commands(
        &self,
        list: &CommandList,
        refused: Option<HostResult>,
        slot: &Slot,
    ) -> HostResult {
        if refused.is_none() {
            self.emitter.emit(EventKind::HostStarted { vm: self.host().vm.clone() });
        }
        let results = list.commands().iter().map(|_| None).collect();
        let mut work = Work { unit: self, list, results };
        let (ops, trouble) = work.announce().await;
        let mut result = self.blank(Status::NotStarted);
        if let Some(failure) = trouble {
            work.leave(ops, None).await;
            result.failure = Some(failure);
            result.commands = work.finished();
            return result;
        }
        match refused {
            Some(refused) => work.refuse(ops, refused).await,
            None => work.run(ops, &mut result, slot).await,
        }
        result.conclude(work.finished());
        result
    }

    /// The results of commands whose turn never came.
    pub(super) fn commands_not_started(&self) -> Vec<CommandResult> {
        let Action::Commands(list) = &self.plan.action else { return Vec::new() };
        (0..list.commands().len()).map(|index| self.command_not_started(index)).collect()
    }

    fn command_not_started(&self, index: usize) -> CommandResult {
        let command = self.commands.get(index).cloned().unwrap_or_default();
        CommandResult::of(command, self.blank(Status::NotStarted))
    }
}

impl<'a> Work<'a> {
    fn nth(&self, index: usize) -> Nth<'a> {
        let command = &self.list.commands()[index];
        Nth { plan: &self.unit.plan, host: self.unit.host(), command, index }
    }

    /// Records all attempts, which become durable together; with them, why one
    /// of them could not be recorded.
    async fn announce(&self) -> (VecDeque<(usize, Op)>, Option<Failure>) {
        let recorder = &self.unit.recorder;
        let attempts: Vec<_> = (0..self.list.commands().len())
            .map(|index| recorder.attempt_nth(self.nth(index), 1))
            .collect();
        let (mut ops, mut trouble) = (VecDeque::new(), None);
        for (index, attempt) in attempts.into_iter().enumerate() {
            match attempt.await {
                Ok(op) => ops.push_back((index, op)),
                Err(failure) => trouble = trouble.or(Some(failure)),
            }
        }
        (ops, trouble)
    }

    /// None of them runs: one is what it was refused for.
    async fn refuse(&mut self, mut ops: VecDeque<(usize, Op)>, refused: HostResult) {
        let at = self.unit.host().denied_command.unwrap_or(0);
        if let Some((index, op)) = ops.remove(at) {
            let (index, result) = self.settle(index, Some(op), refused).await;
            self.tell(index, result);
        }
        self.leave(ops, None).await;
    }

    /// Runs them, and writes into `host` on what connection that was.
    async fn run(&mut self, mut ops: VecDeque<(usize, Op)>, host: &mut HostResult, slot: &Slot) {
        let unit = self.unit;
        let Ok(endpoint) = &unit.host().endpoint else { return self.leave(ops, None).await };
        let mut at_once = self.at_once();
        let line = Line::new(unit, endpoint, slot, at_once > 1);
        let began = Instant::now();
        let (mut running, mut settling) = (FuturesUnordered::new(), FuturesUnordered::new());
        let (mut stop, mut ended, mut entered) = (false, None, HashMap::new());
        loop {
            while running.len() < at_once && !stop && !unit.cancel.is_cancelled() {
                let Some((index, op)) = ops.pop_front() else { break };
                let entry = entered.remove(&index);
                running.push(unit.one(self.nth(index), self.list, &line, op, entry));
            }
            tokio::select! {
                Some(end) = running.next(), if !running.is_empty() => match end {
                    // The server gives this connection fewer channels than we
                    // would use.
                    End::Crowded(index, op, entry) => {
                        entered.insert(index, entry);
                        let at = ops.partition_point(|(later, _)| *later < index);
                        ops.insert(at, (index, op));
                        at_once = running.len().max(1);
                    }
                    End::Done(Done { index, op, result }) => {
                        if line.session_ended() && ended.is_none() {
                            ended = Some(session_ended(index, &result));
                        }
                        stop |= ended.is_some() || self.stops(&result);
                        settling.push(self.settle(index, op, *result));
                    }
                },
                Some((index, result)) = settling.next(), if !settling.is_empty() => {
                    stop |= !result.recorded();
                    self.tell(index, result);
                }
                else => break,
            }
        }
        drop((running, settling));
        line.end(unit.options.limits).await;
        line.facts(host);
        host.timing.run = began.elapsed().saturating_sub(host.timing.connect + host.timing.auth);
        self.leave(ops, ended).await;
    }

    /// How many of them run at once: no more than there may be of one rule, or
    /// they would be in each other's way.
    fn at_once(&self) -> usize {
        let instances = self.unit.host().each.iter().flat_map(|bounds| &bounds.instances);
        let least = instances.map(|instances| instances.max as usize).min();
        let at_once = self.list.parallel.get().min(self.unit.sessions.channels_max());
        at_once.min(least.unwrap_or(usize::MAX))
    }

    /// Whether nothing more is begun after this.
    fn stops(&self, result: &HostResult) -> bool {
        let in_vain = !matches!(
            result.status,
            Status::Failed | Status::Killed | Status::Success | Status::Timeout
        );
        in_vain || !result.success() && !self.list.keep_going
    }

    /// Records a result. Nobody is told before that is done, but the next
    /// command does not wait for it.
    fn settle(
        &self,
        index: usize,
        op: Option<Op>,
        mut result: HostResult,
    ) -> impl Future<Output = (usize, HostResult)> + Send + use<> {
        let recorder = &self.unit.recorder;
        let recorded = op.map(|op| recorder.result_nth(self.nth(index), &op, &result));
        async move {
            if let Some(recorded) = recorded
                && let Err(failure) = recorded.await
            {
                result.failure = Some(failure);
            }
            (index, result)
        }
    }

    /// Records and tells that the rest was not started, and why.
    async fn leave(&mut self, ops: VecDeque<(usize, Op)>, why: Option<Failure>) {
        let mut result = self.unit.blank(Status::NotStarted);
        result.failure = why;
        let settling: Vec<_> = ops
            .into_iter()
            .map(|(index, op)| self.settle(index, Some(op), result.clone()))
            .collect();
        for settled in settling {
            let (index, result) = settled.await;
            self.tell(index, result);
        }
        // Whose attempts could not be recorded.
        for index in 0..self.results.len() {
            if self.results[index].is_none() {
                self.tell(index, result.clone());
            }
        }
    }

    fn tell(&mut self, index: usize, result: HostResult) {
        let command = self.unit.commands.get(index).cloned().unwrap_or_default();
        let result = CommandResult::of(command, result);
        self.unit.emitter.emit(EventKind::CommandFinished {
            vm: self.unit.host().vm.clone(),
            index,
            of: self.results.len(),
            result: Box::new(result.clone()),
        });
        self.results[index] = Some(result);
    }

    fn finished(self) -> Vec<CommandResult> {
        let not_started = |index| self.unit.command_not_started(index);
        let results = self.results.into_iter().enumerate();
        results.map(|(index, result)| result.unwrap_or_else(|| not_started(index))).collect()
    }
}

/// Why nothing follows a command after which the shell was gone.
fn session_ended(index: usize, result: &HostResult) -> Failure {
    let number = index + 1;
    let message = match result.exit.as_ref().and_then(|exit| exit.code()) {
        Some(code) => format!("command {number} ended the shell session with exit code {code}"),
        None => format!("the shell session ended with command {number}"),
    };
    Failure { code: "session_ended", phase: Phase::Exec, message, hint: None, retryable: false }
}
