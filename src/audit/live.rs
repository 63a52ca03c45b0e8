//! The segment that is being written, and the chain's end in it.
//!
//! Everything here happens under the lock.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::AuditError;
use super::chain::{Defect, LINE_MAX, Link, sha256};
use super::checkpoint::Note;
use super::files;
use super::lines::{Ending, Lines};
use super::log::Receipt;
use super::record::Body;
use super::resume::{self, Place};
use super::segments::{self, Segment};
use super::stamp::{self, Stamp};

/// The last segment of a log.
pub(super) struct Live {
    log: PathBuf,
    segment: Segment,
    file: File,
    /// How much of the file is known to be whole lines of the chain.
    len: u64,
    link: Link,
    /// The day of the segment's first record.
    day: Option<String>,
}

/// What a crash left at the end of a segment; it was moved to `<log>.torn`.
pub(super) struct Torn {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Live {
    /// The last segment of `log`, made when there is none. What has not been read
    /// yet is read by [`catch_up`](Self::catch_up): all of it, or all since the
    /// checkpoint `note` if that tells where the oldest open attempt is.
    pub(super) fn open(log: &Path, note: Option<&Note>) -> Result<Self, AuditError> {
        let mut segments = segments::list(log)?;
        let Some(last) = segments.pop() else {
            let file = files::create_new(log)?;
            return Ok(Self::at_start(log, segments::segment(log, 1), file, Link::genesis()));
        };
        let mut link = Link::genesis();
        if let Some(previous) = segments.last() {
            link.seq = last.first - 1;
            link.line = last_line(&previous.path)?;
        } else if last.first != 1 {
            let defect = Defect::WrongSeq { found: last.first };
            return Err(AuditError::Broken { path: log.into(), seq: 1, defect });
        }
        let file = files::open(&last.path)?;
        let resumed = note.map(|note| resume::place(&file, note)).transpose();
        let resumed = resumed.map_err(AuditError::io("read", &last.path))?.flatten();
        let live = Self::at_start(log, last, file, link);
        Ok(match resumed {
            Some(Place { offset, link, beginning }) => {
                Self { len: offset, link, day: day_of(&beginning), ..live }
            }
            None => live,
        })
    }

    /// Whether all of the segment is still to be read.
    pub(super) fn is_at_start(&self) -> bool {
        self.len == 0
    }

    /// A new segment after a broken one, whose last line it vouches for as
    /// that line is now. Its number is above every number seen before, in the
    /// log or in a checkpoint (`covered`).
    pub(super) fn after_broken(log: &Path, covered: u64) -> Result<Self, AuditError> {
        let mut link = Link::genesis();
        if let Some(last) = segments::list(log)?.pop() {
            link.seq = last.first - 1;
            let failed = || AuditError::io("read", &last.path);
            let mut lines = Lines::new(files::open(&last.path)?, 0);
            while let Some(line) = lines.next().map_err(failed())? {
                let seq = Link::of(line.bytes).map_or(0, |claimed| claimed.seq);
                link.seq = link.seq.max(seq);
                link.line = sha256([line.bytes]);
            }
        }
        // Number 1 belongs to the first segment's name.
        link.seq = link.seq.max(covered).max(1);
        let segment = segments::segment(log, link.seq + 1);
        let file = files::create_new(&segment.path)?;
        Ok(Self::at_start(log, segment, file, link))
    }

    fn at_start(log: &Path, segment: Segment, file: File, link: Link) -> Self {
        Self { log: log.into(), segment, file, len: 0, link, day: None }
    }

    /// The chain's end, as of the last look.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Takes in what was written since the last look, by this process or
    /// another, checking every line; cuts off what a crash left at the end.
    /// `seen` is shown each new line.
    pub(super) fn catch_up(
        &mut self,
        seen: &mut dyn FnMut(&Link, &[u8]),
    ) -> Result<Option<Torn>, AuditError> {
        loop {
            if !files::is_still(&self.file, &self.segment.path)? {
                return Err(AuditError::Replaced(self.segment.path.clone()));
            }
            let torn = self.read_on(seen)?;
            // An empty segment, as a crash right after its creation leaves it,
            // has the very name its successor would have.
            match segments::successor(&self.log, &self.link) {
                Some(next) if torn.is_none() && self.len > 0 => {
                    let file = files::open(&next.path)?;
                    *self = Self::at_start(&self.log, next, file, self.link.clone());
                }
                _ => return Ok(torn),
            }
        }
    }

