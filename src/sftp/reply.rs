//! What a server may answer (draft-ietf-secsh-filexfer-02, 7).

use bytes::Bytes;

use super::attributes::Attributes;
use super::error::{SftpError, StatusCode};
use super::link::OpenHandle;
use super::wire::{Fields, Violation};

pub(super) const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// The longest handle (draft-ietf-secsh-filexfer-02, 6.2).
const HANDLE_MAX: usize = 256;

/// How much of a status message is kept.
const MESSAGE_MAX: usize = 1024;

/// One name in a directory, and what the server says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as the server sent it: any bytes at all, `/` and NUL included.
    /// Whoever uses it judges it first.
    pub name: Vec<u8>,
    /// Not followed, if it is a symbolic link.
    pub attributes: Attributes,
}

/// What is owed for a request. A status that says why not always may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Attributes,
    /// At most this many bytes.
    Data(usize),
    Extended,
    Handle,
    Names,
    Status,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Attributes(Attributes),
    Data(Bytes),
    Done,
    Extended(Bytes),
    Handle(OpenHandle),
    Names(Vec<Entry>),
}

/// The answer, or the server's refusal.
pub(super) type Answer = Result<Reply, SftpError>;

/// Reads the reply to a request that expects `expect`; `fields` begin after the
/// id. `open` takes hold of a handle.
pub(super) fn parse(
    kind: u8,
    mut fields: Fields,
    expect: Expect,
    open: impl FnOnce(Bytes) -> OpenHandle,
) -> Result<Answer, Violation> {
    let reply = match (kind, expect) {
        (STATUS, _) => return status(fields, expect),
        (HANDLE, Expect::Handle) => {
            let handle = fields.string()?;
            if handle.len() > HANDLE_MAX {
                return Err(format!("a handle of {} bytes", handle.len()));
            }
            fields.end()?;
            // A copy, because a part would keep the whole chunk in memory.
            return Ok(Ok(Reply::Handle(open(Bytes::copy_from_slice(&handle)))));
        }
        (DATA, Expect::Data(max)) => {
            let data = fields.string()?;
            if data.len() > max {
                return Err(format!("{} bytes of data where {max} were asked for", data.len()));
            }
            Reply::Data(data)
        }
        (NAME, Expect::Names) => Reply::Names(names(&mut fields)?),
        (ATTRS, Expect::Attributes) => Reply::Attributes(Attributes::decode(&mut fields)?),
        (EXTENDED_REPLY, Expect::Extended) => return Ok(Ok(Reply::Extended(fields.rest()))),
        (kind, _) => return Err(format!("a reply of the wrong type ({kind})")),
    };
    fields.end()?;
    Ok(Ok(reply))
}

fn status(mut fields: Fields, expect: Expect) -> Result<Answer, Violation> {
    let code = StatusCode::from(fields.u32()?);
    // Some servers leave the texts out.
    let message = if fields.is_empty() { Bytes::new() } else { fields.string()? };
    match (code, expect) {
        (StatusCode::Ok, Expect::Status) => Ok(Ok(Reply::Done)),
        (StatusCode::Ok, _) => Err("success without the result that was asked for".into()),
        _ => {
            let kept = &message[..message.len().min(MESSAGE_MAX)];
            Ok(Err(SftpError::Status { code, message: String::from_utf8_lossy(kept).into_owned() }))
        }
    }
}

fn names(fields: &mut Fields) -> Result<Vec<Entry>, Violation> {
    let count = fields.u32()?;
    // Grown name by name, because the count may lie.
    let mut entries = Vec::new();
    for _ in 0..count {
        let name = fields.string()?.to_vec();
        let _line_for_people = fields.string()?;
        entries.push(Entry { name, attributes: Attributes::decode(fields)? });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::sftp::wire::put_string;

    fn parsed(kind: u8, body: &[u8], expect: Expect) -> Result<Answer, Violation> {
        parse(kind, Fields::new(Bytes::copy_from_slice(body)), expect, OpenHandle::detached)
    }

    fn status_body(code: u32, message: &[u8]) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_u32(code);
        put_string(&mut body, message);
        put_string(&mut body, b"en");
        body
    }

    #[test]
    fn statuses() {
        assert!(matches!(
            parsed(STATUS, &status_body(0, b""), Expect::Status),
            Ok(Ok(Reply::Done))
        ));
        assert!(parsed(STATUS, &status_body(0, b""), Expect::Data(1)).is_err());
        let refused = parsed(STATUS, &status_body(4, &[0xff; 5000]), Expect::Handle);
        let Ok(Err(SftpError::Status { code: StatusCode::Failure, message })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(message.chars().count(), MESSAGE_MAX);
        let bare = parsed(STATUS, &2_u32.to_be_bytes(), Expect::Attributes);
        assert!(matches!(bare, Ok(Err(error)) if error.is_not_found()));
        assert!(parsed(STATUS, b"\0\0", Expect::Status).is_err());
    }

    #[test]
    fn replies_that_break_the_protocol() {
        let string = |bytes: &[u8]| {
            let mut body = BytesMut::new();
            put_string(&mut body, bytes);
            body
        };
        assert!(parsed(HANDLE, &string(&[7; 256]), Expect::Handle).is_ok());
        assert!(parsed(HANDLE, &string(&[7; 257]), Expect::Handle).is_err());
        assert!(parsed(HANDLE, &string(b"h"), Expect::Status).is_err());
        assert!(parsed(HANDLE, b"\0\0\0\x09h", Expect::Handle).is_err());
        assert!(parsed(DATA, &string(b"abc"), Expect::Data(3)).is_ok());
        assert!(parsed(DATA, &string(b"abcd"), Expect::Data(3)).is_err());
        assert!(parsed(DATA, b"\0\0\0\x01ab", Expect::Data(3)).is_err());
        assert!(parsed(NAME, &u32::MAX.to_be_bytes(), Expect::Names).is_err());
        assert!(parsed(NAME, b"\0\0\0\0more", Expect::Names).is_err());
    }

    #[test]
    fn names_are_passed_through_raw() {
        let names: [&[u8]; 5] = [b"", b"..", b"a/b", b"a\0b", b"caf\xe9\n"];
        let mut body = BytesMut::new();
        body.put_u32(names.len() as u32);
        for name in names {
            put_string(&mut body, name);
            put_string(&mut body, b"-rw-r--r-- 1 root");
            Attributes::default().encode(&mut body);
        }
        let Ok(Ok(Reply::Names(entries))) = parsed(NAME, &body, Expect::Names) else { panic!() };
        assert_eq!(entries.iter().map(|entry| &entry.name[..]).collect::<Vec<_>>(), names);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(kind: u8, body: Vec<u8>, which in 0..6_usize) {
            let expect = [
                Expect::Attributes, Expect::Data(9), Expect::Extended,
                Expect::Handle, Expect::Names, Expect::Status,
            ][which];
            let _ = parsed(kind, &body, expect);
            for kind in STATUS..=ATTRS {
                let _ = parsed(kind, &body, expect);
            }
        }
    }
}
