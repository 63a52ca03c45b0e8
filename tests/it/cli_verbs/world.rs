//! A directory with everything that the program sees: HOME, a configuration,
//! keys, known host keys and the audit log.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use orchestrator::audit::{
    ActionFacts, ActionKind, ActorFacts, AuditLog, Event, OpId, Options, Record, ResultFacts,
    TargetFacts,
};
use orchestrator::outcome::Status;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{KeyKind, KeyPair, Sshd};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_orchestrator");

pub(crate) struct World {
    dir: TempDir,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// A world whose configuration has these VMs and more sections.
    pub(crate) fn new(vms: &str, sections: &str) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("keys")).unwrap();
        world.configure(vms, sections);
        world
    }

    /// A world with one VM, `vm01`, and the key that logs in there. Its host
    /// key is not known.
    pub(crate) fn of(sshd: &Sshd) -> Self {
        let world = Self::new(&format!("  vm01: {}\n", address(sshd)), "");
        world.give_key("vm01");
        world
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, vms: &str, sections: &str) {
        let text = format!(
            "vms:\n{vms}remote_execution:\n  key_storage_path: {}\n  key_storage_type: plain_dir\n\
             ssh:\n  known_hosts: {}\n  connect_timeout: 10s\n\
             audit:\n  path: {}\n{sections}",
            self.path("keys").display(),
            self.path("known_hosts").display(),
            self.log().display(),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn give_key(&self, vm: &str) {
        let key = KeyPair::shared(KeyKind::Ed25519);
        key.write_to(self.path("keys").join(format!("id_ed25519_{vm}")));
    }

    pub(crate) fn know(&self, lines: &str) {
        fs::write(self.path("known_hosts"), lines).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.yml")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path("state/audit.jsonl")
    }

    /// The program in this world and nothing of the one around it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.shell(PROGRAM.as_ref());
        command.args(args);
        command
    }

    pub(crate) fn shell(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.path("home"))
            .env("ORCHESTRATOR_CONFIG", self.config())
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let output = self.command(args).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// As [`run`](Self::run), with a terminal on which `answer` is typed; out
    /// and err are one there.
    pub(crate) fn on_terminal(&self, args: &str, answer: &str) -> Said {
        let mut script = self.shell("script".as_ref());
        let program = format!("{PROGRAM} {args}");
        script.args(["-qec", &program, "/dev/null"]).stdin(Stdio::piped());
        let mut child = script.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let out = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        Said { code: output.status.code().unwrap_or(-1), out, err: String::new() }
    }

    /// The events on record, without those of the log itself.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.log()).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| !record["event"].as_str().unwrap().starts_with("audit.")).collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.records().iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
    }

    /// A world with one disabled VM, and a log in which alice was refused
    /// `echo 0`, `echo 1` and so on there.
    pub(crate) fn with_log(commands: usize) -> Self {
        let world = Self::new("  vm01: {ip: 127.0.0.1, enabled: no}\n", "");
        let log = AuditLog::open(world.log(), Options::new(Arc::new(|text| Cow::Borrowed(text))))
            .unwrap();
        for number in 0..commands {
            let mut record = Record::new(Event::ExecAttempt);
            record.op_id = Some(OpId::new());
            record.actor = Some(ActorFacts { id: "alice".into(), ..ActorFacts::default() });
            record.target = Some(TargetFacts {
                host: "vm01".parse().unwrap(),
                addr: None,
                user: None,
                hostkey: None,
                ssh: None,
            });
            let mut action = ActionFacts::new(ActionKind::Shell);
            action.command = Some(format!("echo {number}"));
            record.action = Some(action);
            let mut result = record.clone();
            result.event = Event::ExecResult;
            result.result = Some(ResultFacts::new(Status::PolicyDenied));
            log.append_blocking(record).unwrap();
            log.append_blocking(result).unwrap();
        }
        log.close_blocking().unwrap();
        world
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.log()).unwrap().lines().map(str::to_owned).collect()
    }

    pub(crate) fn write_lines(&self, lines: &[String]) {
        fs::write(self.log(), lines.join("\n") + "\n").unwrap();
    }

    /// Where alice's second record stands in [`lines`](Self::lines); the log
    /// may have put a record of its own before it.
    pub(crate) fn second_of_alice(&self) -> usize {
        let lines = self.lines();
        let alices = lines.iter().enumerate().filter(|(_, line)| line.contains("alice"));
        alices.map(|(at, _)| at).nth(1).unwrap()
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.out).unwrap()
    }

    #[track_caller]
    pub(crate) fn has(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "{text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn lacks(self, text: &str) -> Self {
        assert!(!self.out.contains(text) && !self.err.contains(text), "{text:?} in {self:#?}");
        self
    }
}

/// The settings of a VM that is this server.
pub(crate) fn address(sshd: &Sshd) -> String {
    let (ip, port, user) = (sshd.addr().ip(), sshd.port(), sshd.user());
    format!("{{ip: \"{ip}\", ssh_port: {port}, ssh_user: {user}}}")
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
