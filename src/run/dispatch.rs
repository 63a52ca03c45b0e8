//! Batch after batch, in each of them so many hosts at once, until all are done
//! or something stops the run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::gate::{Gate, judge_probe};
use super::halt::{Halt, was_stopped};
use super::handle::{self, Emitter};
use super::slots::Slots;
use super::unit::Unit;
use super::{Engine, Options, OutputFiles, verdict};
use crate::event::{EventKind, StopReason};
use crate::ids::VmId;
use crate::outcome::{HostResult, tally};
use crate::plan::Plan;
use crate::remote::{Action, Command};
use crate::transfer::Among;

/// Owns the state of a run.
pub(super) struct Dispatch {
    engine: Engine,
    options: Options,
    halt: Halt,
    lane: Lane,
    among: Among,
    results: Vec<Option<HostResult>>,
    failed: usize,
}

/// What is done on the hosts, and who is told of it.
#[derive(Clone)]
struct Lane {
    plan: Arc<Plan>,
    command: String,
    commands: Arc<[Arc<str>]>,
    emitter: Emitter,
    files: OutputFiles,
}

impl Dispatch {
    pub(super) fn new(
        engine: Engine,
        plan: Plan,
        options: Options,
        emitter: Emitter,
        halt: Halt,
    ) -> Self {
        let results = plan.hosts.iter().map(|_| None).collect();
        let among = Among::hosts(plan.hosts.len());
        let command = engine.recorder.redact(&plan.action.display());
        let files = options.files.clone();
        let commands = match &plan.action {
            Action::Commands(list) => {
                let texts = list.commands().iter().map(Command::display);
                texts.map(|text| engine.recorder.redact(&text).into()).collect()
            }
            _ => Arc::default(),
        };
        let lane = Lane { plan: Arc::new(plan), command, commands, emitter, files };
        Self { engine, options, halt, lane, among, results, failed: 0 }
    }

    /// Does it all; gives one result per host, in the plan's order.
    pub(super) async fn run(mut self) -> Vec<HostResult> {
        self.emit(EventKind::RunStarted {
            hosts: self.ids(0..self.results.len()),
            command: self.lane.command.clone(),
        });
        let _deadline = self.watch_deadline();
        self.batches().await;
        self.leave(0..self.results.len());
        let results: Vec<HostResult> = self.results.drain(..).flatten().collect();
        let stopped = self.halt.why().filter(|_| results.iter().any(was_stopped));
        self.emit(EventKind::RunFinished { summary: tally(&results), stopped });
        results
    }

    async fn batches(&mut self) {
        let rollout = self.options.rollout.clone();
        let ranges = rollout.schedule.ranges(self.results.len());
        let (of, first) = (ranges.len(), ranges.first().cloned().unwrap_or_default());
        for (index, range) in (1..).zip(ranges) {
            self.batch(range.clone()).await;
            if !rollout.schedule.is_plain() {
                let summary = tally(self.done(&range));
                self.emit(EventKind::BatchFinished {
                    index,
                    of,
                    hosts: self.ids(range.clone()),
                    summary,
                });
            }
            if index == of || self.halt.is_stopped() {
                return;
            }
            if let Some(why) = self.closed_gate(&rollout.gates, range, &first).await {
                self.halt.stop(StopReason::Gate, why);
                return;
            }
            tokio::select! {
                () = sleep(rollout.wait) => {}
                () = self.halt.token().cancelled() => return,
            }
        }
    }

    async fn batch(&mut self, range: Range<usize>) {
        let lane = self.lane.clone();
        self.work(&lane, range.clone(), Self::finished).await;
        self.leave(range);
    }

    /// Works on hosts, so many at once, until all are done or the run is
    /// stopped; what was begun is always waited for.
    async fn work(
        &mut self,
        lane: &Lane,
        mut hosts: Range<usize>,
        mut done: impl FnMut(&mut Self, usize, HostResult),
    ) {
        let mut units = JoinSet::new();
        let mut running = HashMap::new();
        let slots = self.slots();
        loop {
            let more = !hosts.is_empty() && !self.halt.is_stopped();
            let joined = tokio::select! {
                biased;
                Some(joined) = units.join_next_with_id() => joined,
                slot = slots.next(), if more => {
                    let Some(index) = hosts.next() else { continue };
                    let unit = self.unit(lane, index);
                    let task = units.spawn(async move { unit.run(&slot).await });
                    running.insert(task.id(), index);
                    continue;
                }
                else => return,
            };
            let (id, result) = match joined {
                Ok((id, result)) => (id, Some(result)),
                Err(error) => (error.id(), None),
            };
            let Some(index) = running.remove(&id) else { continue };
            // A unit that ended without a result is a mistake of ours; its
            // host still gets exactly one outcome.
            let vm = &lane.plan.hosts[index].vm;
            let result = result.unwrap_or_else(|| verdict::fault(vm.clone(), lane.command.clone()));
            done(self, index, result);
        }
    }

