//! Where results go when the disk is full: space kept back for them, then a
//! spool of lines that are not yet in the chain.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::AuditError;
use super::files;
use super::record::Body;
use super::stamp::Stamp;

const RESERVE: usize = 1 << 20;

/// Sets the space aside, unless it already is.
pub(super) fn set_aside(log: &Path) -> Result<(), AuditError> {
    let path = reserve_of(log);
    let whole = fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE as u64);
    // Written, not merely allotted: some file systems compress or promise.
    if whole { Ok(()) } else { files::write_whole(&path, &vec![0; RESERVE], 0o600) }
}

/// Refuses when the space was given up, by this process or another: what is
/// free then belongs to results.
pub(super) fn require(log: &Path) -> Result<(), AuditError> {
    let path = reserve_of(log);
    if path.exists() { Ok(()) } else { Err(AuditError::ReserveGone(path)) }
}

/// Gives the space up, for results to use.
pub(super) fn release(log: &Path) {
    let _ = fs::remove_file(reserve_of(log));
}

/// Keeps a record that the log did not take. Returns where.
pub(super) fn spool(log: &Path, stamp: &Stamp, body: &Body) -> Result<PathBuf, AuditError> {
    let path = spool_of(log);
    let mut file = files::open_or_create(&path)?;
    let line = format!("{}\n", line(stamp, body));
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(AuditError::io("append to", &path))?;
    Ok(path)
}

/// A record as it stands in the spool: all but its place in the chain.
pub(super) fn line(stamp: &Stamp, body: &Body) -> String {
    let mut line = String::from(r#"{"v":1,"#);
    stamp.write(&mut line);
    line.push_str(&body.text);
    line.push('}');
    line
}

/// The records in the spool; a line that a crash cut short is left out.
pub(super) fn spooled(log: &Path) -> Result<Vec<Map<String, Value>>, AuditError> {
    let path = spool_of(log);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("read", &path)(error)),
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Puts the spool away once its records are in the chain.
pub(super) fn clear_spool(log: &Path) -> Result<(), AuditError> {
    let path = spool_of(log);
    let done = files::beside(log, ".spool.done");
    fs::rename(&path, &done).map_err(AuditError::io("put away", &path))?;
    files::sync_directory(&path)
}

fn reserve_of(log: &Path) -> PathBuf {
    files::beside(log, ".reserve")
}

fn spool_of(log: &Path) -> PathBuf {
    files::beside(log, ".spool")
}
