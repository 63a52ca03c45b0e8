//! The two directions of the encoding: fields out of a reply, a request into a
//! packet (draft-ietf-secsh-filexfer-02, 3; types of RFC 4251, 5).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::attributes::Attributes;
use super::reply::Expect;

/// What a server did wrong, for the message.
pub(super) type Violation = String;

/// Numbers of the packets that are sent.
pub(super) mod kind {
    pub(in crate::sftp) const INIT: u8 = 1;
    pub(in crate::sftp) const OPEN: u8 = 3;
    pub(in crate::sftp) const CLOSE: u8 = 4;
    pub(in crate::sftp) const READ: u8 = 5;
    pub(in crate::sftp) const WRITE: u8 = 6;
    pub(in crate::sftp) const LSTAT: u8 = 7;
    pub(in crate::sftp) const FSTAT: u8 = 8;
    pub(in crate::sftp) const SETSTAT: u8 = 9;
    pub(in crate::sftp) const FSETSTAT: u8 = 10;
    pub(in crate::sftp) const OPENDIR: u8 = 11;
    pub(in crate::sftp) const READDIR: u8 = 12;
    pub(in crate::sftp) const REMOVE: u8 = 13;
    pub(in crate::sftp) const MKDIR: u8 = 14;
    pub(in crate::sftp) const RMDIR: u8 = 15;
    pub(in crate::sftp) const REALPATH: u8 = 16;
    pub(in crate::sftp) const STAT: u8 = 17;
    pub(in crate::sftp) const RENAME: u8 = 18;
    pub(in crate::sftp) const READLINK: u8 = 19;
    pub(in crate::sftp) const SYMLINK: u8 = 20;
    pub(in crate::sftp) const EXTENDED: u8 = 200;
}

/// What is left of a packet that is being read. Every field may be missing.
pub(super) struct Fields(Bytes);

impl Fields {
    pub(super) fn new(packet: Bytes) -> Self {
        Self(packet)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        self.0.try_get_u8().map_err(|_| truncated())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        self.0.try_get_u32().map_err(|_| truncated())
    }

    pub(super) fn u64(&mut self) -> Result<u64, Violation> {
        self.0.try_get_u64().map_err(|_| truncated())
    }

    /// A string, as a part of the packet's own memory.
    pub(super) fn string(&mut self) -> Result<Bytes, Violation> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err("a string longer than its packet".into());
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything must have been read.
    pub(super) fn end(&self) -> Result<(), Violation> {
        if self.is_empty() { Ok(()) } else { Err("bytes after the end of a reply".into()) }
    }

    /// What was not read.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }
}

fn truncated() -> Violation {
    "a truncated packet".into()
}

/// A request that has no id yet, and what may answer it.
pub(super) struct Request {
    head: BytesMut,
    payload: Bytes,
    pub(super) expect: Expect,
}

/// A request as it is sent: a write's payload follows as it came, uncopied.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) head: Bytes,
    pub(super) payload: Bytes,
}

/// Where the id stands: after length and kind.
const ID_AT: usize = 5;

impl Request {
    pub(super) fn new(kind: u8, expect: Expect) -> Self {
        let mut head = BytesMut::with_capacity(64);
        head.put_u32(0);
        head.put_u8(kind);
        head.put_u32(0);
        Self { head, payload: Bytes::new(), expect }
    }

    pub(super) fn extended(name: &str, expect: Expect) -> Self {
        Self::new(kind::EXTENDED, expect).string(name.as_bytes())
    }

    /// The caller bounds the length.
    pub(super) fn string(mut self, bytes: &[u8]) -> Self {
        put_string(&mut self.head, bytes);
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.head.put_u32(number);
        self
    }

    pub(super) fn u64(mut self, number: u64) -> Self {
        self.head.put_u64(number);
        self
    }

    pub(super) fn attributes(mut self, attributes: &Attributes) -> Self {
        attributes.encode(&mut self.head);
        self
    }

    /// A string at the end, which is not copied.
    pub(super) fn payload(mut self, bytes: Bytes) -> Self {
        self.head.put_u32(bytes.len() as u32);
        self.payload = bytes;
        self
    }

    pub(super) fn into_packet(mut self, id: u32) -> Packet {
        let length = (self.head.len() - 4 + self.payload.len()) as u32;
        self.head[..4].copy_from_slice(&length.to_be_bytes());
        self.head[ID_AT..ID_AT + 4].copy_from_slice(&id.to_be_bytes());
        Packet { head: self.head.freeze(), payload: self.payload }
    }
}

impl Packet {
    /// The first packet of a session; it has a version where others have an id.
    pub(super) fn init(version: u32) -> Self {
        Request::new(kind::INIT, Expect::Status).into_packet(version)
    }
}

pub(super) fn put_string(buffer: &mut BytesMut, bytes: &[u8]) {
    buffer.put_u32(bytes.len() as u32);
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_write_is_laid_out_as_the_draft_has_it() {
        let request = Request::new(kind::WRITE, Expect::Status).string(b"h\xff").u64(5);
        let packet = request.payload(Bytes::from_static(b"abc")).into_packet(7);
        let head = b"\0\0\0\x1a\x06\0\0\0\x07\0\0\0\x02h\xff\0\0\0\0\0\0\0\x05\0\0\0\x03";
        assert_eq!(&packet.head[..], head);
        assert_eq!(packet.payload, "abc");
        assert_eq!(&Packet::init(3).head[..], b"\0\0\0\x05\x01\0\0\0\x03");
    }

    proptest! {
        #[test]
        fn fields_come_back(number: u32, long: u64, text: Vec<u8>, tail: Vec<u8>) {
            let request = Request::new(kind::OPEN, Expect::Status)
                .u32(number).u64(long).string(&text).payload(Bytes::from(tail.clone()));
            let packet = request.into_packet(9);
            let mut fields = Fields::new([packet.head, packet.payload].concat().into());
            prop_assert_eq!(fields.u32().unwrap() as usize, fields.0.len());
            prop_assert_eq!(fields.u8().unwrap(), kind::OPEN);
            prop_assert_eq!(fields.u32().unwrap(), 9);
            prop_assert_eq!(fields.u32().unwrap(), number);
            prop_assert_eq!(fields.u64().unwrap(), long);
            prop_assert_eq!(fields.string().unwrap(), text);
            prop_assert_eq!(fields.string().unwrap(), tail);
            fields.end().unwrap();
        }
    }
}
