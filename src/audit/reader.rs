//! Reading the log, record by record, in bounded memory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::vec;

use jiff::Timestamp;
use serde_json::Value;

use super::AuditError;
use super::chain::{Defect, Link};
use super::lines::{Ending, Lines};
use super::segments::{self, Segment};

/// One record as it was read. It has not been verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    raw: String,
    value: Value,
}

impl Entry {
    /// The line, without newline.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The record as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.value["seq"].as_u64().unwrap_or(0)
    }

    /// What it is about (`exec.result`).
    pub fn event(&self) -> &str {
        self.text("/event").unwrap_or_default()
    }

    /// When it was written.
    pub fn time(&self) -> Option<Timestamp> {
        self.text("/ts")?.parse().ok()
    }

    /// The string at a JSON pointer (`/target/host`).
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }

    /// The record in `line`, if it is one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let raw = std::str::from_utf8(line).ok()?.to_owned();
        let value: Value = serde_json::from_str(&raw).ok()?;
        value.is_object().then_some(Self { raw, value })
    }
}

/// Reads every record of a log in order, over all its segments.
///
/// A line that is no record is an error, after which the next call goes on
/// with the next line; a last line still being written is left out.
pub struct Reader {
    segments: vec::IntoIter<Segment>,
    current: Option<(PathBuf, Lines<File>)>,
    /// The record expected next, to name a place that is no record.
    seq: u64,
}

impl Reader {
    /// Reads the log at `path`.
    ///
    /// # Errors
    /// No log is there, its first segment is missing, or it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, AuditError> {
        let segments = segments::list(path.as_ref())?;
        if segments.is_empty() {
            return Err(AuditError::Missing(path.as_ref().into()));
        }
        Ok(Self::of(segments))
    }

    pub(super) fn of(segments: Vec<Segment>) -> Self {
        let seq = segments.first().map_or(1, |segment| segment.first);
        Self { segments: segments.into_iter(), current: None, seq }
    }

    fn step(&mut self) -> Result<Option<Entry>, AuditError> {
        loop {
            let Some((path, lines)) = &mut self.current else {
                let Some(next) = self.segments.next() else { return Ok(None) };
                let file = File::open(&next.path).map_err(AuditError::io("open", &next.path))?;
                self.current = Some((next.path, Lines::new(file, 0)));
                continue;
            };
            let Some(line) = lines.next().map_err(AuditError::io("read", path))? else {
                self.current = None;
                continue;
            };
            if line.ending == Ending::EndOfFile {
                continue;
            }
            let seq = self.seq;
            self.seq = Link::of(line.bytes).map_or(seq, |link| link.seq) + 1;
            let entry = Entry::parse(line.bytes).filter(|_| line.ending == Ending::Newline);
            return entry.map(Some).ok_or(AuditError::Broken {
                path: path.clone(),
                seq,
                defect: Defect::Malformed,
            });
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        // A file that cannot be read would fail the same way for ever.
        if matches!(step, Err(AuditError::Io { .. })) {
            self.current = None;
        }
        step.transpose()
    }
}
