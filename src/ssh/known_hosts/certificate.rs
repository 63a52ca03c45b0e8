//! The rules for a host certificate whose CA is listed for the host.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

/// What is wrong with a host certificate.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateFault {
    /// It was issued for a user, not for a host.
    #[error("it is a user certificate")]
    UserCertificate,
    /// It names no host, which old servers took to mean every host.
    #[error("it lists no principals")]
    NoPrincipals,
    /// It is for other hosts.
    #[error("its principals are {0}")]
    OtherPrincipals(String),
    /// Its time has not come; seconds since 1970.
    #[error("it is not valid before {}", utc(*.0))]
    NotYetValid(u64),
    /// Its time is over; seconds since 1970.
    #[error("it expired at {}", utc(*.0))]
    Expired(u64),
    /// It carries a condition that is not known, so it cannot be met.
    #[error("it has the unknown critical option {0}")]
    CriticalOption(String),
    /// The CA signed with a weak algorithm, RSA with SHA-1 for example.
    #[error("its CA signed it with {0}, which is too weak")]
    WeakSignature(String),
    /// The CA did not sign this.
    #[error("its signature is wrong")]
    BadSignature,
}

/// Checks all rules but that the CA is one to trust, which the caller knows.
pub(super) fn check(
    cert: &Certificate,
    principal: &str,
    now: SystemTime,
) -> Result<(), CertificateFault> {
    if cert.cert_type() != CertType::Host {
        return Err(CertificateFault::UserCertificate);
    }
    check_principals(cert.valid_principals(), principal)?;
    // A clock before 1970 is before any certificate.
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < cert.valid_after() {
        return Err(CertificateFault::NotYetValid(cert.valid_after()));
    }
    if now >= cert.valid_before() {
        return Err(CertificateFault::Expired(cert.valid_before()));
    }
    if let Some(option) = cert.critical_options().keys().next() {
        return Err(CertificateFault::CriticalOption(option.escape_debug().to_string()));
    }
    let signed_with = cert.signature().algorithm();
    if matches!(signed_with, Algorithm::Dsa | Algorithm::Rsa { hash: None }) {
        return Err(CertificateFault::WeakSignature(signed_with.to_string()));
    }
    let ca = cert.signature_key().fingerprint(HashAlg::Sha256);
    cert.validate_at(now, [&ca]).map_err(|_| CertificateFault::BadSignature)
}

fn check_principals(principals: &[String], wanted: &str) -> Result<(), CertificateFault> {
    if principals.is_empty() {
        return Err(CertificateFault::NoPrincipals);
    }
    if principals.iter().any(|principal| principal == wanted) {
        return Ok(());
    }
    let listed = principals.join(", ").escape_debug().take(200).collect();
    Err(CertificateFault::OtherPrincipals(listed))
}

fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}
