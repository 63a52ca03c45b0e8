//! Signing, by a key in a file or one that an agent holds.

use std::path::Path;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{LineEnding, SshSig};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::{SignerKey, WeakKey, strong_enough};
use crate::ssh::keys::{self, KeyError, Passphrases};

/// Why nothing was signed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignError {
    /// The agent does not do it.
    #[error("the ssh-agent {0}")]
    Agent(String),
    /// The private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The library cannot.
    #[error("the key {key} does not sign: {cause}")]
    Refused {
        /// Its fingerprint.
        key: String,
        /// What the library says.
        cause: String,
    },
    /// The key is not strong.
    #[error(transparent)]
    Weak(#[from] WeakKey),
}

/// Signs `message` for `namespace` with the key in a file: PEM, and the key.
/// Blocks: it may ask a person for the passphrase.
///
/// # Errors
/// The key cannot be read, unlocked or used, or is weak.
pub fn sign_by_file(
    path: &Path,
    passphrases: &Passphrases,
    namespace: &str,
    message: &[u8],
) -> Result<(String, SignerKey), SignError> {
    let private = keys::load(path, passphrases)?;
    let key = SignerKey(private.public_key().key_data().clone());
    strong_enough(&key.0)?;
    // RSA keys sign by SHA-512 here, too.
    let signature = private.sign(namespace, HashAlg::Sha512, message);
    let pem = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
    Ok((pem.map_err(|error| refused(&key, &error))?, key))
}

/// The keys that the agent behind a socket holds and that are strong.
///
/// # Errors
/// The agent does not answer.
///
/// # Cancel safety
/// Nothing is left behind when the future is dropped.
pub async fn agent_keys(socket: &Path) -> Result<Vec<SignerKey>, SignError> {
    let keys = connect(socket).await?.request_identities().await.map_err(listing)?;
    let keys = keys.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(SignerKey(key.key_data().clone())),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok(keys.filter(|key| strong_enough(&key.0).is_ok()).collect())
}

/// Signs with a key that the agent behind a socket holds: PEM.
///
/// # Errors
/// The agent does not answer or does not sign.
///
/// # Cancel safety
/// The agent may have signed; the signature is lost.
pub async fn sign_by_agent(
    socket: &Path,
    key: &SignerKey,
    namespace: &str,
    message: &[u8],
) -> Result<String, SignError> {
    strong_enough(&key.0)?;
    let failed = |error: &dyn std::error::Error| refused(key, error);
    let data = SshSig::signed_data(namespace, HashAlg::Sha512, message);
    let data = data.map_err(|error| failed(&error))?;
    let rsa = matches!(key.0.algorithm(), Algorithm::Rsa { .. });
    let public = PublicKey::from(key.0.clone());
    let hash = rsa.then_some(HashAlg::Sha512);
    let mut agent = connect(socket).await?;
    let signature = agent.sign_request_signature(&public, hash, &data).await;
    let signature =
        signature.map_err(|error| SignError::Agent(format!("did not sign: {error}")))?;
    let signature = SshSig::new(key.0.clone(), namespace, HashAlg::Sha512, signature);
    let pem = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
    pem.map_err(|error| failed(&error))
}

async fn connect(socket: &Path) -> Result<AgentClient<tokio::net::UnixStream>, SignError> {
    AgentClient::connect_uds(socket)
        .await
        .map_err(|error| SignError::Agent(format!("does not answer: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn listing(error: russh::keys::Error) -> SignError {
    SignError::Agent(format!("does not list its keys: {error}"))
}

fn refused(key: &SignerKey, error: &dyn std::error::Error) -> SignError {
    SignError::Refused { key: key.fingerprint(), cause: error.to_string() }
}
