//! Reading a file that decides what is done on every host.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links on the way to a file at most, as Linux has it.
const LINKS_MAX: usize = 40;

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

/// Whose files are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Those of root.
    Root,
    /// Ours and those of root.
    Us,
}

/// Reads a regular file that only its owner, who must be us or root, can have
/// written; of a larger file, one byte more than `max`.
pub(crate) fn read_trusted(path: &Path, max: usize) -> Result<Vec<u8>, Untrusted> {
    read_owned(path, max, Owner::Us)
}

/// As [`read_trusted`], of an owner of choice.
pub(crate) fn read_owned(path: &Path, max: usize, owner: Owner) -> Result<Vec<u8>, Untrusted> {
    // Opening something else than a file could block for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(failed(error));
    }
    let file = File::open(path).map_err(failed)?;
    // The file that is open is checked, not what its name stands for by now.
    check_owned(&file.metadata().map_err(failed)?, owner)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Refuses what somebody else than its owner, who must be us or root, can have
/// written.
pub(crate) fn check_trusted(metadata: &Metadata) -> Result<(), Untrusted> {
    check_owned(metadata, Owner::Us)
}

/// Refuses a path if somebody else could put another file in its place: each
/// directory on the way must be its owner's alone to write, or sticky, where
/// nobody moves what is not theirs. Names the one that is not.
pub(crate) fn check_way(path: &Path, owner: Owner) -> Result<(), (PathBuf, Untrusted)> {
    let refuse = |dir: &Path| {
        let dir = dir.to_path_buf();
        move |why| (dir, why)
    };
    let absolute = std::path::absolute(path).map_err(|error| refuse(path)(failed(error)))?;
    let mut left = components(&absolute);
    let mut dir = PathBuf::from("/");
    check_dir(&dir, owner).map_err(refuse(&dir))?;
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            dir.pop();
            continue;
        }
        let next = dir.join(&name);
        let found = fs::symlink_metadata(&next).map_err(|error| refuse(&next)(failed(error)))?;
        if found.is_symlink() {
            check_owner(&found, owner).map_err(refuse(&next))?;
            links += 1;
            let target = fs::read_link(&next).map_err(|error| refuse(&next)(failed(error)))?;
            if links > LINKS_MAX {
                let error = io::Error::other("too many symbolic links");
                return Err(refuse(&next)(Untrusted::Unreadable(error)));
            }
            if target.is_absolute() {
                dir = PathBuf::from("/");
            }
            for name in components(&target).into_iter().rev() {
                left.push_front(name);
            }
        } else if !left.is_empty() {
            check_dir(&next, owner).map_err(refuse(&next))?;
            dir = next;
        }
    }
    Ok(())
}

fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

fn check_dir(dir: &Path, owner: Owner) -> Result<(), Untrusted> {
    let metadata = fs::metadata(dir).map_err(failed)?;
    match check_owned(&metadata, owner) {
        Err(Untrusted::WritableByOthers { mode }) if mode & 0o1000 != 0 => Ok(()),
        checked => checked,
    }
}

fn check_owned(metadata: &Metadata, owner: Owner) -> Result<(), Untrusted> {
    check_owner(metadata, owner)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(Untrusted::WritableByOthers { mode });
    }
    Ok(())
}

fn check_owner(metadata: &Metadata, trusted: Owner) -> Result<(), Untrusted> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == 0 || trusted == Owner::Us && owner == user {
        return Ok(());
    }
    Err(Untrusted::ForeignOwner { owner, user })
}

fn failed(error: io::Error) -> Untrusted {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Untrusted::Missing,
        _ => Untrusted::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn refused(path: &Path, owner: Owner) -> Option<PathBuf> {
        check_way(path, owner).err().map(|(dir, _)| dir)
    }

    #[test]
    fn nobody_else_may_be_able_to_replace_what_stands_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let mode = |name: &str, mode| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "").unwrap();
        assert_eq!(refused(&at("a/b/file"), Owner::Us), None);
        for bad in [0o777, 0o770, 0o757] {
            mode("a", bad);
            assert_eq!(refused(&at("a/b/file"), Owner::Us), Some(at("a")), "{bad:o}");
        }
        mode("a", 0o1777);
        assert_eq!(refused(&at("a/b/file"), Owner::Us), None);

        // A link is as good as what lies between it and its end.
        mode("a", 0o755);
        fs::create_dir(at("open")).unwrap();
        symlink("../a/b", at("open/link")).unwrap();
        assert_eq!(refused(&at("open/link/file"), Owner::Us), None);
        mode("open", 0o777);
        assert_eq!(refused(&at("open/link/file"), Owner::Us), Some(at("open")));
        symlink(at("open/link"), at("far")).unwrap();
        assert_eq!(refused(&at("far/file"), Owner::Us), Some(at("open")));
        symlink("circle", at("circle")).unwrap();
        assert_eq!(refused(&at("circle/file"), Owner::Us), Some(at("circle")));
        assert_eq!(refused(&at("none/file"), Owner::Us), Some(at("none")));
    }

    /// Only root can give a directory away, so only root can run this.
    #[test]
    fn root_alone_is_narrower_than_us() {
        assert!(rustix::process::geteuid().is_root(), "run the tests as root");
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("theirs");
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::chown(&dir, Some(65_534), None).unwrap();
        let file = dir.join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(refused(&file, Owner::Us), Some(dir.clone()));
        assert_eq!(refused(&file, Owner::Root), Some(dir));
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        let read = read_owned(&file, 10, Owner::Root);
        assert!(matches!(read, Err(Untrusted::ForeignOwner { owner: 65_534, .. })));
    }
}
