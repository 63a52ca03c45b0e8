//! The files of a library.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::header::{self, Header};
use super::{Library, LibraryError, Problem};
use crate::remote::SCRIPT_MAX;
use crate::yaml::{Untrusted, check_trusted, read_trusted};

/// Files of a library at most.
const FILES_MAX: usize = 10_000;
/// Bytes of all of them at most: they are held in memory.
const BYTES_MAX: usize = 64 << 20;

pub(super) fn load(folder: &Path) -> Result<Library, LibraryError> {
    check(folder)?;
    let large = |max| LibraryError::Large { path: folder.into(), max };
    let mut library =
        Library { folder: folder.into(), entries: vec![], problems: vec![], skipped: vec![] };
    let mut bytes = 0;
    for path in files(folder)? {
        let read = match read_trusted(&path, SCRIPT_MAX) {
            Ok(read) => read,
            Err(why) => {
                let why = explain(why);
                library.problems.push(Problem::Untrusted { path, why });
                continue;
            }
        };
        bytes += read.len();
        if bytes > BYTES_MAX {
            return Err(large("64 MiB"));
        }
        match header::read(&path.display().to_string(), &read) {
            Ok(Some(header)) => library.entries.push(Entry::new(path, header, read)),
            Ok(None) => library.skipped.push(path),
            Err(problem) => library.problems.push(Problem::Invalid(problem)),
        }
    }
    library.entries.sort_by(|one, other| one.id().cmp(other.id()));
    refuse_twins(&mut library);
    Ok(library)
}

fn check(folder: &Path) -> Result<(), LibraryError> {
    let unreadable = |source| LibraryError::Unreadable { path: folder.into(), source };
    let metadata = fs::metadata(folder).map_err(unreadable)?;
    if !metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::NotADirectory.into()));
    }
    check_trusted(&metadata).map_err(|why| {
        let path = folder.into();
        match why {
            Untrusted::ForeignOwner { owner, user } => {
                LibraryError::ForeignOwner { path, owner, user }
            }
            Untrusted::Missing => unreadable(io::ErrorKind::NotFound.into()),
            Untrusted::Unreadable(source) => unreadable(source),
            Untrusted::WritableByOthers { mode } => LibraryError::WritableByOthers { path, mode },
        }
    })
}

/// The files that may be scripts, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // An editor's copy has the same id as what it is a copy of.
        let copy = entry.file_name().as_encoded_bytes().ends_with(b"~");
        if hidden || copy || entry.path().is_dir() {
            continue;
        }
        files.push(entry.path());
        if files.len() > FILES_MAX {
            return Err(LibraryError::Large { path: folder.into(), max: "10000 files" });
        }
    }
    files.sort();
    Ok(files)
}

/// Takes out scripts that could be mistaken for each other.
fn refuse_twins(library: &mut Library) {
    let mut kept: Vec<Entry> = Vec::new();
    for same in library.entries.chunk_by(|one, other| one.id() == other.id()) {
        match same {
            [one] => kept.push(one.clone()),
            several => library.problems.push(Problem::Twice {
                id: several[0].id().to_owned(),
                files: several.iter().map(|entry| entry.path().to_owned()).collect(),
            }),
        }
    }
    library.entries = kept;
}

fn explain(why: Untrusted) -> String {
    match why {
        Untrusted::ForeignOwner { owner, user } => {
            format!("it belongs to user id {owner}, not to you ({user}) or root")
        }
        Untrusted::Missing => "it is not there: is it a link to nothing?".into(),
        Untrusted::Unreadable(error) => format!("it cannot be read: {error}"),
        Untrusted::WritableByOthers { mode } => {
            format!("it can be written by others (mode {mode:04o}): run `chmod go-w` on it")
        }
    }
}

impl Entry {
    fn new(path: PathBuf, header: Header, bytes: Vec<u8>) -> Self {
        Self::of(path, header, bytes.into())
    }
}
