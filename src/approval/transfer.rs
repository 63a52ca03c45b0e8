//! Files that are moved, written down: what is sent by its content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{NotPlannable, Secrets};
use super::octets::{Octets, all, to_os};
use super::process::{Sudo, milliseconds};
use crate::remote::{Direction, Item, Manifest, Transfer};
use crate::transfer::{LocalError, manifest};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moved {
    pub(super) upload: bool,
    pub(super) sources: Vec<Octets>,
    pub(super) target: Octets,
    /// Everything that is sent.
    pub(super) files: Vec<Sent>,
    per_host: bool,
    recursive: bool,
    preserve: bool,
    mode: Option<u32>,
    mkdir: bool,
    resume: bool,
    sha256: Option<String>,
    bytes_per_second: Option<u64>,
    timeout_ms: Option<u64>,
    stall_ms: u64,
    pub(super) sudo: Option<Sudo>,
}

/// One thing that is sent. Permission bits as a number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Sent {
    Dir { path: Octets, mode: u32 },
    File { path: Octets, mode: u32, bytes: u64, sha256: String },
    Symlink { path: Octets, target: Octets },
}

impl Moved {
    /// What is not as it is unless somebody says so.
    pub(super) fn options(&self) -> Vec<String> {
        // Named one by one, so that none is forgotten.
        let Self {
            upload: _,
            sources: _,
            target: _,
            files: _,
            sudo: _,
            per_host,
            recursive,
            preserve,
            mode,
            mkdir,
            resume,
            sha256,
            bytes_per_second,
            timeout_ms,
            stall_ms,
        } = self;
        let flags = [
            (*per_host, "a directory for each VM"),
            (*recursive, "with everything in directories"),
            (*preserve, "keeps times and modes"),
            (*mkdir, "makes missing directories"),
            (*resume, "goes on with what is there"),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, text)| text.to_owned());
        let values = [
            mode.map(|mode| format!("mode {mode:o}")),
            sha256.as_ref().map(|sha256| format!("must be sha256 {sha256}")),
            bytes_per_second.map(|bytes| format!("at most {bytes} bytes a second")),
            timeout_ms.map(|ms| format!("ends after {ms} ms")),
            Some(format!("ends when nothing moves for {stall_ms} ms")),
        ];
        flags.chain(values.into_iter().flatten()).collect()
    }

    pub(super) fn of(transfer: &Transfer, cwd: Option<&Path>) -> Result<Self, NotPlannable> {
        let mut transfer = transfer.clone();
        let upload = transfer.direction == Direction::Upload;
        let mut files = Vec::new();
        if upload {
            transfer.sources.iter_mut().for_each(|path| here(path, cwd));
            files = manifest(&transfer).map_err(local)?.0.into_iter().map(Sent::of).collect();
        } else {
            here(&mut transfer.target, cwd);
        }
        Ok(Self {
            upload,
            sources: all(&transfer.sources),
            target: Octets::of(&transfer.target),
            files,
            per_host: transfer.per_host,
            recursive: transfer.recursive,
            preserve: transfer.preserve,
            mode: transfer.mode,
            mkdir: transfer.mkdir,
            resume: transfer.resume,
            sha256: transfer.sha256.clone(),
            bytes_per_second: transfer.bytes_per_second,
            timeout_ms: transfer.timeout.map(milliseconds),
            stall_ms: milliseconds(transfer.stall),
            sudo: transfer.run_as.as_ref().map(Sudo::of).transpose()?,
        })
    }

    /// The transfer, if everything that it sends is still what it was. What
    /// changes after that is refused when it is sent.
    pub(super) fn transfer(&self, with: &Secrets) -> Result<Transfer, NotPlannable> {
        let mut sources = to_os(&self.sources).into_iter();
        let first = sources.next().unwrap_or_default();
        let target = self.target.to_os();
        let transfer = match self.upload {
            true => Transfer::upload(first, target),
            false => Transfer::download(first, target),
        };
        let mut transfer = Transfer {
            per_host: self.per_host,
            recursive: self.recursive,
            preserve: self.preserve,
            mode: self.mode,
            mkdir: self.mkdir,
            resume: self.resume,
            sha256: self.sha256.clone(),
            bytes_per_second: self.bytes_per_second,
            run_as: self.sudo.as_ref().map(|sudo| sudo.run_as(with)).transpose()?,
            timeout: self.timeout_ms.map(Duration::from_millis),
            stall: Duration::from_millis(self.stall_ms),
            ..sources.fold(transfer, Transfer::and)
        };
        if self.upload {
            let expected: BTreeMap<PathBuf, Item> = self.files.iter().map(Sent::item).collect();
            let found = manifest(&transfer).map_err(local)?;
            if let Some(path) = difference(&expected, &found.0) {
                return Err(NotPlannable::Changed { path });
            }
            transfer = transfer.manifest(Arc::new(Manifest(expected)));
        }
        Ok(transfer)
    }
}

/// The first path that is not what it was.
fn difference(
    expected: &BTreeMap<PathBuf, Item>,
    found: &BTreeMap<PathBuf, Item>,
) -> Option<PathBuf> {
    let gone = expected.iter().find(|(path, item)| found.get(*path) != Some(item));
    let new = || found.iter().find(|(path, _)| !expected.contains_key(*path));
    gone.or_else(new).map(|(path, _)| path.clone())
}

/// A path of this machine, whatever the directory of whoever applies the plan. A
/// trailing slash says something and stays.
fn here(path: &mut OsString, cwd: Option<&Path>) {
    if let Some(cwd) = cwd.filter(|_| !path.as_bytes().starts_with(b"/")) {
        *path = [cwd.as_os_str(), "/".as_ref(), path].into_iter().collect();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn local(error: LocalError) -> NotPlannable {
    NotPlannable::Transfer(error.to_string())
}

impl Sent {
    fn of((path, item): (PathBuf, Item)) -> Self {
        let path = Octets::of(path);
        match item {
            Item::Dir { mode } => Self::Dir { path, mode },
            Item::File { mode, size, sha256 } => Self::File { path, mode, bytes: size, sha256 },
            Item::Symlink { target } => Self::Symlink { path, target: Octets(target) },
        }
    }

    fn item(&self) -> (PathBuf, Item) {
        match self {
            Self::Dir { path, mode } => (path.to_os().into(), Item::Dir { mode: *mode }),
            Self::File { path, mode, bytes, sha256 } => {
                let item = Item::File { mode: *mode, size: *bytes, sha256: sha256.clone() };
                (path.to_os().into(), item)
            }
            Self::Symlink { path, target } => {
                (path.to_os().into(), Item::Symlink { target: target.0.clone() })
            }
        }
    }
}
