//! A transfer, to be done again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::local::{Changed, LocalFile};
use super::{Circumstances, absolute, run_as, sudo};
use crate::remote::{Direction, Transfer};
use crate::store::detail::{Name, micros};

/// A transfer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Moved {
    upload: bool,
    sources: Vec<Name>,
    /// What is sent, by content.
    pub(super) files: Vec<LocalFile>,
    target: Name,
    per_host: bool,
    recursive: bool,
    preserve: bool,
    mode: Option<u32>,
    mkdir: bool,
    resume: bool,
    sha256: Option<String>,
    bytes_per_second: Option<u64>,
    run_as: Option<String>,
    stall_us: u64,
}

impl Moved {
    pub(super) fn of(transfer: &Transfer, around: &Circumstances) -> Result<Self, String> {
        let upload = transfer.direction == Direction::Upload;
        let here = |path: &OsString| {
            // A trailing slash says something and must stay.
            match around.cwd.as_ref().filter(|_| !path.as_bytes().starts_with(b"/")) {
                Some(cwd) => {
                    let parts = [cwd.as_os_str(), "/".as_ref(), path];
                    Name::new(parts.into_iter().collect::<OsString>())
                }
                None => Name::new(path),
            }
        };
        let mut files = Vec::new();
        if upload {
            for path in &transfer.sources {
                let path = absolute(Path::new(path), around);
                if path.is_dir() {
                    return Err("it sent a directory, whose content is not remembered".into());
                }
                files.push(LocalFile { path: Name::new(path), sha256: String::new() });
            }
        }
        let sources = transfer.sources.iter();
        Ok(Self {
            upload,
            sources: sources
                .map(|path| if upload { here(path) } else { Name::new(path) })
                .collect(),
            files,
            target: if upload { Name::new(&transfer.target) } else { here(&transfer.target) },
            per_host: transfer.per_host,
            recursive: transfer.recursive,
            preserve: transfer.preserve,
            mode: transfer.mode,
            mkdir: transfer.mkdir,
            resume: transfer.resume,
            sha256: transfer.sha256.clone(),
            bytes_per_second: transfer.bytes_per_second,
            run_as: run_as(transfer.run_as.as_ref())?,
            stall_us: micros(transfer.stall),
        })
    }

    pub(super) fn transfer(&self) -> Result<Transfer, Changed> {
        self.files.iter().try_for_each(LocalFile::check)?;
        let mut sources = self.sources.iter().map(Name::to_os);
        let first = sources.next().unwrap_or_default();
        let target = self.target.to_os();
        let transfer = match self.upload {
            true => Transfer::upload(first, target),
            false => Transfer::download(first, target),
        };
        Ok(Transfer {
            per_host: self.per_host,
            recursive: self.recursive,
            preserve: self.preserve,
            mode: self.mode,
            mkdir: self.mkdir,
            resume: self.resume,
            // The file may change once more until it is sent.
            sha256: match self.files.as_slice() {
                [file] => Some(file.sha256.clone()),
                _ => self.sha256.clone(),
            },
            bytes_per_second: self.bytes_per_second,
            run_as: sudo(self.run_as.as_ref()),
            stall: Duration::from_micros(self.stall_us),
            ..sources.fold(transfer, Transfer::and)
        })
    }
}
