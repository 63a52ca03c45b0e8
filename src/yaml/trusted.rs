//! Reading a file that decides what is done on every host.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a file is not read.
#[derive(Debug)]
pub(crate) enum Untrusted {
    /// It belongs to somebody who could change what we do.
    ForeignOwner { owner: u32, user: u32 },
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable(io::Error),
    /// Others could change what we do.
    WritableByOthers { mode: u32 },
}

/// Reads a regular file that only its owner, who must be us or root, can have
/// written; of a larger file, one byte more than `max`.
pub(crate) fn read_trusted(path: &Path, max: usize) -> Result<Vec<u8>, Untrusted> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Untrusted::Missing,
        _ => Untrusted::Unreadable(error),
    };
    // Opening something else than a file could block for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(failed(error));
    }
    let file = File::open(path).map_err(failed)?;
    // The file that is open is checked, not what its name stands for by now.
    check_trusted(&file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Refuses what somebody else than its owner, who must be us or root, can have
/// written.
pub(crate) fn check_trusted(metadata: &Metadata) -> Result<(), Untrusted> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(Untrusted::ForeignOwner { owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(Untrusted::WritableByOthers { mode });
    }
    Ok(())
}
