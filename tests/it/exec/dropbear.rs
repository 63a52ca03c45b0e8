//! The other server: its session belongs to root and it makes no session or
//! group of its own for a command.

use orchestrator::remote::{Command, OnDisconnect, Stdin};

use super::{Running, all_gone, connect_to, exited, run};
use crate::support::{Dropbear, is_root, wait_until};

#[tokio::test]
async fn dropbear_runs_and_stops_commands() {
    if !is_root() {
        return;
    }
    let server = Dropbear::start();
    let known_hosts = server.known_hosts();
    let connect = || connect_to(server.addr(), server.user(), server.client_key(), &known_hosts);
    let connection = connect().await;
    let stdin = Stdin::Bytes((*b"in\n").into());
    let command = Command::shell("cat; echo err >&2; exit 9").stdin(stdin);
    let report = run(&*connection, &command).await;
    exited(&report, 9);
    assert_eq!(report.stdout.to_text(), "in\n");
    assert_eq!(report.stderr.to_text(), "err\n");

    let bystander = Running::start(&connection, Command::new("sleep").arg("301"));
    let tree = "trap '' TERM; setsid sleep 300 & sleep 300 & sleep 300; wait";
    let running = Running::start(&connection, Command::shell(tree));
    running.wait_for_processes(4).await;
    bystander.wait_for_processes(1).await;
    let mark = running.mark.clone();
    all_gone(&running.cancel().await, &mark, 4);
    assert_eq!(bystander.processes().len(), 1);
}

#[tokio::test]
async fn check_27_dropbear_gone_takes_the_tree_along_where_asked() {
    if !is_root() {
        return;
    }
    let server = Dropbear::start();
    let known_hosts = server.known_hosts();
    let connect = || connect_to(server.addr(), server.user(), server.client_key(), &known_hosts);
    let connection = connect().await;
    let tree = Command::shell("setsid sleep 300 & sleep 300");
    let kept = Running::start(&connection, tree.clone());
    let killed = Running::start(&connection, tree.on_disconnect(OnDisconnect::Kill));
    kept.wait_for_processes(3).await;
    wait_until("the tree runs", || killed.processes().len() >= 3).await;
    server.kill_sessions();
    wait_until("the tree is gone", || killed.processes().is_empty()).await;
    assert_eq!(kept.processes().len(), 3);
    kept.processes().into_iter().for_each(crate::support::kill);
}
