//! Keeping output in bounded memory without losing sight of the whole.
//!
//! A [`Collector`] takes a stream of a host's command: a little of it stays in
//! memory, more goes to the run's [`Spool`] on the disk, and what is beyond
//! its cap is counted and hashed. A [`Capture`] does the same in memory only,
//! for streams that are small. Both give a [`Captured`], which is read in
//! pieces.

mod captured;
mod collector;
mod ends;
mod output_dir;
mod pen;
mod spool;

use sha2::{Digest, Sha256};

use crate::hex::hex;

pub use captured::{Captured, Cut, OutputCopy, Reader};
pub use collector::{Collector, Keep};
pub(crate) use ends::Ends;
pub use output_dir::{OutputDir, OutputFile};
pub use spool::Spool;

/// Collects one stream up to a cap: the first half of the cap and the last
/// half are kept, what lies between is counted and hashed.
#[derive(Debug)]
pub struct Capture {
    cap: usize,
    ends: Ends,
    hash: Sha256,
}

impl Capture {
    /// Keeps at most `cap` bytes; with 0 the stream is only counted and hashed.
    pub fn new(cap: usize) -> Self {
        Self { cap, ends: Ends::new(cap), hash: Sha256::new() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.ends.push(bytes);
    }

    /// Ends the stream.
    pub fn finish(self) -> Captured {
        let total = self.ends.total();
        let (head, tail) = self.ends.into_parts();
        Captured::in_memory(head, tail, self.cap == 0, total, hex(self.hash.finalize()))
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod in_memory {
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
