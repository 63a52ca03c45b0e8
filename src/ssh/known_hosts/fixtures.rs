//! Keys and certificates for the unit tests, see `tests/fixtures/known_hosts`.

use std::fs;
use std::path::Path;

use russh::keys::{Certificate, PublicKey};

/// The type and the key of a public key file, without what follows.
macro_rules! public_key {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/known_hosts/", $name, ".pub"))
            .trim_ascii_end()
    };
}

pub(super) const ED25519: &str = public_key!("host_ed25519");
pub(super) const ECDSA: &str = public_key!("host_ecdsa");
pub(super) const RSA: &str = public_key!("host_rsa");
pub(super) const DSA: &str = public_key!("host_dsa");
pub(super) const OTHER_ED25519: &str = public_key!("other_ed25519");
pub(super) const CA: &str = public_key!("ca_ed25519");
pub(super) const CA_RSA: &str = public_key!("ca_rsa");

pub(super) fn key(line: &str) -> PublicKey {
    line.parse().unwrap()
}

/// A certificate over [`ED25519`].
pub(super) fn certificate(name: &str) -> Certificate {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/known_hosts");
    fs::read_to_string(dir.join(format!("{name}-cert.pub"))).unwrap().parse().unwrap()
}
