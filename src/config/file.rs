//! Reading a file that decides what is done on every host.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{ConfigError, Diagnostic, Location};
use crate::yaml::SIZE_MAX;

/// Reads a regular file that only its owner, who must be us or root, can have
/// written.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| match source {
        error if error_is_missing(&error) => ConfigError::NotFound { tried: vec![path.into()] },
        source => ConfigError::Unreadable { path: path.into(), source },
    };
    // Opening something else than a file could block for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(unreadable(source));
    }
    let file = File::open(path).map_err(unreadable)?;
    // The file that is open is checked, not what its name stands for by now.
    let metadata = file.metadata().map_err(unreadable)?;
    check_access(path, metadata.mode(), metadata.uid())?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ConfigError::Invalid(not_utf8(path, &error.as_bytes()[..valid]))
    })
}

fn check_access(path: &Path, mode: u32, owner: u32) -> Result<(), ConfigError> {
    let user = rustix::process::geteuid().as_raw();
    let path = path.to_path_buf();
    if owner != user && owner != 0 {
        return Err(ConfigError::ForeignOwner { path, owner, user });
    }
    if mode & 0o022 != 0 {
        return Err(ConfigError::WritableByOthers { path, mode: mode & 0o7777 });
    }
    Ok(())
}

fn error_is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn not_utf8(path: &Path, before: &[u8]) -> Diagnostic {
    let before = String::from_utf8_lossy(before);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let file = path.display().to_string().into();
    let location = Location::new(file, narrow(line), narrow(column));
    Diagnostic::new(location, "the file is not UTF-8 text".into(), String::new())
}
