//! Through other hosts, and by IPv6.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orchestrator::ssh::SshConnector;
use orchestrator::transport::{
    ChannelEvent, ConnectErrorKind, ConnectPhase, Connection, Endpoint, Route,
};
use tokio::time::timeout;

use super::{PATIENCE, Said, dial, exec, listen, nothing_is_left, tasks, works};
use crate::support::client::{connector, endpoint, settings};
use crate::support::{Direction, Fault, KeyKind, KeyPair, Proxy, Sshd};

fn known(servers: &[&Sshd]) -> String {
    servers.iter().map(|sshd| sshd.known_hosts()).collect()
}

/// The endpoint of a server as seen through another.
fn via(sshd: &Sshd, jump: Endpoint) -> Endpoint {
    Endpoint { route: Route::Via(Arc::new(jump)), ..endpoint(sshd) }
}

/// A key of its own tells the servers apart.
fn start() -> Sshd {
    Sshd::builder().host_key(KeyPair::generate(KeyKind::Ed25519)).start()
}

#[tokio::test]
async fn one_and_two_jump_hosts() {
    let (first, second, target) = (start(), start(), start());
    let connector = connector(&known(&[&first, &second, &target]));
    let tasks_before = tasks();
    for jump in [endpoint(&first), via(&second, endpoint(&first))] {
        let connection = dial(&connector, &via(&target, jump), PATIENCE).await.unwrap();
        assert_eq!(connection.facts().host_key, target.host_keys()[0].fingerprint());
        works(&*connection).await;
        drop(connection);
        nothing_is_left(tasks_before, first.addr()).await;
    }
    assert_eq!(first.log().matches("Accepted publickey").count(), 2);
    assert_eq!(second.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_jump_host_is_verified_like_any_other() {
    let (jump, target) = (start(), start());
    let through = via(&target, Endpoint { label: "vm04".into(), ..endpoint(&jump) });
    let error = dial(&connector(&known(&[&target])), &through, PATIENCE).await.err().unwrap();
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown);
    assert!(error.message.starts_with("jump host vm04: "), "{error}");
    assert!(error.hint.unwrap().contains("hosts trust vm04"));
    let error = dial(&connector(&known(&[&jump])), &through, PATIENCE).await.err().unwrap();
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown);
    assert!(!error.message.contains("jump host"), "{error}");
}

#[tokio::test]
async fn a_jump_host_that_forbids_forwarding_is_named() {
    let jump = Sshd::builder().line("AllowTcpForwarding no").start();
    let target = start();
    let through = via(&target, Endpoint { label: "vm04".into(), ..endpoint(&jump) });
    let connector = connector(&known(&[&jump, &target]));
    let tasks_before = tasks();
    let error = dial(&connector, &through, PATIENCE).await.err().unwrap();
    assert_eq!((error.phase, error.kind), (ConnectPhase::Tcp, ConnectErrorKind::Network));
    assert!(error.message.contains("jump host vm04 gives no way to"), "{error}");
    assert!(error.hint.unwrap().contains("AllowTcpForwarding"));
    nothing_is_left(tasks_before, jump.addr()).await;
}

#[tokio::test]
async fn a_target_that_does_not_listen_is_told_from_its_jump_host() {
    let (jump, target) = (start(), start());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let through = Endpoint { port: nobody.port(), ..via(&target, endpoint(&jump)) };
    let error = dial(&connector(&known(&[&jump])), &through, PATIENCE).await.err().unwrap();
    assert_eq!((error.phase, error.kind), (ConnectPhase::Tcp, ConnectErrorKind::Network));
    assert!(error.message.contains(&format!("port {}", through.port)), "{error}");
}

/// Two targets behind one jump host; the first one's consumer stops reading,
/// the second does not notice.
#[tokio::test]
async fn a_stalled_target_does_not_slow_its_sibling() {
    let (jump, one, two) = (start(), start(), start());
    let connector = connector(&known(&[&jump, &one, &two]));
    let stalled = dial(&connector, &via(&one, endpoint(&jump)), PATIENCE).await.unwrap();
    let _unread = exec(&*stalled, "yes").await.unwrap();
    let sibling = dial(&connector, &via(&two, endpoint(&jump)), PATIENCE).await.unwrap();
    for _ in 0..20 {
        works(&*sibling).await;
    }
}

