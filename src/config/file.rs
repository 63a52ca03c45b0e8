//! Reading a configuration file.

use std::path::Path;

use super::{ConfigError, Diagnostic, Location};
use crate::yaml::{SIZE_MAX, Untrusted, read_trusted};

/// Reads a regular file that only its owner, who must be us or root, can have
/// written.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = read_trusted(path, SIZE_MAX).map_err(|why| {
        let path = path.to_path_buf();
        match why {
            Untrusted::ForeignOwner { owner, user } => {
                ConfigError::ForeignOwner { path, owner, user }
            }
            Untrusted::Missing => ConfigError::NotFound { tried: vec![path] },
            Untrusted::Unreadable(source) => ConfigError::Unreadable { path, source },
            Untrusted::WritableByOthers { mode } => ConfigError::WritableByOthers { path, mode },
        }
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ConfigError::Invalid(not_utf8(path, &error.as_bytes()[..valid]))
    })
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
