//! Connections that several commands share.

use futures_util::future::join_all;

use super::open;
use crate::cli_exec::Lab;
use crate::support::{Behaviour, Hostile, Proxy, Sshd};

#[tokio::test]
async fn the_next_command_uses_the_connection_there_is() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let orchestrator = open(&lab);
    for _ in 0..3 {
        orchestrator.execute_command("vm01", "true").await.unwrap();
    }
    join_all((0..8).map(|_| orchestrator.execute_command("vm01", "true"))).await;
    assert_eq!(proxy.connections(), 1);
    // One that died unnoticed says nothing about the host.
    proxy.reset_connections();
    orchestrator.execute_command("vm01", "true").await.unwrap();
    assert_eq!(proxy.connections(), 2);
    assert!(lab.statuses().iter().all(|status| status == "success"));
}

#[tokio::test]
async fn a_host_with_few_channels_serves_all_and_loses_none() {
    let sshd = Sshd::builder().line("MaxSessions 2").start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    orchestrator.execute_command("vm01", "true").await.unwrap();
    // All of them are at work at once before any may end.
    let dir = lab.path("now");
    std::fs::create_dir(&dir).unwrap();
    let command = format!(
        ": > {0}/$$; while test $(ls {0} | wc -l) -lt 6; do sleep 0.01; done",
        dir.display()
    );
    join_all((0..6).map(|_| orchestrator.execute_command("vm01", &command))).await;
    assert_eq!(lab.statuses(), ["success"; 7]);
}

#[tokio::test]
async fn those_who_wait_for_one_connection_share_its_failure() {
    let sshd = Sshd::start();
    let silent = Hostile::start(Behaviour::Silent);
    let lab = Lab::new().vm_at("vm01", &sshd, silent.addr(), "");
    let lab = lab.set("ssh: {", "ssh: { connect_timeout: 2s,");
    let orchestrator = open(&lab);
    let results = join_all((0..8).map(|_| orchestrator.execute_command("vm01", "true"))).await;
    assert!(results.iter().all(Result::is_err));
    assert_eq!(silent.connections(), 1);
    assert_eq!(lab.statuses(), ["unreachable"; 8]);
}
