//! Cutting a stream of chunks into packets.

use bytes::{Buf, Bytes, BytesMut};

use super::wire::Violation;

/// The longest packet that is taken: 256 KiB, which is OpenSSH's own limit, and
/// room for what stands around a payload of that length.
pub(super) const PACKET_MAX: usize = 257 * 1024;

/// The bytes of a packet's length.
const LENGTH: usize = 4;

/// Cuts packets out of chunks. A packet that lies within one chunk is a part
/// of it; one that spans several is put together by copying once.
#[derive(Default)]
pub(super) struct Frames {
    chunk: Bytes,
    /// The beginning of a packet, its length included.
    partial: BytesMut,
}

impl Frames {
    /// Takes the next chunk. [`Self::next`] must have said `None` before.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// The next packet, without its length; `None` if there is no whole one.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Violation> {
        if self.partial.is_empty() && self.chunk.len() >= LENGTH {
            let length = packet_length(&self.chunk)?;
            if self.chunk.len() - LENGTH >= length {
                self.chunk.advance(LENGTH);
                return Ok(Some(self.chunk.split_to(length)));
            }
        }
        if !self.fill(LENGTH) {
            return Ok(None);
        }
        let length = packet_length(&self.partial)?;
        if !self.fill(LENGTH + length) {
            return Ok(None);
        }
        let mut packet = std::mem::take(&mut self.partial).freeze();
        packet.advance(LENGTH);
        Ok(Some(packet))
    }

    /// Moves bytes from the chunk until `partial` has this many.
    fn fill(&mut self, wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.partial.len());
        self.partial.reserve(missing);
        let part = self.chunk.split_to(missing.min(self.chunk.len()));
        self.partial.extend_from_slice(&part);
        self.partial.len() >= wanted
    }
}

fn packet_length(bytes: &[u8]) -> Result<usize, Violation> {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
    match length {
        0 => Err("an empty packet".into()),
        1..=PACKET_MAX => Ok(length),
        _ => Err(format!("a packet of {length} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(frames: &mut Frames) -> Vec<Bytes> {
        std::iter::from_fn(|| frames.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_packets(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cut in 1..50_usize,
        ) {
            let stream: Vec<u8> = bodies
                .iter()
                .flat_map(|body| [&(body.len() as u32).to_be_bytes()[..], body].concat())
                .collect();
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for chunk in stream.chunks(cut) {
                frames.push(Bytes::copy_from_slice(chunk));
                found.extend(packets(&mut frames));
            }
            prop_assert_eq!(found, bodies);
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_any_memory_is_taken() {
        for length in [0, PACKET_MAX as u32 + 1, u32::MAX, u32::from_be_bytes(*b"Last")] {
            let mut frames = Frames::default();
            frames.push(Bytes::copy_from_slice(&length.to_be_bytes()));
            assert!(frames.next().is_err());
        }
    }

    #[test]
    fn a_packet_within_a_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"\0\0\0\x03abc");
        let mut frames = Frames::default();
        frames.push(chunk.clone());
        let packet = frames.next().unwrap().unwrap();
        assert_eq!(packet.as_ptr(), chunk[4..].as_ptr());
    }
}
