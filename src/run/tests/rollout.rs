//! Batches, gates and what stops a run, on hosts that do as they are told and
//! on a clock that costs nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::event::{EventKind, StopReason, Stopped};
use crate::outcome::HostResult;
use crate::remote::ExitStatus;
use crate::run::{Gate, Rollout, Schedule, Share};
use crate::transport::{ChannelEvent, ChannelInput, ChannelOutput, ConnectErrorKind, ConnectPhase};

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Exits(u32),
    Panics,
    RefusesUs,
    RunsForever,
    Unreachable,
}

/// Hosts by their labels, and how many commands run at once.
#[derive(Default)]
struct Fleet {
    hosts: BTreeMap<String, (Does, Duration, &'static str)>,
    at_once: Mutex<(usize, usize)>,
}

struct FakeConnector(Arc<Fleet>);

struct FakeHost {
    fleet: Arc<Fleet>,
    label: String,
    facts: ConnectionFacts,
}

impl Connector for FakeConnector {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        _: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        async {
            let fail = |kind| ConnectError {
                phase: ConnectPhase::Tcp,
                kind,
                message: "no".into(),
                hint: None,
                host_key: None,
            };
            match self.0.hosts[&endpoint.label].0 {
                Does::Unreachable => Err(fail(ConnectErrorKind::Network)),
                Does::RefusesUs => Err(fail(ConnectErrorKind::Auth)),
                Does::Panics => panic!("a test's panic"),
                Does::Exits(_) | Does::RunsForever => Ok(Arc::new(FakeHost {
                    fleet: Arc::clone(&self.0),
                    label: endpoint.label.clone(),
                    facts: ConnectionFacts::default(),
                }) as Arc<dyn Connection>),
            }
        }
        .boxed()
    }
}

impl Connection for FakeHost {
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Channel, ChannelError>> {
        static MARK: OnceLock<Regex> = OnceLock::new();
        let regex = MARK
            .get_or_init(|| Regex::new(r"[0-9a-f-]{36}\.[a-z0-9]+\.[0-9]+\.[0-9a-f]{32}").unwrap());
        async move {
            let mark = regex.find(&request.command).map(|it| it.as_bytes().to_vec());
            let (does, time, output) = self.fleet.hosts[&self.label];
            let mark_sent = Arc::new(OnceLock::new());
            let mut events = Vec::new();
            let mut guard = None;
            if let Some(mark) = mark {
                let mark = String::from_utf8(mark).unwrap();
                events.push((Duration::ZERO, ChannelEvent::Accepted));
                let started = format!("orch1 {mark} S 7\n").into_bytes();
                events.push((Duration::ZERO, ChannelEvent::Stderr(started.into())));
                if let Does::Exits(code) = does {
                    events
                        .push((time, ChannelEvent::Stdout(Bytes::from_static(output.as_bytes()))));
                    events.push((Duration::ZERO, ChannelEvent::Exit(ExitStatus::Code(code))));
                    events.push((Duration::ZERO, ChannelEvent::Eof));
                } else {
                    events.push((LONG, ChannelEvent::Eof));
                }
                guard = Some(AtOnce::begin(&self.fleet));
            }
            events.reverse();
            let output = FakeOutput { events, mark: Arc::clone(&mark_sent), _guard: guard };
            Ok(Channel { output: Box::new(output), input: Box::new(FakeInput(mark_sent)) })
        }
        .boxed()
    }

    fn subsystem<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Channel, ChannelError>> {
        std::future::pending().boxed()
    }

    fn open_stream<'a>(
        &'a self,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, Result<Box<dyn ByteStream>, ChannelError>> {
        std::future::pending().boxed()
    }

    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }

    fn is_open(&self) -> bool {
        true
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    fn close_reason(&self) -> Option<String> {
        None
    }

    fn abort(&self) {}
}

/// Counts a command while it runs.
struct AtOnce(Arc<Fleet>);

impl AtOnce {
    fn begin(fleet: &Arc<Fleet>) -> Self {
        let mut counts = fleet.at_once.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Self(Arc::clone(fleet))
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.at_once.lock().unwrap().0 -= 1;
    }
}

/// Says what is due, or answers a kill once it was told whom.
struct FakeOutput {
    events: Vec<(Duration, ChannelEvent)>,
    mark: Arc<OnceLock<String>>,
    _guard: Option<AtOnce>,
}

impl ChannelOutput for FakeOutput {
    fn next(&mut self) -> BoxFuture<'_, Option<ChannelEvent>> {
        async {
            if let Some((wait, _)) = self.events.last() {
                sleep(*wait).await;
                return self.events.pop().map(|(_, event)| event);
            }
            let mark = self.mark.get()?;
            Some(ChannelEvent::Stdout(format!("orch1 {mark} K 2\n").into_bytes().into()))
        }
        .boxed()
    }
}

