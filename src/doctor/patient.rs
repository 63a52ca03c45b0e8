//! What is asked of a host after the login, one question after the other, and
//! for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout};

use super::asking::{Answers, Asking};
use super::space::{Room, disk};
use super::{Finding, Stage, Verdict, Visit, answers};
use crate::exec::{Shell, ShellError};
use crate::hex::random;
use crate::inventory::Os;
use crate::outcome::Phase;
use crate::sftp::{Bounds, Extension, Sftp, SftpError};
use crate::transfer::digest::{DigestError, Wanted, digests};
use crate::transport::{Connection, Endpoint};

/// How long one question may take.
const QUESTION_MAX: Duration = Duration::from_secs(8);

/// How long the end of a question that took too long may take.
const ENDING_MAX: Duration = Duration::from_secs(4);

/// A host that let us in.
pub(super) struct Patient<'a> {
    pub(super) visit: &'a Visit<'a>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) connection: &'a dyn Connection,
    /// When nothing more is asked.
    pub(super) until: Instant,
}

impl Patient<'_> {
    /// Adds what is found of the stages after the login.
    pub(super) async fn ask_everything(&self, findings: &mut Vec<Finding>) {
        let random = match random() {
            Ok(random) => random,
            Err(error) => {
                let text = format!("this system gives no random numbers: {error}");
                findings.push(Finding::fail(Stage::Exec, "no_random_numbers", text, None));
                return;
            }
        };
        let shell = Shell {
            connection: self.connection,
            run: self.visit.run,
            vm: self.visit.vm,
            attempt: 1,
            run_as: None,
            cancel: self.visit.cancel,
        };
        let asking = Asking { shell, random };
        let exec = if self.visit.os == Os::Windows {
            let text = "commands need a POSIX shell, and this host's os is windows";
            Finding::fail(Stage::Exec, "unsupported_os", text, None)
        } else {
            self.question(&asking, Stage::Exec, "system", answers::exec).await
        };
        let shell_works = exec.verdict == Verdict::Ok;
        findings.push(exec);
        let (sftp, session) = self.sftp().await;
        findings.push(sftp);
        if !shell_works {
            for stage in [Stage::Hash, Stage::Sudo, Stage::Tmp, Stage::Clock] {
                findings.push(Finding::skipped(stage, "commands do not run there"));
            }
        } else {
            findings.push(self.hash(&asking).await);
            let user = &self.endpoint.user;
            let sudo = |said: &Answers| answers::sudo(said, user);
            findings.push(self.question(&asking, Stage::Sudo, "sudo", sudo).await);
            findings.push(self.question(&asking, Stage::Tmp, "places", answers::tmp).await);
            let asked = now();
            let clock = |said: &Answers| answers::clock(said, asked, now());
            findings.push(self.question(&asking, Stage::Clock, "clock", clock).await);
        }
        findings.push(self.disk(session.as_ref(), shell_works.then_some(&asking)).await);
    }

    /// Asks the host's shell, if there is time for it.
    async fn question(
        &self,
        asking: &Asking<'_>,
        stage: Stage,
        question: &str,
        found: impl FnOnce(&Answers) -> Finding,
    ) -> Finding {
        let began = Instant::now();
        let Some(until) = self.time() else { return out_of_time(stage, self.visit) };
        let answered = timeout(QUESTION_MAX + ENDING_MAX, asking.ask(question, until)).await;
        let finding = match answered {
            Ok(Ok(said)) if said.is_whole() => found(&said),
            Ok(Ok(_)) => Finding::fail(
                stage,
                "answer_missing",
                "the host runs our text, but its answer did not come whole",
                Some("see whether something there changes the output of commands".into()),
            ),
            Ok(Err(ShellError::Cancelled)) => Finding::skipped(stage, "interrupted"),
            Ok(Err(error)) => not_answered(stage, &error),
            Err(_) => not_answered(stage, &ShellError::TimedOut(began.elapsed())),
        };
        finding.took(began.elapsed())
    }

    async fn sftp(&self) -> (Finding, Option<Sftp>) {
        let began = Instant::now();
        let Some(until) = self.time() else {
            return (out_of_time(Stage::Sftp, self.visit), None);
        };
        let starting = async {
            let channel = self.connection.subsystem("sftp").await;
            let channel = channel.map_err(|error| error.to_string())?;
            let patience = until.saturating_duration_since(Instant::now());
            let bounds = Bounds { stall: patience, start: patience, ..Bounds::default() };
            Sftp::start(channel, bounds).await.map_err(|error| error.to_string())
        };
        let started = tokio::select! {
            started = timeout(QUESTION_MAX, starting) => started,
            () = self.visit.cancel.cancelled() => {
                return (Finding::skipped(Stage::Sftp, "interrupted"), None);
            }
        };
        let late = || format!("no answer within {} s", QUESTION_MAX.as_secs());
        match started.unwrap_or_else(|_| Err(late())) {
            Ok(sftp) => (able(&sftp).took(began.elapsed()), Some(sftp)),
            Err(text) => {
                let hint = "see `Subsystem sftp` in its sshd_config; without it no file moves";
                let finding = Finding::fail(Stage::Sftp, "no_sftp", text, Some(hint.into()));
                (finding.took(began.elapsed()), None)
            }
        }
    }

    async fn hash(&self, asking: &Asking<'_>) -> Finding {
        let began = Instant::now();
        let Some(until) = self.time() else { return out_of_time(Stage::Hash, self.visit) };
        let cancel = self.visit.cancel.child_token();
        let shell = Shell { cancel: &cancel, ..asking.shell };
        // It is there, and whoever logs in can read it.
        let wanted = [Wanted { path: b"/bin/sh", first: None }];
        let hashing = digests(&shell, &wanted);
        tokio::pin!(hashing);
        let said = match tokio::time::timeout_at(until, &mut hashing).await {
            Ok(said) => said,
            Err(_) => {
                cancel.cancel();
                let ended = timeout(ENDING_MAX, hashing).await;
                ended.unwrap_or(Err(ShellError::Cancelled.into()))
            }
        };
        let finding = match said.map(|mut digests| digests.pop()) {
            Ok(Some(Ok(digest))) => answers::hash(Some(digest.by)),
            Ok(_) | Err(DigestError::NoTool) => answers::hash(None),
            Err(DigestError::Shell(ShellError::Cancelled)) if self.visit.cancel.is_cancelled() => {
                Finding::skipped(Stage::Hash, "interrupted")
            }
            Err(DigestError::Shell(ShellError::Cancelled)) => {
                not_answered(Stage::Hash, &ShellError::TimedOut(began.elapsed()))
            }
            Err(DigestError::Shell(error)) => not_answered(Stage::Hash, &error),
            Err(error @ DigestError::Broken(_)) => {
                let hint = "files are proven by reading them back meanwhile";
                Finding::warn(Stage::Hash, "no_hash_tool", error.to_string(), hint)
            }
        };
        finding.took(began.elapsed())
    }

    /// By the SFTP server where it can tell, else by the shell.
    async fn disk(&self, sftp: Option<&Sftp>, asking: Option<&Asking<'_>>) -> Finding {
        let began = Instant::now();
        if let Some(sftp) = sftp.filter(|sftp| sftp.supports(Extension::Statvfs)) {
            let Some(_) = self.time() else { return out_of_time(Stage::Disk, self.visit) };
            if let Ok(Ok(rooms)) = timeout(QUESTION_MAX, rooms(sftp)).await {
                return disk(&rooms).took(began.elapsed());
            }
        }
        match asking {
            Some(asking) => {
                let judge = |said: &Answers| disk(&Room::of_answers(said));
                self.question(asking, Stage::Disk, "disk", judge).await
            }
            None => Finding::skipped(Stage::Disk, "neither SFTP nor a command tells"),
        }
    }

    /// Until when the next question may take; `None` if nothing is to be asked
    /// any more.
    fn time(&self) -> Option<Instant> {
        let now = Instant::now();
        let over = now >= self.until || self.visit.cancel.is_cancelled();
        (!over).then(|| self.until.min(now + QUESTION_MAX))
    }
}

