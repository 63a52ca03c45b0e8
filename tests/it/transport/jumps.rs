//! Through other hosts, and by IPv6.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use orchestrator::session::{Bounds, SessionManager, Use};
use orchestrator::ssh::SshConnector;
use orchestrator::transport::{
    ChannelEvent, ConnectErrorKind, ConnectPhase, Connection, Endpoint, Route,
};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::wedges::round_trip;
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

/// Eight busy targets and two that are stuck, one because nobody reads from it
/// and one because the network is silent, all on one connection to the jump
/// host.
#[tokio::test]
async fn targets_share_a_carrier_and_a_stalled_one_slows_nobody() {
    let (jump, target) = (start(), start());
    let proxy = Proxy::start(target.addr());
    let line = format!("[127.0.0.1]:{} {}\n", proxy.addr().port(), target.host_keys()[0].public);
    let connector = connector(&(known(&[&jump, &target]) + &line));
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    let tasks_before = tasks();
    let behind = via(&target, endpoint(&jump));
    let silenced = Endpoint { port: proxy.addr().port(), ..behind.clone() };
    let (unread, silent) = tokio::join!(sessions.connect(&behind), sessions.connect(&silenced));
    let (unread, silent) = (unread.unwrap(), silent.unwrap());
    // Everything that SSH inside the stream allows is under way, unread.
    let _unread = exec(&*unread, "yes").await.unwrap();
    proxy.set_fault(Direction::ToClient, proxy.bytes(Direction::ToClient), Fault::Stall);
    let _silent = exec(&*silent, "yes").boxed().now_or_never();

    let busy = (0..8).map(|number| {
        let endpoint = Endpoint { label: format!("vm{number:02}"), ..behind.clone() };
        let sessions = &sessions;
        async move {
            let session = sessions.claim(&endpoint, Use::Exclusive).await.unwrap();
            round_trip(&**session.connection(), "cat", 4 * 1024 * 1024, PATIENCE).await;
            works(&**session.connection()).await;
        }
    });
    timeout(PATIENCE, join_all(busy)).await.expect("they are not held up");
    assert_eq!(jump.log().matches("Accepted publickey").count(), 1);

    // Nothing of it outlives those who use it.
    drop((_unread, _silent, unread, silent, sessions));
    nothing_is_left(tasks_before, jump.addr()).await;
}

#[tokio::test]
async fn a_carrier_takes_so_many_targets_and_then_another_is_made() {
    let (jump, target) = (start(), start());
    let connector = connector(&known(&[&jump, &target]));
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    let behind = via(&target, endpoint(&jump));
    let all = join_all((0..20).map(|_| sessions.connect(&behind))).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(jump.log().matches("Accepted publickey").count(), 2);
    // One for a kill shares nothing.
    works(&*sessions.connect_apart(&behind).await.unwrap()).await;
    assert_eq!(jump.log().matches("Accepted publickey").count(), 3);
    jump.kill_sessions();
    for connection in &all {
        timeout(PATIENCE, connection.closed()).await.expect("it is noticed");
    }
    works(&*sessions.connect(&behind).await.unwrap()).await;
}

/// One that sends what no SSH server may: its stream ends, and nothing else
/// notices.
#[tokio::test]
async fn a_stream_that_nobody_reads_is_bounded() {
    let jump = start();
    let connection = dial(&connector(&known(&[&jump])), &endpoint(&jump), PATIENCE).await.unwrap();
    let flood = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = flood.local_addr().unwrap().port();
    let flooding = std::thread::spawn(move || {
        let (mut stream, _) = flood.accept().unwrap();
        let chunk = vec![0_u8; 1024 * 1024];
        // Until it is cut off.
        (0..200).take_while(|_| stream.write_all(&chunk).is_ok()).count()
    });
    let mut stream = connection.open_stream("127.0.0.1", port).await.unwrap();
    let cut_off = tokio::task::spawn_blocking(|| flooding.join().unwrap());
    let sent = timeout(PATIENCE, cut_off).await.expect("it is cut off").unwrap();
    assert!(sent < 100, "{sent} MiB");
    works(&*connection).await;
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends").unwrap();
    assert!(bytes.len() <= 32 * 1024 * 1024, "{}", bytes.len());
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
