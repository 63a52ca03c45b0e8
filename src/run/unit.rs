//! One host of a run, and all its attempts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::halt::Halt;
use super::handle::Emitter;
use super::record::Recorder;
use super::script::Place;
use super::slots::Slot;
use super::verdict::{self, Verdict};
use super::{Options, OutputFiles};
use crate::event::{Chunk, EventKind, Progress};
use crate::exec::{self, Bounds, Limits, Mark, Output, Reconnect, Sink};
use crate::hook::{Hooks, Intent};
use crate::ids::VmId;
use crate::outcome::{HostResult, Status, Timing};
use crate::plan::{Plan, PlannedHost};
use crate::policy::Constraints;
use crate::remote::{Action, Command, Keep, OutputDir, Stream, Transfer};
use crate::retry::{self, Sent};
use crate::session::{Session, SessionManager, Use};
use crate::transfer::{self, Among, Ledger};
use crate::transport::{ConnectError, Connection, Endpoint};

/// How many bytes of output may wait for the consumer: of all hosts at work, and
/// of one of them.
const OUTPUT_WAITING: usize = 16 << 20;
const OUTPUT_WAITING_MAX: usize = 1 << 20;
const OUTPUT_WAITING_LEAST: usize = 64 << 10;

/// How long connecting takes at most where all is well. Whoever takes longer
/// lends its slot.
pub(super) const CONNECT_SOON: Duration = Duration::from_secs(1);

/// Owns one host's attempts.
pub(super) struct Unit {
    pub(super) plan: Arc<Plan>,
    pub(super) index: usize,
    pub(super) options: Options,
    pub(super) files: OutputFiles,
    pub(super) sessions: Arc<SessionManager>,
    pub(super) recorder: Recorder,
    pub(super) hooks: Hooks,
    /// The host of the plan with what a hook made of its decision.
    pub(super) vetoed: Option<PlannedHost>,
    pub(super) ledger: Ledger,
    pub(super) counters: Counters,
    pub(super) among: Among,
    pub(super) emitter: Emitter,
    pub(super) cancel: CancellationToken,
    pub(super) halt: Halt,
    pub(super) command: String,
    /// Several commands as text, without secrets; all hosts share them.
    pub(super) commands: Arc<[Arc<str>]>,
}

impl Unit {
    pub(super) fn host(&self) -> &PlannedHost {
        self.vetoed.as_ref().unwrap_or(&self.plan.hosts[self.index])
    }

    pub(super) fn blank(&self, status: Status) -> HostResult {
        let mut result = HostResult::new(self.host().vm.clone(), self.command.clone(), status);
        if let Action::Script(script) = &self.plan.action {
            result.script_id.clone_from(&script.id);
            result.script_sha256 = script.sha256().map(str::to_owned);
        }
        result
    }

    /// The result of a host whose turn never came.
    pub(super) fn not_started(&self) -> HostResult {
        let mut result = self.blank(Status::NotStarted);
        result.commands = self.commands_not_started();
        result
    }

    /// Does all that is to be done for this host.
    pub(super) async fn run(mut self, slot: &Slot) -> HostResult {
        let Some(asked) = self.ask_hooks().await else { return self.not_started() };
        let result = self.carry_out(slot).await;
        self.hooks.after(asked, &self.intent(), &result).await;
        result
    }

    /// Asks every hook, unless policy has said no; gives how many were asked.
    /// A veto becomes the host's decision. `None` if the run was cancelled before
    /// they answered: then nothing is begun.
    async fn ask_hooks(&mut self) -> Option<usize> {
        if self.obstacle().is_some() {
            return Some(0);
        }
        let cancel = self.cancel.clone();
        let answer = cancel.run_until_cancelled(self.hooks.before(&self.intent())).await?;
        self.vetoed = answer.denied.map(|decision| {
            let denied_command = matches!(self.plan.action, Action::Commands(_)).then_some(0);
            PlannedHost { decision, denied_command, ..self.host().clone() }
        });
        Some(answer.asked)
    }

