//! Making our own key pairs, and what can be told of them without a passphrase.

use std::fmt;
use std::path::Path;

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{Cipher, Kdf, LineEnding};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::keys::{self, KeyError, Passphrases};

/// How much work a guess at a passphrase is; ssh-keygen's own number.
const BCRYPT_ROUNDS: u32 = 24;

/// Why no key pair could be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GenerateError {
    /// The key cannot be written down.
    #[error("the new key cannot be encoded: {0}")]
    Encode(String),
    /// The system gives no random numbers.
    #[error("the system has no randomness: {0}")]
    Randomness(String),
}

/// A new key pair, in no file yet.
pub struct NewKey {
    /// The private key in OpenSSH's format, encrypted if there is a passphrase.
    pub private: Zeroizing<String>,
    /// The public key with its comment.
    pub public: PublicLine,
    pub(super) unlocked: PrivateKey,
}

/// A public key as it stands in an `authorized_keys` file (sshd(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicLine {
    /// `ssh-ed25519 AAAA…`
    pub key: String,
    /// What follows the key, for people.
    pub comment: String,
    /// `SHA256:…`
    pub fingerprint: String,
}

/// What a private key file is, as far as it can be told without a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// `ssh-ed25519`, `ssh-rsa`, …; `None` where only the passphrase tells.
    pub algorithm: Option<String>,
    /// Its length.
    pub bits: Option<u32>,
    /// `SHA256:…`
    pub fingerprint: Option<String>,
    /// Whether a passphrase is needed.
    pub encrypted: bool,
}

/// Makes an Ed25519 key pair. Blocks for as long as the key derivation takes.
///
/// # Errors
/// The system has no randomness.
pub fn generate(comment: &str, passphrase: Option<&SecretString>) -> Result<NewKey, GenerateError> {
    let encode = |error: russh::keys::ssh_key::Error| GenerateError::Encode(error.to_string());
    let seed = Zeroizing::new(random::<32>()?);
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let unlocked = PrivateKey::new(pair, comment).map_err(encode)?;
    let stored = match passphrase {
        None => unlocked.clone(),
        Some(passphrase) => {
            let kdf = Kdf::Bcrypt { salt: random::<16>()?.to_vec(), rounds: BCRYPT_ROUNDS };
            let checkint = u32::from_ne_bytes(random::<4>()?);
            let passphrase = passphrase.expose_secret();
            unlocked.encrypt_with(Cipher::Aes256Ctr, kdf, checkint, passphrase).map_err(encode)?
        }
    };
    Ok(NewKey {
        private: stored.to_openssh(LineEnding::LF).map_err(encode)?,
        public: line(unlocked.public_key(), comment).map_err(encode)?,
        unlocked,
    })
}

/// Looks at a private key as a connection would, up to the passphrase. Blocks.
///
/// # Errors
/// The file is not there, others can read it, or it holds no usable key.
pub fn inspect(path: &Path) -> Result<KeyFacts, KeyError> {
    let encrypted = keys::is_encrypted(path)?;
    let public = public_part(path)?;
    Ok(KeyFacts {
        algorithm: public.as_ref().map(|key| key.algorithm().as_str().to_owned()),
        bits: public.as_ref().and_then(bits),
        fingerprint: public.as_ref().map(|key| key.fingerprint(HashAlg::Sha256).to_string()),
        encrypted,
    })
}

/// The public half of a private key. It is taken from the private key itself,
/// never from the `.pub` file beside it, which somebody may have exchanged.
/// Blocks: formats that hide it need the passphrase.
///
/// # Errors
/// The file is not there, others can read it, it holds no usable key or cannot
/// be unlocked.
pub fn public_line(path: &Path, passphrases: &Passphrases) -> Result<PublicLine, KeyError> {
    let public = match public_part(path)? {
        Some(public) => public,
        None => keys::load(path, passphrases)?.public_key().clone(),
    };
    let comment = public.comment().as_str_lossy();
    let mut own = line(&public, comment).map_err(|error| keys::invalid(path, &error))?;
    // An encrypted key hides its comment, and only that is taken from beside it.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let beside = std::fs::read_to_string(beside).ok().and_then(|text| PublicLine::parse(&text));
    if let Some(beside) = beside.filter(|it| own.comment.is_empty() && it.key == own.key) {
        own.comment = beside.comment;
    }
    Ok(own)
}

/// What is readable of the public half.
fn public_part(path: &Path) -> Result<Option<PublicKey>, KeyError> {
    let text = keys::read_private(path)?;
    if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
        return Ok(Some(key.public_key().clone()));
    }
    Ok(russh::keys::decode_secret_key(&text, None).ok().map(|key| key.public_key().clone()))
}

fn line(public: &PublicKey, comment: &str) -> Result<PublicLine, russh::keys::ssh_key::Error> {
    Ok(PublicLine {
        key: PublicKey::from(public.key_data().clone()).to_openssh()?,
        comment: comment.chars().filter(|c| matches!(c, ' '..='~')).take(128).collect(),
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
    })
}

fn bits(key: &PublicKey) -> Option<u32> {
    match key.algorithm() {
        russh::keys::Algorithm::Ed25519 => Some(256),
        russh::keys::Algorithm::Ecdsa { curve } => Some(match curve {
            russh::keys::EcdsaCurve::NistP256 => 256,
            russh::keys::EcdsaCurve::NistP384 => 384,
            russh::keys::EcdsaCurve::NistP521 => 521,
        }),
        _ => super::host_key::rsa_bits(key),
    }
}

fn random<const N: usize>() -> Result<[u8; N], GenerateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| GenerateError::Randomness(error.to_string()))?;
    Ok(bytes)
}

impl PublicLine {
    /// The base64 part, by which two lines are the same key.
    pub fn blob(&self) -> &str {
        self.key.split_once(' ').map_or("", |(_, blob)| blob)
    }

    /// Reads a line as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let public = PublicKey::from_openssh(text.trim_end()).ok()?;
        let comment = public.comment().as_str_lossy();
        line(&public, comment).ok()
    }
}

impl fmt::Display for PublicLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.comment.as_str() {
            "" => f.write_str(&self.key),
            comment => write!(f, "{} {comment}", self.key),
        }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("public", &self.public).finish_non_exhaustive()
    }
}
