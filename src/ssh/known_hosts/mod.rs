//! Which host keys are known, with the semantics of OpenSSH.
//!
//! [`KnownHosts`] reads `known_hosts` files once; [`KnownHosts::decide`] answers
//! whether an offered key is a host's own; [`learn`] records a key. OpenSSH's
//! own client judges these answers in `tests/it/known_hosts.rs`, which lists
//! the few cases where ours is the stricter.

mod certificate;
mod decide;
mod hosts;
mod learn;
mod line;
mod name;
mod pin;
mod refusal;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use russh::keys::{Algorithm, HashAlg};

pub use certificate::CertificateFault;
pub use decide::{Accepted, Offered, Voucher};
pub(in crate::ssh) use hosts::pattern_list_matches;
pub use learn::{LearnError, Learned, learn};
pub use line::{BadLine, Marker, Place};
pub use name::{HostName, InvalidHostName};
pub use pin::{InvalidPin, Pin};
pub use refusal::{HostKeyError, KeyId, RecordedKey, RefusedCertificate};

use hosts::Hosts;
use line::Line;

/// The lines of some `known_hosts` files, as they were when they were read.
///
/// Looking up a name costs the same in a file of any length, but for lines with
/// a hashed name or a wildcard: each of those is tried.
#[derive(Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    by_name: HashMap<Box<[u8]>, Vec<usize>>,
    unindexed: Vec<usize>,
    warnings: Vec<Warning>,
}

/// A file that is there but could not be read. Going on without it could miss
/// a revocation.
#[derive(Debug, thiserror::Error)]
#[error("known_hosts file {} could not be read", file.display())]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line.
    pub at: Place,
    /// What is wrong with it.
    pub problem: BadLine,
}

/// What is recorded for a host, to be offered first in the key exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTypes {
    /// The signature algorithms of the recorded keys, in the order of the
    /// lines; an RSA key stands for `rsa-sha2-512` and `rsa-sha2-256`.
    pub algorithms: Vec<Algorithm>,
    /// Whether a CA is listed for the host, so that it may offer a certificate.
    pub certificates: bool,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    line: Line,
}

impl KnownHosts {
    /// Reads one file, see [`load`](Self::load).
    pub fn strict(file: impl Into<PathBuf>) -> Result<Self, ReadError> {
        Self::load([file])
    }

    /// Reads files in order. A file that does not exist is empty; a file that
    /// cannot be read is an error; a bad line becomes one of the
    /// [`warnings`](Self::warnings).
    ///
    /// Reads the files on the calling thread.
    pub fn load<P: Into<PathBuf>>(files: impl IntoIterator<Item = P>) -> Result<Self, ReadError> {
        let mut known = Self::default();
        for file in files {
            let file = file.into();
            match fs::read(&file) {
                Ok(bytes) => known.add(&file, &bytes),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ReadError { file, source }),
            }
        }
        Ok(known)
    }

    /// The lines that were left out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What is recorded for `name`, revocations aside.
    pub fn preferred_types(&self, name: &HostName) -> KnownTypes {
        let (exact, portless) = self.lines_for(name);
        let deciding = |marker| {
            let of = |entries: &[&Entry]| -> Vec<Algorithm> {
                let entries = entries.iter().filter(|entry| entry.line.marker == marker);
                entries.map(|entry| entry.line.key.algorithm()).collect()
            };
            let found = of(&exact);
            if found.is_empty() { of(&portless) } else { found }
        };
        let mut algorithms = Vec::new();
        for algorithm in deciding(Marker::HostKey).into_iter().flat_map(signature_algorithms) {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        KnownTypes { algorithms, certificates: !deciding(Marker::CertAuthority).is_empty() }
    }

    /// How many lines are in use.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known of any host.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every line that speaks of `name`, the lines that name its port first.
    pub fn lines_of(&self, name: &HostName) -> Vec<(Marker, RecordedKey)> {
        let (exact, portless) = self.lines_for(name);
        let lines = exact.into_iter().chain(portless);
        lines.map(|entry| (entry.line.marker, entry.recorded())).collect()
    }

    fn add(&mut self, file: &Path, bytes: &[u8]) {
        let file: Arc<Path> = file.into();
        for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let place = Place { file: Arc::clone(&file), line: index + 1 };
            match Line::parse(line) {
                Ok(Some(line)) => self.index(Entry { place, line }),
                Ok(None) => {}
                Err(problem) => self.warnings.push(Warning { at: place, problem }),
            }
        }
    }

    fn index(&mut self, entry: Entry) {
        let position = self.entries.len();
        match &entry.line.hosts {
            Hosts::Names(names) => {
                for name in names {
                    self.by_name.entry(name.clone()).or_default().push(position);
                }
            }
            Hosts::Patterns(_) | Hosts::Hashed(_) => self.unindexed.push(position),
        }
        self.entries.push(entry);
    }

    /// The lines that speak of the host, and those of it without its port.
    fn lines_for(&self, name: &HostName) -> (Vec<&Entry>, Vec<&Entry>) {
        let portless = name.portless().map_or_else(Vec::new, |name| self.matching(name));
        (self.matching(name.as_str()), portless)
    }

    /// The lines that speak of `name`, in the order of the files.
    fn matching(&self, name: &str) -> Vec<&Entry> {
        let indexed = self.by_name.get(name.as_bytes()).into_iter().flatten();
        let tried = self.unindexed.iter().filter(|&&i| self.entries[i].line.hosts.matches(name));
        let mut positions: Vec<usize> = indexed.chain(tried).copied().collect();
        positions.sort_unstable();
        positions.dedup(); // a line may list a name twice
        positions.into_iter().map(|position| &self.entries[position]).collect()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line ignored: {}", self.at, self.problem)
    }
}

fn signature_algorithms(key: Algorithm) -> Vec<Algorithm> {
    match key {
        Algorithm::Rsa { .. } => [HashAlg::Sha512, HashAlg::Sha256]
            .map(|hash| Algorithm::Rsa { hash: Some(hash) })
            .to_vec(),
        other => vec![other],
    }
}
