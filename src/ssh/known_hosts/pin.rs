//! A host key that the inventory itself names.

use std::fmt;
use std::str::FromStr;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Fingerprint, HashAlg};

use super::{Line, Offered};

/// The `host_key` of a VM: `SHA256:…` as `ssh-keygen -l` prints it, or a public
/// key line (`ssh-ed25519 AAAA… comment`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin(Fingerprint);

/// Why a string is no [`Pin`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no host key: give a fingerprint (SHA256:… of 43 characters, as `ssh-keygen -lf` prints it) or a public key line (ssh-ed25519 AAAA…)"
)]
pub struct InvalidPin(String);

impl Pin {
    /// The fingerprint of the only key that is accepted.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0
    }

    /// Whether this is the key that a host offers.
    pub fn is_of(&self, offered: &Offered) -> bool {
        self.matches(offered.key())
    }

    pub(super) fn matches(&self, key: &KeyData) -> bool {
        key.fingerprint(HashAlg::Sha256) == self.0
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let invalid = || InvalidPin(text.into());
        let text = text.trim();
        if text.starts_with("SHA256:") {
            return text.trim_end_matches('=').parse().map(Self).map_err(|_| invalid());
        }
        // A public key is what stands behind the hosts of a line.
        match Line::parse(format!("* {text}").as_bytes()) {
            Ok(Some(line)) => Ok(Self(line.key.fingerprint(HashAlg::Sha256))),
            Ok(None) | Err(_) => Err(invalid()),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ED25519, key};
    use super::*;

    #[test]
    fn a_fingerprint_and_its_key_are_the_same_pin() {
        let by_key: Pin = format!("{ED25519} root@web1").parse().unwrap();
        let by_fingerprint: Pin = by_key.to_string().parse().unwrap();
        assert_eq!(by_key, by_fingerprint);
        assert!(by_key.matches(key(ED25519).key_data()));
    }

    #[test]
    fn padding_and_blanks_around_are_forgiven() {
        let pin: Pin = ED25519.parse().unwrap();
        assert_eq!(format!(" {pin}= \n").parse(), Ok(pin));
    }

    #[test]
    fn what_is_no_pin() {
        let broken = ED25519.replace("ssh-ed25519 ", "ssh-rsa ");
        for bad in ["", "SHA256:", "SHA256:abc", "MD5:aa:bb", "SHA512:abc", "web1", "# x", &broken]
        {
            assert!(bad.parse::<Pin>().is_err(), "{bad:?}");
        }
    }
}
