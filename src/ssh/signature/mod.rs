//! Detached signatures of files by SSH keys: SSHSIG, as `ssh-keygen -Y sign`
//! makes and `ssh-keygen -Y verify` checks them (OpenSSH, PROTOCOL.sshsig).
//!
//! Strong keys only: Ed25519, ECDSA over P-256 and above, RSA from 3072 bits by
//! SHA-512, and keys in hardware that somebody touched.

mod allowed_signers;
mod line;
mod sign;
#[cfg(test)]
mod tests;

use russh::keys::ssh_key::SshSig;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};

pub use allowed_signers::{AllowedSigners, AllowedSignersError, NotAllowed};
pub use sign::{SignError, agent_keys, sign_by_agent, sign_by_file};

/// A signature is small; anything larger is none.
pub const SIGNATURE_MAX: usize = 64 * 1024;

/// RSA keys shorter than this approve nothing.
const RSA_BITS_MIN: u32 = 3072;

/// The bit of a hardware key's signature that says that somebody was there
/// (PROTOCOL.u2f).
const USER_PRESENT: u8 = 1;

/// A key, known by its public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerKey(KeyData);

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature.
    #[error("this is no SSH signature: {0}")]
    Invalid(String),
    /// Made for something else.
    #[error("it was made for the namespace {found:?}, not for {expected:?}")]
    Namespace {
        /// What it was made for.
        found: String,
        /// What it should have been made for.
        expected: String,
    },
    /// Nobody touched the hardware key.
    #[error("the hardware key signed without being touched")]
    Untouched,
    /// Another file was signed, or by another key.
    #[error("it is not a signature of these bytes: they, or it, were changed")]
    Wrong,
    /// The key or the algorithm is not strong.
    #[error(transparent)]
    Weak(#[from] WeakKey),
}

/// A key that approves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; use ed25519, ecdsa, or RSA from {RSA_BITS_MIN} bits with SHA-512")]
pub struct WeakKey(String);

impl SignerKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The type of the key, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// Reads `ssh-ed25519 AAAA…`, as it stands in a `.pub` file.
    pub fn from_public_line(text: &str) -> Option<Self> {
        PublicKey::from_openssh(text.trim_end()).ok().map(|key| Self(key.key_data().clone()))
    }
}

/// The key that signed `message` for `namespace`. Whose it is, and whether that
/// counts, say [`AllowedSigners`].
///
/// # Errors
/// The signature is none, was made of or for something else, or is weak.
pub fn verify(pem: &[u8], namespace: &str, message: &[u8]) -> Result<SignerKey, SignatureError> {
    if pem.len() > SIGNATURE_MAX {
        return Err(SignatureError::Invalid("it is too large".into()));
    }
    let signature =
        SshSig::from_pem(pem).map_err(|error| SignatureError::Invalid(error.to_string()))?;
    if signature.namespace() != namespace {
        let found = signature.namespace().chars().take(64).collect();
        return Err(SignatureError::Namespace { found, expected: namespace.into() });
    }
    let key = signature.public_key();
    strong_enough(key)?;
    if let Algorithm::Rsa { hash } = signature.algorithm()
        && hash != Some(HashAlg::Sha512)
    {
        return Err(WeakKey("this RSA signature is not by SHA-512".into()).into());
    }
    PublicKey::from(key.clone())
        .verify(namespace, message, &signature)
        .map_err(|_| SignatureError::Wrong)?;
    // Flags and a counter end what hardware signs.
    let hardware = key.is_sk_ed25519() || key.is_sk_ecdsa_p256();
    let flags = signature.signature_bytes().iter().rev().nth(4).copied().unwrap_or_default();
    if hardware && flags & USER_PRESENT == 0 {
        return Err(SignatureError::Untouched);
    }
    Ok(SignerKey(key.clone()))
}

fn strong_enough(key: &KeyData) -> Result<(), WeakKey> {
    match key {
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) if rsa.key_size() >= RSA_BITS_MIN => Ok(()),
        KeyData::Rsa(rsa) => Err(WeakKey(format!("an RSA key of {} bits is weak", rsa.key_size()))),
        key => Err(WeakKey(format!("a key of type {} approves nothing", key.algorithm()))),
    }
}
