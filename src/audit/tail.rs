//! The end of the log, and what is added to it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::AuditError;
use super::lines::{Ending, Lines};
use super::reader::{Entry, Reader};
use super::segments::{self, Segment};

/// The last `count` records, oldest first. Reads only as many segments as it
/// needs; lines that are no records are left out.
///
/// # Errors
/// No log is there, or it cannot be read.
pub fn tail(path: impl AsRef<Path>, count: usize) -> Result<Vec<Entry>, AuditError> {
    let segments = segments::list(path.as_ref())?;
    if segments.is_empty() {
        return Err(AuditError::Missing(path.as_ref().into()));
    }
    let mut found: VecDeque<Entry> = VecDeque::new();
    for segment in segments.into_iter().rev() {
        let wanted = count - found.len();
        if wanted == 0 {
            break;
        }
        let mut last = VecDeque::new();
        for entry in Reader::of(vec![segment]) {
            match entry {
                Ok(entry) => last.push_back(entry),
                Err(AuditError::Broken { .. }) => {}
                Err(error) => return Err(error),
            }
            if last.len() > wanted {
                last.pop_front();
            }
        }
        last.append(&mut found);
        found = last;
    }
    Ok(found.into())
}

/// Follows a log as it grows. It asks nothing of the writers and waits for
/// nothing: whoever uses it decides how often to look.
pub struct Follower {
    log: PathBuf,
    segment: Segment,
    /// Where the next line begins.
    offset: u64,
    seq: u64,
}

impl Follower {
    /// Follows the log at `path`; the first [`poll`](Self::poll) gives the
    /// records after record `seq` (0: all of them).
    ///
    /// # Errors
    /// No log is there.
    pub fn after(path: impl AsRef<Path>, seq: u64) -> Result<Self, AuditError> {
        let log = path.as_ref().to_owned();
        let segments = segments::list(&log)?;
        let begun = segments.into_iter().rev().find(|segment| segment.first <= seq + 1);
        let segment = begun.ok_or(AuditError::Missing(log.clone()))?;
        Ok(Self { log, segment, offset: 0, seq })
    }

    /// The records written since the last look. A line still being written is
    /// left for the next look; lines that are no records are left out.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn poll(&mut self) -> Result<Vec<Entry>, AuditError> {
        let mut found = Vec::new();
        loop {
            // Looked for first: nothing is added to a segment once it has a next.
            let segments = segments::list(&self.log)?;
            let next = segments.into_iter().find(|next| next.first > self.segment.first);
            self.read_on(&mut found)?;
            let Some(next) = next else { return Ok(found) };
            self.segment = next;
            self.offset = 0;
        }
    }

    fn read_on(&mut self, found: &mut Vec<Entry>) -> Result<(), AuditError> {
        let path = &self.segment.path;
        let mut file = File::open(path).map_err(AuditError::io("open", path))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(AuditError::io("read", path))?;
        let mut lines = Lines::new(file, self.offset);
        while let Some(line) = lines.next().map_err(AuditError::io("read", path))? {
            if line.ending == Ending::EndOfFile {
                break;
            }
            self.offset = line.end;
            if let Some(entry) = Entry::parse(line.bytes).filter(|entry| entry.seq() > self.seq) {
                self.seq = entry.seq();
                found.push(entry);
            }
        }
        Ok(())
    }
}