    /// Appends `bodies` in one write and returns when they are durable. `seen` is
    /// shown each line then.
    pub(super) fn append(
        &mut self,
        stamp: &Stamp,
        bodies: &[Body],
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<Receipt>, AuditError> {
        let mut link = self.link.clone();
        let mut lines = String::new();
        let mut receipts = Vec::with_capacity(bodies.len());
        for body in bodies {
            let (line, next) = link.seal(stamp, &body.text);
            lines.push_str(&line);
            receipts.push(Receipt { seq: next.seq, hash: next.hash.clone() });
            link = next;
        }
        write_durably(&self.file, &self.segment.path, self.len, lines.as_bytes())?;
        self.day.get_or_insert_with(today);
        self.len += lines.len() as u64;
        self.link = link;
        lines.lines().for_each(|line| seen(line.as_bytes()));
        Ok(receipts)
    }

    /// Begins a new segment when this one is `bytes_max` long or of a day
    /// before today.
    pub(super) fn rotate(&mut self, bytes_max: u64) -> Result<(), AuditError> {
        let old = self.day.as_ref().is_some_and(|day| *day < today());
        if self.len > 0 && (old || self.len >= bytes_max) {
            let next = segments::segment(&self.log, self.link.seq + 1);
            let file = files::create_new(&next.path)?;
            *self = Self::at_start(&self.log, next, file, self.link.clone());
        }
        Ok(())
    }

    fn read_on(&mut self, seen: &mut dyn FnMut(&Link, &[u8])) -> Result<Option<Torn>, AuditError> {
        let path = self.segment.path.clone();
        let failed = || AuditError::io("read", &path);
        let size = self.file.metadata().map_err(failed())?.len();
        if size < self.len {
            return Err(AuditError::Replaced(path));
        }
        if size == self.len {
            return Ok(None);
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.len)).map_err(failed())?;
        let mut lines = Lines::new(file, self.len);
        while let Some(line) = lines.next().map_err(failed())? {
            match (line.ending, self.link.follow(line.bytes)) {
                (Ending::Newline, Ok(link)) => {
                    seen(&link, line.bytes);
                    if self.len == 0 {
                        self.day = day_of(line.bytes);
                    }
                    self.len = line.end;
                    self.link = link;
                }
                (Ending::EndOfFile, _) => return self.cut(size).map(Some),
                (Ending::Newline, Err(Defect::Malformed)) if line.end == size => {
                    return self.cut(size).map(Some);
                }
                (_, verdict) => {
                    let defect = verdict.err().unwrap_or(Defect::Malformed);
                    return Err(AuditError::Broken { path, seq: self.link.seq + 1, defect });
                }
            }
        }
        Ok(None)
    }

    /// Moves everything from the last good line to `size` into `<log>.torn`.
    fn cut(&self, size: u64) -> Result<Torn, AuditError> {
        let path = files::beside(&self.log, ".torn");
        let mut tail = vec![0; usize::try_from(size - self.len).unwrap_or(LINE_MAX)];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut tail, self.len)
            .map_err(AuditError::io("read", &self.segment.path))?;
        let mut kept = files::open_or_create(&path)?;
        kept.write_all(&tail)
            .and_then(|()| kept.write_all(b"\n"))
            .and_then(|()| kept.sync_all())
            .map_err(AuditError::io("move a torn tail to", &path))?;
        self.file
            .set_len(self.len)
            .and_then(|()| self.file.sync_data())
            .map_err(AuditError::io("cut the torn tail of", &self.segment.path))?;
        Ok(Torn { bytes: tail.len() as u64, sha256: sha256([&tail]) })
    }
}

/// Appends `bytes` to a file that is `good` long, and takes them back when not
/// all of them fit. An error of the final sync is one for good: what the
/// kernel dropped it will not report again.
fn write_durably(mut file: &File, path: &Path, good: u64, bytes: &[u8]) -> Result<(), AuditError> {
    if let Err(error) = file.write_all(bytes) {
        let _ = file.set_len(good).and_then(|()| file.sync_data());
        return Err(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                AuditError::Full { path: path.into(), source: Arc::new(error) }
            }
            _ => AuditError::io("append to", path)(error),
        });
    }
    file.sync_data().map_err(AuditError::io("make durable", path))
}

