//! Files that only their owner may read, and that survive a power cut.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::AuditError;

/// The file beside `log` with `suffix` added to its whole name.
pub(super) fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(suffix);
    name.into()
}

/// The directory a file is in.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the directory, and those above it, for the owner alone.
pub(super) fn create_directory(path: &Path) -> Result<(), AuditError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(AuditError::io("create the directory", path))
}

/// Opens a file to append to and read, made 0600 when it is not there.
pub(super) fn open_or_create(path: &Path) -> Result<File, AuditError> {
    let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    opened.map_err(AuditError::io("open", path))
}

/// Opens a file to append to and read.
pub(super) fn open(path: &Path) -> Result<File, AuditError> {
    OpenOptions::new().read(true).append(true).open(path).map_err(AuditError::io("open", path))
}

/// Makes a file that must not be there yet, 0600, and makes its name durable.
pub(super) fn create_new(path: &Path) -> Result<File, AuditError> {
    let created =
        OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path);
    let file = created.map_err(AuditError::io("create", path))?;
    sync_directory(path)?;
    Ok(file)
}

/// Writes a whole small file so that it is there complete or not at all.
pub(super) fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), AuditError> {
    let part = beside(path, ".new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(AuditError::io("write", path))?;
    sync_directory(path)
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), AuditError> {
    let dir = directory(path);
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(AuditError::io("make durable the directory", dir))
}

/// Reads a key file, unless others can read it too; `None` when there is none.
pub(super) fn read_key(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AuditError::io("read", path)(error)),
    };
    if mode & 0o077 != 0 {
        return Err(AuditError::Exposed { path: path.into(), mode });
    }
    fs::read(path).map(Some).map_err(AuditError::io("read", path))
}

/// Whether `path` still names the file that is open as `file`.
pub(super) fn is_still(file: &File, path: &Path) -> Result<bool, AuditError> {
    let open = file.metadata().map_err(AuditError::io("look at", path))?;
    match fs::metadata(path) {
        Ok(named) => Ok(named.dev() == open.dev() && named.ino() == open.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(AuditError::io("look at", path)(error)),
    }
}
