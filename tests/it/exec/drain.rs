//! Processes that outlive their command.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use orchestrator::exec::{self, Ending, Limits, Sink};
use orchestrator::remote::Command;
use orchestrator::remote::Stream;
use tokio_util::sync::CancellationToken;

use super::{Never, PATIENCE, exited, new_mark, run_within};
use crate::support::client::connect;
use crate::support::{Sshd, process_name, wait_until};

const SOON: Limits = Limits { drain_grace: Duration::from_secs(1), ..PATIENCE };

#[tokio::test]
async fn check_32_a_background_child_that_holds_stdout_does_not_hold_the_result() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let report =
        run_within(&*connection, &Command::shell("sleep 300 & echo out; exit 3"), SOON).await;
    exited(&report, 3);
    assert_eq!(report.stdout.to_text(), "out\n");
    assert!(report.output_incomplete.is_some());
    assert!(report.run_time < Duration::from_secs(60), "{report:?}");
}

#[tokio::test]
async fn check_32_a_background_child_without_our_stdout_is_left_alone() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let command = Command::shell("nohup sleep 300 >/dev/null 2>&1 & echo $!");
    let report = run_within(&*connection, &command, PATIENCE).await;
    exited(&report, 0);
    assert_eq!(report.output_incomplete, None);
    let pid = report.stdout.to_text().trim().parse().unwrap();
    wait_until("it sleeps", || process_name(pid).as_deref() == Some("sleep")).await;
}

/// Output without end after the command's end still meets the deadline.
#[tokio::test]
async fn check_32_a_background_child_that_never_stops_writing() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let limits = Limits { timeout: Some(Duration::from_secs(5)), output_max: 1024, ..SOON };
    let report = run_within(&*connection, &Command::shell("yes & exit 3"), limits).await;
    exited(&report, 3);
    assert!(report.output_incomplete.is_some());
    assert!(report.kill.is_none(), "it has ended by itself");
}

/// Nor does it without a deadline, be it only a line now and then.
#[tokio::test]
async fn check_32_a_background_child_that_keeps_writing_lines_meets_no_deadline() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let drain_grace = Duration::from_millis(200);
    let limits = Limits { timeout: None, drain_grace, ..PATIENCE };
    let command = Command::shell("while sleep 0.01; do echo; done & exit 3");
    let running = run_within(&*connection, &command, limits);
    let report = tokio::time::timeout(Duration::from_secs(60), running).await.unwrap();
    exited(&report, 3);
    assert!(report.output_incomplete.is_some());
}

/// A consumer that takes nothing, ever.
pub(super) struct Stuck;

impl Sink for Stuck {
    fn push(&mut self, _: Stream, _: Bytes) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_consumer_that_stops_reading_meets_the_deadline_too() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let limits = Limits { timeout: Some(Duration::from_secs(2)), ..SOON };
    let (mark, cancel) = (new_mark(), CancellationToken::new());
    let command = Command::shell("echo out; sleep 300");
    let stuck: Option<&mut dyn Sink> = Some(&mut Stuck);
    let report = exec::run(&*connection, &command, &mark, limits, stuck, &Never, &cancel).await;
    assert_eq!(report.ending, Ending::TimedOut, "{report:?}");
}

/// A consumer that takes each piece only after a while.
struct Slow {
    taken: usize,
}

impl Sink for Slow {
    fn push(&mut self, _: Stream, bytes: Bytes) -> BoxFuture<'_, ()> {
        async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            self.taken += bytes.len();
        }
        .boxed()
    }
}

/// What a command wrote before it ended in time reaches a consumer that needs
/// longer than the command had, and longer than the host is waited for.
#[tokio::test]
async fn a_slow_consumer_loses_nothing_of_a_command_that_ended_in_time() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let limits = Limits { timeout: Some(Duration::from_secs(2)), ..SOON };
    let (mark, cancel) = (new_mark(), CancellationToken::new());
    let command = Command::shell("head -c 3000000 /dev/zero");
    let mut slow = Slow { taken: 0 };
    let sink: Option<&mut dyn Sink> = Some(&mut slow);
    let report = exec::run(&*connection, &command, &mark, limits, sink, &Never, &cancel).await;
    exited(&report, 0);
    assert_eq!(report.output_incomplete, None);
    assert_eq!(slow.taken, 3_000_000);
}

/// An ended command waits for its reader as long as that takes, but no longer
/// than until it is cancelled.
#[tokio::test]
async fn an_ended_command_with_a_stuck_consumer_can_be_cancelled() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let (mark, cancel) = (new_mark(), CancellationToken::new());
    let command = Command::shell("echo out");
    let stuck: Option<&mut dyn Sink> = Some(&mut Stuck);
    let limits = Limits { timeout: Some(Duration::from_secs(1)), ..SOON };
    let running = exec::run(&*connection, &command, &mark, limits, stuck, &Never, &cancel);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(running, stop);
    exited(&report, 0);
    assert!(report.output_incomplete.is_some());
}
