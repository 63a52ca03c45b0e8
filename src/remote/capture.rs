//! Keeping output in bounded memory without losing sight of the whole.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

/// Collects one stream up to a cap: the first half of the cap and the last
/// half are kept, what lies between is counted and hashed.
#[derive(Debug)]
pub struct Capture {
    ends: Ends,
    hash: Sha256,
}

/// The first half of a cap and the last half of what a stream had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    cap: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

/// One stream of output, as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: Vec<u8>,
    counted_only: bool,
    total: u64,
    sha256: String,
}

impl Capture {
    /// Keeps at most `cap` bytes; with 0 the stream is only counted and hashed.
    pub fn new(cap: usize) -> Self {
        Self { ends: Ends::new(cap), hash: Sha256::new() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.ends.push(bytes);
    }

    /// Ends the stream.
    pub fn finish(self) -> Captured {
        Captured {
            head: self.ends.head,
            tail: self.ends.tail.into(),
            counted_only: self.ends.cap == 0,
            total: self.ends.total,
            sha256: format!("{:x}", HexDigest(self.hash.finalize().into())),
        }
    }
}

impl Ends {
    pub(crate) fn new(cap: usize) -> Self {
        Self { cap, ..Self::default() }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let head_max = self.cap.div_ceil(2);
        let room = head_max.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        bytes = &bytes[room..];
        let tail_max = self.cap - head_max;
        let kept = &bytes[bytes.len().saturating_sub(tail_max)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(tail_max);
        self.tail.drain(..excess);
        self.tail.extend(kept);
    }

    /// How many bytes were pushed.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The first bytes, and the last ones; together they are all of them where
    /// none was left out.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.head, self.tail.into())
    }
}

impl Captured {
    /// A stream as it was kept before. With neither end it was only counted.
    pub(crate) fn restored(head: Vec<u8>, tail: Vec<u8>, total: u64, sha256: String) -> Self {
        let counted_only = head.is_empty() && tail.is_empty();
        Self { head, tail, counted_only, total, sha256 }
    }

    /// What was kept: the first bytes, and the last ones.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.head, &self.tail)
    }

    /// How many bytes the stream had.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether the stream had no bytes.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The SHA-256 of the whole stream, kept or not, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether bytes are missing between the head and the tail. A stream of
    /// which nothing was to be kept misses none.
    pub fn truncated(&self) -> bool {
        !self.counted_only && self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// The bytes that were kept. Where some are missing, a line says how many.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if self.truncated() {
            let missing = self.total - (self.head.len() + self.tail.len()) as u64;
            bytes.extend_from_slice(format!("\n[{missing} bytes left out here]\n").as_bytes());
        }
        bytes.extend_from_slice(&self.tail);
        bytes
    }

    /// The same as text, bytes that are not UTF-8 replaced.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }
}

struct HexDigest([u8; 32]);

impl std::fmt::LowerHex for HexDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(cap: usize, chunks: &[&[u8]]) -> Captured {
        let mut capture = Capture::new(cap);
        chunks.iter().for_each(|chunk| capture.push(chunk));
        capture.finish()
    }

    #[test]
    fn everything_is_kept_up_to_the_cap() {
        let all = capture(10, &[b"01234", b"56789"]);
        assert_eq!(all.to_bytes(), b"0123456789");
        assert!(!all.truncated());
    }

    #[test]
    fn beyond_the_cap_head_and_tail_are_kept_and_the_rest_is_counted() {
        let some = capture(4, &[b"ab", b"cdefgh", b"", b"ij"]);
        assert_eq!(some.to_bytes(), b"ab\n[6 bytes left out here]\nij");
        assert!(some.truncated());
        assert_eq!(some.len(), 10);
        let expected = capture(100, &[b"abcdefghij"]);
        assert_eq!(some.sha256(), expected.sha256());
    }

    #[test]
    fn the_digest_of_nothing() {
        assert!(capture(4, &[]).sha256().starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn a_cap_of_zero_only_counts() {
        let counted = capture(0, &[b"xyz"]);
        assert_eq!(counted.to_bytes(), b"");
        assert_eq!((counted.len(), counted.truncated()), (3, false));
    }

    #[test]
    fn a_cap_of_one() {
        assert_eq!(capture(1, &[b"xyz"]).to_bytes(), b"x\n[2 bytes left out here]\n");
    }
}
