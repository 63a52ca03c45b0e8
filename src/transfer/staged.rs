//! Files of another user of a host that has no SFTP server to start for that
//! user: they go by way of a copy that the one who logs in can write or read.
//!
//! The copy lies in a directory of mode 0700 that the caller makes and removes,
//! over SFTP as the one who logs in. The shell given here runs as the other user,
//! who must be able to enter that directory: in practice root.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::tool::{self, Proof, sha256};
use crate::exec::{Shell, ShellError};
use crate::outcome::VerifiedBy;
use crate::sftp::Owner;

/// What runs on the host.
const SCRIPT: &str = concat!(include_str!("tool.sh"), include_str!("staged.sh"));

/// A staged file, and what it shall become.
#[derive(Clone, Copy, Debug)]
pub struct Install<'a> {
    /// The staged file, which is proven already: on a host without a tool, being
    /// equal to it is the only proof.
    pub staged: &'a [u8],
    /// A new name in the directory of the target.
    pub part: &'a [u8],
    /// What is replaced, if it is a regular file, or made.
    pub target: &'a [u8],
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: &'a str,
    /// The permission bits, whatever the target has.
    pub mode: Option<u32>,
    /// The permission bits of a target that is not there yet; one that is keeps
    /// its own, and its owner.
    pub new_mode: u32,
    /// Whether it gets the staged file's time of modification.
    pub keep_time: bool,
}

/// A file that the one who logs in may not read.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// The file.
    pub source: &'a [u8],
    /// A new name in the staging directory.
    pub staged: &'a [u8],
    /// Who logs in, as the staging directory shows.
    pub owner: Owner,
}

/// A copy of a file of another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal, computed over the copy. That the
    /// source still has these bytes is for the caller to ask, by
    /// [`digests`](super::digest::digests) of as many.
    pub sha256: String,
    /// What computed it.
    pub by: VerifiedBy,
}

/// Why a file did not go by way of a copy. Nothing was put in place, and nothing
/// is left but what [`StagedError::leaves_part`] says.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StagedError {
    /// There is no file to be fetched.
    #[error("there is no such file on the host")]
    Missing,
    /// What is to be fetched or replaced is a directory, a device, a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// What is to be replaced is a symbolic link: resolve it first.
    #[error("it is a symbolic link")]
    Symlink,
    /// The copy has another SHA-256 than it should.
    #[error("the copy on the host has another SHA-256")]
    Mismatch,
    /// Something that had to be done could not be.
    #[error("the host cannot {what}{said}")]
    Failed {
        /// What it was.
        what: &'static str,
        /// The host's own words after `: `, or nothing.
        said: String,
    },
    /// The host did not answer to the end.
    #[error("the host did not say what became of the file: {0}")]
    Broken(String),
    /// The host runs no text of ours, or the link is lost.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

impl StagedError {
    /// Whether the new file may be there: remove it by [`remove`].
    pub fn leaves_part(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Shell(_))
    }
}

/// Puts a staged file in place: makes the part, which must not be there, copies,
/// proves what it copied, gives it owner and mode and renames it over the target.
/// Says who proved it.
///
/// The staged file stays. After an error the target is as it was; only after one
/// that [leaves the part](StagedError::leaves_part) it may be in place instead.
///
/// # Errors
/// See [`StagedError`].
///
/// # Cancel safety
/// If the future is dropped, the host may go on to the end.
pub async fn install(shell: &Shell<'_>, install: Install<'_>) -> Result<VerifiedBy, StagedError> {
    let octal = |mode: u32| OsString::from(format!("{:o}", mode & 0o7777));
    let args = [
        "install".into(),
        path(install.staged),
        path(install.part),
        path(install.target),
        install.sha256.into(),
        install.mode.map(octal).unwrap_or_default(),
        octal(install.new_mode),
        if install.keep_time { "1" } else { "" }.into(),
    ];
    let placed = ask(shell, &args).await?;
    if placed.sha256 != install.sha256 {
        return Err(StagedError::Mismatch);
    }
    Ok(placed.by)
}

/// Copies a file to where the one who logs in can read it, who then owns the
/// copy (0600).
///
/// # Errors
/// See [`StagedError`]. A host without a tool is [`StagedError::Failed`]: a copy
/// that nobody proves is worth nothing.
///
/// # Cancel safety
/// If the future is dropped, the host may go on to the end.
pub async fn fetch(shell: &Shell<'_>, fetch: Fetch<'_>) -> Result<Fetched, StagedError> {
    let owner = format!("{}:{}", fetch.owner.uid, fetch.owner.gid);
    ask(shell, &["fetch".into(), path(fetch.source), path(fetch.staged), owner.into()]).await
}

/// Removes a file as the other user. One that is not there is no error.
///
/// # Errors
/// It may still be there.
///
/// # Cancel safety
/// If the future is dropped it may be removed or not.
pub async fn remove(shell: &Shell<'_>, file: &[u8]) -> Result<(), StagedError> {
    let answer = shell.run("rm -f -- \"$1\"", &[&path(file)], [], None).await?;
    match tool::ended_badly(&answer.exit) {
        None => Ok(()),
        Some(_) => {
            let said = last_words(&answer.stderr.to_text());
            Err(StagedError::Failed { what: "remove the new file", said })
        }
    }
}

/// What no tool and no shell takes for an option.
fn path(path: &[u8]) -> OsString {
    let dashed = path.starts_with(b"-");
    OsStr::from_bytes(&if dashed { [b"./", path].concat() } else { path.to_vec() }).into()
}

async fn ask(shell: &Shell<'_>, args: &[OsString]) -> Result<Fetched, StagedError> {
    let proof = Proof::new().map_err(|error| StagedError::Broken(error.to_string()))?;
    let first = proof.args();
    let args: Vec<&OsStr> = first.iter().chain(args).map(OsString::as_os_str).collect();
    let answer = shell.run(SCRIPT, &args, [], None).await?;
    if let Some(ended) = tool::ended_badly(&answer.exit) {
        return Err(StagedError::Broken(ended));
    }
    let stdout = answer.stdout.to_text();
    let mut by = VerifiedBy::Readback;
    let mut end = None;
    for said in stdout.lines().filter_map(|line| line.strip_prefix(&proof.mark)) {
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["T", tool] => by = tool::named(tool).unwrap_or(by),
            ["X", reason] => end = Some(Err(refusal(reason, &answer.stderr.to_text()))),
            ["P", sum, ref size @ ..] => {
                let bytes = size.first().and_then(|size| size.parse().ok()).unwrap_or(0);
                end = sha256(sum).map(|sha256| Ok(Fetched { bytes, sha256, by }));
            }
            ["Z"] => break,
            _ => {}
        }
    }
    end.unwrap_or_else(|| Err(StagedError::Broken("its answer makes no sense".into())))
}

fn refusal(reason: &str, stderr: &str) -> StagedError {
    let what = match reason {
        "missing" => return StagedError::Missing,
        "file" => return StagedError::NotAFile,
        "symlink" => return StagedError::Symlink,
        "mismatch" => return StagedError::Mismatch,
        "copy" => "copy the file",
        "create" => "create a file there",
        "digest" => "compute its SHA-256",
        "mode" => "set its mode",
        "owner" => "set its owner",
        "rename" => "put it in place",
        "time" => "set its time",
        _ => "put it in place, for a reason unknown to us",
    };
    StagedError::Failed { what, said: last_words(stderr) }
}

/// The last line of what the host said, for people.
fn last_words(stderr: &str) -> String {
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    if last.is_empty() { last } else { format!(": {last}") }
}
