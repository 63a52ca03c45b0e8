//! A script that is put where it is to stay.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::Place;
use super::answer::{Answer, field, find, shown};
use super::refusal::NotRun;
use crate::exec::Limits;
use crate::hex::random;
use crate::outcome::{Effect, HostResult, Status};
use crate::remote::{Script, Transfer};
use crate::run::unit::{Done, Unit};

/// What runs on the host.
const TEXT: &str = concat!(include_str!("bases.sh"), include_str!("mode_of.sh"));

/// What a new script may be done with, before the umask.
const NEW: u32 = 0o755;

/// Where a script goes, in full, and its permissions there.
struct Target {
    path: OsString,
    mode: u32,
}

impl Unit {
    /// Puts a script in its place, whole or not at all, and runs it from there.
    pub(super) async fn place_and_run(
        &self,
        script: &Script,
        path: &OsStr,
        bytes: &Arc<[u8]>,
        sha256: &str,
        place: Place<'_>,
        result: &mut HostResult,
    ) -> Done {
        let target = match self.target(script, path, place).await {
            Ok(target) => target,
            Err(not_run) => return not_run.apply(result),
        };
        let spool = match spool(self.ledger.dir(), bytes).await {
            Ok(spool) => spool,
            Err(error) => {
                let message = format!("the script cannot be kept on this machine: {error}");
                return NotRun::fault(message).apply(result);
            }
        };
        let mut transfer =
            Transfer::upload(spool.path(), &target.path).sha256(sha256).mode(target.mode);
        if let Some(run_as) = &script.settings.run_as {
            transfer = transfer.run_as(run_as.clone());
        }
        if let Some(timeout) = self.patience(script, bytes.len()).timeout {
            transfer = transfer.timeout(timeout);
        }
        let report = self.transfer(&transfer, place.connection, place.endpoint, place.number).await;
        if report.status != Status::Success {
            return Done::of_transfer(report, result);
        }
        result.transfer = Some(report.transferred);
        let done = self.run_at(script, &target.path, place, result).await;
        if result.effect == Effect::Absent {
            result.effect = Effect::Present;
        }
        done
    }

    /// Asks the host what is there now.
    async fn target(
        &self,
        script: &Script,
        path: &OsStr,
        place: Place<'_>,
    ) -> Result<Target, NotRun> {
        let random = random().map_err(|error| NotRun::fault(error.to_string()))?;
        let shell = self.shell(script, place, &self.cancel);
        let limits = Limits { output_max: 64 * 1024, ..self.patience(script, 0) };
        let args = [OsStr::new(&random), path];
        let answer = shell.run_within(TEXT, &args, *b"", limits).await;
        let answer = answer.map_err(NotRun::of_shell)?;
        let stdout = answer.stdout.to_bytes();
        let Answer::Done { line, .. } = find(&stdout, &random) else {
            let said = shown(&answer.stderr.to_text());
            let message = format!("the host did not say what {} is: {said}", path.display());
            return Err(NotRun::new("script_not_received", message, None));
        };
        let (umask, line) = field(line);
        let (found, whole) = field(line);
        if found.starts_with(b"d") {
            let message = format!("{} is a directory there", path.display());
            let hint = "name the file that the script shall be";
            return Err(NotRun::new("script_not_received", message, Some(hint)));
        }
        // The path is ours; only what it is relative to is the host's word.
        let honest = whole.starts_with(b"/") && whole.ends_with(path.as_bytes());
        if !honest {
            let message = format!("the host did not say where {} is", path.display());
            return Err(NotRun::new("script_not_received", message, None));
        }
        let mode = script.mode.or_else(|| permissions(found).map(|mode| mode | 0o100));
        let mode = mode.unwrap_or_else(|| NEW & !umask_of(umask) | 0o100);
        Ok(Target { path: OsString::from_vec(whole.to_vec()), mode })
    }
}

/// `-rwxr-xr-x`, without what makes a program run as somebody else.
fn permissions(text: &[u8]) -> Option<u32> {
    let bits = text.get(1..10)?;
    Some(bits.iter().fold(0, |mode, &bit| mode << 1 | u32::from(!b"-ST".contains(&bit))))
}

fn umask_of(text: &[u8]) -> u32 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    u32::from_str_radix(text, 8).unwrap_or(0o022)
}

/// What is sent is what was decided on, and not what the file has become. It
/// lies beside the ledger, if there is one.
async fn spool(ledger: Option<&Path>, bytes: &Arc<[u8]>) -> std::io::Result<NamedTempFile> {
    let bytes = Arc::clone(bytes);
    let dir = ledger.and_then(Path::parent).unwrap_or(Path::new("/tmp")).to_owned();
    let writing = tokio::task::spawn_blocking(move || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut file = NamedTempFile::new_in(&dir)?;
        file.write_all(&bytes)?;
        file.flush()?;
        Ok(file)
    });
    writing.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_from_ls() {
        assert_eq!(permissions(b"-rwxr-xr-x"), Some(0o755));
        assert_eq!(permissions(b"-rw-r-----."), Some(0o640));
        assert_eq!(permissions(b"-rwsr-xr-T"), Some(0o754));
        assert_eq!(permissions(b"new"), None);
        assert_eq!(umask_of(b"0077"), 0o077);
    }
}
