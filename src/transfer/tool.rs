//! Believing what a host says of SHA-256.

use std::ffi::OsString;

use sha2::{Digest, Sha256};

use crate::hex::{hex, random};
use crate::outcome::VerifiedBy;
use crate::remote::ExitStatus;

/// What our texts get first: a word that nobody can know, and the SHA-256 by which
/// a tool shows that it is one.
pub(crate) struct Proof {
    /// What each line of the answer begins with.
    pub(crate) mark: String,
    nonce: String,
}

impl Proof {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let nonce = random()?;
        Ok(Self { mark: format!("orch1 {nonce} "), nonce })
    }

    /// The first arguments of the text.
    pub(crate) fn args(&self) -> [OsString; 2] {
        let sum = hex(Sha256::digest(format!("{}\n", self.nonce)));
        [self.nonce.clone().into(), sum.into()]
    }
}

/// The tool of this name.
pub(crate) fn named(name: &str) -> Option<VerifiedBy> {
    let tools = [VerifiedBy::Sha256sum, VerifiedBy::Shasum, VerifiedBy::Openssl];
    tools.into_iter().find(|tool| tool.as_str() == name)
}

/// Exactly 64 hexadecimal digits, made lower-case.
pub(crate) fn sha256(text: &str) -> Option<String> {
    let digit = |byte: u8| byte.is_ascii_hexdigit();
    (text.len() == 64 && text.bytes().all(digit)).then(|| text.to_ascii_lowercase())
}

/// How a text ended that did not come to its end; `None` if it did.
pub(crate) fn ended_badly(exit: &ExitStatus) -> Option<String> {
    match exit {
        ExitStatus::Code(0) => None,
        ExitStatus::Code(code) => Some(format!("its shell ended with {code}")),
        ExitStatus::Signal(name) => Some(format!("its shell was ended by SIG{name}")),
        ExitStatus::Missing => Some("its shell ended without a status".into()),
    }
}
