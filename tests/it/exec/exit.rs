//! Exit codes, signals, and neither.

use orchestrator::exec::Ending;
use orchestrator::remote::{Command, ExitStatus};

use super::{exited, host, run};
use crate::support::client::connect;

#[tokio::test]
async fn check_22_all_exit_codes_are_distinct() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    for code in 0..=255 {
        let report = run(&*connection, &Command::shell(format!("exit {code}"))).await;
        exited(&report, code);
    }
}

#[tokio::test]
async fn check_22_a_signal_is_no_exit_code() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    for signal in ["TERM", "KILL", "SEGV", "PIPE"] {
        let command = Command::shell(format!("ulimit -c 0; kill -s {signal} $$"));
        let report = run(&*connection, &command).await;
        assert_eq!(report.ending, Ending::Exited(ExitStatus::Signal(signal.into())));
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_or_no_program() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    exited(&run(&*connection, &Command::new("no-such-program")).await, 127);
    exited(&run(&*connection, &Command::new("/etc/passwd")).await, 126);
}