    fn intent(&self) -> Intent<'_> {
        let (plan, host) = (&*self.plan, self.host());
        Intent {
            run: plan.run,
            vm: &host.vm,
            operator: &plan.operator,
            reason: plan.reason.as_deref(),
            metadata: &plan.metadata,
            action: &plan.action,
            decision: &host.decision,
        }
    }

    async fn carry_out(&self, slot: &Slot) -> HostResult {
        let started = Instant::now();
        let mut result = match (self.obstacle(), &self.plan.action) {
            (refused, Action::Commands(list)) => self.commands(list, refused, slot).await,
            (Some(result), _) => self.record_refusal(result).await,
            (None, _) => match self.admit(None, Some(slot)).await {
                Ok(entry) => self.attempts(entry.waited, slot).await,
                Err(refused) => self.record_refusal(*refused).await,
            },
        };
        result.elapsed = started.elapsed().saturating_sub(result.waited);
        result.finished_at = Timestamp::now();
        result
    }

    /// What forbids even the first attempt.
    fn obstacle(&self) -> Option<HostResult> {
        let host = self.host();
        if !host.decision.allow {
            let mut result = self.blank(Status::PolicyDenied);
            result.failure = Some(verdict::denied(&host.decision));
            return Some(result);
        }
        if let Err(failure) = &host.endpoint {
            let keyless = failure.code == "key_not_found";
            let status = if keyless { Status::AuthFailed } else { Status::Failed };
            let mut result = self.blank(status);
            result.failure = Some(failure.clone());
            return Some(result);
        }
        None
    }

    async fn record_refusal(&self, mut result: HostResult) -> HostResult {
        let recorded = async {
            let op = self.recorder.attempt(&self.plan, self.host(), 1).await?;
            self.recorder.result(&self.plan, self.host(), &op, &result).await
        };
        if let Err(failure) = recorded.await {
            result.failure = Some(failure);
        }
        result
    }

    async fn attempts(&self, waited: Duration, slot: &Slot) -> HostResult {
        let host = self.host();
        self.emitter.emit(EventKind::HostStarted { vm: host.vm.clone() });
        let mut delays = self.options.retry.delays(retry::random);
        let mut number = 0;
        loop {
            number += 1;
            let op = match self.recorder.attempt(&self.plan, host, number).await {
                Ok(op) => op,
                Err(failure) => {
                    let mut result = self.blank(Status::NotStarted);
                    result.failure = Some(failure);
                    result.attempts = number - 1;
                    return result;
                }
            };
            // A panic must not leave an attempt on record without its result.
            let attempt = AssertUnwindSafe(self.attempt(number, slot)).catch_unwind().await;
            let (mut result, sent) = attempt.unwrap_or_else(|_| {
                (verdict::fault(host.vm.clone(), self.command.clone()), Sent::Unknown)
            });
            (result.attempts, result.waited) = (number, waited);
            self.halt.explain(&mut result);
            if let Err(failure) = self.recorder.result(&self.plan, host, &op, &result).await {
                result.failure = Some(failure);
                return result;
            }
            let again = self.may_try_again(&result, sent, self.plan.action.idempotent());
            let Some(delay) = delays.next().filter(|_| again) else { return result };
            tracing::debug!(vm = %host.vm, attempt = number, ?delay, "trying again");
            tokio::select! {
                () = slot.lend(Duration::ZERO, tokio::time::sleep(delay)) => {}
                () = self.cancel.cancelled() => return result,
            }
        }
    }

    /// Whether another attempt makes sense and can do no harm.
    pub(super) fn may_try_again(&self, result: &HostResult, sent: Sent, idempotent: bool) -> bool {
        let transient = result.failure.as_ref().is_some_and(|failure| failure.retryable);
        transient
            && retry::may_retry(sent, false, idempotent)
            && (self.options.retry.insists() || !verdict::out_of_time(result))
            && !self.cancel.is_cancelled()
    }

    /// One attempt: a connection, and the action on it.
    async fn attempt(&self, number: u32, slot: &Slot) -> (HostResult, Sent) {
        let mut result = self.blank(Status::Unreachable);
        let host = self.host();
        let Ok(endpoint) = &host.endpoint else { return (result, Sent::No) };
        // Files would slow down the commands beside them.
        let moves_files = match &self.plan.action {
            Action::Command(_) | Action::Commands(_) => false,
            Action::Script(script) => script.place.is_some(),
            Action::Transfer(_) => true,
        };
        let alone = self.options.stream || moves_files;
        let mut r#use = if alone { Use::Exclusive } else { Use::Shared };
        loop {
            let claim = self.claim(endpoint, r#use);
            let claimed = tokio::select! {
                claimed = slot.lend(CONNECT_SOON, claim) => claimed,
                () = self.cancel.cancelled() => {
                    result.status = Status::Cancelled;
                    return (result, Sent::No);
                }
            };
            let session = match claimed {
                Ok(session) => session,
                Err(error) => {
                    verdict::not_connected(&mut result, &error);
                    return (result, Sent::No);
                }
            };
            slot.take_back(&self.cancel).await;
            let fresh = session.is_fresh();
            self.connected(&session, &mut result);
            let done = self.act(session.connection(), endpoint, number, &mut result).await;
            let (sent, unsent) = (done.sent, done.unsent);
            if fresh || !unsent {
                return (result, sent);
            }
            // A kept connection that died unnoticed, or has no channel left,
            // says nothing about the host.
            if session.connection().is_open() && r#use == Use::Shared {
                // Others are at work on it.
                r#use = Use::Exclusive;
            } else {
                session.connection().abort();
            }
        }
    }

    /// A session for what the rules allowed.
    pub(super) async fn claim(
        &self,
        endpoint: &Endpoint,
        r#use: Use,
    ) -> Result<Session, ConnectError> {
        self.sessions.claim_for(endpoint, r#use, Some(&self.host().decision.rule)).await
    }

    /// Writes into `result` what connection there is.
    pub(super) fn connected(&self, session: &Session, result: &mut HostResult) {
        let (facts, fresh) = (session.connection().facts(), session.is_fresh());
        let (address, kex, cipher) = (&facts.address, &facts.kex, &facts.cipher);
        tracing::debug!(vm = %self.host().vm, address, kex, cipher, fresh, "connected");
        result.timing = Timing {
            connect: if fresh { facts.connect_time } else { Duration::ZERO },
            auth: if fresh { facts.auth_time } else { Duration::ZERO },
            run: Duration::ZERO,
        };
        result.ssh = Some(facts.clone());
    }

    /// Does what is to be done, and writes into `result` what came of it.
    async fn act(
        &self,
        connection: &Arc<dyn Connection>,
        endpoint: &Endpoint,
        number: u32,
        result: &mut HostResult,
    ) -> Done {
        let again = self.again(endpoint);
        match &self.plan.action {
            Action::Command(command) => {
                let report = self.execute(&**connection, command, &again, number).await;
                Done::of_command(report, result)
            }
            // Each of them has attempts of its own.
            Action::Commands(_) => Done { sent: Sent::No, unsent: false },
            Action::Script(script) => {
                let place = Place { connection, endpoint, number, again: &again };
                self.script(script, place, result).await
            }
            Action::Transfer(transfer) => {
                let report = self.transfer(transfer, connection, endpoint, number).await;
                Done::of_transfer(report, result)
            }
        }
    }

    /// Runs a command within the bounds of the run.
    pub(super) async fn execute(
        &self,
        connection: &dyn Connection,
        command: &Command,
        again: &dyn Reconnect,
        number: u32,
    ) -> exec::Report {
        let held = (command, self.bounds(None));
        self.execute_held(connection, held, again, number, (None, self.sink(None))).await
    }

    /// The same, with what the command is held to, which of several it is and who
    /// takes its output.
    pub(super) async fn execute_held(
        &self,
        connection: &dyn Connection,
        (command, bounds): (&Command, Bounds),
        again: &dyn Reconnect,
        number: u32,
        (index, mut sink): (Option<usize>, Option<Box<dyn Sink>>),
    ) -> exec::Report {
        let constraints = self.host().constraints(index);
        let (command, limits) = (self.on_host(command, constraints), self.limits(command));
        let mark = match Mark::new(self.plan.run, &self.host().vm, number) {
            Ok(mark) => mark,
            Err(error) => return exec::Report::unsent(error.to_string()),
        };
        let sink = sink.as_mut().map(|sink| &mut **sink as &mut dyn Sink);
        let output = self.output(sink, index);
        let held = (&command, &bounds);
        exec::run_into(connection, held, &mark, limits, output, again, &self.cancel).await
    }

    /// Where output goes; `index` is which of several commands wrote it.
    pub(super) fn output<'a>(
        &self,
        sink: Option<&'a mut dyn Sink>,
        index: Option<usize>,
    ) -> Output<'a> {
        let keep = |dir: Option<&OutputDir>| Keep {
            spool: self.options.spool.clone(),
            file: dir.map(|dir| dir.file(&self.host().vm, index, self.files.max)),
        };
        Output {
            sink,
            stdout: keep(self.files.stdout.as_ref()),
            stderr: keep(self.files.stderr.as_ref()),
        }
    }

    /// What policy holds the action to, or which of several commands.
    pub(super) fn bounds(&self, index: Option<usize>) -> Bounds {
        Bounds::of(&self.host().decision.rule, self.host().constraints(index))
    }

    /// A command with the shell that this host wants, and the environment that
    /// the decision rests on.
    pub(super) fn on_host(&self, command: &Command, constraints: &Constraints) -> Command {
        let mut command = command.clone();
        command.shell = command.shell.or_else(|| self.host().shell.clone());
        command.clean_env |= !constraints.sandboxes.is_empty();
        if let Some(path) = &constraints.path
            && let Ok(name) = "PATH".parse()
        {
            command.env.push((name, path.join(":").into()));
        }
        command
    }

    /// The bounds of one command.
    pub(super) fn limits(&self, command: &Command) -> Limits {
        let mut limits = self.options.limits;
        limits.timeout = command.timeout.or(limits.timeout).filter(|timeout| !timeout.is_zero());
        limits
    }

    /// What tells output as it comes, if that is asked for; `index` is which of
    /// several commands it is.
    pub(super) fn sink(&self, index: Option<usize>) -> Option<Box<dyn Sink>> {
        self.options.stream.then(|| {
            let at_once = self.options.fanout.clamp(1, self.plan.hosts.len().max(1));
            let share = OUTPUT_WAITING / at_once;
            let waiting_max = share.clamp(OUTPUT_WAITING_LEAST, OUTPUT_WAITING_MAX);
            let sink = EventSink {
                emitter: self.emitter.clone(),
                vm: self.host().vm.clone(),
                index,
                credit: Arc::new(Semaphore::new(waiting_max)),
                waiting_max,
            };
            Box::new(sink) as Box<dyn Sink>
        })
    }

    pub(super) fn again<'a>(&'a self, endpoint: &'a Endpoint) -> Again<'a> {
        Again { sessions: &self.sessions, endpoint }
    }

    /// Who logs in where, as the ledger has it. An address alone may be another
    /// host's behind another jump host.
    pub(super) fn login(&self, endpoint: &Endpoint) -> String {
        format!("{}={}@{}", self.host().vm, endpoint.user, endpoint.authority())
    }

    /// Moves files within the bounds of the run.
    pub(super) async fn transfer(
        &self,
        transfer: &Transfer,
        connection: &Arc<dyn Connection>,
        endpoint: &Endpoint,
        number: u32,
    ) -> transfer::Report {
        let login = self.login(endpoint);
        let teller = Teller { emitter: self.emitter.clone(), vm: self.host().vm.clone() };
        let context = transfer::Context {
            connection,
            run: self.plan.run,
            vm: &self.host().vm,
            attempt: number,
            login: &login,
            ledger: &self.ledger,
            watcher: &teller,
            cancel: &self.cancel,
        };
        let wall = self.host().decision.constraints.limits.max_wall_time;
        let Some(wall) = wall.filter(|wall| transfer.timeout.is_none_or(|given| *wall < given))
        else {
            return transfer::run_among(transfer, context, &self.among).await;
        };
        let transfer = transfer.clone().timeout(wall);
        let report = transfer::run_among(&transfer, context, &self.among).await;
        verdict::exceeded(report, wall, &self.host().decision.rule)
    }
}

