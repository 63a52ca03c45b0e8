//! Which algorithms are offered, and in which order.
//!
//! A profile is a list per kind; nothing outside [`Profile::Strong`] exists as
//! far as this program is concerned, so no setting can bring back SHA-1, CBC
//! or a short group.

use std::borrow::Cow;

use russh::Preferred;
use russh::cipher;
use russh::compression;
use russh::kex;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::mac;

use super::profile::Profile;

/// What is offered to a server, most preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// Key exchange methods.
    pub kex: Vec<String>,
    /// Host key algorithms.
    pub host_keys: Vec<String>,
    /// Ciphers.
    pub ciphers: Vec<String>,
    /// Message authentication codes.
    pub macs: Vec<String>,
    /// The shortest RSA key that is accepted, in bits.
    pub rsa_min_bits: u32,
    /// Whether strict key exchange must be negotiated.
    pub require_strict_kex: bool,
    /// Whether the key exchange must resist a quantum computer.
    pub require_pq: bool,
}

const KEX: [&str; 10] = [
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
];
const HOST_KEYS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp256",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const CIPHERS: [&str; 6] = [
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
];
const MACS: [&str; 4] = [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
];

impl Profile {
    /// The lists of this profile.
    pub fn algorithms(self) -> Algorithms {
        let keep = |list: &[&str], keep: &dyn Fn(&str) -> bool| -> Vec<String> {
            list.iter().filter(|name| keep(name)).map(|name| (*name).to_owned()).collect()
        };
        let all = |_: &str| true;
        let nist = |name: &str| name.contains("nistp");
        let strong = Algorithms {
            kex: keep(&KEX, &all),
            host_keys: keep(&HOST_KEYS, &all),
            ciphers: keep(&CIPHERS, &all),
            macs: keep(&MACS, &all),
            rsa_min_bits: 2048,
            require_strict_kex: false,
            require_pq: false,
        };
        match self {
            Self::Strong => strong,
            Self::Strict => Algorithms {
                kex: keep(&KEX, &|name| !nist(name) && !name.contains("group14")),
                host_keys: keep(&HOST_KEYS, &|name| !nist(name)),
                macs: keep(&MACS, &|name| name.contains("-etm")),
                rsa_min_bits: 3072,
                require_strict_kex: true,
                ..strong
            },
            Self::Pq => Algorithms {
                kex: keep(&KEX, &|name| name.starts_with("mlkem")),
                require_pq: true,
                ..strong
            },
            Self::FipsLike => Algorithms {
                kex: keep(&KEX, &|name| {
                    nist(name) || (name.starts_with("diffie") && !name.contains("group14"))
                }),
                host_keys: keep(&HOST_KEYS, &|name| name != "ssh-ed25519"),
                ciphers: keep(&CIPHERS, &|name| name.starts_with("aes")),
                ..strong
            },
        }
    }
}

/// What the settings ask for beyond a profile, whichever profile a host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// Key exchange methods in place of the profile's.
    pub kex: Option<Vec<String>>,
    /// Host key algorithms in place of the profile's.
    pub host_keys: Option<Vec<String>>,
    /// Ciphers in place of the profile's.
    pub ciphers: Option<Vec<String>>,
    /// Message authentication codes in place of the profile's.
    pub macs: Option<Vec<String>>,
    /// The shortest RSA key, in bits, where the profile's is shorter.
    pub rsa_min_bits: Option<u32>,
    /// Whether strict key exchange must be negotiated, in place of the
    /// profile's word.
    pub require_strict_kex: Option<bool>,
    /// Whether the key exchange must resist a quantum computer, even if the
    /// profile does not say so.
    pub require_pq: bool,
}

impl Adjustments {
    /// What is offered to a host of this profile.
    pub fn apply(&self, profile: Profile) -> Algorithms {
        let offer = profile.algorithms();
        let chosen = |list: &Option<Vec<String>>, own| list.clone().unwrap_or(own);
        let strict = self.require_strict_kex.unwrap_or(offer.require_strict_kex);
        Algorithms {
            kex: chosen(&self.kex, offer.kex),
            host_keys: chosen(&self.host_keys, offer.host_keys),
            ciphers: chosen(&self.ciphers, offer.ciphers),
            macs: chosen(&self.macs, offer.macs),
            rsa_min_bits: offer.rsa_min_bits.max(self.rsa_min_bits.unwrap_or_default()),
            require_strict_kex: strict,
            require_pq: offer.require_pq || self.require_pq,
        }
    }
}

/// Whether a name may stand in the settings at all; the error says what may.
///
/// `kind` is the setting: `kex`, `host_keys`, `ciphers` or `macs`.
pub fn check_name(kind: &str, name: &str) -> Result<(), String> {
    let allowed = allowed(kind);
    if allowed.contains(&name) {
        return Ok(());
    }
    Err(format!("{name:?} is not allowed here; choose from {}", allowed.join(", ")))
}

fn allowed(kind: &str) -> &'static [&'static str] {
    match kind {
        "ciphers" => &CIPHERS,
        "host_keys" => &HOST_KEYS,
        "kex" => &KEX,
        "macs" => &MACS,
        _ => &[],
    }
}

