//! Which tool computes SHA-256 fastest on which host.
//!
//! Some hosts have one that uses what their processor has for SHA-256, and it is
//! five times as fast as the one that is tried first. What is remembered is only
//! which of them to try first: each has to show every time that it is right.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::tool::{self, Proof};
use crate::exec::{Answer, Shell};
use crate::hex::hex;
use crate::outcome::VerifiedBy;

/// What runs on the host.
const SCRIPT: &str = concat!(include_str!("tool.sh"), include_str!("race.sh"));

/// How long all of them may take.
const RACE_MAX: Duration = Duration::from_secs(10);

/// For how long a choice counts: a host may get another tool.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The choices that are known, in this process and on disk.
#[derive(Debug, Default)]
pub(super) struct Tools(Mutex<HashMap<String, VerifiedBy>>);

impl Tools {
    /// The choice for a login, from an earlier transfer if `dir` has it. Blocks.
    pub(super) fn known(&self, dir: Option<&Path>, login: &str) -> Option<VerifiedBy> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&tool) = known.get(login) {
            return Some(tool);
        }
        let tool = read(&place(dir?, login))?;
        known.insert(login.to_owned(), tool);
        Some(tool)
    }

    /// Remembers a choice. Blocks. That it cannot be written down is no harm.
    pub(super) fn remember(&self, dir: Option<&Path>, login: &str, tool: VerifiedBy) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(login.to_owned(), tool);
        if let Some(dir) = dir {
            let place = place(dir, login);
            let parent = place.parent().unwrap_or(dir);
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            let _ = fs::write(&place, tool.as_str());
        }
    }
}

/// A name that any login has.
fn place(dir: &Path, login: &str) -> PathBuf {
    let name = hex(&Sha256::digest(login)[..16]);
    dir.join("tools").join(name)
}

fn read(place: &Path) -> Option<VerifiedBy> {
    let age = fs::symlink_metadata(place).ok().filter(fs::Metadata::is_file)?;
    if age.modified().ok()?.elapsed().is_ok_and(|age| age > AGE_MAX) {
        return None;
    }
    let mut name = String::new();
    fs::File::open(place).ok()?.take(64).read_to_string(&mut name).ok()?;
    tool::named(name.trim())
}

/// Has the host's tools do the same work, and gives the fastest; `None` where
/// that cannot be told.
///
/// # Cancel safety
/// If the future is dropped the host may go on for a moment.
pub(super) async fn fastest(shell: &Shell<'_>, bound: Duration) -> Option<VerifiedBy> {
    let proof = Proof::new().ok()?;
    let args = proof.args();
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    let answer = shell.run(SCRIPT, &args, [], Some(RACE_MAX.min(bound))).await.ok()?;
    winner(&answer, &proof.mark)
}

fn winner(answer: &Answer, mark: &str) -> Option<VerifiedBy> {
    let stdout = answer.stdout.to_text();
    let said = stdout.lines().filter_map(|line| line.strip_prefix(mark));
    let times = said.filter_map(|said| {
        let mut words = said.split(' ');
        let tool = words.next().filter(|&kind| kind == "R").and(words.next())?;
        let (began, ended) = (time(words.next()?)?, time(words.next()?)?);
        Some((ended.checked_sub(began)?, tool::named(tool)?))
    });
    times.min_by_key(|&(time, _)| time).map(|(_, tool)| tool)
}

/// Nanoseconds; a `date` that knows none says a letter in their place.
fn time(word: &str) -> Option<u64> {
    // Since 1970 they have 19 digits, seconds alone have 10.
    word.parse().ok().filter(|&time: &u64| time > 1_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Capture, ExitStatus};

    fn won(text: &str) -> Option<VerifiedBy> {
        let mut stdout = Capture::new(1 << 20);
        stdout.push(text.replace('@', "orch1 n").as_bytes());
        let exit = ExitStatus::Code(0);
        let answer = Answer { exit, stdout: stdout.finish(), stderr: Capture::new(0).finish() };
        winner(&answer, "orch1 n ")
    }

    const T: &str = "179526887257102305";

    #[test]
    fn the_fastest_wins() {
        let sha256sum = format!("@ R sha256sum {T}0 {T}9\n");
        let openssl = format!("@ R openssl {T}0 {T}5\n");
        assert_eq!(won(&sha256sum), Some(VerifiedBy::Sha256sum));
        assert_eq!(won(&(openssl.clone() + &sha256sum)), Some(VerifiedBy::Openssl));
        assert_eq!(won(&(sha256sum + &openssl + "@ Z\n")), Some(VerifiedBy::Openssl));
    }

    #[test]
    fn nonsense_wins_nothing() {
        for said in [
            String::new(),
            "@ Z\n".into(),
            "@ R openssl 1795268872 1795268873\n".into(),
            "@ R openssl 1795268872N 1795268873N\n".into(),
            format!("@ R openssl {T}5 {T}0\n"),
            format!("@ R md5sum {T}0 {T}5\n"),
            format!("R openssl {T}0 {T}5\n"),
            format!("@ R openssl {T}0\n"),
        ] {
            assert_eq!(won(&said), None, "{said}");
        }
    }

    #[test]
    fn a_choice_is_remembered_for_a_login_and_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::default();
        assert_eq!(tools.known(Some(dir.path()), "a"), None);
        tools.remember(Some(dir.path()), "a", VerifiedBy::Openssl);
        assert_eq!(tools.known(None, "a"), Some(VerifiedBy::Openssl));
        let another = Tools::default();
        assert_eq!(another.known(Some(dir.path()), "a"), Some(VerifiedBy::Openssl));
        assert_eq!(another.known(Some(dir.path()), "b"), None);

        let file = fs::File::options().write(true).open(place(dir.path(), "a")).unwrap();
        let long_ago = std::time::SystemTime::now() - AGE_MAX - Duration::from_secs(60);
        file.set_modified(long_ago).unwrap();
        assert_eq!(Tools::default().known(Some(dir.path()), "a"), None);
        fs::write(place(dir.path(), "a"), "readback").unwrap();
        assert_eq!(Tools::default().known(Some(dir.path()), "a"), None);
    }
}
