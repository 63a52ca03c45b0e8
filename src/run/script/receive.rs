//! Having a host take a script.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, field, find, shown};
use super::refusal::NotRun;
use crate::exec::{Limits, Shell};
use crate::hex::random;
use crate::outcome::VerifiedBy;
use crate::transfer::tool::{self, Proof};

/// What runs on the host.
const TEXT: &str = concat!(
    include_str!("../../transfer/tool.sh"),
    include_str!("bases.sh"),
    include_str!("receive.sh"),
);

/// How long a host may take to start our text before a script.
const START: Duration = Duration::from_secs(30);

/// The longest name that a script has on a host, in bytes.
const NAME_MAX: usize = 100;

/// The longest path that a host may name, in bytes.
const PATH_MAX: usize = 4096;

/// A script on its way.
pub(super) struct Parcel<'a> {
    pub(super) source: &'a OsStr,
    pub(super) bytes: Arc<[u8]>,
    pub(super) sha256: &'a str,
    random: String,
}

/// A script that has arrived, proven.
pub(super) struct Received {
    pub(super) path: OsString,
    pub(super) by: VerifiedBy,
}

impl<'a> Parcel<'a> {
    /// A script that shall go to a new directory.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn new(
        source: &'a OsStr,
        bytes: Arc<[u8]>,
        sha256: &'a str,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self { source, bytes, sha256, random: random()? })
    }

    /// The name of its directory, whose place the host chooses.
    pub(super) fn directory(&self) -> String {
        format!("orch-{}", self.random)
    }
}

/// How long is enough for so many bytes on a slow line.
pub(super) fn enough(bytes: usize) -> Duration {
    const SLOW: u64 = 16 * 1024;
    Duration::from_secs(60 + bytes as u64 / SLOW)
}

/// Sends a script and has it proven where it lies.
///
/// # Errors
/// It is not there as it must be. Whatever is there is to be removed.
pub(super) async fn receive(
    shell: &Shell<'_>,
    parcel: &Parcel<'_>,
    executed: bool,
    limits: Limits,
) -> Result<Received, NotRun> {
    let (name, size) = (name_of(parcel.source), parcel.bytes.len().to_string());
    let need = if executed { "exec" } else { "read" };
    let proof = Proof::new().map_err(|error| NotRun::fault(error.to_string()))?;
    let own = [parcel.random.as_str(), &name, &size, need].map(OsStr::new);
    let first = proof.args();
    let args: Vec<&OsStr> = first.iter().map(OsString::as_os_str).chain(own).collect();
    let limits = Limits { start: Some(START), ..limits };
    let answer = shell.run_within(TEXT, &args, Arc::clone(&parcel.bytes), limits).await;
    let answer = answer.map_err(NotRun::of_shell)?;
    let stdout = answer.stdout.to_bytes();
    let (line, rest) = match find(&stdout, &parcel.random) {
        Answer::Done { line, rest } => (line, rest),
        Answer::Failed { kind, cause } => return Err(refused(&kind, &cause)),
        Answer::Silence => {
            let said = shown(&answer.stderr.to_text());
            let message = format!("the host did not say that the script arrived: {said}");
            return Err(NotRun::new("script_not_received", message, None));
        }
    };
    let (named, line) = field(line);
    let (digest, directory) = field(line);
    let by = tool::named(&String::from_utf8_lossy(named)).unwrap_or(VerifiedBy::Readback);
    if by == VerifiedBy::Readback {
        if rest != &*parcel.bytes {
            return Err(NotRun::mismatch(parcel.sha256, "something else"));
        }
    } else if digest != parcel.sha256.as_bytes() {
        return Err(NotRun::mismatch(parcel.sha256, &shown(&String::from_utf8_lossy(digest))));
    }
    let ours = directory.starts_with(b"/")
        && directory.ends_with(format!("/{}", parcel.directory()).as_bytes())
        && directory.len() < PATH_MAX
        && !directory.contains(&0);
    if !ours {
        let message = "the host named a directory that cannot be the script's".to_owned();
        return Err(NotRun::new("script_not_received", message, None));
    }
    let path = [directory, b"/", name.as_bytes()].concat();
    Ok(Received { path: OsString::from_vec(path), by })
}

fn refused(kind: &str, cause: &str) -> NotRun {
    let full = ["No space left", "quota exceeded"].iter().any(|words| cause.contains(words));
    match kind {
        "place" => NotRun::new(
            "script_not_received",
            format!("no directory of the host can take a script: {cause}"),
            Some("give the user a home, or put the script where it may stay with --at PATH"),
        ),
        _ if full => NotRun::new(
            "host_disk_full",
            format!("the host has no room for the script: {cause}"),
            Some("make room there, or let the user's TMPDIR and home lie elsewhere"),
        ),
        _ => NotRun::new(
            "script_not_received",
            format!("the host could not take the script: {cause}"),
            None,
        ),
    }
}

/// What a script is called on the host: as here, as far as no shell, no program
/// and no terminal can take it for anything else.
fn name_of(source: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let base = source.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name: String =
        base.iter().map(|byte| if plain(byte) { char::from(*byte) } else { '_' }).collect();
    let name = name.trim_start_matches(['-', '.']);
    match name.get(..name.len().min(NAME_MAX)) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "script".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tame() {
        let name = |text: &str| name_of(OsStr::new(text));
        assert_eq!(name("a/b.sh"), "b.sh");
        assert_eq!(name("-rf"), "rf");
        assert_eq!(name(".."), "script");
        assert_eq!(name(""), "script");
        assert_eq!(name("ü $(x)\n"), "_____x__");
        assert_eq!(name(&"x".repeat(300)).len(), NAME_MAX);
    }
}