/// What is known when an action has ended, beside its result.
pub(super) struct Done {
    /// Whether it had an effect.
    pub(super) sent: Sent,
    /// Whether it never began, so that another connection may serve.
    pub(super) unsent: bool,
}

impl Done {
    pub(super) fn of_command(report: exec::Report, result: &mut HostResult) -> Self {
        let unsent = matches!(report.ending, exec::Ending::NotSent { .. });
        let (verdict, sent) = Verdict::of_report(&report);
        result.timing.run = report.run_time;
        result.stdout = report.stdout;
        result.stderr = report.stderr;
        result.kill = report.kill;
        result.output_incomplete = report.output_incomplete;
        verdict.apply(result);
        Self { sent, unsent }
    }

    pub(super) fn of_transfer(report: transfer::Report, result: &mut HostResult) -> Self {
        result.timing.run = report.run_time;
        result.status = report.status;
        result.effect = report.effect;
        result.failure = report.failure;
        result.transfer = Some(report.transferred);
        Self { sent: report.sent, unsent: report.unsent }
    }
}

/// Tells output as events, as fast as they are read.
struct EventSink {
    emitter: Emitter,
    vm: VmId,
    index: Option<usize>,
    credit: Arc<Semaphore>,
    waiting_max: usize,
}

impl Sink for EventSink {
    fn push(&mut self, stream: Stream, bytes: Bytes) -> BoxFuture<'_, ()> {
        async move {
            let weight = u32::try_from(bytes.len().min(self.waiting_max)).unwrap_or(u32::MAX);
            let credit = Arc::clone(&self.credit).acquire_many_owned(weight).await.ok();
            let bytes = Chunk::new(bytes, credit);
            let (vm, index) = (self.vm.clone(), self.index);
            self.emitter.emit(EventKind::Output { vm, index, stream, bytes });
        }
        .boxed()
    }
}

/// Tells how far a transfer has come.
struct Teller {
    emitter: Emitter,
    vm: VmId,
}

impl transfer::Watcher for Teller {
    fn progress(&self, progress: Progress) {
        self.emitter.emit(EventKind::Progress { vm: self.vm.clone(), progress });
    }
}

/// A second connection, for a kill.
pub(super) struct Again<'a> {
    sessions: &'a SessionManager,
    endpoint: &'a Endpoint,
}

impl Reconnect for Again<'_> {
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        async move { self.sessions.connect_apart(self.endpoint).await.ok() }.boxed()
    }
}
