//! How a record becomes a line that vouches for the one before it.
//!
//! `hash` is the SHA-256 of the line with an empty `hash`; `prev` is the
//! SHA-256 of the whole line before, so it covers that line's `hash` too.
//! Neither counts the newline.

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::stamp::Stamp;

use crate::hex::hex;

/// The longest line, newline included.
pub(super) const LINE_MAX: usize = 1 << 20;

/// What is wrong with a line, or with the files around it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Defect {
    /// The line is not what its own hash says.
    #[error("the line does not match its hash")]
    Altered,
    /// A signed checkpoint names another hash for this record.
    #[error("a signed checkpoint names another hash for it")]
    Contradicted,
    /// The line is no record of this format.
    #[error("the line is not a record")]
    Malformed,
    /// A checkpoint's signature does not hold.
    #[error("the checkpoint for it has no valid signature")]
    Signature,
    /// The log ends before a record that a signed checkpoint covers.
    #[error("the log ends before it, though a signed checkpoint covers record {covers}")]
    Truncated {
        /// The record the checkpoint covers.
        covers: u64,
    },
    /// The line does not follow the one before it.
    #[error("the line does not follow the one before it")]
    Unchained,
    /// Another record stands where this one should.
    #[error("record {found} stands in its place")]
    WrongSeq {
        /// The number found.
        found: u64,
    },
}

/// The end of a chain: what the next line must refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the last line; 0 before the first.
    pub(super) seq: u64,
    /// Its `hash`.
    pub(super) hash: String,
    /// The digest of the whole line: the next line's `prev`.
    pub(super) line: String,
}

impl Link {
    /// The link before the first line.
    pub(super) fn genesis() -> Self {
        let zeros = "0".repeat(64);
        Self { seq: 0, hash: zeros.clone(), line: zeros }
    }

    /// The line for `body` (JSON members without braces) after this link, newline
    /// included, and its link.
    pub(super) fn seal(&self, stamp: &Stamp, body: &str) -> (String, Self) {
        let seq = self.seq + 1;
        let mut line = String::with_capacity(1024);
        line.push_str(&beginning(seq));
        stamp.write(&mut line);
        line.push_str(&format!("{body},{PREV}{}{HASH}", self.line));
        let hash = sha256([line.as_bytes(), END]);
        line.push_str(&hash);
        line.push_str("\"}");
        let link = Self { seq, hash, line: sha256([line.as_bytes()]) };
        line.push('\n');
        (line, link)
    }

    /// The link after `line` (without newline), if it follows this one.
    pub(super) fn follow(&self, line: &[u8]) -> Result<Self, Defect> {
        serde_json::from_slice::<IgnoredAny>(line).map_err(|_| Defect::Malformed)?;
        let found = Self::of(line).ok_or(Defect::Malformed)?;
        if found.seq != self.seq + 1 {
            return Err(Defect::WrongSeq { found: found.seq });
        }
        let parts = split(line).ok_or(Defect::Malformed)?;
        if sha256([parts.before_hash, END]) != found.hash {
            return Err(Defect::Altered);
        }
        if parts.prev != self.line.as_bytes() {
            return Err(Defect::Unchained);
        }
        Ok(found)
    }

    /// The link that `line` itself claims to be; nothing is checked but its shape.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let seq = seq_of(line)?;
        let hash = std::str::from_utf8(split(line)?.hash).ok()?.to_owned();
        Some(Self { seq, hash, line: sha256([line]) })
    }
}

/// The number that `line` claims to have.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(PREFIX.as_bytes())?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// How the line with this number begins.
pub(super) fn beginning(seq: u64) -> String {
    format!("{PREFIX}{seq},")
}

/// SHA-256 over `parts` in order, in lower-case hexadecimal.
pub(super) fn sha256<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    hex(digest.finalize())
}

const PREFIX: &str = r#"{"v":1,"seq":"#;
const PREV: &str = r#""prev":""#;
const HASH: &str = r#"","hash":""#;
const END: &[u8] = b"\"}";

struct Parts<'a> {
    before_hash: &'a [u8],
    prev: &'a [u8],
    hash: &'a [u8],
}

/// Cuts a line at its two digests, which stand at fixed places from its end.
fn split(line: &[u8]) -> Option<Parts<'_>> {
    let (before_hash, hash) = line.strip_suffix(END)?.split_last_chunk::<64>()?;
    let (before_prev, prev) =
        before_hash.strip_suffix(HASH.as_bytes())?.split_last_chunk::<64>()?;
    before_prev.ends_with(PREV.as_bytes()).then_some(Parts { before_hash, prev, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(link: &Link, text: &str) -> (String, Link) {
        link.seal(&Stamp::of_this_process().unwrap(), &format!(r#""event":"{text}""#))
    }

    #[test]
    fn lines_follow_each_other_and_nothing_else() {
        let genesis = Link::genesis();
        let (first, one) = line(&genesis, "a");
        let (second, two) = line(&one, "b");
        let (first, second) = (first.trim_end().as_bytes(), second.trim_end().as_bytes());
        assert_eq!(genesis.follow(first), Ok(one.clone()));
        assert_eq!(one.follow(second), Ok(two));
        assert_eq!(genesis.follow(second), Err(Defect::WrongSeq { found: 2 }));
        let other = line(&genesis, "c").1;
        assert_eq!(other.follow(second), Err(Defect::Unchained));
    }

    #[test]
    fn every_changed_byte_of_a_line_is_noticed() {
        let genesis = Link::genesis();
        let (text, _) = line(&genesis, "exec.attempt");
        let good = text.trim_end().as_bytes();
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert!(genesis.follow(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_line_with_an_empty_hash() {
        let (text, link) = line(&Link::genesis(), "a");
        let emptied = text.trim_end().replace(&link.hash, "");
        assert_eq!(sha256([emptied.as_bytes()]), link.hash);
        assert_eq!(sha256([text.trim_end().as_bytes()]), link.line);
    }
}
