//! What is decided, case by case, with the fixtures' keys for `web1`.

mod certificates;
mod lines;
mod pins;
mod words;

use std::time::{Duration, SystemTime};

use russh::keys::{Certificate, PublicKey};

use super::fixtures::{CA, CA_RSA, DSA, ECDSA, ED25519, OTHER_ED25519, RSA, certificate, key};
use super::*;

/// Any time at which the fixtures' certificates are valid that ever are.
const NOW: u64 = 1_800_000_000;

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("known_hosts"), text.as_bytes());
    known
}

fn decide_for(
    name: &HostName,
    text: &str,
    offered: Offered,
    pins: &[Pin],
) -> Result<Accepted, HostKeyError> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    known(text).decide(name, &offered, now, pins)
}

fn web1() -> HostName {
    HostName::new("web1", 22).unwrap()
}

fn web1_2222() -> HostName {
    HostName::new("web1", 2222).unwrap()
}

/// `web1` on port 22 offers its Ed25519 key.
fn decide(text: &str) -> Result<Accepted, HostKeyError> {
    decide_for(&web1(), text, Offered::Key(key(ED25519)), &[])
}

fn decide_on_2222(text: &str) -> Result<Accepted, HostKeyError> {
    decide_for(&web1_2222(), text, Offered::Key(key(ED25519)), &[])
}

fn decide_certificate(text: &str, cert: &str) -> Result<Accepted, HostKeyError> {
    decide_for(&web1(), text, Offered::Certificate(Box::new(certificate(cert))), &[])
}

fn line(number: usize) -> Place {
    Place { file: Path::new("known_hosts").into(), line: number }
}

fn by_line(answer: Result<Accepted, HostKeyError>) -> usize {
    match answer.unwrap().by {
        Voucher::Line(at) => at.line,
        other => panic!("{other:?}"),
    }
}

fn is_unknown(answer: &Result<Accepted, HostKeyError>) -> bool {
    matches!(answer, Err(HostKeyError::Unknown { .. }))
}

fn is_changed(answer: &Result<Accepted, HostKeyError>) -> bool {
    matches!(answer, Err(HostKeyError::Changed { .. }))
}

fn is_revoked(answer: &Result<Accepted, HostKeyError>) -> bool {
    matches!(answer, Err(HostKeyError::Revoked { .. }))
}

fn fault(answer: Result<Accepted, HostKeyError>) -> CertificateFault {
    match answer {
        Err(HostKeyError::Certificate { refused, .. }) => refused.fault,
        other => panic!("{other:?}"),
    }
}

fn recorded_at(of: &str, number: usize) -> RecordedKey {
    RecordedKey { key: KeyId::of(key(of).key_data()), at: line(number) }
}
