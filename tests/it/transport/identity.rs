//! What proves us: keys with a passphrase, keys that others can read, and
//! ssh-agent.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use orchestrator::ssh::{Settings, SshConnector};
use orchestrator::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint, Identity};
use secrecy::SecretString;
use tempfile::TempDir;

use super::{PATIENCE, dial, works};
use crate::support::client::{endpoint, settings};
use crate::support::{Behaviour, Hostile, KeyKind, KeyPair, Sshd, block_until};

async fn refusal(settings: Settings, endpoint: &Endpoint) -> ConnectError {
    let connector = SshConnector::new(settings);
    dial(&connector, endpoint, PATIENCE).await.err().expect("it connects")
}

#[tokio::test]
async fn an_encrypted_key_opens_by_its_passphrase_alone() {
    for kind in [KeyKind::Ed25519, KeyKind::Ecdsa384, KeyKind::Rsa3072] {
        let key = KeyPair::encrypted(kind, "open sesame");
        let sshd = Sshd::builder().client_key(key).start();
        let with = |passphrase: Option<&str>| {
            let mut settings = settings(&sshd.known_hosts());
            settings.passphrases.given = passphrase.map(|p| Arc::new(SecretString::from(p)));
            settings
        };
        let connector = SshConnector::new(with(Some("open sesame")));
        works(&*dial(&connector, &endpoint(&sshd), PATIENCE).await.unwrap()).await;
        for (passphrase, why) in [
            (Some("guess"), "the passphrase does not open the private key"),
            (None, "is encrypted and there is no passphrase"),
        ] {
            let error = refusal(with(passphrase), &endpoint(&sshd)).await;
            assert_eq!((error.phase, error.kind), (ConnectPhase::Key, ConnectErrorKind::Key));
            assert!(error.message.contains(why), "{error}");
            assert!(!error.is_transient());
            assert!(!format!("{error:?}").contains("guess"));
        }
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_is_not_used() {
    let sshd = Sshd::start();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        fs::set_permissions(sshd.client_key(), Permissions::from_mode(mode)).unwrap();
        let error = refusal(settings(&sshd.known_hosts()), &endpoint(&sshd)).await;
        assert_eq!(error.kind, ConnectErrorKind::Key, "{error}");
        assert!(error.message.contains(&format!("mode {mode:04o}")), "{error}");
        assert!(error.hint.unwrap().contains("chmod 600"));
    }
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}

#[tokio::test]
async fn a_key_file_that_is_none_is_named() {
    let sshd = Sshd::start();
    let mut to = endpoint(&sshd);
    for (path, why) in [
        (sshd.client_key().with_extension("missing"), "cannot be read"),
        (sshd.known_hosts_path(), "can be read by others"),
        (sshd.client_key().parent().unwrap().to_owned(), "not a regular file"),
    ] {
        to.identity.key_file = Some(path.clone());
        let error = refusal(settings(&sshd.known_hosts()), &to).await;
        assert_eq!(error.kind, ConnectErrorKind::Key, "{error}");
        assert!(error.message.contains(why), "{error}");
        assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_the_server_refuses_is_offered_once() {
    let server = Hostile::start(Behaviour::RefusesAuth);
    let target = super::Target::hostile(&server);
    let error = target.refusal().await;
    assert_eq!((error.phase, error.kind), (ConnectPhase::Auth, ConnectErrorKind::Auth));
    let fingerprint = KeyPair::shared(KeyKind::Ed25519).fingerprint();
    assert!(error.message.contains(&fingerprint), "{error}");
    assert!(error.hint.unwrap().contains("authorized_keys"));
    assert_eq!(server.connections(), 1);
    let sshd = Sshd::builder().client_key(KeyPair::generate(KeyKind::Ed25519)).start();
    super::Target::new(sshd.addr(), &sshd.known_hosts()).refusal().await;
    let log = sshd.log();
    assert_eq!(log.matches("Failed publickey").count(), 1, "{log}");
}

/// Debian's agent, ended on drop.
struct Agent {
    process: Child,
    dir: TempDir,
}

impl Agent {
    fn start(keys: &[&KeyPair]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(dir.path().join("socket"))
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent is not installed: install openssh-client");
        let agent = Self { process, dir };
        block_until("the agent listens", || agent.socket().exists());
        for (i, key) in keys.iter().enumerate() {
            let path = key.write_to(agent.dir.path().join(format!("key_{i}")));
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(path).env("SSH_AUTH_SOCK", agent.socket());
            assert!(add.status().unwrap().success());
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn agent_alone(sshd: &Sshd) -> Endpoint {
    Endpoint { identity: Identity { key_file: None, agent: true }, ..endpoint(sshd) }
}

#[tokio::test]
async fn the_agent_signs() {
    let other = KeyPair::generate(KeyKind::Ecdsa256);
    for kind in [KeyKind::Ed25519, KeyKind::Ecdsa384, KeyKind::Rsa3072] {
        let key = KeyPair::generate(kind);
        let agent = Agent::start(&[&other, &key]);
        let sshd = Sshd::builder().client_key(key).debug().start();
        let mut settings = settings(&sshd.known_hosts());
        settings.agent_socket = Some(agent.socket());
        let connector = SshConnector::new(settings);
        works(&*dial(&connector, &agent_alone(&sshd), PATIENCE).await.unwrap()).await;
        assert!(!sshd.log().contains("pkalg ssh-rsa"), "{}", sshd.log());
    }
}

#[tokio::test]
async fn an_agent_that_cannot_help_is_an_error_with_a_next_step() {
    let sshd = Sshd::start();
    let other = KeyPair::generate(KeyKind::Ed25519);
    let (empty, wrong) = (Agent::start(&[]), Agent::start(&[&other]));
    let nowhere = empty.dir.path().join("nowhere");
    for (socket, kind, why) in [
        (None, ConnectErrorKind::Key, "there is no ssh-agent".to_owned()),
        (Some(nowhere), ConnectErrorKind::Key, "the ssh-agent does not answer".to_owned()),
        (Some(empty.socket()), ConnectErrorKind::Key, "there is no key to offer".to_owned()),
        (Some(wrong.socket()), ConnectErrorKind::Auth, other.fingerprint()),
    ] {
        let mut settings = settings(&sshd.known_hosts());
        settings.agent_socket = socket;
        let error = refusal(settings, &agent_alone(&sshd)).await;
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(&why), "{error}");
        assert!(error.hint.is_some(), "{error}");
    }
}

#[tokio::test]
async fn a_second_proof_is_not_given_and_asked_for_by_name() {
    // Any second method will do; the key is accepted and that is not enough.
    let sshd = Sshd::builder()
        .line("PasswordAuthentication yes")
        .line("AuthenticationMethods publickey,password")
        .start();
    let refusal = refusal(settings(&sshd.known_hosts()), &endpoint(&sshd)).await;
    assert_eq!((refusal.phase, refusal.kind), (ConnectPhase::Auth, ConnectErrorKind::Auth));
    assert!(refusal.message.contains("asks"), "{refusal}");
    assert!(refusal.message.contains("second proof"), "{refusal}");
}
