//! The SHA-256 of files on a host, computed there.
//!
//! What computes it is found by a ladder, and believed only once it gave the
//! right SHA-256 of something that it cannot have seen before. An answer that is
//! not exactly what was asked for is no digest.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::tool::{self, Proof, sha256};
use crate::exec::{Answer, Shell, ShellError};
use crate::outcome::VerifiedBy;

/// What runs on the host.
const SCRIPT: &str = concat!(include_str!("tool.sh"), include_str!("digest.sh"));

/// How many files, and bytes of their names, one call carries: enough that the
/// way there and back counts for little, and far below what the kernel lets
/// arguments have.
const FILES_MAX: usize = 500;
const NAMES_MAX: usize = 64 * 1024;

/// Longer than any path that a host could open.
const PATH_MAX: usize = 16 * 1024;

/// A file whose SHA-256 is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its path; a relative one begins where a login does.
    pub path: &'a [u8],
    /// Only the first bytes; all of a file that is shorter.
    pub first: Option<u64>,
}

/// A SHA-256 that a host computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// What computed it; never [`VerifiedBy::Readback`].
    pub by: VerifiedBy,
}

/// Why there is no digest of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing of that name.
    #[error("there is no such file on the host")]
    Missing,
    /// The user, or one of the directories, says no.
    #[error("the host does not let this user read it")]
    Denied,
    /// A directory, a device, a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// It was there, and could not be read to its end.
    #[error("the host could not compute its SHA-256")]
    Failed,
}

/// Why there is no digest of any file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DigestError {
    /// The host has a shell, and nothing that computes SHA-256.
    #[error("the host has no working sha256sum, shasum or openssl")]
    NoTool,
    /// The host answered in a way that proves nothing.
    #[error("the host did not finish computing SHA-256: {0}")]
    Broken(String),
    /// [`ShellError::Unavailable`]: the host runs no text of ours.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

/// Computes the SHA-256 of files on the host, in the order given. Takes as long
/// as the host needs: stop it by the shell's token.
///
/// # Errors
/// There is no digest of any file. After [`DigestError::NoTool`],
/// [`DigestError::Broken`] and [`ShellError::Unavailable`] the files can still
/// be read back.
///
/// # Cancel safety
/// If the future is dropped the host may go on reading for a while; nothing is
/// changed there.
pub async fn digests(
    shell: &Shell<'_>,
    files: &[Wanted<'_>],
) -> Result<Vec<Result<Digest, Why>>, DigestError> {
    digests_by(shell, None, files).await
}

/// As [`digests`]; a tool may be named that is tried before the others.
pub(super) async fn digests_by(
    shell: &Shell<'_>,
    favourite: Option<VerifiedBy>,
    files: &[Wanted<'_>],
) -> Result<Vec<Result<Digest, Why>>, DigestError> {
    let mut digests = Vec::with_capacity(files.len());
    let mut rest = files;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch(rest));
        digests.extend(some(shell, favourite, batch).await?);
        rest = after;
    }
    Ok(digests)
}

/// How many of these files the next call takes.
fn batch(files: &[Wanted<'_>]) -> usize {
    let mut names = 0;
    let fits = |file: &&Wanted<'_>| {
        names += file.path.len();
        names <= NAMES_MAX
    };
    files.iter().take(FILES_MAX).take_while(fits).count().max(1)
}

/// One batch: together, as far as tools name such files plainly and give no
/// error, and the others each for itself.
async fn some(
    shell: &Shell<'_>,
    favourite: Option<VerifiedBy>,
    files: &[Wanted<'_>],
) -> Result<Vec<Result<Digest, Why>>, DigestError> {
    let mut found: Vec<Option<Result<Digest, Why>>> = files
        .iter()
        .map(|file| {
            let never = file.path.contains(&0) || file.path.len() > PATH_MAX;
            never.then_some(Err(Why::Missing))
        })
        .collect();
    for form in [Form::Many, Form::Each] {
        let left = |i: &usize| found[*i].is_none() && (form == Form::Each || plain(&files[*i]));
        let asked: Vec<usize> = (0..files.len()).filter(left).collect();
        if asked.is_empty() {
            continue;
        }
        let batch: Vec<Wanted<'_>> = asked.iter().map(|&i| files[i]).collect();
        for (i, digest) in asked.into_iter().zip(ask(shell, favourite, form, &batch).await?) {
            found[i] = digest;
        }
    }
    Ok(found.into_iter().map(|digest| digest.unwrap_or(Err(Why::Failed))).collect())
}

/// How files are given to the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All of them as arguments.
    Many,
    /// Each as its stdin.
    Each,
}

