//! Between the handshake and what is known of host keys.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::connect::fail;
use super::handler::Verify;
use super::known_hosts::{Accepted, HostKeyError, HostName, KnownHosts, Offered, Pin};
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase, Endpoint};

/// The types of key that are recorded for an endpoint, and whether an
/// authority vouches for it.
pub(super) fn offer(
    known_hosts: &KnownHosts,
    endpoint: &Endpoint,
) -> Result<(Vec<Algorithm>, bool), ConnectError> {
    let name = name(endpoint)?;
    let types = known_hosts.preferred_types(&name);
    if endpoint.trust.pins.is_empty() {
        return Ok((types.algorithms, types.certificates));
    }
    // A pin is worth more than a certificate, which would hide the plain key.
    let named = |pin: &String| Algorithm::new(pin.split_whitespace().next()?).ok();
    let pinned = endpoint.trust.pins.iter().filter_map(named);
    Ok((pinned.chain(types.algorithms).collect(), false))
}

/// What judges the endpoint's key when it is shown, and notes why it was
/// accepted.
pub(super) fn verifier(
    known_hosts: Arc<KnownHosts>,
    endpoint: &Endpoint,
    rsa_bits_min: u32,
    accepted: Arc<OnceLock<Accepted>>,
) -> Result<Verify, ConnectError> {
    let name = name(endpoint)?;
    let pins = pins(endpoint)?;
    let label = endpoint.label.clone();
    Ok(Box::new(move |shown| {
        let (offered, fingerprint) = long_enough(shown, rsa_bits_min)?;
        match known_hosts.decide(&name, &offered, SystemTime::now(), &pins) {
            Ok(found) => {
                let _ = accepted.set(found);
                Ok(fingerprint)
            }
            Err(refusal) => Err(ConnectError {
                hint: Some(refusal.hint(&label)),
                host_key: Some(fingerprint),
                ..fail(ConnectPhase::HostKey, kind(&refusal), text(&refusal))
            }),
        }
    }))
}

/// Takes any key that is long enough and keeps the first it is shown: for a
/// connection that ends before authentication.
pub(super) fn watcher(seen: Arc<OnceLock<Offered>>, rsa_bits_min: u32) -> Verify {
    Box::new(move |shown| {
        let (offered, fingerprint) = long_enough(shown, rsa_bits_min)?;
        let _ = seen.set(offered);
        Ok(fingerprint)
    })
}

/// What is shown and its fingerprint, unless it is too short to prove anything.
fn long_enough(
    shown: &PublicKeyOrCertificate,
    rsa_bits_min: u32,
) -> Result<(Offered, String), ConnectError> {
    let key = shown.public_key();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    if let Some(bits) = rsa_bits(&key).filter(|&bits| bits < rsa_bits_min) {
        let message =
            format!("the server's RSA host key has {bits} bits; {rsa_bits_min} are required");
        return Err(ConnectError {
            hint: Some("make an ed25519 host key there: ssh-keygen -A".into()),
            host_key: Some(fingerprint),
            ..fail(ConnectPhase::HostKey, ConnectErrorKind::Algorithms, message)
        });
    }
    let offered = match shown {
        PublicKeyOrCertificate::PublicKey { key, .. } => Offered::Key(key.clone()),
        PublicKeyOrCertificate::Certificate(certificate) => {
            Offered::Certificate(Box::new(certificate.clone()))
        }
    };
    Ok((offered, fingerprint))
}

/// The length of an RSA key's modulus in bits; `None` for other keys.
pub(super) fn rsa_bits(key: &PublicKey) -> Option<u32> {
    key.key_data().rsa().map(|rsa| rsa.key_size())
}

/// The name under which an endpoint's key is recorded.
///
/// # Errors
/// The address or the alias can stand in no known_hosts file.
pub(crate) fn name(endpoint: &Endpoint) -> Result<HostName, ConnectError> {
    let name = match &endpoint.trust.alias {
        Some(alias) => HostName::alias(alias),
        None => HostName::new(&endpoint.address, endpoint.port),
    };
    name.map_err(|error| {
        fail(ConnectPhase::HostKey, ConnectErrorKind::HostKeyUnknown, error.to_string())
    })
}

/// The only keys that are accepted there, if the inventory pins any.
///
/// # Errors
/// A pin is none.
pub(crate) fn pins(endpoint: &Endpoint) -> Result<Vec<Pin>, ConnectError> {
    let parse = |pin: &String| {
        pin.parse::<Pin>().map_err(|error| {
            fail(ConnectPhase::HostKey, ConnectErrorKind::HostKeyUnknown, error.to_string())
        })
    };
    endpoint.trust.pins.iter().map(parse).collect()
}

fn kind(refusal: &HostKeyError) -> ConnectErrorKind {
    match refusal {
        HostKeyError::Changed { .. } | HostKeyError::PinMismatch { .. } => {
            ConnectErrorKind::HostKeyChanged
        }
        HostKeyError::Certificate { .. } | HostKeyError::Unknown { .. } => {
            ConnectErrorKind::HostKeyUnknown
        }
        HostKeyError::Revoked { .. } => ConnectErrorKind::HostKeyRevoked,
        HostKeyError::UnknownType { .. } => ConnectErrorKind::HostKeyUnknownType,
    }
}

/// The refusal and its cause, where it has one.
fn text(refusal: &HostKeyError) -> String {
    match std::error::Error::source(refusal) {
        Some(source) => format!("{refusal}: {source}"),
        None => refusal.to_string(),
    }
}
