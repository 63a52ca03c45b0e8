//! Our own connector, pointed at a fixture.

use std::sync::Arc;
use std::time::Duration;

use orchestrator::prompt::RefusePrompter;
use orchestrator::ssh::keys::Passphrases;
use orchestrator::ssh::known_hosts::KnownHosts;
use orchestrator::ssh::{Adjustments, Profile, Settings, SshConnector};
use orchestrator::transport::{Connection, Connector, Endpoint, Identity, Route, Trust};
use tokio::time::Instant;

use super::Sshd;

/// A connector that knows these known_hosts lines and nothing else.
pub(crate) fn connector(known_hosts: &str) -> SshConnector {
    SshConnector::new(settings(known_hosts))
}

pub(crate) fn settings(known_hosts: &str) -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), known_hosts).unwrap();
    Settings {
        profile: Profile::Strong,
        adjustments: Adjustments::default(),
        known_hosts: Arc::new(KnownHosts::strict(file.path()).unwrap()),
        passphrases: Passphrases { given: None, prompter: Arc::new(RefusePrompter) },
        agent_socket: None,
        auth_timeout: Duration::from_secs(30),
        keepalive: Duration::from_secs(15),
        rekey_bytes: 1 << 30,
    }
}

/// Where an sshd listens, and the key that opens it.
pub(crate) fn endpoint(sshd: &Sshd) -> Endpoint {
    Endpoint {
        label: "vm01".into(),
        address: sshd.addr().ip().to_string(),
        port: sshd.port(),
        user: sshd.user().to_owned(),
        route: Route::Direct,
        trust: Trust::default(),
        identity: Identity { key_file: Some(sshd.client_key()), agent: false },
        profile: None,
    }
}

/// A connection to an sshd, host key verified and all.
pub(crate) async fn connect(sshd: &Sshd) -> Arc<dyn Connection> {
    let deadline = Instant::now() + Duration::from_secs(30);
    connector(&sshd.known_hosts()).connect(&endpoint(sshd), deadline).await.unwrap()
}
