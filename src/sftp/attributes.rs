//! What is known of a file (draft-ietf-secsh-filexfer-02, 5).

use bytes::{BufMut, BytesMut};

use super::wire::{Fields, Violation};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// The bits of a mode that say what kind of file it is (POSIX `S_IFMT`).
const TYPE_MASK: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// Attributes of a file. What a server leaves out is `None`; what is `None` is
/// left as it is when attributes are set. Nothing a server says here is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Length in bytes.
    pub size: Option<u64>,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The mode, with the bits of the file's type where a server sends them.
    pub permissions: Option<u32>,
    /// When it was last used.
    pub times: Option<Times>,
}

/// The ids of a file's user and group, which version 3 sends together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

/// Seconds since 1970, which version 3 sends together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The last access.
    pub accessed: u32,
    /// The last change of the contents.
    pub modified: u32,
}

impl Attributes {
    /// Attributes that set nothing but a mode.
    pub fn with_mode(mode: u32) -> Self {
        Self { permissions: Some(mode & 0o7777), ..Self::default() }
    }

    /// The mode without the type: permissions, setuid, setgid and sticky.
    pub fn mode(&self) -> Option<u32> {
        self.permissions.map(|permissions| permissions & 0o7777)
    }

    /// Whether it is known to be a directory.
    pub fn is_dir(&self) -> bool {
        self.has_type(DIRECTORY)
    }

    /// Whether it is known to be a regular file.
    pub fn is_file(&self) -> bool {
        self.has_type(REGULAR)
    }

    /// Whether it is known to be a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.has_type(SYMLINK)
    }

    fn has_type(&self, r#type: u32) -> bool {
        self.permissions.is_some_and(|permissions| permissions & TYPE_MASK == r#type)
    }

    pub(super) fn encode(&self, buffer: &mut BytesMut) {
        let flag = |present: bool, flag: u32| if present { flag } else { 0 };
        buffer.put_u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            buffer.put_u64(size);
        }
        if let Some(Owner { uid, gid }) = self.owner {
            buffer.put_u32(uid);
            buffer.put_u32(gid);
        }
        if let Some(permissions) = self.permissions {
            buffer.put_u32(permissions);
        }
        if let Some(Times { accessed, modified }) = self.times {
            buffer.put_u32(accessed);
            buffer.put_u32(modified);
        }
    }

    pub(super) fn decode(fields: &mut Fields) -> Result<Self, Violation> {
        let flags = fields.u32()?;
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some(Owner { uid: fields.u32()?, gid: fields.u32()? });
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(fields.u32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some(Times { accessed: fields.u32()?, modified: fields.u32()? });
        }
        if flags & EXTENDED != 0 {
            // Each pair takes bytes, so a count that lies ends with the packet.
            for _ in 0..fields.u32()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sftp::wire::put_string;

    fn any_attributes() -> impl Strategy<Value = Attributes> {
        let owner = any::<Option<(u32, u32)>>();
        let times = any::<Option<(u32, u32)>>();
        (any::<Option<u64>>(), owner, any::<Option<u32>>(), times).prop_map(
            |(size, owner, permissions, times)| Attributes {
                size,
                owner: owner.map(|(uid, gid)| Owner { uid, gid }),
                permissions,
                times: times.map(|(accessed, modified)| Times { accessed, modified }),
            },
        )
    }

    proptest! {
        #[test]
        fn attributes_come_back(attributes in any_attributes()) {
            let mut buffer = BytesMut::new();
            attributes.encode(&mut buffer);
            let mut fields = Fields::new(buffer.freeze());
            prop_assert_eq!(Attributes::decode(&mut fields).unwrap(), attributes);
            fields.end().unwrap();
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Attributes::decode(&mut Fields::new(bytes.into()));
        }
    }

    #[test]
    fn extended_attributes_are_skipped_and_their_count_may_lie() {
        let mut buffer = BytesMut::new();
        buffer.put_u32(EXTENDED);
        buffer.put_u32(1);
        put_string(&mut buffer, b"acl@example.com");
        put_string(&mut buffer, b"\xff");
        let whole = buffer.clone().freeze();
        let mut fields = Fields::new(whole);
        assert_eq!(Attributes::decode(&mut fields), Ok(Attributes::default()));
        fields.end().unwrap();

        buffer[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(Attributes::decode(&mut Fields::new(buffer.freeze())).is_err());
    }

    #[test]
    fn types_come_from_the_mode() {
        let of = |permissions| Attributes { permissions, ..Attributes::default() };
        assert!(of(Some(0o040_755)).is_dir());
        assert!(of(Some(0o100_644)).is_file());
        assert!(of(Some(0o120_777)).is_symlink());
        assert!(!of(Some(0o060_000)).is_file());
        assert!(!of(None).is_file());
        assert_eq!(of(Some(0o104_755)).mode(), Some(0o4755));
    }
}