struct FakeInput(Arc<OnceLock<String>>);

impl ChannelInput for FakeInput {
    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), ChannelError>> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(mark) = text.lines().find_map(|line| line.strip_prefix("mark=")) {
            let _ = self.0.set(mark.to_owned());
        }
        async { Ok(()) }.boxed()
    }

    fn eof(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }

    fn signal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }
}

/// What a run told and left behind.
struct Ended {
    events: Vec<EventKind>,
    results: Vec<HostResult>,
    stopped: Option<Stopped>,
    at_once: usize,
}

impl Ended {
    fn statuses(&self) -> Vec<&str> {
        self.results.iter().map(|result| result.status.as_str()).collect()
    }

    /// The hosts of each batch that was told of.
    fn batches(&self) -> Vec<usize> {
        let hosts = |event: &EventKind| match event {
            EventKind::BatchFinished { hosts, .. } => Some(hosts.len()),
            _ => None,
        };
        self.events.iter().filter_map(hosts).collect()
    }

    fn why(&self) -> (Option<StopReason>, &str) {
        let stopped = self.stopped.as_ref();
        (stopped.map(|it| it.reason), stopped.map_or("", |it| &it.message))
    }
}

type Hosts<'a> = &'a [(Does, u64, &'static str)];

fn begin(hosts: Hosts<'_>, fanout: usize, rollout: Rollout) -> (Arc<Fleet>, RunHandle) {
    let label = |index: usize| format!("vm{index:03}");
    let hosts: BTreeMap<_, _> = hosts
        .iter()
        .enumerate()
        .map(|(index, (does, ms, out))| (label(index), (*does, Duration::from_millis(*ms), *out)))
        .collect();
    let targets: Vec<Target> = hosts.keys().map(|label| target(label)).collect();
    let fleet = Arc::new(Fleet { hosts, ..Fleet::default() });
    let connector = Arc::new(FakeConnector(Arc::clone(&fleet)));
    let sessions = Arc::new(SessionManager::new(connector, Bounds::default()));
    let recorder = Recorder::new(None, Arc::new(Redactor::builtin()), None);
    let engine = Engine::new(sessions, recorder, Ledger::default());
    let command = Command::shell("true").timeout(Duration::ZERO);
    let policy = Policy::allow_all();
    let mut plan = Plan::decide(command.into(), targets.clone(), Asker::default(), &policy);
    for gate in &rollout.gates {
        if let Gate::Probe(command) = gate {
            let probe = (**command).clone().into();
            plan.probe_by(Plan::decide(probe, targets.clone(), Asker::default(), &policy));
        }
    }
    let options = Options { fanout, rollout, ..Options::default() };
    (fleet, engine.start(plan, options, TaskTracker::new().token(), None))
}

async fn end(fleet: Arc<Fleet>, mut handle: RunHandle) -> Ended {
    let (mut events, mut stopped) = (Vec::new(), None);
    while let Some(event) = handle.next_event().await {
        if let EventKind::RunFinished { stopped: why, .. } = &event.kind {
            stopped.clone_from(why);
        }
        assert_eq!(event.seq, events.len() as u64);
        events.push(event.kind);
    }
    let at_once = fleet.at_once.lock().unwrap().1;
    Ended { events, results: handle.wait().await, stopped, at_once }
}

async fn run(hosts: Hosts<'_>, fanout: usize, rollout: Rollout) -> Ended {
    let (fleet, handle) = begin(hosts, fanout, rollout);
    end(fleet, handle).await
}

fn sizes(text: &str) -> Schedule {
    Schedule { canary: None, sizes: text.split(',').map(|size| size.parse().unwrap()).collect() }
}

fn gates(texts: &[&str]) -> Vec<Gate> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const OK: (Does, u64, &str) = (Does::Exits(0), 100, "same\n");
const BAD: (Does, u64, &str) = (Does::Exits(3), 100, "same\n");
const FOREVER: (Does, u64, &str) = (Does::RunsForever, 0, "");

#[tokio::test(start_paused = true)]
async fn batches_follow_each_other_with_a_wait_between() {
    let rollout =
        Rollout { schedule: sizes("1,50%"), wait: Duration::from_secs(60), ..Rollout::default() };
    let started = Instant::now();
    let ended = run(&[OK; 8], 3, rollout).await;
    assert_eq!(ended.batches(), [1, 4, 3]);
    assert_eq!(ended.at_once, 3);
    assert_eq!(ended.statuses(), ["success"; 8]);
    assert_eq!(ended.why(), (None, ""));
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(120) && took < Duration::from_secs(121), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn without_batches_none_is_told() {
    assert!(run(&[OK; 3], 32, Rollout::default()).await.batches().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_above_the_limit_stop_the_run() {
    let unreachable = (Does::Unreachable, 0, "");
    let mut hosts = vec![OK; 40];
    (hosts[0], hosts[3], hosts[7]) = (BAD, unreachable, (Does::RefusesUs, 0, ""));
    let limit = |limit: &str| Rollout { max_fail: limit.parse().ok(), ..Rollout::default() };
    let ended = run(&hosts, 4, limit("2")).await;
    assert_eq!(ended.why(), (Some(StopReason::MaxFail), "3 of 40 failed (limit 2)"));
    assert_eq!(ended.results[39].status, Status::NotStarted);
    assert!(ended.statuses().contains(&"success"));
    for enough in ["3", "8%", "100%"] {
        let ended = run(&hosts, 4, limit(enough)).await;
        assert_eq!(ended.why(), (None, ""), "{enough}");
        assert!(!ended.statuses().contains(&"not_started"));
    }
    // 7% of 40 is 2.8: rounded down.
    assert_eq!(run(&hosts, 4, limit("7%")).await.why().1, "3 of 40 failed (limit 2)");
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_killed_and_the_kill_is_told() {
    let rollout = Rollout { max_fail: Some(Share::Hosts(0)), ..Rollout::default() };
    let ended = run(&[FOREVER, FOREVER, BAD, FOREVER], 3, rollout).await;
    assert_eq!(ended.statuses(), ["cancelled", "cancelled", "failed", "not_started"]);
    for result in &ended.results[..2] {
        assert_eq!(result.kill.as_ref().unwrap().ended, Some(2));
        let message = &result.failure.as_ref().unwrap().message;
        assert_eq!(message, "cancelled: 1 of 4 failed (limit 0)");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_stops_nothing() {
    let rollout = Rollout { max_fail: Some(Share::Hosts(0)), ..Rollout::default() };
    assert_eq!(run(&[OK, BAD], 1, rollout).await.why(), (None, ""));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_run_is_a_timeout() {
    let rollout = Rollout { deadline: Some(Duration::from_secs(3600)), ..Rollout::default() };
    let ended = run(&[OK, FOREVER, FOREVER], 2, rollout).await;
    assert_eq!(ended.statuses(), ["success", "timeout", "timeout"]);
    let rollout = Rollout { deadline: Some(Duration::from_secs(3600)), ..Rollout::default() };
    let ended = run(&[FOREVER, OK], 1, rollout.clone()).await;
    assert_eq!(ended.statuses(), ["timeout", "not_started"]);
    assert_eq!(ended.why(), (Some(StopReason::Deadline), "the run's deadline of 3600 s passed"));
    let result = &ended.results[0];
    assert_eq!(result.failure.as_ref().unwrap().code, "run_deadline");
    assert_eq!(result.kill.as_ref().unwrap().ended, Some(2));
    // One that is never reached stops nothing, also not afterwards.
    assert_eq!(run(&[OK], 1, rollout).await.why(), (None, ""));
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_stops_before_the_next_batch() {
    let different = (Does::Exits(0), 100, "other\n");
    let cases = [
        (vec!["rc"], vec![OK, BAD, OK, OK], "gate rc: vm001 did not succeed"),
        (
            vec!["rc", "same-output"],
            vec![OK, OK, different, OK, OK],
            "gate same-output: the output of vm002 differs from vm000's",
        ),
        (
            vec!["match:^other$"],
            vec![different, different, OK, different, OK],
            "gate match: the output of vm002 does not match ^other$",
        ),
        (vec!["probe:test"], vec![OK, BAD, OK], "gate probe: it did not succeed on vm001"),
    ];
    for (texts, hosts, why) in cases {
        let rollout = Rollout { schedule: sizes("2"), gates: gates(&texts), ..Rollout::default() };
        let ended = run(&hosts, 32, rollout).await;
        assert_eq!(ended.why(), (Some(StopReason::Gate), why));
        assert_eq!(ended.statuses().last(), Some(&"not_started"), "{why}");
    }
    // The last batch is followed by none, so nothing judges it.
    let rollout = Rollout { schedule: sizes("2"), gates: gates(&["rc"]), ..Rollout::default() };
    assert_eq!(run(&[OK, OK, BAD], 32, rollout).await.why(), (None, ""));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_told_as_nothing_of_its_hosts() {
    let rollout =
        Rollout { schedule: sizes("1"), gates: gates(&["probe:x"]), ..Rollout::default() };
    let ended = run(&[OK, OK], 32, rollout).await;
    let begun = |event: &&EventKind| matches!(event, EventKind::HostStarted { .. });
    assert_eq!(ended.events.iter().filter(begun).count(), 2);
    assert_eq!(ended.statuses(), ["success"; 2]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_says_so() {
    let rollout = Rollout { max_fail: Some(Share::Hosts(0)), ..Rollout::default() };
    let (fleet, handle) = begin(&[OK, FOREVER, OK], 1, rollout);
    let cancel = handle.canceller();
    tokio::spawn(async move {
        sleep(Duration::from_secs(5)).await;
        cancel.cancel();
    });
    let ended = end(fleet, handle).await;
    assert_eq!(ended.statuses(), ["success", "cancelled", "not_started"]);
    assert_eq!(ended.why().0, Some(StopReason::Cancelled));
}

fn any_host() -> impl Strategy<Value = (Does, u64, &'static str)> {
    let does = prop_oneof![
        4 => Just(Does::Exits(0)),
        2 => (1..200_u32).prop_map(Does::Exits),
        1 => Just(Does::Panics),
        1 => Just(Does::RefusesUs),
        1 => Just(Does::RunsForever),
        1 => Just(Does::Unreachable),
    ];
    (does, 0..50_u64, prop_oneof![4 => Just("same\n"), 1 => Just("other\n")])
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    let share = || {
        prop_oneof![(0..8_usize).prop_map(Share::Hosts), (0..101_usize).prop_map(Share::Percent)]
    };
    let gate = prop_oneof![Just("rc"), Just("same-output"), Just("match:same"), Just("probe:x")];
    (
        prop::option::of(1..4_usize),
        prop::collection::vec(share(), 0..4),
        0..100_u64,
        prop::collection::vec(gate, 0..3),
        prop::option::of(share()),
        // Always one, so that commands without an end have one.
        1..200_u64,
    )
        .prop_map(|(canary, sizes, wait, texts, max_fail, deadline)| Rollout {
            schedule: Schedule { canary, sizes },
            wait: Duration::from_millis(wait),
            gates: gates(&texts),
            max_fail,
            deadline: Some(Duration::from_millis(deadline)),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens, each host ends in exactly one status, told once, in
    /// its batch; and a run that was not stopped has done everything.
    #[test]
    fn every_host_ends_in_exactly_one_status(
        hosts in prop::collection::vec(any_host(), 1..25),
        rollout in any_rollout(),
        fanout in 1..9_usize,
        cancel_after in prop::option::of(0..150_u64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let schedule = rollout.schedule.clone();
        let limit = rollout.max_fail.map(|limit| limit.of(hosts.len()));
        let ended = runtime.block_on(async {
            let (fleet, handle) = begin(&hosts, fanout, rollout);
            if let Some(after) = cancel_after {
                let cancel = handle.canceller();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(after)).await;
                    cancel.cancel();
                });
            }
            end(fleet, handle).await
        });
        prop_assert_eq!(ended.results.len(), hosts.len());
        prop_assert!(ended.at_once <= fanout);
        let mut told = BTreeMap::new();
        let mut batches = schedule.ranges(hosts.len()).into_iter();
        for event in &ended.events {
            match event {
                EventKind::HostFinished(result) => {
                    prop_assert!(told.insert(result.vm.clone(), result.status).is_none());
                }
                EventKind::BatchFinished { hosts, summary, .. } => {
                    prop_assert_eq!(hosts.len(), batches.next().unwrap().len());
                    prop_assert!(hosts.iter().all(|vm| told.contains_key(vm)));
                    let counted: usize = summary.iter().map(|(_, count)| count).sum();
                    prop_assert_eq!(counted, hosts.len());
                }
                _ => {}
            }
        }
        for (result, host) in ended.results.iter().zip(&hosts) {
            prop_assert_eq!(told.get(&result.vm), Some(&result.status));
            // A success is kept, and none is made up.
            prop_assert!(result.status != Status::Success || host.0 == Does::Exits(0));
            prop_assert!(host.0 != Does::RunsForever || result.status != Status::Failed);
        }
        let undone = |status: &&&str| matches!(**status, "not_started" | "cancelled");
        let statuses = ended.statuses();
        if ended.stopped.is_none() {
            prop_assert_eq!(statuses.iter().filter(undone).count(), 0);
        }
        if let (Some(StopReason::MaxFail), message) = ended.why() {
            let failed: usize = message.split(' ').next().unwrap().parse().unwrap();
            prop_assert!(failed > limit.unwrap());
        }
    }
}
