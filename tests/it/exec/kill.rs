//! Ending a command's whole process tree, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use orchestrator::exec::{self, Ending, Limits, Reconnect};
use orchestrator::remote::Command;
use orchestrator::transport::{Connection, Connector};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::drain::Stuck;
use super::{Never, PATIENCE, Running, all_gone, exited, host, new_mark, run, run_within};
use crate::support::client::{connect, connector, endpoint};
use crate::support::{Shell, Sshd, is_root, process_name, processes_with_env, wait_until};

/// Trees, and how many shells and sleeping processes each has when it stands.
const TREES: [(&str, usize, usize); 9] = [
    ("exec sleep 300", 0, 1),
    ("sh -c 'sleep 300 & sleep 300; true' & sleep 300", 2, 3),
    ("trap '' TERM; sh -c 'sleep 300; true' & sleep 300; sleep 300", 2, 2),
    ("i=0; while [ $i -lt 49 ]; do sleep 300 & i=$((i + 1)); done; wait", 1, 49),
    ("setsid sleep 300 & setsid sh -c 'trap \"\" TERM; sleep 300; true' & wait", 2, 2),
    ("(setsid sh -c 'sleep 300 & sleep 300 & wait' &); exec sleep 300", 1, 3),
    ("sh -c 'kill -s STOP $$; true' & wait", 2, 0),
    ("sleep 300 & kill -s STOP $$", 1, 1),
    // The first is not waited for: a zombie, which is dead already.
    ("sleep 0 & exec sleep 300", 0, 1),
];

async fn every_tree_ends(sshd: &Sshd) {
    let connection = connect(sshd).await;
    // At most ten commands fit on a connection, and kills need their own.
    for trees in TREES.chunks(4) {
        join_all(trees.iter().map(async |(tree, shells, sleeping)| {
            let running = Running::start(&connection, Command::shell(tree));
            let named = |pids: &[u32], name: &str| {
                pids.iter().filter(|pid| process_name(**pid).as_deref() == Some(name)).count()
            };
            wait_until(tree, || {
                let pids = running.processes();
                (named(&pids, "sh"), named(&pids, "sleep")) == (*shells, *sleeping)
                    && pids.len() == shells + sleeping
            })
            .await;
            let mark = running.mark.clone();
            let report = running.cancel().await;
            assert_eq!(report.ending, Ending::Cancelled, "{tree}");
            all_gone(&report, &mark, u32::try_from(shells + sleeping).unwrap());
        }))
        .await;
    }
}

#[tokio::test]
async fn check_25_every_tree_ends() {
    every_tree_ends(&Sshd::start()).await;
}

#[tokio::test]
async fn check_25_every_tree_of_an_ordinary_user_ends() {
    every_tree_ends(&host::ordinary()).await;
}

#[tokio::test]
async fn check_25_a_timeout_is_term_then_grace_then_kill() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let polite = Command::shell("trap 'echo bye; exit 3' TERM; sleep 300 & wait");
    let running = Running::start(&connection, polite);
    running.wait_for_processes(2).await;
    let mark = running.mark.clone();
    let report = running.cancel().await;
    assert_eq!(report.stdout.to_text(), "bye\n");
    all_gone(&report, &mark, 2);
    let limits = Limits { timeout: Some(Duration::from_secs(1)), ..PATIENCE };
    let stubborn = Command::shell("trap '' TERM; sleep 300; echo on; sleep 300");
    let report = run_within(&*connection, &stubborn, limits).await;
    assert_eq!(report.ending, Ending::TimedOut);
    assert_eq!(report.kill.unwrap().survivors, Some(vec![]));
    assert!(processes_with_env(sshd.mark()).into_iter().all(|pid| !sleeps(pid)));
}

fn sleeps(pid: u32) -> bool {
    process_name(pid).as_deref() == Some("sleep")
}

#[tokio::test]
async fn check_25_under_every_login_shell() {
    if !is_root() {
        return;
    }
    join_all(Shell::WORKING.map(async |shell| {
        let sshd = Sshd::builder().login_shell(shell).start();
        let connection = connect(&sshd).await;
        let tree = "trap '' TERM; setsid sleep 300 & sleep 300; sleep 300";
        let running = Running::start(&connection, Command::shell(tree));
        running.wait_for_processes(3).await;
        let mark = running.mark.clone();
        all_gone(&running.cancel().await, &mark, 3);
    }))
    .await;
}

