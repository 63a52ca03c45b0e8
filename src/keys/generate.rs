//! Making a key pair for one VM.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::SecretString;

use super::KeyFileError;
use super::files;
use crate::ids::VmId;
use crate::ssh::key_file::{self, NewKey};

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// Whose key it is.
    pub vm: &'a VmId,
    /// The private key's file.
    pub path: &'a Path,
    /// What encrypts it, if anything does.
    pub passphrase: Option<&'a SecretString>,
}

/// What came of it.
#[derive(Debug)]
pub enum Generated {
    /// There is a key already; it was left alone.
    Kept,
    /// A new key is there.
    Made {
        /// The new key.
        key: Box<NewKey>,
        /// The name under which the private key before it is kept.
        backup: Option<PathBuf>,
    },
}

/// Makes an Ed25519 pair where there is none, or with `force` in any case: then
/// what was there is kept under another name. Blocks.
///
/// # Errors
/// The directory or the files cannot be written. What was there is there still.
pub fn generate(pair: Pair<'_>, force: bool, now: Timestamp) -> Result<Generated, KeyFileError> {
    // Whatever it is, it is not ours to write over.
    if !force && pair.path.symlink_metadata().is_ok() {
        return Ok(Generated::Kept);
    }
    let key = new_key(pair, now)?;
    files::make_directory(pair.path)?;
    let backup = files::back_up(pair.path, now)?;
    files::back_up(&files::public(pair.path), now)?;
    write(pair.path, &key)?;
    Ok(Generated::Made { key: Box::new(key), backup })
}

pub(super) fn new_key(pair: Pair<'_>, now: Timestamp) -> Result<NewKey, KeyFileError> {
    let comment = format!("orchestrator_{}_{}", pair.vm, now.strftime("%Y%m%d"));
    Ok(key_file::generate(&comment, pair.passphrase)?)
}

/// The public key first: where there is a private key, the pair is complete.
pub(super) fn write(path: &Path, key: &NewKey) -> Result<(), KeyFileError> {
    files::write(&files::public(path), format!("{}\n", key.public).as_bytes(), 0o644)?;
    files::write(path, key.private.as_bytes(), 0o600)
}
