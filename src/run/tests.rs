mod rollout;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::{Engine, Options, Recorder, RunHandle};
use crate::audit::{self, AuditLog};
use crate::outcome::{Effect, Status};
use crate::plan::{Asker, Plan, Target};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::remote::Command;
use crate::session::{Bounds, SessionManager};
use crate::transfer::Ledger;
use crate::transport::{
    ByteStream, Channel, ChannelError, ConnectError, Connection, ConnectionFacts, Connector,
    Endpoint, ExecRequest, Identity, Route, Trust,
};

/// A library that fails in the worst way.
struct Panics;

impl Connector for Panics {
    fn connect<'a>(
        &'a self,
        _: &'a Endpoint,
        _: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        async { panic!("a test's panic") }.boxed()
    }
}

/// Connections on which a command takes its time, and then is refused.
#[derive(Default)]
struct Slow(ConnectionFacts);

const LONG: Duration = Duration::from_secs(72 * 3600);

impl Connector for Slow {
    fn connect<'a>(
        &'a self,
        _: &'a Endpoint,
        _: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        async { Ok(Arc::new(Self::default()) as Arc<dyn Connection>) }.boxed()
    }
}

impl Connection for Slow {
    fn exec(&self, _: ExecRequest) -> BoxFuture<'_, Result<Channel, ChannelError>> {
        async {
            sleep(LONG).await;
            Err(ChannelError::Refused { reason: "at last".into() })
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
        &self.0
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

fn target(id: &str) -> Target {
    Target {
        vm: id.parse().unwrap(),
        allowed: true,
        groups: Vec::new(),
        tags: Vec::new(),
        shell: None,
        endpoint: Ok(Endpoint {
            label: id.into(),
            address: "192.0.2.1".into(),
            port: 22,
            user: "ops".into(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity::default(),
            profile: None,
        }),
    }
}

fn start(connector: impl Connector + 'static, log: Option<AuditLog>) -> RunHandle {
    let sessions = Arc::new(SessionManager::new(Arc::new(connector), Bounds::default()));
    let engine = Engine::new(
        sessions,
        Recorder::new(log, Arc::new(Redactor::builtin()), None),
        Ledger::default(),
    );
    let command = Command::shell("true").timeout(Duration::ZERO);
    let plan =
        Plan::decide(command.into(), vec![target("vm01")], Asker::default(), &Policy::allow_all());
    engine.start(plan, Options::default(), TaskTracker::new().token(), None)
}

#[tokio::test]
async fn a_panic_in_an_attempt_is_told_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = AuditLog::open(&path, audit::Options::new(Arc::new(|text| text.into()))).unwrap();
    let results = start(Panics, Some(log.clone())).wait().await;
    assert_eq!((results[0].status, results[0].effect), (Status::Unknown, Effect::Unknown));
    assert_eq!(results[0].failure.as_ref().unwrap().code, "internal_error");
    log.close().await.unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches(r#""event":"exec.attempt""#).count(), 1, "{lines}");
    assert_eq!(lines.matches(r#""event":"exec.result""#).count(), 1, "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_command_without_a_limit_has_days() {
    let started = Instant::now();
    let results = start(Slow::default(), None).wait().await;
    assert!(started.elapsed() >= LONG);
    assert_eq!(results[0].failure.as_ref().unwrap().code, "channel_failed");
}

#[test]
fn a_run_whose_runtime_went_away_is_no_success() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.block_on(async { start(Slow::default(), None) });
    drop(runtime);
    let results = handle.wait().now_or_never().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].status, Status::Unknown);
}