/// Whether every tool writes this name as it is. GNU's and Perl's put a
/// backslash before some characters, busybox's does not.
fn plain(file: &Wanted<'_>) -> bool {
    file.first.is_none() && !file.path.iter().any(|byte| b"\\\n\r".contains(byte))
}

/// What is told to tools and tests: nothing that looks like an option.
fn path(file: &Wanted<'_>) -> Vec<u8> {
    if file.path.starts_with(b"-") { [b"./", file.path].concat() } else { file.path.to_vec() }
}

async fn ask(
    shell: &Shell<'_>,
    favourite: Option<VerifiedBy>,
    form: Form,
    files: &[Wanted<'_>],
) -> Result<Vec<Option<Result<Digest, Why>>>, DigestError> {
    let proof = Proof::new().map_err(|error| DigestError::Broken(error.to_string()))?;
    let mut args = proof.args().to_vec();
    args.push(favourite.map_or("", VerifiedBy::as_str).into());
    args.push(if form == Form::Many { "many" } else { "each" }.into());
    for file in files {
        if form == Form::Each {
            args.push(file.first.map(amount).unwrap_or_default().into());
        }
        args.push(OsStr::from_bytes(&path(file)).into());
    }
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    let answer = shell.run(SCRIPT, &args, [], None).await?;
    understand(&answer, &proof.mark, files)
}

/// A number of bytes as `digest.sh` wants it: not every shell can divide it.
fn amount(bytes: u64) -> String {
    format!("{} {} {}", bytes >> 16, bytes >> 8 & 0xff, bytes & 0xff)
}

/// The digests in an answer; `None` where it holds neither a digest nor a
/// reason.
pub(super) fn understand(
    answer: &Answer,
    mark: &str,
    files: &[Wanted<'_>],
) -> Result<Vec<Option<Result<Digest, Why>>>, DigestError> {
    if let Some(ended) = tool::ended_badly(&answer.exit) {
        return Err(DigestError::Broken(ended));
    }
    let stdout = answer.stdout.to_bytes();
    let mut found = vec![None; files.len()];
    let mut by = None;
    let mut lines = stdout.split(|&byte| byte == b'\n');
    while let Some(line) = lines.next() {
        let Some(said) = line.strip_prefix(mark.as_bytes()) else { continue };
        let said = String::from_utf8_lossy(said);
        let mut words = said.split(' ');
        let kind = words.next().unwrap_or_default();
        let word = words.next().unwrap_or_default();
        let reason = match kind {
            "T" if word == "none" => return Err(DigestError::NoTool),
            "T" => {
                by = tool::named(word);
                continue;
            }
            "B" => {
                together(&mut lines, files, by, &mut found);
                continue;
            }
            "Z" => return Ok(found),
            "D" => Why::Denied,
            "M" => Why::Missing,
            "N" => Why::NotAFile,
            _ => Why::Failed,
        };
        let Some(slot) = word.parse().ok().and_then(|i: usize| found.get_mut(i)) else { continue };
        *slot = Some(match (kind, words.next().and_then(sha256), by) {
            ("H", Some(sha256), Some(by)) => Ok(Digest { sha256, by }),
            _ => Err(reason),
        });
    }
    Err(DigestError::Broken("the end of its answer is missing".into()))
}

/// Reads a line for each file, in their order. If one is not as it must be,
/// none counts: a tool that fails at one file may have gone on to the next.
fn together<'a>(
    lines: &mut impl Iterator<Item = &'a [u8]>,
    files: &[Wanted<'_>],
    by: Option<VerifiedBy>,
    found: &mut [Option<Result<Digest, Why>>],
) {
    let digests: Option<Vec<Digest>> = files
        .iter()
        .map(|file| {
            let (sum, name) = lines.next()?.split_at_checked(64)?;
            let sha256 = sha256(std::str::from_utf8(sum).ok()?)?;
            let name = name.strip_prefix(b"  ").or_else(|| name.strip_prefix(b" *"))?;
            (name == path(file)).then_some(Digest { sha256, by: by? })
        })
        .collect();
    for (slot, digest) in found.iter_mut().zip(digests.unwrap_or_default()) {
        *slot = Some(Ok(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Capture, ExitStatus};

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn files() -> [Wanted<'static>; 2] {
        [Wanted { path: b"a", first: None }, Wanted { path: b"-b", first: None }]
    }

    fn answer(exit: ExitStatus, text: &str) -> Result<Vec<Option<Result<Digest, Why>>>, String> {
        let mut stdout = Capture::new(1 << 20);
        stdout.push(text.replace('@', "orch1 n").as_bytes());
        let answer = Answer { exit, stdout: stdout.finish(), stderr: Capture::new(0).finish() };
        understand(&answer, "orch1 n ", &files()).map_err(|error| error.to_string())
    }

    fn said(text: &str) -> Vec<Option<Result<Digest, Why>>> {
        answer(ExitStatus::Code(0), text).unwrap()
    }

    fn digest(sha256: &str, by: VerifiedBy) -> Option<Result<Digest, Why>> {
        Some(Ok(Digest { sha256: sha256.to_owned(), by }))
    }

    #[test]
    fn a_line_for_each_file() {
        let both = said(&format!("@ T shasum\n@ B\n{A}  a\n{B} *./-b\n@ Z\n"));
        assert_eq!(both, [digest(A, VerifiedBy::Shasum), digest(B, VerifiedBy::Shasum)]);
        let each = format!("motd\n@ T openssl\n@ D 0\n@ H 1 {A}\n@ H 7 {A}\n@ Z\n");
        assert_eq!(said(&each), [Some(Err(Why::Denied)), digest(A, VerifiedBy::Openssl)]);
    }

    #[test]
    fn what_is_not_exactly_an_answer_is_no_digest() {
        let neither = [None, None];
        for lines in [
            format!("{A}  a"),
            format!("{A}  a\n{B}  -b"),
            format!("{B}  ./-b\n{A}  a"),
            format!("{A} a\n{B}  ./-b"),
            format!("\\{A}  a\n{B}  ./-b"),
            format!("{}  a\n{B}  ./-b", &A[1..]),
            format!("{}g  a\n{B}  ./-b", &A[1..]),
            String::new(),
        ] {
            assert_eq!(said(&format!("@ T sha256sum\n@ B\n{lines}\n@ Z\n@ Z\n")), neither);
        }
        // A tool that nobody knows.
        assert_eq!(said(&format!("@ T md5sum\n@ B\n{A}  a\n{B}  ./-b\n@ Z\n")), neither);
        let short = said(&format!("@ T sha256sum\n@ H 0 {}\n@ H 1\n@ Z\n", &A[1..]));
        assert_eq!(short, [Some(Err(Why::Failed)), Some(Err(Why::Failed))]);
    }

    #[test]
    fn an_answer_without_its_end_is_none() {
        let begun = format!("@ T sha256sum\n@ B\n{A}  a\n{B}  ./-b\n");
        assert!(answer(ExitStatus::Code(0), &begun).unwrap_err().contains("missing"));
        let whole = begun + "@ Z\n";
        assert!(answer(ExitStatus::Code(2), &whole).unwrap_err().contains("ended with 2"));
        assert!(answer(ExitStatus::Code(0), "@ T none\n@ Z\n").unwrap_err().contains("no working"));
    }

    #[test]
    fn amounts_and_batches() {
        assert_eq!(amount(0), "0 0 0");
        assert_eq!(amount((5 << 30) + 0x1_02_03), "81921 2 3");
        let long = [b'x'; 40 * 1024];
        let file = |path| Wanted { path, first: None };
        assert_eq!(batch(&[file(&long), file(&long)]), 1);
        assert_eq!(batch(&[file(&[b'x'; 70_000]), file(b"a")]), 1);
        assert_eq!(batch(&vec![file(b"a"); 501]), 500);
    }
}
