//! Open files, and directories.

use bytes::Bytes;

use super::attributes::Attributes;
use super::error::{SftpError, StatusCode};
use super::link::OpenHandle;
use super::reply::{Entry, Expect, Reply};
use super::session::{Extension, Sftp};
use super::wire::{Request, kind};

/// How many names of one directory are taken.
const ENTRIES_MAX: usize = 1_000_000;

/// How much memory the names of one directory may take.
const LISTING_MAX: usize = 256 * 1024 * 1024;

/// Flags of an open request (draft-ietf-secsh-filexfer-02, 6.3).
mod flag {
    pub(super) const READ: u32 = 0x01;
    pub(super) const WRITE: u32 = 0x02;
    pub(super) const CREATE: u32 = 0x08;
    pub(super) const EXCLUSIVE: u32 = 0x20;
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To write a new file; fails if anything is there, even a dangling
    /// symbolic link.
    CreateNew {
        /// Its mode, to which the host's umask applies.
        mode: u32,
    },
    /// To read an existing file.
    Read,
    /// To write an existing file, which keeps its contents.
    Write,
}

/// An open file. It counts among the session's handles until the server
/// confirmed that it is closed; dropping it closes it without waiting.
///
/// Reads and writes may be under way at once, in any number.
#[derive(Debug)]
pub struct File {
    handle: OpenHandle,
    sftp: Sftp,
}

/// An open directory; as with a [`File`], its handle counts until it is closed.
#[derive(Debug)]
pub struct Dir {
    handle: OpenHandle,
    sftp: Sftp,
}

impl Sftp {
    /// Opens a file, when fewer than the allowed number are open.
    ///
    /// # Cancel safety
    /// A file that the server opens after the future was dropped is closed
    /// again; with [`Open::CreateNew`] it is there then.
    pub async fn open(&self, path: &[u8], how: Open) -> Result<File, SftpError> {
        let (flags, attributes) = match how {
            Open::CreateNew { mode } => {
                (flag::WRITE | flag::CREATE | flag::EXCLUSIVE, Attributes::with_mode(mode))
            }
            Open::Read => (flag::READ, Attributes::default()),
            Open::Write => (flag::WRITE, Attributes::default()),
        };
        let request = Request::new(kind::OPEN, Expect::Handle).path(path)?.u32(flags);
        let handle = self.open_handle(request.attributes(&attributes)).await?;
        Ok(File { handle, sftp: self.clone() })
    }

    /// Opens a directory, when fewer than the allowed number of handles are
    /// open.
    ///
    /// # Cancel safety
    /// As for [`open`](Self::open).
    pub async fn open_dir(&self, path: &[u8]) -> Result<Dir, SftpError> {
        let request = Request::new(kind::OPENDIR, Expect::Handle).path(path)?;
        Ok(Dir { handle: self.open_handle(request).await?, sftp: self.clone() })
    }

    /// The names in a directory, in the server's order, without `.` and `..`.
    ///
    /// # Errors
    /// [`SftpError::Protocol`] if the server gives more than 1,000,000 names or
    /// 256 MiB of them.
    pub async fn read_dir(&self, path: &[u8]) -> Result<Vec<Entry>, SftpError> {
        let dir = self.open_dir(path).await?;
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        while let Some(more) = dir.next().await? {
            bytes += more.iter().map(|entry| entry.name.len() + size_of::<Entry>()).sum::<usize>();
            entries.extend(more);
            if entries.len() > ENTRIES_MAX || bytes > LISTING_MAX {
                return Err(self.violated("a directory without end".into()));
            }
        }
        dir.close().await?;
        entries.retain(|entry| entry.name != b"." && entry.name != b"..");
        Ok(entries)
    }
}

impl Dir {
    /// The next names, `.` and `..` among them, as many as the server gives at
    /// once; `None` after the last. A server may go on without end.
    pub async fn next(&self) -> Result<Option<Vec<Entry>>, SftpError> {
        let request = Request::new(kind::READDIR, Expect::Names).string(&self.handle.handle);
        match self.sftp.call(request).await {
            // OpenSSH's client, too, takes no names for the end.
            Ok(Reply::Names(names)) => Ok(Some(names).filter(|names| !names.is_empty())),
            Ok(_) => Err(self.sftp.unexpected()),
            Err(error) if error.code() == Some(StatusCode::Eof) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Closes the directory.
    ///
    /// # Cancel safety
    /// It is closed even if the future is dropped.
    pub async fn close(self) -> Result<(), SftpError> {
        self.handle.close().await
    }
}

impl File {
    /// Reads up to `length` bytes, and never more than [`Sftp::read_max`].
    /// Fewer may come; none means the end of the file.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, SftpError> {
        let length = length.min(self.sftp.read_max());
        if length == 0 {
            return Ok(Bytes::new());
        }
        let request = self.request(kind::READ, Expect::Data(length));
        match self.sftp.call(request.u64(offset).u32(length as u32)).await {
            Ok(Reply::Data(bytes)) => Ok(bytes),
            Ok(_) => Err(self.sftp.unexpected()),
            Err(error) if error.code() == Some(StatusCode::Eof) => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes all of `bytes`; what is longer than [`Sftp::write_max`] is sent
    /// in parts, one after the other.
    pub async fn write_at(&self, mut offset: u64, mut bytes: Bytes) -> Result<(), SftpError> {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(self.sftp.write_max()));
            let length = part.len() as u64;
            let request = self.request(kind::WRITE, Expect::Status).u64(offset).payload(part);
            self.sftp.call(request).await?;
            offset = offset.saturating_add(length);
        }
        Ok(())
    }

    /// The file's attributes now.
    pub async fn attributes(&self) -> Result<Attributes, SftpError> {
        match self.sftp.call(self.request(kind::FSTAT, Expect::Attributes)).await? {
            Reply::Attributes(attributes) => Ok(attributes),
            _ => Err(self.sftp.unexpected()),
        }
    }

    /// Sets those attributes that are given.
    pub async fn set_attributes(&self, attributes: &Attributes) -> Result<(), SftpError> {
        let request = self.request(kind::FSETSTAT, Expect::Status).attributes(attributes);
        self.sftp.call(request).await.map(drop)
    }

    /// Has the host write the file to its disk (`fsync@openssh.com`).
    pub async fn sync(&self) -> Result<(), SftpError> {
        let request = self.sftp.extended(Extension::Fsync, Expect::Status)?;
        self.sftp.call(request.string(&self.handle.handle)).await.map(drop)
    }

    /// Closes the file. Some servers say only now that writing failed.
    ///
    /// # Cancel safety
    /// It is closed even if the future is dropped.
    pub async fn close(self) -> Result<(), SftpError> {
        self.handle.close().await
    }

    fn request(&self, kind: u8, expect: Expect) -> Request {
        Request::new(kind, expect).string(&self.handle.handle)
    }
}
