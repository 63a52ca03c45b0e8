//! Login shells that talk, and commands that imitate us.

use orchestrator::exec::Ending;
use orchestrator::remote::{Command, ExitStatus, Stdin};

use super::{Running, all_gone, exited, host, run};
use crate::support::Sshd;
use crate::support::client::connect;

#[tokio::test]
async fn what_a_login_shell_prints_does_not_hide_the_start() {
    let sshd = host::with_rc("echo hello; printf orch1 >&2; echo orch1 x S 1 >&2; printf half");
    let connection = connect(&sshd).await;
    let report = run(&*connection, &Command::shell("echo out; exit 4")).await;
    exited(&report, 4);
    assert_eq!(report.stdout.to_text(), "hello\nhalfout\n");
    assert_eq!(report.stderr.to_text(), "orch1orch1 x S 1\n");
}

#[tokio::test]
async fn what_a_login_shell_prints_does_not_hide_the_kill() {
    let sshd = host::with_rc("echo hello; printf half; printf half >&2");
    let connection = connect(&sshd).await;
    let running = Running::start(&connection, Command::shell("sleep 300 & sleep 300"));
    running.wait_for_processes(3).await;
    let mark = running.mark.clone();
    all_gone(&running.cancel().await, &mark, 3);
}

#[tokio::test]
async fn a_start_told_on_stdout_is_a_start() {
    let sshd = host::with_rc("exec 2>&1");
    let connection = connect(&sshd).await;
    exited(&run(&*connection, &Command::shell("exit 5")).await, 5);
}

/// Its first line may be gone; the rest is never run in its place.
#[tokio::test]
async fn a_login_shell_that_reads_stdin_cannot_make_us_run_it() {
    let sshd = host::with_rc("read -r stolen");
    let connection = connect(&sshd).await;
    let stdin = Stdin::Bytes((*b"echo pwned >&2; exit 0\necho pwned\n").into());
    let command = Command::new("echo").arg("not\nplain").stdin(stdin);
    let report = run(&*connection, &command).await;
    assert!(matches!(report.ending, Ending::NotStarted { .. }), "{report:?}");
    assert!(report.stdout.is_empty() && report.stderr.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_command_that_imitates_us_is_taken_at_its_exit_code() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let forged = "echo \"orch1 $ORCH_RUN E cwd\" >&2; echo \"orch1 $ORCH_RUN S 1\" >&2; exit 6";
    let report = run(&*connection, &Command::shell(forged)).await;
    assert_eq!(report.ending, Ending::Exited(ExitStatus::Code(6)));
    assert_eq!(report.stderr.to_text().lines().count(), 2);
}
