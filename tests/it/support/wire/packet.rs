//! Packets on the stream (RFC 4253, 6), in the clear until there is a key.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::invalid;
use super::payload::Payload;

pub(crate) struct Reader {
    pub(super) stream: BufReader<OwnedReadHalf>,
    pub(super) key: Option<PacketKey>,
}

pub(crate) struct Writer {
    stream: OwnedWriteHalf,
    pub(super) key: Option<PacketKey>,
    mutations: Option<Mutations>,
}

impl Reader {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        Self { stream: BufReader::new(stream), key: None }
    }

    /// The next message but IGNORE and DEBUG.
    pub(crate) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).await?;
            let tag = if self.key.is_some() { 16 } else { 0 };
            let size = u32::from_be_bytes(length) as usize;
            if size > 256 * 1024 {
                return Err(invalid("long packet"));
            }
            let mut packet = vec![0; size + tag];
            self.stream.read_exact(&mut packet).await?;
            if let Some(key) = &mut self.key {
                key.open(length, &mut packet)?;
                packet.truncate(size);
            }
            let padding = usize::from(*packet.first().ok_or_else(|| invalid("empty packet"))?);
            let end = size.checked_sub(padding).ok_or_else(|| invalid("padding"))?;
            let payload = packet.get(1..end).ok_or_else(|| invalid("padding"))?;
            if !matches!(payload.first(), None | Some(2 | 4)) {
                return Ok(payload.to_vec());
            }
        }
    }

    /// The next message of this type; others before it are thrown away.
    pub(crate) async fn skip_to(&mut self, message: u8) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.receive().await?;
            if payload[0] == message {
                return Ok(payload);
            }
        }
    }
}

impl Writer {
    pub(super) fn new(stream: OwnedWriteHalf) -> Self {
        Self { stream, key: None, mutations: None }
    }

    /// From now on spoils every other message, by chance from this seed.
    pub(crate) fn mutate(&mut self, seed: u64) {
        self.mutations = Some(Mutations::new(seed));
    }

    pub(crate) async fn send(&mut self, payload: &Payload) -> io::Result<()> {
        let mut payload = payload.clone();
        if let Some(mutations) = &mut self.mutations {
            mutations.spoil(&mut payload.0);
        }
        // The length field is padded with the rest only where it is encrypted with it.
        let unpadded = 1 + payload.0.len() + if self.key.is_some() { 0 } else { 4 };
        let padding = 4 + (16 - (unpadded + 4) % 16) % 16;
        let size = 1 + payload.0.len() + padding;
        let length = u32::try_from(size).map_err(|_| invalid("long packet"))?.to_be_bytes();
        let mut packet = vec![u8::try_from(padding).map_err(|_| invalid("padding"))?];
        packet.extend_from_slice(&payload.0);
        packet.resize(size, 0);
        if let Some(key) = &mut self.key {
            key.seal(length, &mut packet)?;
        }
        self.raw(&[&length[..], &packet].concat()).await
    }

    /// Ends the stream in this direction.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }
}

/// aes256-gcm@openssh.com in one direction (RFC 5647).
pub(super) struct PacketKey {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl PacketKey {
    pub(super) fn new(key: &[u8], nonce: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key[..32]).unwrap());
        Self { key, nonce: nonce[..12].try_into().unwrap() }
    }

    fn seal(&mut self, length: [u8; 4], packet: &mut Vec<u8>) -> io::Result<()> {
        let nonce = self.next_nonce();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(length), packet)
            .map_err(|_| invalid("cannot encrypt"))
    }

    fn open(&mut self, length: [u8; 4], packet: &mut [u8]) -> io::Result<()> {
        let nonce = self.next_nonce();
        self.key
            .open_in_place(nonce, Aad::from(length), packet)
            .map(|_| ())
            .map_err(|_| invalid("bad tag"))
    }

    fn next_nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        for byte in self.nonce[4..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

/// A reproducible stream of random changes (xorshift64).
struct Mutations(u64);

impl Mutations {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % end.max(1)
    }

    /// Leaves the payload as it is half of the time; never leaves it empty.
    fn spoil(&mut self, payload: &mut Vec<u8>) {
        let at = self.below(payload.len());
        match self.below(8) {
            0 => payload[at] ^= 1 << self.below(8),
            1 => payload.truncate(at.max(1)),
            2 => payload.extend(std::iter::repeat_n(0xff, at + 1)),
            // A length, as often as not.
            3 => payload[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_follow_the_seed() {
        let spoilt = |seed| {
            let mut mutations = Mutations::new(seed);
            let mut spoil = |_| {
                let mut payload = vec![0; 40];
                mutations.spoil(&mut payload);
                payload
            };
            (0..40).map(&mut spoil).collect::<Vec<_>>()
        };
        assert_eq!(spoilt(1), spoilt(1));
        assert_ne!(spoilt(1), spoilt(2));
        let unchanged = spoilt(1).iter().filter(|payload| **payload == [0; 40]).count();
        assert!((10..30).contains(&unchanged), "{unchanged} of 40 unchanged");
    }
}
