//! The few channels that a server allows on one connection, and connections
//! that fall silent.

use std::time::Duration;

use orchestrator::remote::ExitStatus;
use orchestrator::transport::{ChannelError, ChannelEvent, ExecRequest};
use tokio::time::timeout;

use super::{PATIENCE, Target, exec, listen, nothing_is_left, output_of, tasks};
use crate::support::{Direction, Fault, Proxy, Sshd, client};

/// A proxy in front of a server, and a target for it.
fn behind_proxy(sshd: &Sshd, keepalive: Duration) -> (Proxy, Target) {
    let proxy = Proxy::start(sshd.addr());
    let key = &sshd.host_keys()[0].public;
    let known_hosts = format!("[127.0.0.1]:{} {key}\n", proxy.addr().port());
    let mut settings = client::settings(&known_hosts);
    settings.keepalive = keepalive;
    let target = Target::with(proxy.addr(), settings);
    (proxy, target)
}

#[tokio::test]
async fn a_channel_too_many_is_refused_and_the_connection_lives() {
    let sshd = Sshd::builder().line("MaxSessions 2").start();
    let connection = client::connect(&sshd).await;
    let mut first = exec(&*connection, "cat").await.unwrap();
    let second = exec(&*connection, "cat").await.unwrap();
    match exec(&*connection, "true").await {
        Err(ChannelError::Refused { reason }) => assert!(reason.contains("too many"), "{reason}"),
        other => panic!("{:?}", other.err()),
    }
    drop(second);
    first.input.eof().await.unwrap();
    assert_eq!(listen(&mut *first.output).await.exit, Some(ExitStatus::Code(0)));
    timeout(PATIENCE, async { while output_of(&*connection, "true").await.is_err() {} })
        .await
        .expect("the slots are free again");
}

/// The server has opened what we no longer wait for; it must not stay open.
#[tokio::test]
async fn a_channel_that_is_given_up_while_it_opens_is_closed() {
    let sshd = Sshd::builder().line("MaxSessions 2").start();
    let (proxy, target) = behind_proxy(&sshd, PATIENCE);
    let connection = target.connect().await;
    for _ in 0..4 {
        let sofar = proxy.bytes(Direction::ToClient);
        proxy.set_fault(Direction::ToClient, sofar, Fault::Stall);
        let request = ExecRequest { command: "true".into(), pty: None };
        let opening = connection.exec(request);
        assert!(timeout(Duration::from_millis(100), opening).await.is_err());
        proxy.clear_fault(Direction::ToClient);
    }
    timeout(PATIENCE, async { while output_of(&*connection, "true").await.is_err() {} })
        .await
        .expect("the slots are free again");
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_ended() {
    let sshd = Sshd::start();
    let tasks_before = tasks();
    let (proxy, target) = behind_proxy(&sshd, Duration::from_millis(300));
    let connection = target.connect().await;
    let mut channel = exec(&*connection, "sleep 600").await.unwrap();
    let sofar = proxy.bytes(Direction::ToClient);
    proxy.set_fault(Direction::ToClient, sofar, Fault::Stall);
    let said = listen(&mut *channel.output).await;
    assert_eq!(said.exit, None);
    timeout(PATIENCE, connection.closed()).await.unwrap();
    let reason = connection.close_reason().unwrap();
    assert!(reason.contains("stopped"), "{reason}");
    drop((channel, connection));
    nothing_is_left(tasks_before, proxy.addr()).await;
}

/// The question whether it still answers must not keep it alive.
#[tokio::test]
async fn a_silent_connection_ends_as_soon_as_nobody_has_it() {
    let sshd = Sshd::start();
    let tasks_before = tasks();
    let keepalive = Duration::from_secs(2);
    let (proxy, target) = behind_proxy(&sshd, keepalive);
    let connection = target.connect().await;
    let sofar = proxy.bytes(Direction::ToClient);
    proxy.set_fault(Direction::ToClient, sofar, Fault::Stall);
    tokio::time::sleep(keepalive + keepalive / 4).await;
    drop(connection);
    timeout(keepalive, nothing_is_left(tasks_before, proxy.addr())).await.expect("it is gone");
}

/// It is not silent: it waits for us.
#[tokio::test]
async fn a_connection_that_is_read_slowly_is_not_ended() {
    let sshd = Sshd::start();
    let (_proxy, target) = behind_proxy(&sshd, Duration::from_millis(300));
    let connection = target.connect().await;
    let mut channel = exec(&*connection, "yes | head -c 100000000").await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut bytes = 0;
    let mut exit = None;
    while let Some(event) = channel.output.next().await {
        match event {
            ChannelEvent::Stdout(chunk) => bytes += chunk.len(),
            ChannelEvent::Exit(status) => exit = Some(status),
            _ => {}
        }
    }
    assert_eq!(bytes, 100_000_000, "{:?}", connection.close_reason());
    assert_eq!(exit, Some(ExitStatus::Code(0)));
}
