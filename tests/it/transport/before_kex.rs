//! Servers that never get to key exchange, and odd identifications.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::future::join_all;
use orchestrator::transport::{ConnectErrorKind, ConnectPhase};
use tokio::time::Instant;

use super::{GROWTH_MAX_KIB, Target, nothing_is_left, tasks, works};
use crate::support::{Behaviour, Hostile, rss_kib};

/// The deadline that a user may set, and how late we may be.
const DEADLINE: Duration = Duration::from_secs(3);
const LATE_MAX: Duration = Duration::from_secs(2);

#[tokio::test]
async fn check_03_pre_kex_misbehaviour_ends_within_the_deadline_in_the_right_phase() {
    use Behaviour as B;
    use ConnectErrorKind::{Deadline, Network, Protocol};
    use ConnectPhase::{Banner, Kex};
    let cases = [
        (B::Silent, Banner, Deadline),
        (B::SlowBanner, Banner, Deadline),
        (B::StallsBeforeKexinit, Kex, Deadline),
        (B::Ssh15, Banner, Protocol),
        (B::EndlessBanner, Banner, Protocol),
        (B::HugePacketLength, Kex, Protocol),
        (B::Resets, Banner, Network),
        (B::SpeaksHttp, Banner, Protocol),
        (B::Closes, Banner, Network),
    ];
    let (tasks_before, rss_before) = (tasks(), rss_kib());
    let attempts = cases.map(|(behaviour, phase, kind)| async move {
        let server = Hostile::start(behaviour);
        let target = Target::hostile(&server);
        let started = Instant::now();
        let error = target.connect_within(DEADLINE).await.err().unwrap();
        let took = started.elapsed();
        assert!(took < DEADLINE + LATE_MAX, "{behaviour:?} took {took:?}");
        assert_eq!(error.kind, kind, "{behaviour:?}: {error}");
        // A reset may be there before the connection is.
        let reset_at_once = behaviour == B::Resets && error.phase == ConnectPhase::Tcp;
        assert!(error.phase == phase || reset_at_once, "{behaviour:?}: {error}");
        let address = target.endpoint.authority();
        assert!(error.message.contains(&address), "{behaviour:?}: {error}");
        assert!(!error.message.contains("os error"), "{behaviour:?}: {error}");
        server
    });
    let servers = join_all(attempts).await;
    for server in &servers {
        nothing_is_left(tasks_before, server.addr()).await;
    }
    let growth = rss_kib().saturating_sub(rss_before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
}

#[tokio::test]
async fn check_03_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Target::new(address, "").refusal().await;
    assert_eq!((error.phase, error.kind), (ConnectPhase::Tcp, ConnectErrorKind::Network));
    assert!(error.message.contains("connection refused"), "{error}");
}

#[tokio::test]
async fn check_04_identifications_that_rfc_4253_allows_are_accepted() {
    for behaviour in [Behaviour::LinesBeforeBanner, Behaviour::Ssh199, Behaviour::BannerWithoutCr] {
        let server = Hostile::start(behaviour);
        works(&*Target::hostile(&server).connect().await).await;
    }
}

#[tokio::test]
async fn check_04_identifications_that_it_forbids_are_refused_in_words() {
    let lines = "They may say what they like.\r\n".repeat(10_000);
    let long = format!("SSH-2.0-{}\r\n", "x".repeat(8 * 1024));
    let rss_before = rss_kib();
    for (banner, why) in [
        ("SSH-2.0-Nul\0Inside\r\n", "holds a NUL"),
        (&long, "longer than 255 bytes"),
        (&lines, "64 KiB without an SSH identification"),
        ("SSH-1.5-Old\r\n", r#"does not speak SSH 2.0 but says "SSH-1.5-Old""#),
    ] {
        let error = Target::new(says(banner), "").refusal().await;
        let met = (error.phase, error.kind);
        assert_eq!(met, (ConnectPhase::Banner, ConnectErrorKind::Protocol), "{error}");
        assert!(error.message.contains(why), "{error}");
    }
    // This one may still say more.
    let error = Target::new(says("220 smtp\r\n"), "").connect_within(DEADLINE).await.err().unwrap();
    let met = (error.phase, error.kind);
    assert_eq!(met, (ConnectPhase::Banner, ConnectErrorKind::Deadline), "{error}");
    let growth = rss_kib().saturating_sub(rss_before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
}

/// A server that says this and waits.
fn says(text: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let text = text.to_owned();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    });
    address
}
