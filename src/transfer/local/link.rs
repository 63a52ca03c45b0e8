//! Symbolic links below a directory.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{readlinkat, symlinkat};

use super::super::part_name::part_name;
use super::{LocalError, RelativePath, Root};

/// What became of a symbolic link that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is there.
    Made,
    /// It would lead out of the directory: nothing was made.
    Unsafe,
}

impl Root {
    /// What a symbolic link of this directory says.
    ///
    /// # Errors
    /// It is not there, or not a link.
    pub(crate) fn read_link(&self, name: &OsStr) -> Result<Vec<u8>, LocalError> {
        let target = readlinkat(&self.dir, name, Vec::new());
        let io = |error| LocalError::io("read the link", &self.path.join(name), error);
        target.map(|target| CStr::to_bytes(&target).to_vec()).map_err(io)
    }

    /// Makes a symbolic link at `below`, in place of a link or a file there, if
    /// it stays within this directory.
    ///
    /// # Errors
    /// The directory for it is not there, or one is in its place.
    pub(crate) fn link(&self, below: &RelativePath, target: &[u8]) -> Result<Link, LocalError> {
        let Some((above, name)) = below.split_last() else {
            return Err(LocalError::Directory(self.path.clone()));
        };
        if !stays_within(above.names().count(), target) {
            return Ok(Link::Unsafe);
        }
        let dir = self.enter(&above)?;
        let io = |error| LocalError::io("make the link", &dir.path.join(name), error);
        let making = part_name(name.as_bytes()).map_err(io)?;
        let making = OsStr::from_bytes(&making);
        symlinkat(target, &dir.dir, making).map_err(|error| io(error.into()))?;
        let renamed = dir.rename(making, name);
        if renamed.is_err() {
            dir.remove(making);
        }
        renamed.map(|()| Link::Made)
    }
}

/// Whether a link in a directory so far below the root stays within the root.
/// `..` counts only in front: after a name it would go up from wherever that
/// name, which may be a link itself, leads.
fn stays_within(depth: usize, target: &[u8]) -> bool {
    let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let up = names.clone().take_while(|name| *name == b"..").count();
    let rest_goes_down = names.skip(up).all(|name| name != b"..");
    !target.is_empty()
        && !target.starts_with(b"/")
        && !target.contains(&0)
        && up <= depth
        && rest_goes_down
}
