//! What is where a file is to go on the host.

use super::host::Host;
use super::path;
use super::trouble::{Trouble, shown};
use crate::outcome::Phase;
use crate::sftp::Attributes;

/// How many symbolic links are followed, as on Linux.
const HOPS_MAX: usize = 40;

/// A place for a file.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Where the file itself is, behind any symbolic links.
    pub(super) path: Vec<u8>,
    /// The file that is there now.
    pub(super) existing: Option<Attributes>,
}

impl Target {
    pub(super) fn size(&self) -> Option<u64> {
        self.existing.and_then(|attributes| attributes.size)
    }
}

/// Looks at a place. A symbolic link stays, and its file is what is replaced.
pub(super) async fn look(host: &Host<'_>, asked: Vec<u8>) -> Result<Target, Trouble> {
    let mut path = asked;
    for _ in 0..HOPS_MAX {
        let attributes = match host.sftp.lstat(&path).await {
            Ok(attributes) => attributes,
            Err(error) if error.is_not_found() => return Ok(Target { path, existing: None }),
            Err(error) => return Err(Trouble::sftp(error, "look at", &path)),
        };
        if attributes.is_file() {
            return Ok(Target { path, existing: Some(attributes) });
        }
        if attributes.is_dir() {
            let message = format!("{} is a directory", shown(&path));
            let trouble = Trouble::file("is_directory", Phase::Transfer, message);
            return Err(trouble.hint("remove it, or name another target"));
        }
        if !attributes.is_symlink() {
            let message = format!("{} is not a regular file", shown(&path));
            return Err(Trouble::file("not_regular", Phase::Transfer, message));
        }
        mistrust(host, &path, &attributes).await?;
        let failed = |error| Trouble::sftp(error, "follow", &path);
        let link = host.sftp.readlink(&path).await.map_err(failed)?;
        path = path::join(path::parent(&path), &link);
    }
    let message = format!("{}: too many symbolic links", shown(&path));
    Err(Trouble::file("symlink_loop", Phase::Transfer, message))
}

/// In a directory where everybody may write, such as `/tmp`, a link may be laid
/// out by another user to have us replace a file of his choice. Linux does not
/// follow those either (`fs.protected_symlinks`).
async fn mistrust(host: &Host<'_>, link: &[u8], attributes: &Attributes) -> Result<(), Trouble> {
    const STICKY_FOR_ALL: u32 = 0o1002;
    let Some(dir) = host.stat(path::parent(link)).await? else { return Ok(()) };
    let shared = dir.mode().is_some_and(|mode| mode & STICKY_FOR_ALL == STICKY_FOR_ALL);
    let uid = |attributes: &Attributes| attributes.owner.map(|owner| owner.uid);
    if !shared || uid(attributes) == uid(&dir) {
        return Ok(());
    }
    let message = format!("{} is a symbolic link where everybody may write", shown(link));
    Err(Trouble::file("symlink_refused", Phase::Transfer, message)
        .hint("remove the link, or name the file that it leads to"))
}
