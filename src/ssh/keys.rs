//! Our own private keys: finding, checking and unlocking them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Algorithm, PrivateKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::ids::VmId;
use crate::prompt::Prompter;

/// A private key file is small; anything larger is none.
const KEY_FILE_MAX: u64 = 64 * 1024;

/// RSA keys shorter than this prove nothing, whatever the profile.
const RSA_BITS_MIN: u32 = 2048;

/// Why a private key cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a private key.
    #[error("{path} is no private key that can be read: {cause}")]
    Invalid {
        /// The file.
        path: String,
        /// What the parser says.
        cause: String,
    },
    /// The file cannot be read.
    #[error("the private key {path} cannot be read: {cause}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// It is encrypted and there is no passphrase.
    #[error("the private key {path} is encrypted and there is no passphrase: {cause}")]
    Locked {
        /// The file.
        path: String,
        /// Why none could be had.
        cause: String,
    },
    /// No key has the name of this VM.
    #[error("No private key found for vm_id={vm} in {dir}")]
    NotFound {
        /// The VM.
        vm: VmId,
        /// Where it was looked for.
        dir: String,
    },
    /// Others can read it.
    #[error("the private key {path} can be read by others (mode {mode:04o})")]
    Open {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The passphrase is not its own.
    #[error("the passphrase does not open the private key {path}")]
    WrongPassphrase {
        /// The file.
        path: String,
    },
    /// The key is too short.
    #[error("the RSA key {path} has {bits} bits; at least {RSA_BITS_MIN} are required")]
    Weak {
        /// The file.
        path: String,
        /// Its length.
        bits: u32,
    },
}

impl KeyError {
    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid { .. } | Self::Io { .. } => {
                "check identity_file and key_storage_path: a private key as ssh-keygen makes it \
                 is expected there"
                    .into()
            }
            Self::Locked { .. } => "set ssh.passphrase_file or ssh.passphrase_env, use an agent \
                                    (ssh.use_agent: true), or run on a terminal"
                .into(),
            Self::NotFound { vm, .. } => {
                format!("put its key there as id_ed25519_{vm}, or set identity_file for {vm}")
            }
            Self::Open { path, .. } => format!("if it is your key: chmod 600 {path}"),
            Self::Weak { .. } => "make a new one: ssh-keygen -t ed25519".into(),
            Self::WrongPassphrase { .. } => {
                "check ssh.passphrase_file, ssh.passphrase_env or what was typed".into()
            }
        }
    }
}

/// The key file of a VM: the first that exists of `id_ed25519_<vm>`,
/// `id_rsa_<vm>` and `id_ecdsa_<vm>`.
pub fn find(dir: &Path, vm: &VmId) -> Result<PathBuf, KeyError> {
    ["id_ed25519_", "id_rsa_", "id_ecdsa_"]
        .iter()
        .map(|prefix| dir.join(format!("{prefix}{vm}")))
        .find(|path| path.exists())
        .ok_or_else(|| KeyError::NotFound { vm: vm.clone(), dir: dir.display().to_string() })
}

/// Whether a private key is encrypted. It is looked at as a connection would,
/// up to the passphrase. Blocks.
///
/// # Errors
/// The file is not there, others can read it, or it holds no usable key.
pub fn is_encrypted(path: &Path) -> Result<bool, KeyError> {
    let text = read_private(path)?;
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => strong_enough(path, key).map(|_| false),
        Err(error) if is_locked(&text, &error) => Ok(true),
        Err(error) => Err(invalid(path, &error)),
    }
}

/// Where passphrases come from: the settings first, then a person.
#[derive(Clone)]
pub struct Passphrases {
    /// One that opens every encrypted key.
    pub given: Option<Arc<SecretString>>,
    /// Whom to ask otherwise.
    pub prompter: Arc<dyn Prompter>,
}

/// Reads and unlocks a key. Blocks: it may ask a person, and the key
/// derivation is meant to be slow.
pub(super) fn load(path: &Path, passphrases: &Passphrases) -> Result<PrivateKey, KeyError> {
    let text = read_private(path)?;
    let key = match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => key,
        Err(error) if is_locked(&text, &error) => unlock(path, &text, passphrases)?,
        Err(error) => return Err(invalid(path, &error)),
    };
    strong_enough(path, key)
}

fn strong_enough(path: &Path, key: PrivateKey) -> Result<PrivateKey, KeyError> {
    match rsa_bits(&key).filter(|&bits| bits < RSA_BITS_MIN) {
        Some(bits) => Err(KeyError::Weak { path: path.display().to_string(), bits }),
        None => Ok(key),
    }
}

pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let shown = || path.display().to_string();
    let failed = |error: io::Error| KeyError::Io { path: shown(), cause: error.to_string() };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyError::Invalid { path: shown(), cause: "not a regular file".into() });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: shown(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// An encrypted key, as far as its outside tells: the OpenSSH format says so
/// only inside.
fn is_locked(text: &str, error: &russh::keys::Error) -> bool {
    matches!(error, russh::keys::Error::KeyIsEncrypted)
        || text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn unlock(path: &Path, text: &str, from: &Passphrases) -> Result<PrivateKey, KeyError> {
    let shown = path.display().to_string();
    let asked;
    let passphrase: &SecretString = match &from.given {
        Some(given) => given,
        None => {
            asked =
                from.prompter.secret(&format!("Passphrase for {shown}: ")).map_err(|error| {
                    KeyError::Locked { path: shown.clone(), cause: error.to_string() }
                })?;
            &asked
        }
    };
    russh::keys::decode_secret_key(text, Some(passphrase.expose_secret()))
        .map_err(|_| KeyError::WrongPassphrase { path: shown })
}

pub(super) fn invalid(path: &Path, error: &dyn std::error::Error) -> KeyError {
    KeyError::Invalid { path: path.display().to_string(), cause: error.to_string() }
}

/// The length of an RSA key's modulus.
fn rsa_bits(key: &PrivateKey) -> Option<u32> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return None;
    }
    super::host_key::rsa_bits(key.public_key())
}
