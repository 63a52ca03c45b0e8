//! A directory with one file for each host, which holds what the host wrote.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::pen::Place;
use crate::ids::VmId;

/// A directory for the files of a run, named by the ids of their hosts.
///
/// It is held open, so that what its path means later makes no difference.
#[derive(Clone, Debug)]
pub struct OutputDir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl OutputDir {
    /// Opens the directory; a missing one is made with mode 0700, but not what is
    /// above it. Blocks.
    ///
    /// # Errors
    /// It cannot be made or opened, or is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        rustix::fs::accessat(&fd, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)?;
        Ok(Self { fd: Arc::new(fd), path: path.to_owned() })
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file that an earlier run left for a host: afterwards a file
    /// is this run's, or is not there. A symbolic link is removed, and what it
    /// points to is not touched. `index` is which of several commands is meant.
    /// Blocks.
    ///
    /// # Errors
    /// It cannot be removed; a directory is not.
    pub fn clear(&self, vm: &VmId, index: Option<usize>) -> io::Result<()> {
        self.remove(&file_name(vm, index))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                let error = io::Error::from(error);
                let why = format!("{name} in it cannot be replaced: {error}");
                Err(io::Error::new(error.kind(), why))
            }
        }
    }

    /// Whether both are one directory.
    pub fn is(&self, other: &Self) -> bool {
        let id = |dir: &Self| rustix::fs::fstat(&*dir.fd).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((id(self), id(other)), (Ok(one), Ok(two)) if one == two)
    }

    /// A host's file of at most `max` bytes, made when an attempt begins. Each
    /// attempt makes it anew, so that two are never mixed. `index` is which of
    /// several commands writes it: each has a file of its own.
    pub fn file(&self, vm: &VmId, index: Option<usize>, max: u64) -> OutputFile {
        let name = file_name(vm, index);
        OutputFile { dir: self.clone(), name, max, file: Arc::default() }
    }
}

/// `vm01`, or `vm01:3` of the third of several commands: no id has a colon.
fn file_name(vm: &VmId, index: Option<usize>) -> String {
    index.map_or_else(|| vm.to_string(), |index| format!("{vm}:{}", index + 1))
}

/// The file of one stream of one attempt.
#[derive(Clone, Debug)]
pub struct OutputFile {
    dir: OutputDir,
    name: String,
    pub(super) max: u64,
    file: Arc<OnceLock<File>>,
}

impl OutputFile {
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Makes the file. It must not be there: nobody's file is written to, and
    /// no link is followed.
    fn make(&self) -> io::Result<File> {
        self.dir.remove(&self.name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&*self.dir.fd, &*self.name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(fd.into())
    }
}

impl Place for OutputFile {
    type Done = ();

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let made = self.make()?;
                self.file.get_or_init(|| made)
            }
        };
        { file }.write_all(bytes)
    }
}