    fn finished(&mut self, index: usize, result: HostResult) {
        let success = result.success();
        self.emit(EventKind::HostFinished(Box::new(result.clone())));
        self.results[index] = Some(result);
        if success || self.halt.is_stopped() {
            return;
        }
        self.failed += 1;
        let (failed, of) = (self.failed, self.results.len());
        let limit = self.options.rollout.max_fail.map(|limit| limit.of(of));
        let more = self.results.iter().any(Option::is_none);
        if let Some(limit) = limit.filter(|&limit| failed > limit && more) {
            let message = format!("{failed} of {of} failed (limit {limit})");
            self.halt.stop(StopReason::MaxFail, message);
        }
    }

    /// Gives those whose turn will not come their result.
    fn leave(&mut self, range: Range<usize>) {
        for index in range {
            if self.results[index].is_none() {
                let result = self.unit(&self.lane, index).not_started();
                self.emit(EventKind::HostFinished(Box::new(result.clone())));
                self.results[index] = Some(result);
            }
        }
    }

    /// Why the next batch may not begin, if so.
    async fn closed_gate(
        &mut self,
        gates: &[Gate],
        batch: Range<usize>,
        first: &Range<usize>,
    ) -> Option<String> {
        let mut probes = self.lane.plan.probes.clone().into_iter();
        for gate in gates {
            let closed = match gate {
                Gate::Probe(_) => self.probe(probes.next()?, batch.clone()).await,
                gate => {
                    let accepted = self.done(first).find(|result| result.success()).cloned();
                    let results: Vec<HostResult> = self.done(&batch).cloned().collect();
                    // Output may have to be read from the disk.
                    let judged = gate.clone();
                    let judge = move || judged.judge(&results, accepted.as_ref());
                    let judged = tokio::task::spawn_blocking(judge).await;
                    judged.unwrap_or_else(|_| Some(format!("gate {gate}: it could not be judged")))
                }
            };
            if closed.is_some() {
                return closed;
            }
        }
        None
    }

    /// Runs a probe on a batch. It is recorded like anything else, but its
    /// events are nobody's: each host has only one result in a run.
    async fn probe(&mut self, plan: Plan, batch: Range<usize>) -> Option<String> {
        let command = self.engine.recorder.redact(&plan.action.display());
        let (emitter, _) = handle::channel(plan.run, None);
        let files = OutputFiles::default();
        let lane = Lane { plan: Arc::new(plan), command, commands: Arc::default(), emitter, files };
        let mut results = Vec::new();
        self.work(&lane, batch.clone(), |_, _, result| results.push(result)).await;
        results.sort_by(|one, other| one.vm.cmp(&other.vm));
        judge_probe(&results)
    }

    /// Where one after the other was asked for, or failures decide whether there
    /// is another, nobody begins while it is open how the last one ends.
    fn slots(&self) -> Slots {
        let fanout = self.options.fanout;
        Slots::new(fanout, fanout > 1 && self.options.rollout.max_fail.is_none())
    }

    fn unit(&self, lane: &Lane, index: usize) -> Unit {
        Unit {
            plan: Arc::clone(&lane.plan),
            index,
            options: self.options.clone(),
            files: lane.files.clone(),
            sessions: Arc::clone(&self.engine.sessions),
            recorder: self.engine.recorder.clone(),
            hooks: self.engine.hooks.clone(),
            vetoed: None,
            ledger: self.engine.ledger.clone(),
            counters: self.engine.counters.clone(),
            among: self.among.clone(),
            emitter: lane.emitter.clone(),
            cancel: self.halt.token().clone(),
            halt: self.halt.clone(),
            command: lane.command.clone(),
            commands: Arc::clone(&lane.commands),
        }
    }

    /// Stops the run when its time is over; the set's end is the watch's.
    fn watch_deadline(&self) -> JoinSet<()> {
        let mut watch = JoinSet::new();
        if let Some(time) = self.options.rollout.deadline.filter(|time| !time.is_zero()) {
            let (halt, end) = (self.halt.clone(), Instant::now() + time);
            watch.spawn(async move {
                sleep_until(end).await;
                let message = format!("the run's deadline of {} s passed", time.as_secs_f32());
                halt.stop(StopReason::Deadline, message);
            });
        }
        watch
    }

    fn done(&self, range: &Range<usize>) -> impl Iterator<Item = &HostResult> {
        self.results[range.clone()].iter().flatten()
    }

    fn ids(&self, range: Range<usize>) -> Vec<VmId> {
        self.lane.plan.hosts[range].iter().map(|host| host.vm.clone()).collect()
    }

    fn emit(&self, kind: EventKind) {
        self.lane.emitter.emit(kind);
    }
}
