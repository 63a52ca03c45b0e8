//! Host keys through real connections: known, changed, revoked, of another
//! type, pinned.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use orchestrator::transport::{ConnectErrorKind, ConnectPhase};
use sha1::Sha1;

use super::{PATIENCE, Target, dial, works};
use crate::support::{KeyKind, Proxy, Sshd, client};

/// The name under which a server that is not on port 22 is recorded.
fn name(sshd: &Sshd) -> String {
    format!("[{}]:{}", sshd.addr().ip(), sshd.port())
}

#[tokio::test]
async fn check_11_the_known_type_is_asked_for() {
    let kinds = [KeyKind::Ed25519, KeyKind::Rsa3072, KeyKind::Ecdsa256];
    let sshd = Sshd::builder().host_keys(&kinds).start();
    for (line, negotiated) in
        sshd.known_hosts().lines().zip(["ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"])
    {
        let connection = Target::new(sshd.addr(), line).connect().await;
        assert_eq!(connection.facts().host_key_type, negotiated);
    }
}

#[tokio::test]
async fn check_11_only_another_type_is_known() {
    let sshd = Sshd::start();
    let other = crate::support::KeyPair::shared(KeyKind::Ecdsa256);
    let known_hosts = format!("{} {}\n", name(&sshd), other.public);
    let error = Target::new(sshd.addr(), &known_hosts).refusal().await;
    assert_eq!(error.phase, ConnectPhase::HostKey);
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknownType, "{error}");
    for part in [sshd.host_keys()[0].fingerprint(), other.fingerprint()] {
        assert!(error.message.contains(&part), "{error}");
    }
}

#[tokio::test]
async fn check_11_nothing_is_known() {
    let sshd = Sshd::start();
    let error = Target::new(sshd.addr(), "").refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::HostKeyUnknown);
    let fingerprint = sshd.host_keys()[0].fingerprint();
    assert!(error.message.contains(&fingerprint), "{error}");
    assert!(error.hint.unwrap().contains("hosts trust vm01"));
    assert_eq!(error.host_key, Some(fingerprint));
    assert!(!sshd.log().contains("userauth"), "nothing is sent: {}", sshd.log());
}

#[tokio::test]
async fn check_12_a_changed_key_is_refused_in_full_and_disturbs_nobody_else() {
    let mut changed = Sshd::start();
    let others: Vec<Sshd> = (0..4).map(|_| Sshd::start()).collect();
    let old = changed.host_keys()[0].fingerprint();
    let mut known_hosts = format!("# a comment\n\n{}", changed.known_hosts());
    known_hosts.extend(others.iter().map(Sshd::known_hosts));
    changed.restart_with_other_host_key();
    let connector = client::connector(&known_hosts);
    let endpoint = client::endpoint(&changed);
    let fine = async {
        for sshd in &others {
            works(&*dial(&connector, &client::endpoint(sshd), PATIENCE).await.unwrap()).await;
        }
    };
    let (refused, ()) = tokio::join!(dial(&connector, &endpoint, PATIENCE), fine);
    let error = refused.err().unwrap();
    assert_eq!(error.kind, ConnectErrorKind::HostKeyChanged);
    assert!(!error.is_transient());
    let new = changed.host_keys()[0].fingerprint();
    for part in [old.as_str(), new.as_str(), ":3"] {
        assert!(error.message.contains(part), "no {part}: {error}");
    }
    let hint = error.hint.clone().unwrap();
    assert!(hint.contains("ssh-keygen -f ") && hint.contains(" -R "), "{hint}");
    // It is not repaired: the next attempt meets the same refusal.
    let again = dial(&connector, &endpoint, PATIENCE).await.err().unwrap();
    assert_eq!(again.message, error.message);
}

#[tokio::test]
async fn check_13_a_revoked_key_is_refused_whatever_else_is_recorded() {
    let sshd = Sshd::start();
    let (plain, key) = (sshd.known_hosts(), &sshd.host_keys()[0].public);
    for pattern in [name(&sshd), "*".to_owned(), hashed(&name(&sshd))] {
        let known_hosts = format!("{plain}@revoked {pattern} {key}\n");
        let mut target = Target::new(sshd.addr(), &known_hosts);
        let error = target.refusal().await;
        assert_eq!(error.kind, ConnectErrorKind::HostKeyRevoked, "{pattern}: {error}");
        assert!(error.message.contains(":2"), "{error}");
        // A pin does not outrank a revocation.
        target.endpoint.trust.pins = vec![key.clone()];
        assert_eq!(target.refusal().await.kind, ConnectErrorKind::HostKeyRevoked, "{pattern}");
    }
}

/// `|1|salt|hash`, as `HashKnownHosts` writes it.
fn hashed(name: &str) -> String {
    let salt = [7; 20];
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn check_16_another_key_at_the_second_connection_is_refused() {
    let (first, second) = (Sshd::start(), {
        let key = crate::support::KeyPair::generate(KeyKind::Ed25519);
        Sshd::builder().host_key(key).start()
    });
    let proxy = Proxy::start(first.addr());
    let known_hosts =
        format!("[127.0.0.1]:{} {}\n", proxy.addr().port(), first.host_keys()[0].public);
    let target = Target::new(proxy.addr(), &known_hosts);
    let connection = target.connect().await;
    proxy.set_upstream(second.addr());
    assert_eq!(target.refusal().await.kind, ConnectErrorKind::HostKeyChanged);
    works(&*connection).await;
}

#[tokio::test]
async fn a_pin_decides_alone() {
    let sshd = Sshd::builder().host_keys(&[KeyKind::Ed25519, KeyKind::Ecdsa256]).start();
    let [ed25519, ecdsa] = sshd.host_keys() else { panic!("two keys") };
    let mut target = Target::new(sshd.addr(), "");
    for (pin, negotiated) in [
        (ed25519.fingerprint(), "ssh-ed25519"),
        (ed25519.public.clone(), "ssh-ed25519"),
        (ecdsa.public.clone(), "ecdsa-sha2-nistp256"),
    ] {
        target.endpoint.trust.pins = vec![pin];
        assert_eq!(target.connect().await.facts().host_key_type, negotiated);
    }
    let other = crate::support::KeyPair::generate(KeyKind::Ed25519).fingerprint();
    let mut target = Target::new(sshd.addr(), &sshd.known_hosts());
    target.endpoint.trust.pins = vec![other.clone()];
    let error = target.refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::HostKeyChanged);
    for part in [&other, &ed25519.fingerprint()] {
        assert!(error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_alias_is_looked_up_instead_of_the_address() {
    let sshd = Sshd::start();
    let known_hosts = format!("web-1.example {}\n", sshd.host_keys()[0].public);
    let mut target = Target::new(sshd.addr(), &known_hosts);
    assert_eq!(target.refusal().await.kind, ConnectErrorKind::HostKeyUnknown);
    target.endpoint.trust.alias = Some("web-1.example".into());
    works(&*target.connect().await).await;
}

#[tokio::test]
async fn a_wrong_signature_is_no_proof() {
    let server = crate::support::Hostile::start(crate::support::Behaviour::WrongSignature);
    let error = Target::hostile(&server).refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::Protocol, "{error}");
    assert!(error.message.contains("signature"), "{error}");
}
