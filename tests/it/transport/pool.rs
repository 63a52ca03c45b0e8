//! Sessions on kept connections.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use orchestrator::session::{Bounds, Session, SessionManager, Use};
use orchestrator::transport::{ConnectErrorKind, Endpoint};
use tokio::time::timeout;

use super::{PATIENCE, Target, nothing_is_left, tasks, works};
use crate::support::{Behaviour, Direction, Fault, Hostile, Proxy, Sshd, wait_until};

/// An sshd behind a proxy that counts connections, and a pool for it.
struct Pooled {
    sshd: Sshd,
    proxy: Proxy,
    sessions: SessionManager,
    endpoint: Endpoint,
    _target: Target,
}

impl Pooled {
    fn start(bounds: Bounds) -> Self {
        let sshd = Sshd::builder().line("MaxStartups 100").start();
        let proxy = Proxy::start(sshd.addr());
        let key = &sshd.host_keys()[0].public;
        let known_hosts = format!("[127.0.0.1]:{} {key}\n", proxy.addr().port());
        let target = Target::new(proxy.addr(), &known_hosts);
        let connector = crate::support::client::connector(&known_hosts);
        let sessions = SessionManager::new(Arc::new(connector), bounds);
        Self { sshd, proxy, sessions, endpoint: target.endpoint.clone(), _target: target }
    }

