//! Proving who we are (RFC 4252): with one key, offered once.
//!
//! A password is a proof only where a key is to be put on a host for the first
//! time; it is in no endpoint, so that nothing else can use it.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use secrecy::SecretString;

use super::connect::fail;
use super::handler::{Client, Learned};
use super::password;
use super::trace::Proven;
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

/// How many of the agent's keys are tried; each one that the server refuses
/// counts against its MaxAuthTries.
const AGENT_KEYS_MAX: usize = 5;

/// What is offered.
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    /// The endpoint's key, or those of the agent behind this socket.
    Key { key: Option<&'a Arc<PrivateKey>>, agent: Option<&'a Path> },
    /// This password.
    Password(&'a SecretString),
}

/// Authenticates, or says why not. A refusal is final: the same key would be
/// refused again, and servers ban who insists.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    endpoint: &Endpoint,
    proof: Proof<'_>,
    learned: &Learned,
) -> Result<Proven, ConnectError> {
    let (key, agent) = match proof {
        Proof::Key { key, agent } => (key, agent),
        Proof::Password(password) => {
            password::authenticate(handle, endpoint, password, learned).await?;
            return Ok(Proven { by: "password", key: None });
        }
    };
    let mut offered = Vec::new();
    if endpoint.identity.agent {
        let own = key.map(|key| key.public_key());
        if by_agent(handle, endpoint, own, agent, &mut offered).await? {
            return Ok(Proven { by: "agent", key: offered.pop() });
        }
    }
    if let Some(key) = key.filter(|_| offered.is_empty()) {
        let hash = rsa_hash(handle, &key.algorithm()).await?;
        let key_with_hash = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        offered.push(key.public_key().fingerprint(HashAlg::Sha256).to_string());
        let result = handle.authenticate_publickey(&endpoint.user, key_with_hash).await;
        if accepted(endpoint, handle, result, learned)? {
            return Ok(Proven { by: "key", key: offered.pop() });
        }
    }
    Err(refused(endpoint, &offered))
}

/// Tries the agent: its copy of our own key if it holds one, else its first
/// keys.
async fn by_agent(
    handle: &mut Handle<Client>,
    endpoint: &Endpoint,
    own: Option<&PublicKey>,
    socket: Option<&Path>,
    offered: &mut Vec<String>,
) -> Result<bool, ConnectError> {
    let failed = |what: String| {
        let mut error = fail(ConnectPhase::Key, ConnectErrorKind::Key, what);
        error.hint =
            Some("start it (eval \"$(ssh-agent)\"; ssh-add), or set use_agent: false".into());
        error
    };
    let Some(socket) = socket else {
        return Err(failed("ssh.use_agent is set, but there is no ssh-agent".into()));
    };
    let mut agent = AgentClient::connect_uds(socket)
        .await
        .map_err(|error| failed(format!("the ssh-agent does not answer: {error}")))?;
    let identities = agent
        .request_identities()
        .await
        .map_err(|error| failed(format!("the ssh-agent does not list its keys: {error}")))?;
    let mut keys: Vec<PublicKey> = identities
        .into_iter()
        .filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        })
        .collect();
    if let Some(own) = own {
        keys.retain(|key| key.key_data() == own.key_data());
    }
    for key in keys.into_iter().take(AGENT_KEYS_MAX) {
        let hash = rsa_hash(handle, &key.algorithm()).await?;
        offered.push(key.fingerprint(HashAlg::Sha256).to_string());
        let result =
            handle.authenticate_publickey_with(&endpoint.user, key, hash, &mut agent).await;
        match result {
            Ok(AuthResult::Success) => return Ok(true),
            Ok(AuthResult::Failure { .. }) => {}
            Err(error) => return Err(failed(format!("the ssh-agent did not sign: {error}"))),
        }
    }
    Ok(false)
}

/// The hash for an RSA signature: never SHA-1, which is what the library does
/// when it is told none.
async fn rsa_hash(
    handle: &Handle<Client>,
    algorithm: &Algorithm,
) -> Result<Option<HashAlg>, ConnectError> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(Some(hash))) => Ok(Some(hash)),
        Ok(Some(None)) => {
            let message = "the server accepts RSA keys only with SHA-1 signatures".to_owned();
            let mut error = fail(ConnectPhase::Auth, ConnectErrorKind::Algorithms, message);
            error.hint = Some("use an ed25519 key, or update the server".into());
            Err(error)
        }
        // A server that does not say what it takes may still take SHA-2.
        Ok(None) => Ok(Some(HashAlg::Sha256)),
        Err(error) => Err(fail(ConnectPhase::Auth, ConnectErrorKind::Network, error.to_string())),
    }
}

fn accepted(
    endpoint: &Endpoint,
    handle: &Handle<Client>,
    result: Result<AuthResult, russh::Error>,
    learned: &Learned,
) -> Result<bool, ConnectError> {
    match result {
        Ok(AuthResult::Success) => Ok(true),
        Ok(AuthResult::Failure { partial_success: true, .. }) => {
            let message = format!(
                "{} accepts the key but asks {} for a second proof",
                endpoint.authority(),
                endpoint.user
            );
            let mut error = fail(ConnectPhase::Auth, ConnectErrorKind::Auth, message);
            error.hint =
                Some("let this user in by key alone: AuthenticationMethods publickey".into());
            Err(error)
        }
        // The library answers `Failure` without methods when the connection
        // ended.
        Ok(AuthResult::Failure { remaining_methods, .. })
            if remaining_methods.is_empty() && handle.is_closed() =>
        {
            Err(ended(learned))
        }
        Ok(AuthResult::Failure { .. }) => Ok(false),
        Err(error) => Err(fail(ConnectPhase::Auth, ConnectErrorKind::Network, error.to_string())),
    }
}

/// The server closed the connection instead of answering.
pub(super) fn ended(learned: &Learned) -> ConnectError {
    let reason = learned.closed().unwrap_or_else(|| "the server closed it".into());
    let message = format!("the connection ended during authentication: {reason}");
    fail(ConnectPhase::Auth, ConnectErrorKind::Network, message)
}

fn refused(endpoint: &Endpoint, offered: &[String]) -> ConnectError {
    let user = &endpoint.user;
    if offered.is_empty() {
        let message = format!("there is no key to offer for {user}@{}", endpoint.authority());
        let mut error = fail(ConnectPhase::Key, ConnectErrorKind::Key, message);
        error.hint = Some("put one into the key directory, or load one into the agent".into());
        return error;
    }
    let message =
        format!("{} refused {} for user {user}", endpoint.authority(), offered.join(" and "));
    let mut error = fail(ConnectPhase::Auth, ConnectErrorKind::Auth, message);
    error.hint = Some(format!(
        "add the public key to {user}'s authorized_keys there, or check ssh_user and identity_file"
    ));
    error
}
