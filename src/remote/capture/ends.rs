//! The beginning and the end of a stream.

use std::collections::VecDeque;

/// The first half of a cap and the last half of what a stream had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    head_max: usize,
    head: Vec<u8>,
    tail: Tail,
    total: u64,
}

/// The last bytes of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) max: usize,
    bytes: VecDeque<u8>,
}

impl Ends {
    pub(crate) fn new(cap: usize) -> Self {
        let head_max = cap.div_ceil(2);
        Self { head_max, tail: Tail::new(cap - head_max), ..Self::default() }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.head_max.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.push(&bytes[room..]);
    }

    /// How many bytes were pushed.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The first bytes, and the last ones; together they are all of them where
    /// none was left out.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.head, self.tail.into_bytes())
    }
}

impl Tail {
    pub(super) fn new(max: usize) -> Self {
        Self { max, bytes: VecDeque::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.max)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(self.max);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(kept);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }
}
