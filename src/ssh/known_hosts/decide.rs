//! The decision, in the order that keeps it safe: revoked, certificate, equal,
//! changed, other type, unknown.

use std::time::SystemTime;

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, PublicKey};

use super::line::Marker;
use super::{
    Entry, HostKeyError, HostName, KeyId, KnownHosts, Pin, Place, RecordedKey, RefusedCertificate,
    certificate,
};

/// What a host offers as proof of who it is.
#[derive(Clone, Debug)]
pub enum Offered {
    /// A plain key.
    Key(PublicKey),
    /// A key with a CA's word for it.
    Certificate(Box<Certificate>),
}

/// An accepted host key, and why it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The key that the host offered.
    pub key: KeyId,
    /// What vouches for it.
    pub by: Voucher,
}

/// What vouches for an accepted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A line that records the key.
    Line(Place),
    /// The `@cert-authority` line of the CA that signed its certificate.
    Authority(Place),
    /// The pin in the inventory.
    Pin,
}

impl KnownHosts {
    /// Decides whether `offered` is the key of `name`.
    ///
    /// If there are `pins`, one of them must match and no line can stand in for
    /// it; a `@revoked` line still refuses. A certificate that is refused, or
    /// whose CA is not listed, counts as the plain key inside it.
    ///
    /// Lines that name the port go first; lines without it are asked only if
    /// none does, and can then accept a key but never call it changed. This is
    /// what OpenSSH does.
    pub fn decide(
        &self,
        name: &HostName,
        offered: &Offered,
        now: SystemTime,
        pins: &[Pin],
    ) -> Result<Accepted, HostKeyError> {
        let (exact, portless) = self.lines_for(name);
        let case = Case { name, offered, now, exact, portless };
        if pins.is_empty() { case.by_lines() } else { case.by_pins(pins) }
    }
}

impl Offered {
    /// The host's own key, with or without a certificate around it.
    pub fn key(&self) -> &KeyData {
        match self {
            Self::Key(key) => key.key_data(),
            Self::Certificate(cert) => cert.public_key(),
        }
    }

    /// What people compare.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.key())
    }

    /// The host's own key, as [`learn`](super::learn) records it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from(self.key().clone())
    }
}

impl From<PublicKey> for Offered {
    fn from(key: PublicKey) -> Self {
        match key.key_data() {
            KeyData::Certificate(cert) => Self::Certificate(cert.clone()),
            _ => Self::Key(key),
        }
    }
}

/// One question, with the lines that bear on it.
struct Case<'a> {
    name: &'a HostName,
    offered: &'a Offered,
    now: SystemTime,
    exact: Vec<&'a Entry>,
    portless: Vec<&'a Entry>,
}

impl Case<'_> {
    fn by_pins(&self, pins: &[Pin]) -> Result<Accepted, HostKeyError> {
        self.refuse_revoked(&self.exact)?;
        self.refuse_revoked(&self.portless)?;
        if pins.iter().any(|pin| pin.matches(self.offered.key())) {
            return Ok(self.accepted(Voucher::Pin));
        }
        Err(HostKeyError::PinMismatch {
            name: self.name.clone(),
            offered: self.offered_id(),
            pinned: pins.to_vec(),
        })
    }

    fn by_lines(&self) -> Result<Accepted, HostKeyError> {
        self.refuse_revoked(&self.exact)?;
        let refused = match self.offered {
            Offered::Key(_) => None,
            Offered::Certificate(cert) => match self.by_authority(cert)? {
                Some(Ok(at)) => return Ok(self.accepted(Voucher::Authority(at))),
                Some(Err(refused)) => Some(self.bad_certificate(refused)),
                None => None,
            },
        };
        // The key inside a bad certificate may be known for itself; if it is
        // not, the certificate is the better explanation.
        match (self.by_key(), refused) {
            (Err(HostKeyError::Unknown { .. }), Some(refused)) => Err(refused),
            (answer, _) => answer,
        }
    }

    /// The line of the certificate's CA, if the certificate keeps the rules;
    /// `None` if its CA is not listed for this host.
    fn by_authority(
        &self,
        cert: &Certificate,
    ) -> Result<Option<Result<Place, RefusedCertificate>>, HostKeyError> {
        let entries = self.deciding(Marker::CertAuthority)?;
        let line = marked(entries, Marker::CertAuthority)
            .find(|entry| entry.line.key == *cert.signature_key());
        Ok(line.map(|entry| {
            let at = entry.place.clone();
            match certificate::check(cert, self.name.principal(), self.now) {
                Ok(()) => Ok(at),
                Err(fault) => {
                    Err(RefusedCertificate { ca: KeyId::of(cert.signature_key()), at, fault })
                }
            }
        }))
    }

    fn by_key(&self) -> Result<Accepted, HostKeyError> {
        let key = self.offered.key();
        let entries = self.deciding(Marker::HostKey)?;
        if let Some(entry) = marked(entries, Marker::HostKey).find(|entry| entry.line.key == *key) {
            return Ok(self.accepted(Voucher::Line(entry.place.clone())));
        }
        let (name, offered) = (self.name.clone(), self.offered_id());
        let recorded: Vec<_> = marked(&self.exact, Marker::HostKey).map(Entry::recorded).collect();
        if recorded.is_empty() {
            return Err(HostKeyError::Unknown { name, offered });
        }
        let (same, other): (Vec<_>, Vec<_>) =
            recorded.into_iter().partition(|recorded| recorded.key.algorithm == offered.algorithm);
        Err(if same.is_empty() {
            HostKeyError::UnknownType { name, offered, recorded: other }
        } else {
            HostKeyError::Changed { name, offered, recorded: same }
        })
    }

    /// The lines that settle a question about `marker`: those of the exact name
    /// if it has any such line, else those of the name without its port.
    fn deciding(&self, marker: Marker) -> Result<&[&Entry], HostKeyError> {
        if marked(&self.exact, marker).next().is_some() {
            return Ok(&self.exact);
        }
        self.refuse_revoked(&self.portless)?;
        Ok(&self.portless)
    }

    fn refuse_revoked(&self, entries: &[&Entry]) -> Result<(), HostKeyError> {
        let ca = match self.offered {
            Offered::Key(_) => None,
            Offered::Certificate(cert) => Some(cert.signature_key()),
        };
        let offered = self.offered.key();
        let revoked = marked(entries, Marker::Revoked)
            .find(|entry| entry.line.key == *offered || Some(&entry.line.key) == ca);
        revoked.map_or(Ok(()), |entry| {
            Err(HostKeyError::Revoked {
                name: self.name.clone(),
                revoked: KeyId::of(&entry.line.key),
                at: entry.place.clone(),
            })
        })
    }

    fn bad_certificate(&self, refused: RefusedCertificate) -> HostKeyError {
        HostKeyError::Certificate {
            name: self.name.clone(),
            offered: self.offered_id(),
            refused: Box::new(refused),
        }
    }

    fn accepted(&self, by: Voucher) -> Accepted {
        Accepted { key: self.offered_id(), by }
    }

    fn offered_id(&self) -> KeyId {
        self.offered.id()
    }
}

impl Entry {
    pub(super) fn recorded(&self) -> RecordedKey {
        RecordedKey { key: KeyId::of(&self.line.key), at: self.place.clone() }
    }
}

fn marked<'a>(entries: &'a [&'a Entry], marker: Marker) -> impl Iterator<Item = &'a Entry> {
    entries.iter().copied().filter(move |entry| entry.line.marker == marker)
}
