//! The fields of SSH messages (RFC 4251, 5).

use std::io;

use super::invalid;

/// A message under construction.
#[derive(Clone, Debug)]
pub(crate) struct Payload(pub(crate) Vec<u8>);

impl Payload {
    pub(crate) fn new(message: u8) -> Self {
        Self(vec![message])
    }

    /// Fields without a message number.
    pub(super) fn bare() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn bool(self, value: bool) -> Self {
        self.raw(&[u8::from(value)])
    }

    pub(crate) fn str(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self.u32(u32::try_from(text.len()).unwrap()).raw(text)
    }

    pub(super) fn mpint(self, big_endian: &[u8]) -> Self {
        let start = big_endian.iter().position(|byte| *byte != 0).unwrap_or(big_endian.len());
        let digits = &big_endian[start..];
        let sign: &[u8] = if digits.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
        self.str([sign, digits].concat())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads a message's fields in order.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields after the message number.
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        Self(payload.get(1..).unwrap_or_default())
    }

    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().unwrap()))
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().unwrap()))
    }

    pub(crate) fn bool(&mut self) -> io::Result<bool> {
        Ok(self.take(1)?[0] != 0)
    }

    pub(crate) fn str(&mut self) -> io::Result<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(|| invalid("short"))?;
        self.0 = tail;
        Ok(head)
    }
}