impl Algorithms {
    /// The offer without what CVE-2023-48795 ("Terrapin") can reach, for a
    /// server that does not know strict key exchange.
    pub fn without_terrapin(&self) -> Self {
        let keep = |list: &[String], banned: &str| -> Vec<String> {
            list.iter().filter(|name| !name.contains(banned)).cloned().collect()
        };
        Self {
            ciphers: keep(&self.ciphers, "chacha20"),
            macs: keep(&self.macs, "-etm"),
            ..self.clone()
        }
    }

    /// The offer in russh's terms. Host key types that are `known` for this
    /// host come first; certificates are asked for only where an authority
    /// `vouches`, because a server prefers them over its plain key.
    pub(super) fn preferred(&self, known: &[Algorithm], vouched: bool) -> Preferred {
        let mut keys: Vec<Algorithm> =
            self.host_keys.iter().filter_map(|name| host_key_algorithm(name)).collect();
        let is_known = |key: &Algorithm| known.iter().any(|known| same_type(known, key));
        keys.sort_by_key(|key| !is_known(key));
        let certificates = if vouched { keys.clone() } else { Vec::new() };
        // Without these two names Terrapin's countermeasure and the discovery
        // of rsa-sha2 are off.
        let markers =
            [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];
        let kex = names(&self.kex, |name| kex::Name::try_from(name).ok()).chain(markers).collect();
        Preferred {
            kex: Cow::Owned(kex),
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Owned(certificates),
            cipher: names(&self.ciphers, |name| cipher::Name::try_from(name).ok()).collect(),
            mac: names(&self.macs, |name| mac::Name::try_from(name).ok()).collect(),
            compression: Cow::Borrowed(&[compression::NONE]),
        }
    }
}

fn names<T>(list: &[String], parse: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = T> {
    list.iter().filter_map(move |name| parse(name))
}

fn host_key_algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ssh-ed25519" => Algorithm::Ed25519,
        "ecdsa-sha2-nistp256" => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        "ecdsa-sha2-nistp384" => Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        "ecdsa-sha2-nistp521" => Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        "rsa-sha2-256" => Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        "rsa-sha2-512" => Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        _ => return None,
    })
}

/// RSA is one type of key, whatever hash signs with it.
fn same_type(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || (matches!(a, Algorithm::Rsa { .. }) && matches!(b, Algorithm::Rsa { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 4] =
        [Profile::Strong, Profile::Strict, Profile::Pq, Profile::FipsLike];

    #[test]
    fn every_name_is_one_that_russh_knows() {
        let offer = Profile::Strong.algorithms();
        let preferred = offer.preferred(&[], false);
        assert_eq!(preferred.kex.len(), KEX.len() + 2);
        assert_eq!(preferred.key.len(), HOST_KEYS.len());
        assert_eq!(preferred.cipher.len(), CIPHERS.len());
        assert_eq!(preferred.mac.len(), MACS.len());
    }

    #[test]
    fn no_profile_offers_anything_weak_or_nothing_at_all() {
        for profile in PROFILES {
            let offer = profile.algorithms();
            let lists = [&offer.kex, &offer.host_keys, &offer.ciphers, &offer.macs];
            for list in lists {
                assert!(!list.is_empty(), "{profile:?}");
                for name in list {
                    for weak in ["sha1", "cbc", "3des", "arcfour", "md5", "none", "group1-"] {
                        assert!(!name.contains(weak), "{profile:?}: {name}");
                    }
                    assert_ne!(name, "ssh-rsa");
                }
            }
        }
    }

    #[test]
    fn the_strong_profile_prefers_gcm_and_the_post_quantum_kex() {
        let offer = Profile::Strong.algorithms();
        assert_eq!(offer.ciphers[0], "aes256-gcm@openssh.com");
        assert_eq!(offer.kex[0], "mlkem768x25519-sha256");
    }

    #[test]
    fn known_types_come_first_and_certificates_only_where_vouched_for() {
        let offer = Profile::Strong.algorithms();
        let rsa = Algorithm::Rsa { hash: None };
        let preferred = offer.preferred(std::slice::from_ref(&rsa), false);
        assert_eq!(preferred.key[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(preferred.key[2], Algorithm::Ed25519);
        assert!(preferred.host_key_certificates.is_empty());
        assert!(!offer.preferred(&[], true).host_key_certificates.is_empty());
    }

    #[test]
    fn adjustments_tighten_every_profile() {
        let names = vec!["aes256-gcm@openssh.com".to_owned()];
        let adjustments = Adjustments {
            ciphers: Some(names.clone()),
            rsa_min_bits: Some(2048),
            require_pq: true,
            ..Adjustments::default()
        };
        for profile in PROFILES {
            let (own, offer) = (profile.algorithms(), adjustments.apply(profile));
            assert_eq!((&offer.ciphers, &offer.kex), (&names, &own.kex));
            assert_eq!(offer.rsa_min_bits, own.rsa_min_bits, "{profile:?}");
            assert_eq!(offer.require_strict_kex, own.require_strict_kex);
            assert!(offer.require_pq);
        }
    }

    #[test]
    fn only_allowed_names_pass() {
        assert!(check_name("ciphers", "aes128-ctr").is_ok());
        let refusal = check_name("macs", "hmac-sha1").unwrap_err();
        assert!(refusal.contains("hmac-sha2-256"), "{refusal}");
    }
}
