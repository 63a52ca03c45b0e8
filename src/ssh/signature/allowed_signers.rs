//! Whose keys may sign: an allowed_signers file (ssh-keygen(1), ALLOWED
//! SIGNERS).

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::SignerKey;
use super::line::Line;
use crate::yaml::{Owner, Untrusted, check_way, read_trusted};

/// Bytes of a file at most.
const SIZE_MAX: usize = 1 << 20;

/// The keys that may sign. Cheap to make anew, so that a key that is taken out of
/// the file counts no longer at once.
#[derive(Clone, Debug)]
pub struct AllowedSigners {
    path: PathBuf,
    /// Beside each its number, from 1.
    lines: Vec<(usize, Line)>,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum AllowedSignersError {
    /// Somebody else could change who may sign.
    #[error("the allowed signers {} belong to user id {owner}, not to you or root: run `chown root {}`", .path.display(), .path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// A line is wrong: then none of them counts.
    #[error("{}:{line}: {why}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read.
    #[error("the allowed signers {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could change who may sign.
    #[error("the allowed signers {} can be written by others (mode {mode:04o}): run `chmod go-w {}`", .path.display(), .path.display())]
    WritableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Why a key's signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It did once.
    #[error("the key {key} is no longer valid by {at}")]
    Expired {
        /// Its fingerprint.
        key: String,
        /// The line that says so.
        at: String,
    },
    /// It may sign other things.
    #[error("the key {key} may not sign for {namespace} by {at}")]
    Namespace {
        /// Its fingerprint.
        key: String,
        /// What was signed for.
        namespace: String,
        /// The line that says so.
        at: String,
    },
    /// It will.
    #[error("the key {key} is not valid yet by {at}")]
    NotYet {
        /// Its fingerprint.
        key: String,
        /// The line that says so.
        at: String,
    },
    /// Nobody who is known.
    #[error("the key {key} is that of {principals} by {at}, for whom no account here stands")]
    Stranger {
        /// Its fingerprint.
        key: String,
        /// Whose it is.
        principals: String,
        /// The line that says so.
        at: String,
    },
    /// No line has it.
    #[error("the key {key} is not in {}", .file.display())]
    Unknown {
        /// Its fingerprint.
        key: String,
        /// The file.
        file: PathBuf,
    },
}

impl AllowedSigners {
    /// Reads a file that only its owner, who must be us or root, can have
    /// written. Blocks.
    ///
    /// # Errors
    /// It is missing, unreadable, too large, writable by others, belongs to
    /// somebody else, or a line of it is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AllowedSignersError> {
        let path = path.as_ref();
        let unreadable = |source| AllowedSignersError::Unreadable { path: path.to_owned(), source };
        check_way(path, Owner::Us).map_err(|(dir, _)| {
            let why = format!("others can change {}, by which it is reached", dir.display());
            unreadable(io::Error::new(io::ErrorKind::PermissionDenied, why))
        })?;
        let bytes = read_trusted(path, SIZE_MAX).map_err(|why| match why {
            Untrusted::ForeignOwner { owner, .. } => {
                AllowedSignersError::ForeignOwner { path: path.to_owned(), owner }
            }
            Untrusted::Missing => unreadable(io::ErrorKind::NotFound.into()),
            Untrusted::Unreadable(source) => unreadable(source),
            Untrusted::WritableByOthers { mode } => {
                AllowedSignersError::WritableByOthers { path: path.to_owned(), mode }
            }
        })?;
        if bytes.len() > SIZE_MAX {
            return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| unreadable(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")))?;
        Self::parse(&text, path)
    }

    /// Reads a text; `path` stands for the file in messages.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, AllowedSignersError> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            let wrong =
                |why| AllowedSignersError::Line { path: path.to_owned(), line: number, why };
            lines.extend(Line::parse(line).map_err(wrong)?.map(|line| (number, line)));
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Which of `known` the key stands for at a moment. A line with patterns may
    /// name several.
    ///
    /// # Errors
    /// None of them: why, by the line that came closest.
    pub fn principals<'a>(
        &self,
        key: &SignerKey,
        namespace: &str,
        at: Timestamp,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<&'a str>, NotAllowed> {
        let mut lines = Vec::new();
        let mut why = None;
        for (number, line) in self.lines.iter().filter(|(_, line)| line.key == *key) {
            match self.refusal(*number, line, namespace, at) {
                None => lines.push((*number, line)),
                Some(refusal) => why = why.or(Some(refusal)),
            }
        }
        let Some((number, line)) = lines.first() else {
            let unknown =
                || NotAllowed::Unknown { key: key.fingerprint(), file: self.path.clone() };
            return Err(why.unwrap_or_else(unknown));
        };
        let names = |principal: &&str| lines.iter().any(|(_, line)| line.names(principal));
        let mut found: Vec<&str> = known.into_iter().filter(names).collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(NotAllowed::Stranger {
                key: key.fingerprint(),
                principals: line.principals().to_owned(),
                at: self.place(*number),
            });
        }
        Ok(found)
    }

    fn refusal(
        &self,
        number: usize,
        line: &Line,
        namespace: &str,
        at: Timestamp,
    ) -> Option<NotAllowed> {
        let (key, place) = (line.key.fingerprint(), self.place(number));
        if !line.signs_for(namespace) {
            return Some(NotAllowed::Namespace { key, namespace: namespace.into(), at: place });
        }
        if line.valid_after.is_some_and(|after| at < after) {
            return Some(NotAllowed::NotYet { key, at: place });
        }
        let expired = line.valid_before.is_some_and(|before| at >= before);
        expired.then_some(NotAllowed::Expired { key, at: place })
    }

    fn place(&self, number: usize) -> String {
        format!("{}:{number}", self.path.display())
    }
}