#[tokio::test]
async fn check_25_whatever_bin_sh_is() {
    join_all(["/bin/busybox", "/bin/bash", "/bin/ksh"].map(async |program| {
        let (sshd, _dir) = host::with_sh(program.as_ref());
        let connection = connect(&sshd).await;
        let tree = Command::new("/bin/dash").args(["-c", "setsid sleep 300 & sleep 300; true"]);
        let running = Running::start(&connection, tree);
        running.wait_for_processes(3).await;
        let mark = running.mark.clone();
        all_gone(&running.cancel().await, &mark, 3);
    }))
    .await;
}

#[tokio::test]
async fn check_25_nobody_else_is_touched() {
    let (sshd, other) = (host::ordinary(), Sshd::start());
    let (connection, elsewhere) = (connect(&sshd).await, connect(&other).await);
    let bystanders = [
        Running::start(&connection, Command::shell("setsid sleep 300 & sleep 300; true")),
        Running::start(&elsewhere, Command::shell("setsid sleep 300 & sleep 300; true")),
    ];
    for bystander in &bystanders {
        bystander.wait_for_processes(3).await;
    }
    let running = Running::start(&connection, Command::shell("sleep 300; true"));
    running.wait_for_processes(2).await;
    let mark = running.mark.clone();
    all_gone(&running.cancel().await, &mark, 2);
    for bystander in bystanders {
        assert_eq!(bystander.processes().len(), 3);
    }
}

/// At whatever moment a command is cancelled, what is said of it is true.
#[tokio::test]
async fn check_25_a_kill_that_comes_too_early_claims_nothing() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    for moment in 0..60 {
        let running = Running::start(&connection, Command::shell("sleep 300; true"));
        tokio::time::sleep(Duration::from_micros(50 * moment)).await;
        let mark = running.mark.clone();
        let kill = running.cancel().await.kill.unwrap();
        // Whatever was asked for before this has begun by now.
        exited(&run(&*connection, &Command::new("true")).await, 0);
        let left = processes_with_env(&format!("ORCH_RUN={mark}"));
        assert!(kill.survivors.is_none() || left.is_empty(), "{moment}: {kill:?}, left {left:?}");
        left.into_iter().for_each(crate::support::kill);
    }
}

/// A second connection to the same host.
struct Again(orchestrator::ssh::SshConnector, orchestrator::transport::Endpoint);

impl Again {
    fn to(sshd: &Sshd) -> Self {
        Self(connector(&sshd.known_hosts()), endpoint(sshd))
    }
}

impl Reconnect for Again {
    fn reconnect(&self) -> BoxFuture<'_, Option<Arc<dyn Connection>>> {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.0.connect(&self.1, deadline).map(Result::ok).boxed()
    }
}

#[tokio::test]
async fn check_25_without_a_free_channel_a_second_connection_kills() {
    let sshd = Sshd::builder().line("MaxSessions 1").start();
    let connection = connect(&sshd).await;
    let tree = Command::shell("sleep 300; true");
    let running = Running::start_with(&connection, tree.clone(), PATIENCE, Again::to(&sshd));
    running.wait_for_processes(2).await;
    let mark = running.mark.clone();
    all_gone(&running.cancel().await, &mark, 2);
    // And where there is none, nothing is claimed.
    let connection = connect(&sshd).await;
    let running = Running::start(&connection, tree);
    running.wait_for_processes(2).await;
    let kill = running.cancel().await.kill.unwrap();
    assert_eq!((kill.ended, kill.survivors), (None, None));
}

#[tokio::test]
async fn check_25_a_consumer_that_stopped_reading_does_not_stop_the_kill() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let (mark, cancel) = (new_mark(), CancellationToken::new());
    let limits = Limits { timeout: Some(Duration::from_secs(2)), ..PATIENCE };
    let report = exec::run(
        &*connection,
        &Command::shell("yes & yes"),
        &mark,
        limits,
        Some(&mut Stuck),
        &Never,
        &cancel,
    )
    .await;
    assert_eq!(report.ending, Ending::TimedOut);
    all_gone(&report, &mark, 3);
}
