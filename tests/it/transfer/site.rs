//! A host, a directory on it, and one on this machine.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator::Orchestrator;
use orchestrator::audit::{Reader, VerifyOptions, verify};
use orchestrator::outcome::{FileOutcome, HostResult};
use orchestrator::remote::Transfer;
use serde_json::Value;
use tempfile::TempDir;

use super::content::parts;
use crate::cli_exec::{Lab, Said};
use crate::exec::host::open_dir;
use crate::support::{Proxy, Sshd, SshdBuilder};

/// A host `vm01`, and where files come from and go to.
pub(super) struct Site {
    pub(super) sshd: Sshd,
    pub(super) lab: Lab,
    dir: TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::of(Sshd::start())
    }

    pub(super) fn of(sshd: Sshd) -> Self {
        let lab = Lab::one(&sshd);
        Self::with(sshd, lab)
    }

    /// A host whose login shell does this first, for files as for commands.
    pub(super) fn after(rc: &str) -> Self {
        Self::of(shell_first(Sshd::builder(), rc).start())
    }

    /// The host is behind a proxy.
    pub(super) fn behind_proxy() -> (Self, Proxy) {
        let sshd = Sshd::start();
        let proxy = Proxy::start(sshd.addr());
        let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
        (Self::with(sshd, lab), proxy)
    }

    pub(super) fn with(sshd: Sshd, lab: Lab) -> Self {
        let dir = open_dir();
        for name in ["here", "there"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            // The host's user may be another than ours.
            fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        }
        Self { sshd, lab, dir }
    }

    /// A path on this machine.
    pub(super) fn here(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("here").join(name)
    }

    /// A path on the host.
    pub(super) fn there(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("there").join(name)
    }

    /// A file on this machine.
    pub(super) fn write_here(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.here(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A file on the host.
    pub(super) fn write_there(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.there(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn orchestrator(&self) -> Orchestrator {
        Orchestrator::from_config_file(self.lab.config()).unwrap()
    }

    /// Moves files by the library.
    pub(super) async fn moves(&self, transfer: Transfer) -> HostResult {
        moves(&self.orchestrator(), transfer).await
    }

    /// Pushes a file of this machine to a name on the host.
    pub(super) async fn push(&self, here: &str, there: &str) -> HostResult {
        self.moves(Transfer::upload(self.here(here), self.there(there))).await
    }

    /// Pulls a file of the host to a name on this machine.
    pub(super) async fn pull(&self, there: &str, here: &str) -> HostResult {
        self.moves(Transfer::download(self.there(there), self.here(here))).await
    }

    /// The program with a verb, options and paths.
    pub(super) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.lab.program();
        command.args(args);
        command
    }

    /// Runs the program to its end.
    pub(super) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// `push OPTIONS vm01 HERE THERE` or `pull OPTIONS vm01 THERE HERE`.
    pub(super) fn cli(&self, verb: &str, options: &[&str], here: &str, there: &str) -> Command {
        let (here, there) = (self.here(here), self.there(there));
        let paths = if verb == "push" { [here, there] } else { [there, here] };
        let mut command = self.command([verb]);
        command.args(options).arg("vm01").args(paths);
        command
    }

    /// Runs that to its end.
    pub(super) fn moved(&self, verb: &str, options: &[&str], here: &str, there: &str) -> Said {
        self.cli(verb, options, here, there).output().unwrap().into()
    }

    /// Runs that with `--json`; the host's part of the document.
    pub(super) fn json(&self, verb: &str, options: &[&str], here: &str, there: &str) -> Value {
        let options = [&["--json"][..], options].concat();
        let said = self.moved(verb, &options, here, there);
        let document: Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {said:?}"));
        document["hosts"][0].clone()
    }

    /// Fails unless nothing is in the making on either side.
    #[track_caller]
    pub(super) fn is_clean(&self) {
        assert_eq!(parts(self.dir.path()), Vec::<PathBuf>::new());
    }

    /// Where the program writes down what is in the making.
    pub(super) fn ledger(&self) -> PathBuf {
        self.lab.path("home/.local/state/orchestrator/parts")
    }

    /// How many processes have something written down.
    pub(super) fn journals(&self) -> usize {
        let Ok(files) = fs::read_dir(self.ledger()) else { return 0 };
        let names = files.map(|file| file.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).count()
    }

    /// Every record of a file, after the log was found intact.
    pub(super) fn records(&self) -> Vec<Value> {
        let verified = verify(self.lab.audit_path(), &VerifyOptions::default()).unwrap();
        assert!(verified.is_intact(), "{verified:?}");
        let entries = Reader::open(self.lab.audit_path()).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.event().starts_with("file."));
        files.map(|entry| entry.value().clone()).collect()
    }
}

/// A login shell that does something before it serves files, or runs our text.
pub(super) fn shell_first(builder: SshdBuilder, rc: &str) -> SshdBuilder {
    builder.line(&format!(
        "ForceCommand {rc}; case $SSH_ORIGINAL_COMMAND in \
         internal-sftp) exec /usr/lib/openssh/sftp-server;; *) eval \"$SSH_ORIGINAL_COMMAND\";; esac"
    ))
}

/// Moves files to or from `vm01`.
pub(super) async fn moves(orchestrator: &Orchestrator, transfer: Transfer) -> HostResult {
    let request = orchestrator.on("vm01".parse().unwrap()).transfer(transfer);
    request.run().await.unwrap().results()[0].clone()
}

/// The only file of a transfer that succeeded.
#[track_caller]
pub(super) fn one(result: &HostResult) -> FileOutcome {
    assert!(result.success(), "{:?}", result.failure);
    let [file] = &result.transfer.as_ref().unwrap().files[..] else { panic!("{result:?}") };
    file.clone()
}

/// Fails unless the transfer failed with this code, in words that hold these.
#[track_caller]
pub(super) fn fails(result: &HostResult, code: &str, words: &[&str]) {
    let failure = result.failure.as_ref().unwrap_or_else(|| panic!("{result:?}"));
    assert_eq!(failure.code, code, "{failure:?}");
    for words in words {
        assert!(failure.message.contains(words), "{words:?}: {failure:?}");
    }
}
