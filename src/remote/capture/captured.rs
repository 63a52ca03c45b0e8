//! A stream of output as it was kept, in memory or on the disk.

use std::convert::Infallible;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::spool::{Extents, Lease};

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// One stream of output, as it was kept. Cheap to clone.
///
/// What was kept on the disk stays there until the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct Captured(Arc<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) head: Head,
    pub(super) tail: Vec<u8>,
    pub(super) counted_only: bool,
    pub(super) total: u64,
    pub(super) sha256: String,
    pub(super) cut: Option<Cut>,
    pub(super) copy: Option<OutputCopy>,
    /// The memory that this takes, for as long as it does.
    pub(super) _lease: Lease,
}

#[derive(Debug)]
pub(super) enum Head {
    Disk(Extents),
    Memory(Vec<u8>),
}

/// Why a stream was not kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It had more bytes than are kept of one.
    Cap(u64),
    /// The disk took no more of it.
    Disk(String),
    /// What a run may keep in memory was used up, and there is no state
    /// directory for more.
    Memory,
}

/// The file that holds a stream's bytes beside the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputCopy {
    /// The file.
    pub path: PathBuf,
    /// Why it does not hold all of them, if so. It holds the first ones then.
    pub cut: Option<Cut>,
}

impl Default for Head {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Captured {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(super) fn in_memory(
        head: Vec<u8>,
        tail: Vec<u8>,
        counted_only: bool,
        total: u64,
        sha256: String,
    ) -> Self {
        let head = Head::Memory(head);
        Self::new(Inner { head, tail, counted_only, total, sha256, ..Inner::default() })
    }

    /// A stream as it was kept before. With neither end it was only counted.
    pub(crate) fn restored(head: Vec<u8>, tail: Vec<u8>, total: u64, sha256: String) -> Self {
        let counted_only = head.is_empty() && tail.is_empty();
        Self::in_memory(head, tail, counted_only, total, sha256)
    }

    /// How many bytes the stream had.
    pub fn len(&self) -> u64 {
        self.0.total
    }

    /// Whether the stream had no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.total == 0
    }

    /// The SHA-256 of the whole stream, kept or not, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// How many of its bytes were kept.
    pub fn kept(&self) -> u64 {
        self.0.head.len() + self.0.tail.len() as u64
    }

    /// Whether bytes are missing between the head and the tail. A stream of
    /// which nothing was to be kept misses none.
    pub fn truncated(&self) -> bool {
        !self.0.counted_only && self.0.total > self.kept()
    }

    /// Why bytes are missing, where that is known.
    pub fn cut(&self) -> Option<&Cut> {
        self.0.cut.as_ref().filter(|_| self.truncated())
    }

    /// The file that the bytes were written to as well, if that was asked for.
    pub fn copy(&self) -> Option<&OutputCopy> {
        self.0.copy.as_ref()
    }

    /// Reads the bytes that were kept, in as little memory as the buffer. Where
    /// some are missing, a line says how many. Reading may wait for the disk; it
    /// never fails: what the disk does not give back is such a line, too.
    pub fn reader(&self) -> Reader {
        let missing = self.0.total - self.kept().min(self.0.total);
        let note = self.truncated().then(|| format!("\n[{missing} bytes left out here]\n"));
        let note = io::Cursor::new(note.unwrap_or_default().into_bytes());
        Reader { stream: self.clone(), head: 0, note, tail: 0 }
    }

    /// What [`reader`](Self::reader) reads, all in memory: up to as many bytes
    /// as are kept of a stream, which is 1 GiB unless another cap was chosen.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(()) = self.pieces(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, Infallible>(())
        });
        bytes
    }

    /// The same as text, bytes that are not UTF-8 replaced.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// Hands over what [`reader`](Self::reader) reads, piece by piece.
    pub(crate) fn pieces<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut reader = self.reader();
        let size = usize::try_from(self.kept()).unwrap_or(PIECE).saturating_add(64);
        let mut buffer = vec![0; size.min(PIECE)];
        loop {
            match reader.fill(&mut buffer) {
                0 => return Ok(()),
                count => each(&buffer[..count])?,
            }
        }
    }

    /// At most `cap` bytes of what was kept: the first ones, and the last ones.
    /// Together they are all of it where it has no more.
    pub(crate) fn ends(&self, cap: usize) -> (Vec<u8>, Vec<u8>) {
        let kept = self.kept();
        let head = self.0.head.len();
        if kept <= cap as u64 {
            return (self.part(0, head), self.0.tail.clone());
        }
        let half = cap.div_ceil(2) as u64;
        let back = kept - (cap as u64 - half);
        let (front, back) =
            if self.truncated() { (half.min(head), back.max(head)) } else { (half, back) };
        (self.part(0, front), self.part(back, kept))
    }

    /// What was kept from one place to another; less if the disk does not give
    /// it back.
    fn part(&self, from: u64, to: u64) -> Vec<u8> {
        let head = self.0.head.len();
        let mut bytes = vec![0; usize::try_from(to.min(head).saturating_sub(from)).unwrap_or(0)];
        let mut done = 0;
        while done < bytes.len() {
            match self.0.head.read_at(from + done as u64, &mut bytes[done..]) {
                Ok(count) if count > 0 => done += count,
                _ => {
                    bytes.truncate(done);
                    return bytes;
                }
            }
        }
        let tail = |at: u64| usize::try_from(at.saturating_sub(head)).unwrap_or(usize::MAX);
        bytes.extend_from_slice(self.0.tail.get(tail(from)..tail(to)).unwrap_or_default());
        bytes
    }
}

impl Head {
    fn len(&self) -> u64 {
        match self {
            Self::Disk(extents) => extents.len(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Disk(extents) => extents.read_at(at, buffer),
            Self::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                bytes.get(from..).unwrap_or_default().read(buffer)
            }
        }
    }
}

/// Reads a stream that was kept; see [`Captured::reader`].
#[derive(Debug)]
pub struct Reader {
    stream: Captured,
    head: u64,
    note: io::Cursor<Vec<u8>>,
    tail: usize,
}

impl Reader {
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let inner = &self.stream.0;
        let end = inner.head.len();
        if self.head < end && !buffer.is_empty() {
            let error = match inner.head.read_at(self.head, buffer) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    self.head += count as u64;
                    return count;
                }
                Err(error) => error,
            };
            let lost = format!("\n[{} bytes cannot be read back: {error}]\n", end - self.head);
            self.head = end;
            self.note = io::Cursor::new([lost.as_bytes(), self.note.get_ref()].concat());
        }
        match self.note.read(buffer) {
            Ok(count) if count > 0 => count,
            _ => {
                let rest = inner.tail.get(self.tail..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.tail += count;
                count
            }
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buffer))
    }
}
