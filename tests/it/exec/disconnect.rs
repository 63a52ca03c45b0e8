//! What becomes of a command when its connection is gone.

use orchestrator::exec::Ending;
use orchestrator::remote::{Command, EnvName, OnDisconnect};

use super::{Running, host};
use crate::support::client::connect;
use crate::support::{Sshd, process_name, processes_with_env, wait_until};

const TREE: &str =
    "(setsid sleep 300 &) ; sh -c 'trap \"\" TERM; sleep 300; sleep 300' & sleep 300";

/// Two commands lose their connections together; when the one is gone the
/// other must still be there.
async fn check_27(sshd: Sshd, command: Command) {
    let (one, other) = (connect(&sshd).await, connect(&sshd).await);
    let kept = Running::start(&one, command.clone());
    let killed = Running::start(&other, command.on_disconnect(OnDisconnect::Kill));
    for running in [&kept, &killed] {
        wait_until("the tree runs", || running.processes().len() >= 5).await;
    }
    one.abort();
    other.abort();
    wait_until("the tree is gone", || killed.processes().is_empty()).await;
    assert!(kept.processes().len() >= 5);
    for running in [kept, killed] {
        let report = running.report.await.unwrap();
        assert!(matches!(report.ending, Ending::Lost { .. }), "{report:?}");
    }
}

#[tokio::test]
async fn check_27_an_aborted_connection_takes_the_tree_along_where_asked() {
    check_27(Sshd::start(), Command::shell(TREE)).await;
}

#[tokio::test]
async fn check_27_as_an_ordinary_user() {
    check_27(host::ordinary(), Command::shell(TREE)).await;
}

/// Neither a long string nor the command's own variables get in the way.
#[tokio::test]
async fn check_27_of_a_long_command_in_a_strange_environment() {
    let name = |name: &str| name.parse::<EnvName>().unwrap();
    let command = Command::shell(format!(": {}; PATH=/bin:/usr/bin; {TREE}", "x".repeat(150_000)))
        .clean_env(true)
        .env(name("PATH"), "/nonexistent")
        .env(name("IFS"), "/0123456789");
    // The shell that interprets a long string was started before its mark.
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let killed = Running::start(&connection, command.on_disconnect(OnDisconnect::Kill));
    wait_until("the tree runs", || killed.processes().len() >= 4).await;
    connection.abort();
    wait_until("the tree is gone", || killed.processes().is_empty()).await;
    let shells = || processes_with_env(sshd.mark()).into_iter().filter_map(process_name);
    wait_until("its shell is gone", || shells().all(|name| name != "sh")).await;
}
