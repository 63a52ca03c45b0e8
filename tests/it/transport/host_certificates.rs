//! Host certificates served by a real sshd.

use orchestrator::transport::ConnectErrorKind;

use super::{Target, works};
use crate::support::{CertificateAuthority, KeyKind, KeyPair, Sshd};

fn serving(key: &KeyPair, certificate: String) -> Sshd {
    Sshd::builder().host_key(key.clone()).certificate(certificate).start()
}

fn vouches(authority: &CertificateAuthority) -> String {
    format!("@cert-authority * {}\n", authority.key.public)
}

#[tokio::test]
async fn check_14_the_right_certificate_proves_a_host() {
    let authority = CertificateAuthority::new(KeyKind::Ed25519);
    let key = KeyPair::generate(KeyKind::Ed25519);
    let sshd = serving(&key, authority.host_certificate(&key, "other,127.0.0.1"));
    works(&*Target::new(sshd.addr(), &vouches(&authority)).connect().await).await;
}

#[tokio::test]
async fn check_14_a_bad_certificate_proves_nothing_but_its_key_may() {
    let authority = CertificateAuthority::new(KeyKind::Rsa3072);
    let key = KeyPair::generate(KeyKind::Ed25519);
    let day = ["-V", "-1h:+1d"];
    for (what, arguments) in [
        ("wrong principal", &["-h", "-n", "other", day[0], day[1]][..]),
        ("expired", &["-h", "-n", "127.0.0.1", "-V", "-2d:-1d"]),
        ("not yet valid", &["-h", "-n", "127.0.0.1", "-V", "+1d:+2d"]),
        ("a user's", &["-n", "127.0.0.1", day[0], day[1]]),
        ("no principal", &["-h", day[0], day[1]]),
        ("signed with SHA-1", &["-h", "-n", "127.0.0.1", "-t", "ssh-rsa", day[0], day[1]]),
    ] {
        let sshd = serving(&key, authority.sign(&key, arguments));
        let error = Target::new(sshd.addr(), &vouches(&authority)).refusal().await;
        assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{what}: {error}");
        assert!(error.message.contains(&key.fingerprint()), "{what}: {error}");
        let both = format!("{}{}", vouches(&authority), sshd.known_hosts());
        works(&*Target::new(sshd.addr(), &both).connect().await).await;
    }
}

#[tokio::test]
async fn check_14_another_authority_proves_nothing() {
    let (ours, theirs) =
        (CertificateAuthority::new(KeyKind::Ed25519), CertificateAuthority::new(KeyKind::Ed25519));
    let key = KeyPair::generate(KeyKind::Ed25519);
    let sshd = serving(&key, theirs.host_certificate(&key, "127.0.0.1"));
    let error = Target::new(sshd.addr(), &vouches(&ours)).refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown, "{error}");
}

#[tokio::test]
async fn check_13_a_certificate_of_a_revoked_authority_is_refused() {
    let authority = CertificateAuthority::new(KeyKind::Ed25519);
    let key = KeyPair::generate(KeyKind::Ed25519);
    let sshd = serving(&key, authority.host_certificate(&key, "127.0.0.1"));
    let known_hosts = format!("{}@revoked * {}\n", vouches(&authority), authority.key.public);
    let error = Target::new(sshd.addr(), &known_hosts).refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::HostKeyRevoked, "{error}");
}

/// Asking for certificates where nobody vouches would hide the plain key.
#[tokio::test]
async fn check_14_without_an_authority_the_plain_key_is_asked_for() {
    let authority = CertificateAuthority::new(KeyKind::Ed25519);
    let key = KeyPair::generate(KeyKind::Ed25519);
    let sshd = serving(&key, authority.host_certificate(&key, "127.0.0.1"));
    let connection = Target::new(sshd.addr(), &sshd.known_hosts()).connect().await;
    assert_eq!(connection.facts().host_key_type, "ssh-ed25519");
}
