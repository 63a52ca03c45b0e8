//! Where sources land, as `cp -r` has it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::local::{RelativePath, SuspectName};

/// What there is at the target before anything is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    /// A directory, or a link to one.
    Directory,
    /// Anything else.
    File,
    /// Nothing.
    Missing,
}

/// The target, as far as it decides where sources land.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What there is.
    pub(crate) present: Present,
    /// Whether the operator ended it with `/`.
    pub(crate) ends_with_slash: bool,
}

/// Why a source can land nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoLanding {
    /// Its own name cannot be used.
    #[error("the source's name cannot be used: it is {0}")]
    Name(#[from] SuspectName),
    /// The target is a file.
    #[error("the target is not a directory")]
    NotDirectory,
    /// The target is not there.
    #[error("several sources need a directory as the target, and there is none")]
    Several,
}

/// Where a source lands below the target; the empty path is the target itself.
///
/// Into a directory, a source lands under its own name. A target that is not
/// there becomes the source; but with `/` at its end it is meant as a
/// directory for files, which is for the caller to make or to miss. A source
/// that ends in `.` or `..` means what is in it, and lands as the target
/// itself.
///
/// # Errors
/// A directory, or several sources, cannot become one file.
pub(crate) fn landing(
    source: &OsStr,
    is_directory: bool,
    several: bool,
    target: Place,
) -> Result<RelativePath, NoLanding> {
    let into = match target.present {
        Present::Directory => true,
        Present::File if is_directory || several || target.ends_with_slash => {
            return Err(NoLanding::NotDirectory);
        }
        Present::File => false,
        Present::Missing if several && !target.ends_with_slash => {
            return Err(NoLanding::Several);
        }
        Present::Missing => several || (target.ends_with_slash && !is_directory),
    };
    let here = RelativePath::default();
    match own_name(source.as_bytes()) {
        Some(name) if into => Ok(here.join(name)?),
        _ => Ok(here),
    }
}

/// The last name of a path; `None` if it ends in `.`, `..` or is `/`.
fn own_name(path: &[u8]) -> Option<&[u8]> {
    let name = path.split(|&byte| byte == b'/').rfind(|name| !name.is_empty());
    name.filter(|name| *name != b"." && *name != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lands(source: &str, directory: bool, several: bool, target: Place) -> String {
        match landing(source.as_ref(), directory, several, target) {
            Ok(path) if path.is_here() => "T".into(),
            Ok(path) => format!("T/{}", path.as_path().display()),
            Err(error) => format!("{error:?}"),
        }
    }

    const DIRECTORY: Place = Place { present: Present::Directory, ends_with_slash: false };
    const FILE: Place = Place { present: Present::File, ends_with_slash: false };
    const MISSING: Place = Place { present: Present::Missing, ends_with_slash: false };

    fn slash(target: Place) -> Place {
        Place { ends_with_slash: true, ..target }
    }

    #[test]
    fn a_file() {
        for (target, expected) in [
            (DIRECTORY, "T/x"),
            (slash(DIRECTORY), "T/x"),
            (FILE, "T"),
            (slash(FILE), "NotDirectory"),
            (MISSING, "T"),
            (slash(MISSING), "T/x"),
        ] {
            assert_eq!(lands("a/x", false, false, target), expected, "{target:?}");
        }
    }

    #[test]
    fn a_directory() {
        for (source, target, expected) in [
            ("dir", DIRECTORY, "T/dir"),
            ("a/dir/", DIRECTORY, "T/dir"),
            ("a/dir//", slash(DIRECTORY), "T/dir"),
            ("dir", MISSING, "T"),
            ("dir/", slash(MISSING), "T"),
            ("dir", FILE, "NotDirectory"),
            ("dir/.", DIRECTORY, "T"),
            ("dir/./", MISSING, "T"),
            (".", DIRECTORY, "T"),
            ("..", DIRECTORY, "T"),
            ("dir/..", DIRECTORY, "T"),
            ("/", DIRECTORY, "T"),
        ] {
            assert_eq!(lands(source, true, false, target), expected, "{source} {target:?}");
        }
    }

    #[test]
    fn several() {
        for (target, expected) in [
            (DIRECTORY, "T/x"),
            (FILE, "NotDirectory"),
            (MISSING, "Several"),
            (slash(MISSING), "T/x"),
        ] {
            assert_eq!(lands("x", false, true, target), expected, "{target:?}");
            assert_eq!(lands("x", true, true, target), expected, "{target:?}");
        }
    }

    #[test]
    fn a_name_that_no_system_has() {
        let expected = "Name(TooLong)";
        assert_eq!(lands(&"x".repeat(256), false, false, DIRECTORY), expected);
    }
}
