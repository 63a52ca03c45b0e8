//! Which files a log consists of.
//!
//! The first segment has the log's own name for good; each later one carries
//! the number of its first record: `audit.jsonl`, `audit-000000004711.jsonl`.
//! So the name of a segment's successor follows from its last record, and
//! finding out whether another process began one costs a single look.

use std::fs;
use std::path::{Path, PathBuf};

use super::AuditError;
use super::chain::Link;
use super::files;

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The number of its first record.
    pub(super) first: u64,
}

/// The segment of `log` that begins with record `first`.
pub(super) fn segment(log: &Path, first: u64) -> Segment {
    let path = if first == 1 {
        log.to_owned()
    } else {
        let (stem, extension) = name_parts(log);
        log.with_file_name(format!("{stem}-{first:012}{extension}"))
    };
    Segment { path, first }
}

/// Every segment of `log` that is there, in order; none when there is no log.
pub(super) fn list(log: &Path) -> Result<Vec<Segment>, AuditError> {
    let dir = files::directory(log);
    let failed = || AuditError::io("list", dir);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed())?.file_name();
        if let Some(first) = name.to_str().and_then(|name| first_of(log, name)) {
            found.push(segment(log, first));
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// The segment after the one that ends in `link`, if it was begun.
pub(super) fn successor(log: &Path, link: &Link) -> Option<Segment> {
    let next = segment(log, link.seq + 1);
    (next.first > 1 && next.path.exists()).then_some(next)
}

/// The number of the first record of the segment with this file name.
fn first_of(log: &Path, name: &str) -> Option<u64> {
    if log.file_name()?.to_str()? == name {
        return Some(1);
    }
    let (stem, extension) = name_parts(log);
    let digits = name.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
    let numeric = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| numeric && *first > 1)
}

/// `audit.jsonl` is `audit` and `.jsonl`.
fn name_parts(log: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let extension = text(log.extension());
    let dot = if extension.is_empty() { "" } else { "." };
    (text(log.file_stem()), format!("{dot}{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_first_record_and_nothing_else_is_a_segment() {
        let log = Path::new("/var/log/audit.jsonl");
        assert_eq!(segment(log, 1).path, log);
        assert_eq!(segment(log, 4711).path, Path::new("/var/log/audit-000000004711.jsonl"));
        assert_eq!(first_of(log, "audit.jsonl"), Some(1));
        assert_eq!(first_of(log, "audit-000000004711.jsonl"), Some(4711));
        for other in ["audit.jsonl.lock", "audit-4711.jsonl", "audit-x00000000001.jsonl", "b.jsonl"]
        {
            assert_eq!(first_of(log, other), None, "{other}");
        }
        assert_eq!(segment(Path::new("audit"), 7).path, Path::new("audit-000000000007"));
    }

    #[test]
    fn segments_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        assert_eq!(list(&log).unwrap(), []);
        for name in ["audit-000000000010.jsonl", "audit-000000000009.jsonl", "audit.jsonl.lock"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(list(&log).unwrap(), [segment(&log, 9), segment(&log, 10)]);
        assert_eq!(list(&dir.path().join("none/audit.jsonl")).unwrap(), []);
    }
}
