//! A script on one host: put there and proven, run, and removed again whatever
//! becomes of it.

mod answer;
mod on_host;
mod place;
mod receive;
mod refusal;
mod removal;

use std::ffi::OsStr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::receive::Parcel;
use self::refusal::NotRun;
use self::removal::When;
use super::unit::{Again, Done, Unit};
use crate::exec::{Ending, Limits, Report, Shell};
use crate::outcome::{FileOutcome, HostResult, Transferred, VerifiedBy};
use crate::remote::{Script, ScriptSource};
use crate::transport::{Connection, Endpoint};

/// Where a script is run, and on which try.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) connection: &'a Arc<dyn Connection>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) number: u32,
    pub(super) again: &'a Again<'a>,
}

impl Unit {
    /// Runs a script, and writes into `result` what came of it.
    pub(super) async fn script(
        &self,
        script: &Script,
        place: Place<'_>,
        result: &mut HostResult,
    ) -> Done {
        match (&script.source, &script.place) {
            (ScriptSource::Host(path), _) => {
                result.script_sha256 = self.digest_of(script, path, place).await;
                self.run_at(script, path, place, result).await
            }
            (ScriptSource::Bytes { bytes, sha256, .. }, Some(path)) => {
                self.place_and_run(script, path, bytes, sha256, place, result).await
            }
            (ScriptSource::Bytes { name, bytes, sha256 }, None) => {
                let parcel = Parcel::new(name, Arc::clone(bytes), sha256);
                match parcel {
                    Ok(parcel) => self.send_and_run(script, &parcel, place, result).await,
                    Err(error) => NotRun::fault(error.to_string()).apply(result),
                }
            }
            // Whoever plans reads the file first.
            (ScriptSource::File(path), _) => {
                NotRun::fault(format!("{} was not read", path.display())).apply(result)
            }
        }
    }

    /// Sends a script to a directory of its own, runs it and removes both.
    async fn send_and_run(
        &self,
        script: &Script,
        parcel: &Parcel<'_>,
        place: Place<'_>,
        result: &mut HostResult,
    ) -> Done {
        let written = match self.write_down(script, &parcel.directory(), place).await {
            Ok(written) => written,
            Err(not_run) => return not_run.apply(result),
        };
        let shell = self.shell(script, place, &self.cancel);
        let limits = self.patience(script, parcel.bytes.len());
        let received = receive::receive(&shell, parcel, script.is_executed(), limits).await;
        let (done, when) = match received {
            Ok(received) => {
                tracing::debug!(vm = %self.host().vm, by = ?received.by, "the script has arrived");
                result.transfer = Some(proven(parcel, &received.path, received.by));
                let report = self.run_command(script, &received.path, place).await;
                // It may go on without us.
                let lost = matches!(report.ending, Ending::Lost { .. });
                let when = if lost { When::Idle } else { When::Now };
                (Done::of_command(report, result), when)
            }
            Err(not_run) if not_run.made_nothing() => {
                written.close();
                return not_run.apply(result);
            }
            Err(not_run) => (not_run.apply(result), When::Now),
        };
        self.remove(script, written, when, place).await;
        done
    }

    /// Runs what is on the host by now.
    async fn run_at(
        &self,
        script: &Script,
        path: &OsStr,
        place: Place<'_>,
        result: &mut HostResult,
    ) -> Done {
        let report = self.run_command(script, path, place).await;
        Done::of_command(report, result)
    }

    async fn run_command(&self, script: &Script, path: &OsStr, place: Place<'_>) -> Report {
        let command = script.command(path);
        let held = (&command, self.bounds(None).seeing(path));
        let taken = (None, self.sink(None));
        self.execute_held(&**place.connection, held, place.again, place.number, taken).await
    }

    /// What runs our own texts as the user whom the script runs as.
    fn shell<'a>(
        &'a self,
        script: &'a Script,
        place: Place<'a>,
        cancel: &'a CancellationToken,
    ) -> Shell<'a> {
        Shell {
            connection: &**place.connection,
            run: self.plan.run,
            vm: &self.host().vm,
            attempt: place.number,
            run_as: script.settings.run_as.as_ref(),
            cancel,
        }
    }

    /// How long the host may take to receive so much: what the script has too,
    /// or else enough for a slow line.
    fn patience(&self, script: &Script, bytes: usize) -> Limits {
        let given = script.settings.timeout.or(self.options.limits.timeout);
        let timeout = given.filter(|timeout| !timeout.is_zero());
        let timeout = timeout.or(Some(receive::enough(bytes)));
        Limits { timeout, output_max: bytes + 64 * 1024, ..self.options.limits }
    }
}

/// What stands in the result of the file that was sent.
fn proven(parcel: &Parcel<'_>, path: &OsStr, by: VerifiedBy) -> Transferred {
    let file = FileOutcome {
        local: parcel.source.to_owned(),
        remote: path.to_owned(),
        bytes: parcel.bytes.len() as u64,
        sha256: Some(parcel.sha256.to_owned()),
        verified_by: Some(by),
        unchanged: false,
        resumed_from: 0,
        failure: None,
    };
    Transferred { files: vec![file], ..Transferred::default() }
}
