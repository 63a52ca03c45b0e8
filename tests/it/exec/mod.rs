//! Commands on real sshds.

mod arrival;
mod bounds;
mod disconnect;
mod drain;
mod dropbear;
mod environment;
mod exit;
mod flood;
pub(crate) mod host;
mod kill;
mod long;
mod lost;
mod noise;
mod refused;
mod sandbox;
pub(crate) mod secrets;
mod stdin;
pub(crate) mod sudo;
pub(crate) mod sudo_rs;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use orchestrator::exec::{self, Ending, Limits, Mark, Reconnect, Report};
use orchestrator::ids::RunId;
use orchestrator::remote::{Command, ExitStatus};
use orchestrator::transport::{Connection, Connector, Endpoint, Identity, Route, Trust};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::client::{connect, connector};
use crate::support::{Sshd, processes_with_env, wait_until};

/// There is no second connection.
struct Never;

impl Reconnect for Never {
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        async { None }.boxed()
    }
}

/// A deadline that only a hang reaches.
const PATIENCE: Limits = Limits {
    timeout: Some(Duration::from_secs(120)),
    start: None,
    grace: Duration::from_secs(1),
    drain_grace: Duration::from_secs(30),
    output_max: 64 * 1024 * 1024,
};

fn new_mark() -> Mark {
    Mark::new(RunId::new(), &"vm01".parse().unwrap(), 1).unwrap()
}

pub(crate) async fn run(connection: &dyn Connection, command: &Command) -> Report {
    run_within(connection, command, PATIENCE).await
}

async fn run_within(connection: &dyn Connection, command: &Command, limits: Limits) -> Report {
    let cancel = CancellationToken::new();
    exec::run(connection, command, &new_mark(), limits, None, &Never, &cancel).await
}

/// A command under way, known by its mark.
struct Running {
    mark: Mark,
    cancel: CancellationToken,
    report: tokio::task::JoinHandle<Report>,
}

impl Running {
    fn start(connection: &Arc<dyn Connection>, command: Command) -> Self {
        Self::start_with(connection, command, PATIENCE, Never)
    }

    fn start_with(
        connection: &Arc<dyn Connection>,
        command: Command,
        limits: Limits,
        reconnect: impl Reconnect + 'static,
    ) -> Self {
        let (mark, cancel) = (new_mark(), CancellationToken::new());
        let (connection, marked, token) = (Arc::clone(connection), mark.clone(), cancel.clone());
        let report = tokio::spawn(async move {
            exec::run(&*connection, &command, &marked, limits, None, &reconnect, &token).await
        });
        Self { mark, cancel, report }
    }

    /// Its living processes, whoever owns them.
    fn processes(&self) -> Vec<u32> {
        processes_with_env(&format!("ORCH_RUN={}", self.mark))
    }

    async fn wait_for_processes(&self, count: usize) {
        wait_until(&format!("{count} processes run"), || self.processes().len() == count).await;
    }

    async fn cancel(self) -> Report {
        self.cancel.cancel();
        self.report.await.unwrap()
    }
}

fn exited(report: &Report, code: u32) {
    assert_eq!(report.ending, Ending::Exited(ExitStatus::Code(code)), "{report:?}");
}

/// Everything that ran is gone, and the report knows how much that was.
fn all_gone(report: &Report, mark: &Mark, ended: u32) {
    let kill = report.kill.as_ref().unwrap_or_else(|| panic!("no kill: {report:?}"));
    assert_eq!(kill.survivors.as_deref(), Some(&[][..]), "{report:?}");
    assert_eq!(kill.ended, Some(ended), "{report:?}");
    assert_eq!(processes_with_env(&format!("ORCH_RUN={mark}")), Vec::<u32>::new());
}

/// Whether the long and full form of a check is asked for.
fn soak() -> bool {
    std::env::var_os("ORCHESTRATOR_SOAK").is_some()
}

/// A connection to a server that is not an [`Sshd`].
async fn connect_to(
    addr: SocketAddr,
    user: &str,
    key: PathBuf,
    known_hosts: &str,
) -> Arc<dyn Connection> {
    let endpoint = Endpoint {
        label: "vm01".into(),
        address: addr.ip().to_string(),
        port: addr.port(),
        user: user.into(),
        route: Route::Direct,
        trust: Trust::default(),
        identity: Identity { key_file: Some(key), agent: false },
        profile: None,
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    connector(known_hosts).connect(&endpoint, deadline).await.unwrap()
}

#[tokio::test]
async fn a_command_and_its_output() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let report = run(&*connection, &Command::shell("echo out; echo err >&2; exit 7")).await;
    exited(&report, 7);
    assert_eq!(report.stdout.to_text(), "out\n");
    assert_eq!(report.stderr.to_text(), "err\n");
}