/// The digest of the last line of a finished segment.
fn last_line(path: &Path) -> Result<String, AuditError> {
    let failed = || AuditError::io("read", path);
    let mut file = File::open(path).map_err(failed())?;
    let len = file.metadata().map_err(failed())?.len();
    let start = len.saturating_sub(LINE_MAX as u64 + 1);
    file.seek(SeekFrom::Start(start)).map_err(failed())?;
    let mut lines = Lines::new(file, start);
    let mut last = Link::genesis().line;
    while let Some(line) = lines.next().map_err(failed())? {
        last = sha256([line.bytes]);
    }
    Ok(last)
}

fn today() -> String {
    let mut now = stamp::time(Timestamp::now());
    now.truncate(DAY);
    now
}

/// The day a line was written.
fn day_of(line: &[u8]) -> Option<String> {
    let mark = br#","ts":""#;
    let at = line.windows(mark.len()).position(|window| window == mark)? + mark.len();
    String::from_utf8(line.get(at..at + DAY)?.to_vec()).ok()
}

/// The length of `2026-11-21`.
const DAY: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Event, Record};
    use std::fs::OpenOptions;

    fn bodies(count: usize) -> Vec<Body> {
        vec![Body::plain(&Record::new(Event::AuditCheckpoint)); count]
    }

    fn device(path: &str) -> File {
        OpenOptions::new().write(true).open(path).unwrap()
    }

    #[test]
    fn a_full_disk_and_a_failed_sync_are_told_apart() {
        let full = write_durably(&device("/dev/full"), Path::new("log"), 0, b"line\n");
        assert!(matches!(full, Err(AuditError::Full { .. })), "{full:?}");
        // The null device takes everything and cannot be synced.
        let lost = write_durably(&device("/dev/null"), Path::new("log"), 0, b"line\n");
        assert!(matches!(lost, Err(AuditError::Io { doing: "make durable", .. })), "{lost:?}");
    }

    #[test]
    fn two_writers_take_in_each_others_lines_and_segments() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        let stamp = Stamp::of_this_process().unwrap();
        let (mut a, mut b) = (Live::open(&log, None).unwrap(), Live::open(&log, None).unwrap());
        for _ in 0..3 {
            for live in [&mut a, &mut b] {
                assert!(live.catch_up(&mut |_, _| {}).unwrap().is_none());
                live.rotate(2000).unwrap();
                live.append(&stamp, &bodies(5), &mut |_| {}).unwrap();
            }
        }
        assert_eq!(b.link().seq, 30);
        assert_eq!(segments::list(&log).unwrap().len(), 3);
        let mut fresh = Live::open(&log, None).unwrap();
        fresh.catch_up(&mut |_, _| {}).unwrap();
        assert_eq!(fresh.link(), b.link());
    }

    #[test]
    fn a_segment_that_was_begun_and_not_written_is_written_next() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        let stamp = Stamp::of_this_process().unwrap();
        let mut before = Live::open(&log, None).unwrap();
        before.append(&stamp, &bodies(3), &mut |_| {}).unwrap();
        let other = segments::segment(&log, 4);
        files::create_new(&other.path).unwrap();
        let mut opened = Live::open(&log, None).unwrap();
        for live in [&mut opened, &mut before] {
            live.catch_up(&mut |_, _| {}).unwrap();
            live.append(&stamp, &bodies(1), &mut |_| {}).unwrap();
            assert_eq!(live.segment, other);
        }
        assert_eq!(before.link().seq, 5);
    }

    #[test]
    fn yesterdays_segment_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        let stamp = Stamp::of_this_process().unwrap();
        let mut live = Live::open(&log, None).unwrap();
        live.append(&stamp, &bodies(1), &mut |_| {}).unwrap();
        live.rotate(u64::MAX).unwrap();
        assert_eq!(live.segment.first, 1);
        live.day = Some("2001-01-01".into());
        live.rotate(u64::MAX).unwrap();
        assert_eq!(live.segment.first, 2);
    }
}
