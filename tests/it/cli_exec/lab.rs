//! A configuration in a directory of its own, and the program run on it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use orchestrator::audit::{Reader, VerifyOptions, verify};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{KeyPair, Sshd};

/// A config, keys, known hosts and an audit log that nobody else has.
pub(crate) struct Lab {
    dir: TempDir,
    vms: String,
    settings: String,
}

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Lab {
    /// Without a host; commands are attempted once.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::write(dir.path().join("known_hosts"), "").unwrap();
        let settings = format!(
            "remote_execution:\n  default_retry: 1\n  key_storage_path: {0}/keys\n\
             ssh: {{ known_hosts: [{0}/known_hosts] }}\naudit: {{ path: {0}/log/audit.jsonl }}\n\
             runs: {{ path: {0}/state/runs.db }}\n",
            dir.path().display()
        );
        Self { dir, vms: String::new(), settings }
    }

    /// One host, vm01.
    pub(crate) fn one(sshd: &Sshd) -> Self {
        Self::new().vm("vm01", sshd)
    }

    /// Adds a host that is an sshd.
    pub(crate) fn vm(self, id: &str, sshd: &Sshd) -> Self {
        self.vm_at(id, sshd, sshd.addr(), "")
    }

    /// Adds a host that is an sshd behind `addr`, with more settings
    /// (`, enabled: false`).
    pub(crate) fn vm_at(self, id: &str, sshd: &Sshd, addr: SocketAddr, more: &str) -> Self {
        let key = self.path(&format!("keys/id_ed25519_{id}"));
        fs::copy(sshd.client_key(), &key).unwrap();
        for key in sshd.host_keys() {
            self.trust(addr, key);
        }
        self.entry(id, addr, &format!(", ssh_user: {}{more}", sshd.user()))
    }

    /// Adds a host with neither key nor known host key.
    pub(crate) fn entry(mut self, id: &str, addr: SocketAddr, more: &str) -> Self {
        let (ip, port) = (addr.ip(), addr.port());
        writeln!(self.vms, "  {id}: {{ ip: \"{ip}\", ssh_port: {port}{more} }}").unwrap();
        self
    }

    /// Replaces a part of the settings.
    pub(crate) fn set(mut self, from: &str, to: &str) -> Self {
        assert!(self.settings.contains(from), "{from}");
        self.settings = self.settings.replace(from, to);
        self
    }

    /// Attempts in all.
    pub(crate) fn attempts(self, attempts: u32) -> Self {
        self.set("default_retry: 1", &format!("default_retry: {attempts}"))
    }

    /// Makes a host key known for an address.
    pub(crate) fn trust(&self, addr: SocketAddr, key: &KeyPair) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path("known_hosts")).unwrap();
        writeln!(file, "[{}]:{} {}", addr.ip(), addr.port(), key.public).unwrap();
    }

    /// Forgets every host key.
    pub(crate) fn forget(&self) {
        fs::write(self.path("known_hosts"), "").unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path("config.yml");
        let vms = if self.vms.is_empty() { "  {}\n" } else { &self.vms };
        let text = format!("vms:\n{vms}{}", self.settings);
        // Another program may be reading it in this moment.
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(&path, text).unwrap();
        }
        path
    }

    /// `orchestrator exec ARGS`, with nothing of the environment but PATH.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        self.verb("exec", args)
    }

    /// The program with another verb.
    pub(crate) fn verb<'a>(&self, verb: &str, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.program();
        command.arg(verb).args(args);
        command
    }

    /// The program without arguments, with nothing of the environment but PATH.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("USER", "tester");
        command.env("ORCHESTRATOR_CONFIG", self.config());
        command.current_dir(self.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `exec` to its end.
    pub(crate) fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Runs `exec --json` to its end; the exit code and the document.
    pub(crate) fn json<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> (Said, Value) {
        let said = self.exec(["--json"].into_iter().chain(args));
        let document = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {said:?}"));
        (said, document)
    }

    pub(crate) fn audit_path(&self) -> PathBuf {
        self.path("log/audit.jsonl")
    }

    /// Every attempt and result, after the log was found intact.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let verified = verify(self.audit_path(), &VerifyOptions::default()).unwrap();
        assert!(verified.is_intact(), "{verified:?}");
        let reader = Reader::open(self.audit_path()).unwrap();
        let entries = reader.map(|entry| entry.unwrap());
        let actions = entries.filter(|entry| entry.event().starts_with("exec."));
        actions.map(|entry| entry.value().clone()).collect()
    }

    /// The status of every result on record, in order.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let records = self.audit();
        let results = records.iter().filter(|record| record["event"] == "exec.result");
        results.map(|record| record["result"]["status"].as_str().unwrap().to_owned()).collect()
    }

    /// How many attempts are on record.
    pub(crate) fn attempted(&self) -> usize {
        self.audit().iter().filter(|record| record["event"] == "exec.attempt").count()
    }

    /// All bytes of the log's directory, to look for what must not be there.
    pub(crate) fn audit_bytes(&self) -> Vec<u8> {
        let dir = self.path("log");
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Fails unless the program ended with `code`.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Fails unless stderr holds every one of `texts`.
    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self:?}");
        }
        self
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{:?}\nstdout: {stdout}\nstderr: {}", self.code, self.stderr)
    }
}

/// A program that ends with this value.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> Said {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
            scope.spawn(|| out.map(|mut out| std::io::copy(&mut out, &mut stdout)));
            err.map(|mut err| std::io::copy(&mut err, &mut stderr));
        });
        let status = self.0.wait().unwrap();
        Output { status, stdout, stderr }.into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell command that says where it is and waits to be killed.
pub(crate) fn waits(flag: &Path) -> String {
    format!("echo begun; echo $$ > {}; sleep 301 & sleep 302; wait", flag.display())
}
