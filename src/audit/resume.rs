//! Where in the last segment reading may begin when a log is opened.
//!
//! A checkpoint says which attempt was the oldest without a result. What is
//! before both is of no interest to a writer: it is signed, and `verify` reads
//! it. What is found here is only where to begin; what is read from there is
//! checked line by line and held against the checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::{memchr, memmem};
use serde::Deserialize;

use super::chain::{Link, beginning};
use super::checkpoint::Note;

/// In a checkpoint's record: the number of the oldest attempt without a result,
/// 0 if there is none.
pub(super) const OLDEST_OPEN: &str = "oldest_open";

/// How many bytes from the end are looked at, one after the other, before all of
/// the segment is read.
const WINDOWS: [u64; 3] = [64 << 10, 1 << 20, 16 << 20];

/// More than what precedes the time in a line.
const BEGINNING: usize = 256;

/// A place between two lines.
pub(super) struct Place {
    pub(super) offset: u64,
    /// What the line before claims to be.
    pub(super) link: Link,
    /// How the segment begins.
    pub(super) beginning: Vec<u8>,
}

/// The place before the checkpoint's record and everything that was open then;
/// `None` if that is not known, or not near the end.
pub(super) fn place(segment: &File, note: &Note) -> io::Result<Option<Place>> {
    let len = segment.metadata()?.len();
    for size in WINDOWS {
        let start = len.saturating_sub(size);
        let window = read_at(segment, start, usize::try_from(len - start).unwrap_or(usize::MAX))?;
        if let Some(found) = search(&window, note) {
            let Some((end, link)) = found else { return Ok(None) };
            let beginning = read_at(segment, 0, BEGINNING)?;
            return Ok(Some(Place { offset: start + end, link, beginning }));
        }
        if start == 0 {
            break;
        }
    }
    Ok(None)
}

/// Where in the window the line ends after which to begin; `Some(None)` if no
/// larger window will tell.
#[allow(clippy::option_option)]
fn search(window: &[u8], note: &Note) -> Option<Option<(u64, Link)>> {
    let (_, checkpoint) = line(window, note.seq)?;
    let Some(oldest) = oldest_open(checkpoint) else { return Some(None) };
    let first = if oldest == 0 { note.seq } else { oldest.min(note.seq) };
    let (end, before) = line(window, first - 1)?;
    Some(Link::of(before).map(|link| (end as u64, link)))
}

/// The line with this number, and where the next one begins. The first line of
/// a window may be cut, so that it is not found.
fn line(window: &[u8], seq: u64) -> Option<(usize, &[u8])> {
    let start = memmem::find(window, format!("\n{}", beginning(seq)).as_bytes())? + 1;
    let length = memchr(b'\n', &window[start..])?;
    Some((start + length + 1, &window[start..start + length]))
}

fn oldest_open(checkpoint: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        metadata: BTreeMap<String, String>,
    }
    let said: Said = serde_json::from_slice(checkpoint).ok()?;
    said.metadata.get(OLDEST_OPEN)?.parse().ok()
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
