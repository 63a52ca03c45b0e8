//! The local half of replacing a key, so that it can be taken up again wherever
//! it stopped.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::KeyFileError;
use super::files::{self, beside, public};
use super::generate::{self, Pair};
use crate::ssh::key_file::{NewKey, PublicLine};

/// The names that a rotation uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    current: PathBuf,
    target: PathBuf,
}

/// How far a rotation came before.
#[derive(Debug)]
pub enum Stage {
    /// A new key is there and may be on the host already.
    Begun,
    /// Nothing is under way.
    Fresh,
    /// The new key is in its place; this old one may be on the host still.
    Swapped(PublicLine),
}

impl Rotation {
    /// A rotation of the key in `current`, after which the key is in `target`;
    /// the two are the same unless the type of key is part of the name.
    pub fn new(current: PathBuf, target: PathBuf) -> Self {
        Self { current, target }
    }

    /// The key that logs in until the swap.
    pub fn current(&self) -> &Path {
        &self.current
    }

    /// Where the new key ends up.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The new key until the swap.
    pub fn new_key(&self) -> PathBuf {
        beside(&self.target, ".new")
    }

    /// The old public key after the swap, until it is off the host.
    fn retired(&self) -> PathBuf {
        beside(&self.target, ".retired.pub")
    }

    /// How far an earlier rotation came.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn stage(&self) -> Result<Stage, KeyFileError> {
        if self.new_key().symlink_metadata().is_ok() {
            return Ok(Stage::Begun);
        }
        let retired = self.retired();
        match std::fs::read_to_string(&retired) {
            Ok(text) => PublicLine::parse(&text).map(Stage::Swapped).ok_or_else(|| {
                let cause = "not a public key; remove it if the old key is off the host";
                KeyFileError::io("use", &retired)(std::io::Error::other(cause))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Stage::Fresh),
            Err(error) => Err(KeyFileError::io("read", &retired)(error)),
        }
    }

    /// Makes the new key, beside the one in use.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn begin(&self, pair: Pair<'_>, now: Timestamp) -> Result<NewKey, KeyFileError> {
        let key = generate::new_key(pair, now)?;
        generate::write(&self.new_key(), &key)?;
        Ok(key)
    }

    /// Puts the new key in its place, and the old one aside. There is no moment
    /// without a key in the place. Returns the backup of the old private key.
    ///
    /// # Errors
    /// A file cannot be written. The rotation can be taken up again.
    pub fn swap(&self, old: &PublicLine, now: Timestamp) -> Result<Option<PathBuf>, KeyFileError> {
        let (new, current) = (self.new_key(), &self.current);
        files::write(&self.retired(), format!("{old}\n").as_bytes(), 0o644)?;
        let backup = files::back_up(current, now)?;
        files::back_up(&public(current), now)?;
        files::rename(&new, &self.target)?;
        self.tidy()?;
        Ok(backup)
    }

    /// What may follow the swap at any later time.
    fn tidy(&self) -> Result<(), KeyFileError> {
        let public_new = public(&self.new_key());
        if public_new.exists() {
            files::rename(&public_new, &public(&self.target))?;
        }
        if self.current != self.target {
            files::remove(&self.current)?;
            files::remove(&public(&self.current))?;
        }
        Ok(())
    }

    /// Forgets the old key: it is off the host.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn end(&self) -> Result<(), KeyFileError> {
        self.tidy()?;
        files::remove(&self.retired())
    }
}