/// As above, but it is the network between jump host and target that stalls.
#[tokio::test]
async fn a_silent_target_does_not_slow_its_sibling() {
    let (jump, one, two) = (start(), start(), start());
    let proxy = Proxy::start(one.addr());
    let line = format!("[127.0.0.1]:{} {}\n", proxy.addr().port(), one.host_keys()[0].public);
    let connector = connector(&(known(&[&jump, &two]) + &line));
    let behind = Endpoint { port: proxy.addr().port(), ..via(&one, endpoint(&jump)) };
    let silent = dial(&connector, &behind, PATIENCE).await.unwrap();
    let sofar = proxy.bytes(Direction::ToClient);
    proxy.set_fault(Direction::ToClient, sofar, Fault::Stall);
    let waiting = exec(&*silent, "echo late");
    assert!(timeout(Duration::from_millis(200), waiting).await.is_err());
    let sibling = dial(&connector, &via(&two, endpoint(&jump)), PATIENCE).await.unwrap();
    works(&*sibling).await;
    proxy.clear_fault(Direction::ToClient);
    works(&*silent).await;
}

/// The connection to the jump host cannot answer while nobody reads from the
/// one inside it; that is no reason to end it.
#[tokio::test]
async fn a_slow_consumer_behind_a_jump_host_keeps_its_connection() {
    let (jump, target) = (start(), start());
    let mut settings = settings(&known(&[&jump, &target]));
    settings.keepalive = Duration::from_millis(300);
    let connector = SshConnector::new(settings);
    let through = via(&target, endpoint(&jump));
    let connection = dial(&connector, &through, PATIENCE).await.unwrap();
    // Small writes become many messages, more than wait for a reader.
    let mut channel = exec(&*connection, "while :; do echo x; done").await.unwrap();
    // Long enough for several questions to go unanswered.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(connection.is_open(), "{:?}", connection.close_reason());
    for _ in 0..1000 {
        assert!(channel.output.next().await.is_some(), "{:?}", connection.close_reason());
    }
    drop(channel);
    works(&*connection).await;
}

#[tokio::test]
async fn ipv6() {
    let sshd = Sshd::builder().ipv6().start();
    let connection = dial(&connector(&sshd.known_hosts()), &endpoint(&sshd), PATIENCE).await;
    let connection = connection.unwrap();
    assert_eq!(connection.facts().address, format!("[::1]:{}", sshd.port()));
    works(&*connection).await;
    // And through a jump host, where it is the jump host that dials it.
    let jump = start();
    let connector = connector(&known(&[&jump, &sshd]));
    works(&*dial(&connector, &via(&sshd, endpoint(&jump)), PATIENCE).await.unwrap()).await;
}

/// `localhost` may have an IPv6 address too, where nobody listens.
#[tokio::test]
async fn a_name_is_tried_at_each_of_its_addresses() {
    let sshd = Sshd::start();
    let known_hosts = format!("[localhost]:{} {}\n", sshd.port(), sshd.host_keys()[0].public);
    let named = Endpoint { address: "localhost".into(), ..endpoint(&sshd) };
    works(&*dial(&connector(&known_hosts), &named, PATIENCE).await.unwrap()).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_error_with_a_next_step() {
    let sshd = Sshd::start();
    let named = Endpoint { address: "no-such-host.invalid".into(), ..endpoint(&sshd) };
    let error = dial(&connector(""), &named, PATIENCE).await.err().unwrap();
    assert_eq!(error.phase, ConnectPhase::Tcp);
    assert!(error.message.contains("cannot resolve no-such-host.invalid"), "{error}");
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn stdin_reaches_a_command_through_a_jump_host() {
    let (jump, target) = (start(), start());
    let connector = connector(&known(&[&jump, &target]));
    let connection: Arc<dyn Connection> =
        dial(&connector, &via(&target, endpoint(&jump)), PATIENCE).await.unwrap();
    let mut channel = exec(&*connection, "cat").await.unwrap();
    channel.input.write(Bytes::from_static(b"through\n")).await.unwrap();
    channel.input.eof().await.unwrap();
    assert_eq!(channel.output.next().await, Some(ChannelEvent::Accepted));
    assert_eq!(listen(&mut *channel.output).await, Said::exited("through\n", 0));
}
