//! Why a host key was refused, and what to do about it.

use std::fmt;

use russh::keys::HashAlg;
use russh::keys::ssh_key::public::KeyData;

use super::{CertificateFault, HostName, Pin, Place};
use crate::quote;

/// A host key was refused. Nothing was sent to the host.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostKeyError {
    /// A `@revoked` line names the key, or the CA that signed its certificate.
    #[error("{name} offered a revoked key: {revoked} is marked @revoked at {at}")]
    Revoked {
        /// The host.
        name: HostName,
        /// The revoked key: the host's own, or its CA's.
        revoked: KeyId,
        /// The line that revokes it.
        at: Place,
    },
    /// Another key of the same type is recorded.
    #[error("the host key of {name} has changed: it offers {offered}, recorded is {}", list(.recorded))]
    Changed {
        /// The host.
        name: HostName,
        /// The key that the host offers.
        offered: KeyId,
        /// All recorded keys of that type, in the order of the files.
        recorded: Vec<RecordedKey>,
    },
    /// Only keys of other types are recorded.
    #[error("{name} offers {offered}, but only other types of key are recorded: {}", list(.recorded))]
    UnknownType {
        /// The host.
        name: HostName,
        /// The key that the host offers.
        offered: KeyId,
        /// All recorded keys, in the order of the files.
        recorded: Vec<RecordedKey>,
    },
    /// Nothing is recorded.
    #[error("the host key of {name} is not known: it offers {offered}")]
    Unknown {
        /// The host.
        name: HostName,
        /// The key that the host offers.
        offered: KeyId,
    },
    /// The CA is trusted for this host, the certificate is bad, and the key
    /// inside it is not known either.
    #[error("the host certificate of {name} with {offered} is refused")]
    Certificate {
        /// The host.
        name: HostName,
        /// The key inside the certificate.
        offered: KeyId,
        /// Who signed it, and the rule that it breaks.
        #[source]
        refused: Box<RefusedCertificate>,
    },
    /// The inventory pins other keys.
    #[error("{name} offers {offered}, but the inventory pins {}", list(.pinned))]
    PinMismatch {
        /// The host.
        name: HostName,
        /// The key that the host offers.
        offered: KeyId,
        /// The keys that would be accepted.
        pinned: Vec<Pin>,
    },
}

/// A key as people compare it: `ssh-ed25519 SHA256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId {
    /// The type as it stands in a `known_hosts` line, `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as `ssh-keygen -lf` prints it.
    pub fingerprint: String,
}

/// A host certificate that was refused although its CA is trusted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{ca} of {at} signed it, but {fault}")]
pub struct RefusedCertificate {
    /// The CA that signed it.
    pub ca: KeyId,
    /// The `@cert-authority` line.
    pub at: Place,
    /// The rule that it breaks.
    pub fault: CertificateFault,
}

/// A key that is recorded for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedKey {
    /// The key.
    pub key: KeyId,
    /// The line that records it.
    pub at: Place,
}

impl HostKeyError {
    /// What to do next, in a sentence or two. `vm` is the name by which
    /// `orchestrator hosts trust` knows the host.
    pub fn hint(&self, vm: &str) -> String {
        match self {
            Self::Revoked { at, .. } => format!(
                "Nothing was sent. The key may be in the wrong hands: give the host a new key, and leave {at} as it is."
            ),
            Self::Changed { name, offered, recorded } => format!(
                "Nothing was sent. If the VM was rebuilt, compare with the fingerprint shown on its console, then: {}; {}",
                removals(name, recorded),
                trust(vm, offered)
            ),
            Self::UnknownType { offered, .. } => format!(
                "Nothing was sent. If the VM was given this key, compare with the fingerprint shown on its console, then: {}",
                trust(vm, offered)
            ),
            Self::Unknown { offered, .. } => format!(
                "Nothing was sent. Compare with the fingerprint shown on the VM's console, then: {}",
                trust(vm, offered)
            ),
            Self::Certificate { offered, .. } => format!(
                "Nothing was sent. Have the CA issue a new host certificate, or trust the key itself: {}",
                trust(vm, offered)
            ),
            Self::PinMismatch { offered, .. } => format!(
                "Nothing was sent. If the VM was rebuilt, compare with the fingerprint shown on its console, then set host_key of {vm} to {}.",
                offered.fingerprint
            ),
        }
    }
}

impl KeyId {
    pub(super) fn of(key: &KeyData) -> Self {
        Self {
            algorithm: key.algorithm().to_string(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint)
    }
}

impl fmt::Display for RecordedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.key, self.at)
    }
}

fn trust(vm: &str, offered: &KeyId) -> String {
    format!("orchestrator hosts trust {vm} --fingerprint {}", offered.fingerprint)
}

/// One `ssh-keygen -R` for each file that has such a line.
fn removals(name: &HostName, recorded: &[RecordedKey]) -> String {
    let mut files: Vec<_> = recorded.iter().map(|recorded| &recorded.at.file).collect();
    files.dedup();
    let quoted = |text: &str| String::from_utf8_lossy(&quote::word(text.as_bytes())).into_owned();
    let commands = files.into_iter().map(|file| {
        let file = file.to_string_lossy();
        format!("ssh-keygen -f {} -R {}", quoted(&file), quoted(name.as_str()))
    });
    commands.collect::<Vec<_>>().join("; ")
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
