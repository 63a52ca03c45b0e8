//! Taking a stream as it comes, and keeping it where there is room.

use sha2::{Digest, Sha256};

use super::captured::{Captured, Cut, Head, Inner, OutputCopy};
use super::ends::Tail;
use super::output_dir::OutputFile;
use super::pen::{CHUNK, Pen, Written};
use super::spool::{Extent, Extents, Lease, Spool};

use crate::hex::hex;

/// How much of one stream stays in memory where there is a disk.
const MEMORY_MAX: usize = 256 * 1024;

/// How much of the end is kept of a stream that is cut.
const TAIL_MAX: usize = 128 * 1024;

/// The same when the run's memory is used up.
const TAIL_MIN: usize = 16 * 1024;

/// Where a stream is kept.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The memory and the disk of its run.
    pub spool: Spool,
    /// A file that gets its bytes, too.
    pub file: Option<OutputFile>,
}

/// Collects one stream up to a cap.
///
/// A small one stays in memory, a larger one goes to the disk. Of what is
/// beyond the cap, or beyond what the disk takes, the end is kept, and
/// everything is counted and hashed. Writing happens on the blocking pool, at
/// most one chunk of a stream at a time: whoever pushes waits for
/// [`room`](Self::room), and so slows the host down.
#[derive(Debug)]
pub struct Collector {
    max: u64,
    spool: Spool,
    hash: Sha256,
    total: u64,
    begin: Begin,
    /// How many bytes the beginning has, and may have.
    begun: u64,
    begin_max: u64,
    tail: Tail,
    lease: Lease,
    cut: Option<Cut>,
    copy: Option<Copying>,
}

/// The beginning of a stream.
#[derive(Debug)]
enum Begin {
    Closed(Extents),
    Disk(Pen<Spool>),
    Memory(Vec<u8>),
}

/// The file beside.
#[derive(Debug)]
struct Copying {
    file: OutputFile,
    pen: Pen<OutputFile>,
    left: u64,
    cut: bool,
}

impl Collector {
    /// Keeps at most `max` bytes; with 0 the stream is only counted and hashed,
    /// and written to its file if it has one.
    ///
    /// Must be called within a runtime.
    pub fn new(max: usize, keep: Keep) -> Self {
        let tail = (max / 2).min(TAIL_MAX);
        Self {
            max: max as u64,
            hash: Sha256::new(),
            total: 0,
            begin: Begin::Memory(Vec::new()),
            begun: 0,
            begin_max: (max - tail) as u64,
            tail: Tail::new(tail),
            lease: keep.spool.lease(),
            spool: keep.spool,
            cut: None,
            copy: keep.file.map(Copying::new),
        }
    }

    /// Takes the next bytes, and never waits.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.total += bytes.len() as u64;
        if let Some(copy) = &mut self.copy {
            copy.push(bytes);
        }
        if self.max == 0 {
            return;
        }
        let room = self.begin_max - self.begun;
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let (front, back) = bytes.split_at(room);
        if !front.is_empty() {
            self.push_front(front);
        }
        if !back.is_empty() {
            self.push_back(back);
        }
    }

    /// Whether a disk has to be waited for before more is pushed.
    pub fn is_full(&mut self) -> bool {
        let begin = if let Begin::Disk(pen) = &mut self.begin { pen.is_full() } else { false };
        begin || self.copy.as_mut().is_some_and(|copy| copy.pen.is_full())
    }

    /// Waits for the disk until it is not full. A disk that takes longer than
    /// 10 s for a chunk is given up, so this ends.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn room(&mut self) {
        if let Begin::Disk(pen) = &mut self.begin {
            pen.room().await;
        }
        if let Some(copy) = &mut self.copy {
            copy.pen.room().await;
        }
    }

    /// Ends the stream. Waits for the disk, as [`room`](Self::room) does.
    pub async fn finish(mut self) -> Captured {
        let head = match std::mem::replace(&mut self.begin, Begin::Memory(Vec::new())) {
            Begin::Memory(bytes) => Head::Memory(bytes),
            Begin::Closed(extents) => Head::Disk(extents),
            Begin::Disk(pen) => Head::Disk(self.take_over(pen.close().await)),
        };
        let copy = match self.copy.take() {
            Some(copy) => Some(copy.finish().await),
            None => None,
        };
        Captured::new(Inner {
            head,
            tail: self.tail.into_bytes(),
            counted_only: self.max == 0,
            total: self.total,
            sha256: hex(self.hash.finalize()),
            cut: Some(self.cut.unwrap_or(Cut::Cap(self.max))),
            copy,
            _lease: self.lease,
        })
    }

    fn push_front(&mut self, bytes: &[u8]) {
        let disk = self.spool.has_disk();
        match &mut self.begin {
            Begin::Memory(kept) => {
                let small = !disk || kept.len() + bytes.len() <= MEMORY_MAX;
                if small && self.lease.grow(bytes.len()) {
                    kept.extend_from_slice(bytes);
                } else if disk {
                    let mut pen = Pen::new(self.spool.clone(), CHUNK);
                    pen.push(kept);
                    pen.push(bytes);
                    self.begin = Begin::Disk(pen);
                    self.lease.release();
                } else {
                    self.begin_max = self.begun;
                    self.cut = Some(Cut::Memory);
                    return self.push_back(bytes);
                }
            }
            Begin::Disk(pen) => pen.push(bytes),
            Begin::Closed(_) => return self.push_back(bytes),
        }
        self.begun += bytes.len() as u64;
        if matches!(&self.begin, Begin::Disk(pen) if pen.trouble().is_some()) {
            let begin = std::mem::replace(&mut self.begin, Begin::Closed(Extents::default()));
            if let Begin::Disk(pen) = begin {
                self.begin = Begin::Closed(self.take_over(pen.into_written()));
            }
        }
    }

    fn push_back(&mut self, bytes: &[u8]) {
        if self.tail.is_empty() && !self.lease.grow(self.tail.max) {
            self.tail.max = self.tail.max.min(TAIL_MIN);
            self.cut.get_or_insert(Cut::Memory);
        }
        self.tail.push(bytes);
    }

    /// Takes what a pen has written, and keeps what it has not as the end.
    fn take_over(&mut self, written: Written<Extent>) -> Extents {
        let extents = Extents::new(written.done);
        if let Some(why) = written.trouble {
            self.begun = extents.len();
            self.begin_max = self.begun;
            self.cut = Some(Cut::Disk(why));
            let anew = Tail::new(self.tail.max);
            let after = std::mem::replace(&mut self.tail, anew);
            self.push_back(&written.left);
            self.tail.push(&after.into_bytes());
        }
        extents
    }
}

impl Copying {
    /// The file is there from now on, even if nothing is ever written.
    fn new(file: OutputFile) -> Self {
        let mut pen = Pen::new(file.clone(), 1);
        pen.start();
        Self { left: file.max, file, pen, cut: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left -= room as u64;
        self.cut |= room < bytes.len();
        if self.pen.trouble().is_none() {
            self.pen.push(&bytes[..room]);
        }
    }

    async fn finish(self) -> OutputCopy {
        let path = self.file.path();
        let trouble = self.pen.close().await.trouble.map(Cut::Disk);
        let cut = self.cut.then_some(Cut::Cap(self.file.max));
        OutputCopy { path, cut: trouble.or(cut) }
    }
}