    async fn claim(&self, r#use: Use) -> Session {
        self.sessions.claim(&self.endpoint, r#use).await.unwrap()
    }

    fn connections(&self) -> u64 {
        self.proxy.connections()
    }
}

#[tokio::test]
async fn the_next_command_reuses_the_connection() {
    let pool = Pooled::start(Bounds::default());
    for round in 0..5 {
        let session = pool.claim(Use::Shared).await;
        assert_eq!(session.is_fresh(), round == 0);
        works(&**session.connection()).await;
    }
    let exclusive = pool.claim(Use::Exclusive).await;
    assert!(!exclusive.is_fresh());
    assert_eq!(pool.connections(), 1);
}

#[tokio::test]
async fn claims_at_once_share_connections_up_to_the_bound() {
    let bounds = Bounds { channels_max: 4, ..Bounds::default() };
    let pool = Pooled::start(bounds);
    let claims = join_all((0..10).map(|_| pool.claim(Use::Shared))).await;
    assert_eq!(pool.connections(), 3);
    for claim in &claims {
        let same = |other: &&Session| Arc::ptr_eq(claim.connection(), other.connection());
        assert!(claims.iter().filter(same).count() <= 4);
    }
    // All of them work at once, on an sshd with its own MaxSessions.
    join_all(claims.iter().map(|claim| works(&**claim.connection()))).await;
    drop(claims);
    assert!(!pool.claim(Use::Shared).await.is_fresh());
}

#[tokio::test]
async fn who_wants_more_of_one_host_waits() {
    let pool = Pooled::start(Bounds { sessions_max: 2, ..Bounds::default() });
    let (one, two) = (pool.claim(Use::Shared).await, pool.claim(Use::Exclusive).await);
    let mut three = Box::pin(pool.claim(Use::Shared));
    assert!(timeout(Duration::from_millis(50), &mut three).await.is_err());
    drop(one);
    let three = timeout(PATIENCE, three).await.unwrap();
    assert!(!three.is_fresh());
    drop((two, three));
}

#[tokio::test]
async fn exclusive_use_does_not_share() {
    let pool = Pooled::start(Bounds::default());
    let exclusive = pool.claim(Use::Exclusive).await;
    let shared = pool.claim(Use::Shared).await;
    let another = pool.claim(Use::Exclusive).await;
    assert!(!Arc::ptr_eq(exclusive.connection(), shared.connection()));
    assert!(!Arc::ptr_eq(exclusive.connection(), another.connection()));
    assert!(!Arc::ptr_eq(shared.connection(), another.connection()));
    assert_eq!(pool.connections(), 3);
    // Given back, it is anybody's.
    let kept = Arc::clone(exclusive.connection());
    drop((exclusive, shared, another));
    let claims = join_all((0..3).map(|_| pool.claim(Use::Exclusive))).await;
    assert!(claims.iter().any(|claim| Arc::ptr_eq(claim.connection(), &kept)));
    assert_eq!(pool.connections(), 3);
}

#[tokio::test]
async fn another_endpoint_is_another_connection() {
    let pool = Pooled::start(Bounds::default());
    let _one = pool.claim(Use::Shared).await;
    for other in [
        Endpoint { profile: Some("strict".into()), ..pool.endpoint.clone() },
        Endpoint { label: "vm02".into(), ..pool.endpoint.clone() },
    ] {
        assert!(pool.sessions.claim(&other, Use::Shared).await.unwrap().is_fresh());
    }
    assert_eq!(pool.connections(), 3);
}

#[tokio::test]
async fn a_dead_connection_is_not_handed_out() {
    let pool = Pooled::start(Bounds::default());
    for ending in ["reset", "killed", "aborted"] {
        let session = pool.claim(Use::Shared).await;
        let connection = Arc::clone(session.connection());
        drop(session);
        match ending {
            "reset" => pool.proxy.reset_connections(),
            "killed" => pool.sshd.kill_sessions(),
            _ => connection.abort(),
        }
        wait_until("the connection is known to be dead", || !connection.is_open()).await;
        let session = pool.claim(Use::Shared).await;
        assert!(session.is_fresh(), "{ending}");
        works(&**session.connection()).await;
    }
}

#[tokio::test]
async fn idle_connections_are_bounded_over_all_hosts() {
    let bounds = Bounds { idle_max: 2, ..Bounds::default() };
    let pool = Pooled::start(bounds);
    let before = tasks();
    let claims = join_all((0..5).map(|_| pool.claim(Use::Exclusive))).await;
    drop(claims);
    let kept = || super::sockets_to(pool.proxy.addr());
    wait_until("two are kept", || kept() == 2).await;
    let Pooled { sessions, proxy, .. } = pool;
    drop(sessions);
    nothing_is_left(before, proxy.addr()).await;
}

#[tokio::test]
async fn a_pool_may_keep_no_idle_connection_at_all() {
    let pool = Pooled::start(Bounds { idle_max: 0, ..Bounds::default() });
    let before = tasks();
    for _ in 0..2 {
        works(&**pool.claim(Use::Shared).await.connection()).await;
        nothing_is_left(before, pool.proxy.addr()).await;
    }
    assert_eq!(pool.connections(), 2);
}

#[tokio::test]
async fn handshakes_at_once_are_bounded() {
    let bounds = Bounds { handshakes_max: 3, ..Bounds::default() };
    let pool = Pooled::start(bounds);
    // The server does not get to say anything, so each handshake stays one.
    pool.proxy.set_fault(Direction::ToClient, 0, Fault::Stall);
    let all = join_all((0..20).map(|_| pool.sessions.connect(&pool.endpoint)));
    let watch = async {
        wait_until("three came", || pool.connections() == 3).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(pool.connections(), 3);
        pool.proxy.clear_fault(Direction::ToClient);
    };
    let (all, ()) = tokio::join!(all, watch);
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(pool.connections(), 20);
}

#[tokio::test]
async fn a_claim_that_is_given_up_leaves_nothing() {
    let bounds = Bounds { handshakes_max: 1, ..Bounds::default() };
    let pool = Pooled::start(bounds);
    let before = tasks();
    pool.proxy.set_fault(Direction::ToClient, 0, Fault::Stall);
    for claims in 1..=3 {
        let claiming = pool.claim(Use::Shared);
        let come = wait_until("it came", || pool.connections() == claims);
        tokio::select! {
            _ = claiming => panic!("nobody answers"),
            () = come => {}
        }
        nothing_is_left(before, pool.proxy.addr()).await;
    }
    pool.proxy.clear_fault(Direction::ToClient);
    works(&**pool.claim(Use::Shared).await.connection()).await;
}

/// Those who wait for somebody else's attempt share its failure: each trying
/// for itself would take as many deadlines, and offer a refused key as often.
#[tokio::test]
async fn an_attempt_that_fails_fails_for_all_who_wait_for_it() {
    let server = Hostile::start(Behaviour::RefusesAuth);
    let target = Target::hostile(&server);
    let connector = crate::support::client::connector(&server.known_hosts());
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    for attempts in 1..=2 {
        let claims = (0..8).map(|_| sessions.claim(&target.endpoint, Use::Shared));
        for claim in join_all(claims).await {
            assert_eq!(claim.err().unwrap().kind, ConnectErrorKind::Auth);
        }
        assert_eq!(server.connections(), attempts);
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_left_alone_for_a_while() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::new(nobody, "");
    let connector = crate::support::client::connector("");
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    let refusal = async |endpoint: &Endpoint| sessions.connect(endpoint).await.err().unwrap();
    for _ in 0..5 {
        assert_eq!(refusal(&target.endpoint).await.kind, ConnectErrorKind::Network);
    }
    let error = refusal(&target.endpoint).await;
    assert_eq!(error.kind, ConnectErrorKind::CircuitOpen);
    assert!(!error.is_transient());
    assert!(error.message.contains("5 attempts to connect failed"), "{error}");
    // Another host's attempts are its own.
    let other = Endpoint { label: "vm02".into(), ..target.endpoint.clone() };
    assert_eq!(refusal(&other).await.kind, ConnectErrorKind::Network);
}

#[tokio::test]
async fn a_host_that_refuses_us_is_there() {
    let server = Hostile::start(Behaviour::RefusesAuth);
    let target = Target::hostile(&server);
    let connector = crate::support::client::connector(&server.known_hosts());
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    for _ in 0..8 {
        let error = sessions.connect(&target.endpoint).await.err().unwrap();
        assert_eq!(error.kind, ConnectErrorKind::Auth);
    }
}

/// More at once than sshd's own MaxStartups lets in. The gate keeps below it but
/// for a few that sshd has let in and not yet noticed; those are told to try
/// again.
#[tokio::test]
async fn check_46_many_at_once_get_in_to_a_default_sshd() {
    let sshd = Sshd::start();
    let target = Target::new(sshd.addr(), &sshd.known_hosts());
    let connector = crate::support::client::connector(&sshd.known_hosts());
    let sessions = SessionManager::new(Arc::new(connector), Bounds::default());
    let get_in = async || {
        loop {
            match sessions.connect(&target.endpoint).await {
                Ok(connection) => return connection,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    };
    let all = join_all((0..120).map(|_| get_in()));
    assert_eq!(timeout(PATIENCE, all).await.expect("all get in").len(), 120);
}
