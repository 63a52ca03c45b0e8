//! Key files: whole or not there, and never lost.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::KeyFileError;

/// The file beside `path` with `suffix` added to its whole name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The public key beside a private one.
pub(super) fn public(path: &Path) -> PathBuf {
    beside(path, ".pub")
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the directory of `path`, for its owner alone.
pub(super) fn make_directory(path: &Path) -> Result<(), KeyFileError> {
    let dir = directory(path);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(KeyFileError::io("make the directory", dir))
}

/// Puts a whole file in the place of what is there; durable on return.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let dir = directory(path);
    let written = || {
        let mut temp = tempfile::Builder::new().prefix(".key.").tempfile_in(dir)?;
        temp.write_all(content)?;
        temp.as_file().set_permissions(Permissions::from_mode(mode))?;
        temp.as_file().sync_all()?;
        temp.persist(path)?;
        File::open(dir)?.sync_all()
    };
    written().map_err(KeyFileError::io("write", path))
}

/// Renames a file over what is there; durable on return.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), KeyFileError> {
    let renamed = || {
        fs::rename(from, to)?;
        File::open(directory(to))?.sync_all()
    };
    renamed().map_err(KeyFileError::io("replace", to))
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), KeyFileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(KeyFileError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Gives a file a second name, `….backup.TIME`, so that the first can be
/// written over without a moment in which there is none. `None` if there is no
/// such file.
pub(super) fn back_up(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, KeyFileError> {
    let stamp = now.strftime("%Y%m%d_%H%M%S");
    let mut backup = beside(path, &format!(".backup.{stamp}"));
    for number in 1.. {
        match fs::hard_link(path, &backup) {
            Ok(()) => return Ok(Some(backup)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // An earlier one of this second is somebody's only copy.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                backup = beside(path, &format!(".backup.{stamp}.{number}"));
            }
            // Some file systems have no links.
            Err(_) => break,
        }
    }
    let content = fs::read(path).map(zeroize::Zeroizing::new);
    let content = content.map_err(KeyFileError::io("read", path))?;
    write(&backup, &content, 0o600)?;
    Ok(Some(backup))
}
