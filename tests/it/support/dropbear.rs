//! Dropbear, the other SSH server found in the field.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::accounts::{self, Account};
use super::daemon::{self, Daemon};
use super::keys::{KeyKind, KeyPair};
use super::openssh;
use super::wait::block_until;

const DROPBEAR: &str = "/usr/sbin/dropbear";

/// A running server with an Ed25519 host key. Needs root: dropbear knows no
/// other authorized_keys than the user's own, and the fixture leaves people's
/// files alone. Dropping it kills it, its sessions and what they run.
pub(crate) struct Dropbear {
    daemon: Daemon,
    addr: SocketAddr,
    account: Account,
    host_key: String,
    dir: TempDir,
}

impl Dropbear {
    pub(crate) fn start() -> Self {
        assert!(Path::new(DROPBEAR).exists(), "dropbear-bin is not installed");
        let dir = tempfile::tempdir().unwrap();
        let account = accounts::dropbear_user();
        client_key(&account).write_to(dir.path().join("client_key"));
        let key_file = dir.path().join("host_key");
        let made = Command::new("dropbearkey")
            .args(["-t", "ed25519", "-f"])
            .arg(&key_file)
            .output()
            .expect("dropbear-bin is not installed");
        let made = String::from_utf8_lossy(&made.stdout);
        let line = made.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap();
        let host_key = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let (daemon, addr) = start_on_free_port(dir.path(), &key_file);
        let dropbear = Self { daemon, addr, account, host_key, dir };
        fs::write(dropbear.known_hosts_path(), dropbear.known_hosts()).unwrap();
        dropbear
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whom to log in as.
    pub(crate) fn user(&self) -> &str {
        &self.account.name
    }

    /// The private key that may log in (0600), `.pub` beside it.
    pub(crate) fn client_key(&self) -> PathBuf {
        self.dir.path().join("client_key")
    }

    /// The line for the host key.
    pub(crate) fn known_hosts(&self) -> String {
        openssh::known_hosts_line(self.addr, &self.host_key)
    }

    pub(crate) fn known_hosts_path(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    /// SIGKILLs the processes that serve connections; the commands live on.
    pub(crate) fn kill_sessions(&self) {
        self.daemon.kill_sessions();
    }

    /// Debian's client, ready to log in here.
    pub(crate) fn ssh(&self) -> Command {
        openssh::openssh(self.addr, self.user(), &self.client_key(), &self.known_hosts_path())
    }
}

fn start_on_free_port(dir: &Path, key_file: &Path) -> (Daemon, SocketAddr) {
    for _ in 0..10 {
        let addr = daemon::free_address(Ipv4Addr::LOCALHOST.into());
        let (port, pid_file) = (addr.to_string(), dir.join("pid"));
        let arguments = [
            // In the foreground, logging to stderr, our mark in the sessions, keys only.
            "-F".as_ref(),
            "-E".as_ref(),
            "-e".as_ref(),
            "-s".as_ref(),
            "-p".as_ref(),
            port.as_ref(),
            "-r".as_ref(),
            key_file.as_os_str(),
            "-P".as_ref(),
            pid_file.as_os_str(),
        ];
        let mark = daemon::new_mark();
        let daemon = Daemon::start(DROPBEAR, arguments, &dir.join("log"), &mark);
        block_until("dropbear listens or gives up", || {
            banner(addr).is_some_and(|line| line.contains("dropbear")) || !daemon.is_running()
        });
        if daemon.is_running() {
            return (daemon, addr);
        }
    }
    panic!("dropbear does not start");
}

fn banner(addr: SocketAddr) -> Option<String> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(addr).ok()?).read_line(&mut line).ok()?;
    Some(line)
}

/// The key that the user's authorized_keys names; all test processes share it.
fn client_key(account: &Account) -> KeyPair {
    let _lock = accounts::lock();
    let ssh = account.home.join(".ssh");
    let (private, public) = (ssh.join("id_ed25519"), ssh.join("authorized_keys"));
    if !public.exists() {
        fs::create_dir_all(&ssh).unwrap();
        let key = KeyPair::generate(KeyKind::Ed25519);
        fs::write(&private, &key.private).unwrap();
        fs::write(&public, format!("{}\n", key.public)).unwrap();
        accounts::own(account, &ssh);
        accounts::own(account, &public);
    }
    let text = |path| fs::read_to_string(path).unwrap();
    KeyPair {
        kind: KeyKind::Ed25519,
        private: text(private),
        public: text(public).trim().to_owned(),
    }
}
