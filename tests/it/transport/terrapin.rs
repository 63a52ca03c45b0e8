//! Strict key exchange, the answer to CVE-2023-48795.

use orchestrator::transport::{ConnectErrorKind, ConnectPhase};
use russh::{cipher, mac};

use super::library::Echo;
use super::{Target, works};
use crate::support::{Behaviour, Hostile, Sshd};

#[tokio::test]
async fn check_06_a_message_slipped_in_before_newkeys_ends_the_connection() {
    for profile in ["strong", "strict"] {
        let server = Hostile::start(Behaviour::IgnoreBeforeNewkeys);
        let error = Target::hostile(&server).profile(profile).refusal().await;
        let met = (error.phase, error.kind);
        assert_eq!(met, (ConnectPhase::Kex, ConnectErrorKind::Protocol), "{profile}: {error}");
        assert!(error.message.contains("strict key exchange"), "{profile}: {error}");
        assert!(server.commands().is_empty());
    }
}

#[tokio::test]
async fn check_06_strong_needs_no_strict_kex_for_gcm() {
    let server = Hostile::start(Behaviour::NotStrict);
    let connection = Target::hostile(&server).connect().await;
    assert!(!connection.facts().strict_kex);
    works(&*connection).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn check_06_strong_falls_back_to_what_terrapin_cannot_reach() {
    let chacha = &[cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];
    let ctr = &[cipher::AES_256_CTR];
    let macs = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA256];
    for ciphers in [&chacha[..], &ctr[..]] {
        let server = Echo::without_strict_kex(ciphers, macs).await;
        let target = Target::new(server.address, &server.known_hosts);
        let connection = target.connect().await;
        let facts = connection.facts();
        let got = (facts.cipher.as_str(), facts.mac.as_str(), facts.strict_kex);
        assert_eq!(got, ("aes256-ctr", "hmac-sha2-256", false));
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn check_06_strong_refuses_a_server_with_nothing_else() {
    let server = Hostile::start(Behaviour::NotStrictChacha);
    let error = Target::hostile(&server).refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::Algorithms, "{error}");
    assert!(error.message.contains("chacha20-poly1305@openssh.com"), "{error}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn check_06_strict_refuses_a_server_without_strict_kex() {
    for behaviour in [Behaviour::NotStrict, Behaviour::NotStrictChacha] {
        let server = Hostile::start(behaviour);
        let error = Target::hostile(&server).profile("strict").refusal().await;
        assert_eq!(error.kind, ConnectErrorKind::Algorithms, "{error}");
        assert!(error.message.contains("CVE-2023-48795"), "{error}");
        assert_eq!(server.connections(), 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn check_06_a_current_sshd_is_strict() {
    let sshd = Sshd::start();
    let target = Target::new(sshd.addr(), &sshd.known_hosts()).profile("strict");
    assert!(target.connect().await.facts().strict_kex);
}
