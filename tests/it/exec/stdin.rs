//! What a command reads.

use orchestrator::exec::Ending;
use orchestrator::remote::{Command, Stdin};

use super::{exited, run};
use crate::support::client::connect;
use crate::support::{Sshd, processes_with_env};

#[tokio::test]
async fn stdin_is_empty_unless_given() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let report = run(&*connection, &Command::new("cat")).await;
    exited(&report, 0);
    assert!(report.stdout.is_empty());
}

#[tokio::test]
async fn a_command_need_not_read_its_stdin() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let stdin = Stdin::Bytes(vec![b'x'; 8 * 1024 * 1024].into());
    exited(&run(&*connection, &Command::new("true").stdin(stdin)).await, 0);
    exited(&run(&*connection, &Command::new("true")).await, 0);
}

/// It opens, and nothing can be read from its beginning.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_empty_stdin() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let stdin = Stdin::File("/proc/self/mem".into());
    let report = run(&*connection, &Command::shell("cat; sleep 300").stdin(stdin)).await;
    let Ending::StdinFailed { message } = &report.ending else { panic!("{report:?}") };
    assert!(message.contains("cannot read stdin"), "{message}");
    assert_eq!(report.kill.as_ref().unwrap().survivors, Some(vec![]));
    let left = processes_with_env(sshd.mark());
    let ours = left.iter().filter_map(|pid| crate::support::process_name(*pid));
    assert_eq!(ours.filter(|name| ["cat", "sleep"].contains(&&**name)).count(), 0);
}