async fn rooms(sftp: &Sftp) -> Result<Vec<Room>, SftpError> {
    let mut rooms = vec![Room::of("home", &sftp.statvfs(b".").await?)];
    // A host may have no /tmp, or show none.
    rooms.extend(sftp.statvfs(b"/tmp").await.ok().map(|space| Room::of("/tmp", &space)));
    Ok(rooms)
}

fn able(sftp: &Sftp) -> Finding {
    let all = [
        (Extension::PosixRename, "posix-rename"),
        (Extension::Fsync, "fsync"),
        (Extension::Statvfs, "statvfs"),
        (Extension::Limits, "limits"),
    ];
    let able: Vec<&str> =
        all.iter().filter(|(it, _)| sftp.supports(*it)).map(|(_, name)| *name).collect();
    let able = if able.is_empty() { "no extension".to_owned() } else { able.join(", ") };
    let handles = sftp.handles_max().map(|max| format!(", {max} open files")).unwrap_or_default();
    let (read, write) = (sftp.read_max(), sftp.write_max());
    let text = format!("{able}; reads of {read} and writes of {write} bytes{handles}");
    if !sftp.supports(Extension::PosixRename) {
        return Finding::warn(
            Stage::Sftp,
            "no_posix_rename",
            format!("{text}; a file that exists cannot be replaced in one step"),
            "use OpenSSH's sftp-server there",
        );
    }
    Finding::ok(Stage::Sftp, text).note(!sftp.supports(Extension::Fsync), "no_fsync")
}

fn not_answered(stage: Stage, error: &ShellError) -> Finding {
    let (note, hint) = match error {
        ShellError::Cancelled => ("interrupted", None),
        ShellError::Lost { .. } => ("connection_lost", Some("try again".to_owned())),
        ShellError::TimedOut(_) => {
            ("no_answer_in_time", Some("see what holds up commands there".to_owned()))
        }
        ShellError::Unavailable { phase: Phase::Channel, hint, .. } => ("no_channel", hint.clone()),
        ShellError::Unavailable { hint, .. } => ("no_commands", hint.clone()),
    };
    Finding::fail(stage, note, error.to_string(), hint)
}

fn out_of_time(stage: Stage, visit: &Visit<'_>) -> Finding {
    let why = if visit.cancel.is_cancelled() { "interrupted" } else { "no time was left for it" };
    Finding::skipped(stage, why)
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
