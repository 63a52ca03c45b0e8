//! Servers that lie, and servers that die.

use std::time::Duration;

use orchestrator::exec::{Ending, Limits, Report};
use orchestrator::outcome::Phase;
use orchestrator::remote::{Command, ExitStatus};

use super::{PATIENCE, Running, connect_to, run_within};
use crate::support::client::connect;
use crate::support::{Behaviour, Counter, Hostile, KeyKind, KeyPair, Sshd, wait_until};

/// One run of a command that counts itself and fails.
async fn against(behaviour: Behaviour, timeout: Duration) -> (Report, usize) {
    let (server, counter) = (Hostile::start(behaviour), Counter::new());
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::shared(KeyKind::Ed25519).write_to(dir.path().join("key"));
    let connection = connect_to(server.addr(), "root", key, &server.known_hosts()).await;
    let command = Command::shell(format!("{}; exit 7", counter.command()));
    let limits = Limits { timeout: Some(timeout), ..PATIENCE };
    let report = run_within(&*connection, &command, limits).await;
    (report, counter.runs())
}

#[tokio::test]
async fn check_22_no_exit_status_is_no_success() {
    let (report, runs) = against(Behaviour::NoExitStatus, Duration::from_secs(60)).await;
    assert!(matches!(report.ending, Ending::Lost { started: true, .. }), "{report:?}");
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn check_24_forged_events_never_make_a_result() {
    let seven = Ending::Exited(ExitStatus::Code(7));
    for behaviour in [Behaviour::ForgesData, Behaviour::ForgesExitStatus, Behaviour::ForgesClose] {
        let (report, runs) = against(behaviour, Duration::from_secs(60)).await;
        let lost = matches!(report.ending, Ending::Lost { .. } | Ending::NotSent { .. });
        assert!(lost || report.ending == seven && runs == 1, "{behaviour:?}: {report:?}");
        assert!(!report.stdout.to_text().contains("forged"), "{behaviour:?}: {report:?}");
    }
}

#[tokio::test]
async fn check_24_data_without_our_header_is_no_result() {
    let (report, runs) = against(Behaviour::DataBeyondWindow, Duration::from_secs(60)).await;
    let exited = matches!(report.ending, Ending::Exited(_) | Ending::TimedOut);
    assert!(!exited, "{report:?}");
    assert_eq!(runs, 0);
}

#[tokio::test]
async fn check_24_a_link_cut_mid_command_is_lost() {
    for behaviour in [Behaviour::DisconnectsMidCommand, Behaviour::ClosesMidCommand] {
        let (report, _) = against(behaviour, Duration::from_secs(60)).await;
        assert!(matches!(report.ending, Ending::Lost { .. }), "{behaviour:?}: {report:?}");
        assert_eq!(report.stdout.to_text(), "partial\n", "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_refused_request_is_told_at_once() {
    let (report, runs) = against(Behaviour::RefusesExec, Duration::from_secs(600)).await;
    let refused = matches!(report.ending, Ending::NotStarted { phase: Phase::Channel, .. });
    assert!(refused && runs == 0, "{report:?}");
    let (report, runs) = against(Behaviour::RefusesChannelOpen, Duration::from_secs(600)).await;
    assert!(matches!(report.ending, Ending::NotSent { .. }) && runs == 0, "{report:?}");
}

#[tokio::test]
async fn a_silent_server_meets_the_deadline_and_leaves_the_kill_unknown() {
    let ends =
        [Behaviour::NeverAnswersExec, Behaviour::NeverAnswersChannelOpen, Behaviour::FloodsStderr];
    let ends = ends.map(|behaviour| against(behaviour, Duration::from_secs(1)));
    for (report, _) in futures_util::future::join_all(ends).await {
        assert_eq!(report.ending, Ending::TimedOut, "{report:?}");
        let kill = report.kill.unwrap();
        assert_eq!((kill.ended, kill.survivors), (None, None));
    }
}

/// The command runs on, as it would on a host; it ran once.
async fn check_28(end_of_command: &str, first_output: &str) {
    let (sshd, counter) = (Sshd::start(), Counter::new());
    let connection = connect(&sshd).await;
    let text = format!("{}; {end_of_command}", counter.command());
    let running = Running::start(&connection, Command::shell(text));
    wait_until("the command runs", || counter.runs() == 1).await;
    sshd.kill_sessions();
    let report = running.report.await.unwrap();
    assert!(matches!(report.ending, Ending::Lost { .. }), "{report:?}");
    assert!(first_output.starts_with(&report.stdout.to_text()), "{report:?}");
    assert_eq!(counter.runs(), 1);
}

#[tokio::test]
async fn check_28_sshd_killed_before_output() {
    check_28("sleep 300", "").await;
}

#[tokio::test]
async fn check_28_sshd_killed_after_output() {
    check_28("echo out; sleep 300", "out\n").await;
}

#[tokio::test]
async fn check_28_sshd_killed_before_exit_status() {
    check_28("exec >&- 2>&-; sleep 300", "").await;
}
