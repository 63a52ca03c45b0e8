//! RSA: how long a key must be, and never a signature with SHA-1.

use orchestrator::transport::{ConnectErrorKind, ConnectPhase};

use super::library::Echo;
use super::{Target, works};
use crate::support::{KeyKind, KeyPair, Sshd};

#[tokio::test]
async fn check_09_host_keys_of_three_lengths() {
    for (kind, profile, refused) in [
        (KeyKind::Rsa1024, "strong", Some("1024 bits; 2048 are required")),
        (KeyKind::Rsa2048, "strong", None),
        (KeyKind::Rsa3072, "strong", None),
        (KeyKind::Rsa1024, "strict", Some("1024 bits; 3072 are required")),
        (KeyKind::Rsa2048, "strict", Some("2048 bits; 3072 are required")),
        (KeyKind::Rsa3072, "strict", None),
    ] {
        let sshd = Sshd::builder().host_keys(&[kind]).start();
        let target = Target::new(sshd.addr(), &sshd.known_hosts()).profile(profile);
        match refused {
            None => {
                let connection = target.connect().await;
                assert_eq!(connection.facts().host_key_type, "rsa-sha2-512", "{kind:?}");
            }
            Some(why) => {
                let error = target.refusal().await;
                assert_eq!(error.kind, ConnectErrorKind::Algorithms, "{error}");
                assert!(error.message.contains(why), "{error}");
                assert_eq!(error.host_key, Some(sshd.host_keys()[0].fingerprint()));
            }
        }
    }
}

#[tokio::test]
async fn check_09_a_short_key_of_ours_is_not_used() {
    let sshd = Sshd::builder().client_key(KeyPair::shared(KeyKind::Rsa1024)).start();
    let mut target = Target::new(sshd.addr(), &sshd.known_hosts());
    target.endpoint.identity.key_file = Some(sshd.client_key());
    let error = target.refusal().await;
    assert_eq!((error.phase, error.kind), (ConnectPhase::Key, ConnectErrorKind::Key));
    assert!(error.message.contains("1024 bits; at least 2048"), "{error}");
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}

#[tokio::test]
async fn check_09_our_rsa_signature_is_by_sha2() {
    let sshd = Sshd::builder().client_key(KeyPair::shared(KeyKind::Rsa3072)).debug().start();
    let mut target = Target::new(sshd.addr(), &sshd.known_hosts());
    target.endpoint.identity.key_file = Some(sshd.client_key());
    works(&*target.connect().await).await;
    let log = sshd.log();
    assert!(log.contains("pkalg rsa-sha2-512"), "{log}");
    assert!(!log.contains("pkalg ssh-rsa"), "{log}");
}

#[tokio::test]
async fn check_09_a_server_that_says_it_wants_sha1_gets_no_signature() {
    let server = Echo::that_takes_rsa_only_with_sha1().await;
    let mut target = Target::new(server.address, &server.known_hosts);
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::shared(KeyKind::Rsa3072).write_to(dir.path().join("key"));
    target.endpoint.identity.key_file = Some(key);
    let error = target.refusal().await;
    let met = (error.phase, error.kind);
    assert_eq!(met, (ConnectPhase::Auth, ConnectErrorKind::Algorithms), "{error}");
    assert!(error.message.contains("SHA-1"), "{error}");
}

#[tokio::test]
async fn check_09_a_server_that_accepts_only_sha1_gets_no_such_signature() {
    let sshd = Sshd::builder()
        .client_key(KeyPair::shared(KeyKind::Rsa3072))
        .line("PubkeyAcceptedAlgorithms ssh-rsa")
        .debug()
        .start();
    let mut target = Target::new(sshd.addr(), &sshd.known_hosts());
    target.endpoint.identity.key_file = Some(sshd.client_key());
    let error = target.refusal().await;
    // This sshd says that it takes SHA-2 and then does not.
    assert_eq!((error.phase, error.kind), (ConnectPhase::Auth, ConnectErrorKind::Auth), "{error}");
    let log = sshd.log();
    assert!(log.contains("rsa-sha2-512 not in PubkeyAcceptedAlgorithms"), "{log}");
    assert!(!log.contains("signature algorithm ssh-rsa"), "{log}");
}
