//! Debian's OpenSSH server with its own configuration, keys and port.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::accounts::{self, Account, Shell};
use super::daemon::{self, Daemon};
use super::keys::{KeyKind, KeyPair};
use super::openssh;
use super::wait::block_until;

const SSHD: &str = "/usr/sbin/sshd";

/// How to start an [`Sshd`].
#[derive(Clone)]
pub(crate) struct SshdBuilder {
    ip: IpAddr,
    lines: Vec<String>,
    host_keys: Vec<KeyPair>,
    certificates: Vec<String>,
    client_key: Option<KeyPair>,
    login_shell: Option<Shell>,
    account: Option<Account>,
    keys_at_home: bool,
    debug: bool,
}

impl SshdBuilder {
    /// Adds a line to sshd_config, ahead of the fixture's own: of two lines for
    /// one keyword sshd takes the first. Keep `LogLevel` at INFO or above: the
    /// log tells when the server listens.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Serves shared host keys of these kinds. Without it: Ed25519.
    pub(crate) fn host_keys(mut self, kinds: &[KeyKind]) -> Self {
        self.host_keys.extend(kinds.iter().copied().map(KeyPair::shared));
        self
    }

    /// Serves this host key (too).
    pub(crate) fn host_key(mut self, key: KeyPair) -> Self {
        self.host_keys.push(key);
        self
    }

    /// Serves this certificate of one of the host keys.
    pub(crate) fn certificate(mut self, certificate: String) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Lets this key log in, instead of the process's shared Ed25519 key.
    pub(crate) fn client_key(mut self, key: KeyPair) -> Self {
        self.client_key = Some(key);
        self
    }

    /// Logs in as the ordinary user with this shell, instead of the user who
    /// runs the tests (who gets an empty HOME here). Root alone can do that.
    pub(crate) fn login_shell(mut self, shell: Shell) -> Self {
        self.login_shell = Some(shell);
        self
    }

    /// Logs in as this user, instead of the user who runs the tests.
    pub(crate) fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Reads `.ssh/authorized_keys` in [`Sshd::home`], which is HOME for
    /// whoever logs in.
    pub(crate) fn keys_at_home(mut self) -> Self {
        self.keys_at_home = true;
        self
    }

    /// Listens on `::1`.
    pub(crate) fn ipv6(mut self) -> Self {
        self.ip = Ipv6Addr::LOCALHOST.into();
        self
    }

    /// Listens on every address of this machine, so that each of 127.0.0.0/8 is
    /// a host. For as many of them as are connected to at once.
    pub(crate) fn everywhere(mut self) -> Self {
        self.ip = Ipv4Addr::UNSPECIFIED.into();
        self.line("MaxStartups 1000")
    }

    /// Logs at DEBUG1.
    pub(crate) fn debug(mut self) -> Self {
        self.debug = true;
        self
    }

    /// Starts the server; it listens when this returns.
    pub(crate) fn start(mut self) -> Sshd {
        assert!(Path::new(SSHD).exists(), "openssh-server is not installed");
        if self.host_keys.is_empty() {
            self.host_keys.push(KeyPair::shared(KeyKind::Ed25519));
        }
        let user = match (&self.account, self.login_shell) {
            (Some(account), _) => account.name.clone(),
            (None, Some(shell)) => accounts::ordinary_user(shell).name,
            (None, None) => accounts::current_user(),
        };
        let dir = tempfile::tempdir().unwrap();
        // sshd reads authorized_keys as the user who logs in.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let client_key = self.client_key.clone();
        let client_key = client_key.unwrap_or_else(|| KeyPair::shared(KeyKind::Ed25519));
        client_key.write_to(dir.path().join("client_key"));
        fs::write(dir.path().join("authorized_keys"), &client_key.public).unwrap();
        if self.keys_at_home {
            let ssh = dir.path().join("home/.ssh");
            fs::create_dir(&ssh).unwrap();
            fs::set_permissions(&ssh, Permissions::from_mode(0o700)).unwrap();
            let keys = ssh.join("authorized_keys");
            fs::rename(dir.path().join("authorized_keys"), &keys).unwrap();
            if let Some(account) = &self.account {
                for path in [&dir.path().join("home"), &ssh, &keys] {
                    accounts::own(account, path);
                }
            }
        }
        let mark = daemon::new_mark();
        let (daemon, addr) = start_on_free_port(&self, dir.path(), &mark);
        let sshd = Sshd { daemon, addr, settings: self, user, mark, dir };
        fs::write(sshd.known_hosts_path(), sshd.known_hosts()).unwrap();
        sshd
    }
}

/// A running server. Dropping it kills it, its sessions and what they run.
pub(crate) struct Sshd {
    daemon: Daemon,
    addr: SocketAddr,
    settings: SshdBuilder,
    user: String,
    mark: String,
    dir: TempDir,
}

impl Sshd {
    /// A server with an Ed25519 host key and sshd's defaults, for the user who
    /// runs the tests.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> SshdBuilder {
        SshdBuilder {
            ip: Ipv4Addr::LOCALHOST.into(),
            lines: Vec::new(),
            host_keys: Vec::new(),
            certificates: Vec::new(),
            client_key: None,
            login_shell: None,
            account: None,
            keys_at_home: false,
            debug: false,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Whom to log in as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The private key that may log in (0600), `.pub` beside it.
    pub(crate) fn client_key(&self) -> PathBuf {
        self.dir.path().join("client_key")
    }

    /// HOME of whoever logs in, unless that is an ordinary user with a home of
    /// their own.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn host_keys(&self) -> &[KeyPair] {
        &self.settings.host_keys
    }

    /// A line for each host key the server has now.
    pub(crate) fn known_hosts(&self) -> String {
        let line = |key: &KeyPair| openssh::known_hosts_line(self.addr, &key.public);
        self.host_keys().iter().map(line).collect()
    }

    /// A file of the lines for the host keys the server had when it started.
    pub(crate) fn known_hosts_path(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// Everything the server logged since it was last started.
    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    /// The pid of the process that listens.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// `NAME=value` in the environment of every process of every session.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// SIGKILLs the processes that serve connections, mid-command if need be.
    /// The commands live on, as they would on a host.
    pub(crate) fn kill_sessions(&self) {
        self.daemon.kill_sessions();
    }

    /// Starts anew on the same port with new host keys of the same kinds.
    pub(crate) fn restart_with_other_host_key(&mut self) {
        for key in &mut self.settings.host_keys {
            *key = KeyPair::generate(key.kind);
        }
        self.settings.certificates.clear();
        self.daemon.stop();
        self.daemon = start_on(&self.settings, self.dir.path(), &self.mark, self.addr)
            .unwrap_or_else(|log| panic!("sshd did not start again: {log}"));
    }

    /// Debian's client, ready to log in here.
    pub(crate) fn ssh(&self) -> Command {
        openssh::openssh(self.addr, &self.user, &self.client_key(), &self.known_hosts_path())
    }
}

/// A free port may be taken by somebody else before sshd binds it.
fn start_on_free_port(settings: &SshdBuilder, dir: &Path, mark: &str) -> (Daemon, SocketAddr) {
    let mut log = String::new();
    for _ in 0..10 {
        let addr = daemon::free_address(settings.ip);
        match start_on(settings, dir, mark, addr) {
            Ok(daemon) => return (daemon, addr),
            Err(why) => log = why,
        }
    }
    panic!("sshd does not start: {log}");
}

/// The log is the error.
fn start_on(
    settings: &SshdBuilder,
    dir: &Path,
    mark: &str,
    addr: SocketAddr,
) -> Result<Daemon, String> {
    let config = dir.join("sshd_config");
    fs::write(&config, sshd_config(settings, dir, mark, addr)).unwrap();
    if accounts::is_root() {
        // Debian's service makes it; where no service ran it is missing.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let arguments = ["-D", "-e", "-f", config.to_str().unwrap()];
    let daemon = Daemon::start(SSHD, arguments, &dir.join("log"), mark);
    // Its own word, not a connection: a test may count those.
    let listening = format!("Server listening on {} port {}.", addr.ip(), addr.port());
    let ready = || daemon.log().contains(&listening);
    block_until("sshd listens or gives up", || ready() || !daemon.is_running());
    if ready() { Ok(daemon) } else { Err(daemon.log()) }
}

fn sshd_config(settings: &SshdBuilder, dir: &Path, mark: &str, addr: SocketAddr) -> String {
    let mut lines = settings.lines.clone();
    for (i, key) in settings.host_keys.iter().enumerate() {
        let path = key.write_to(dir.join(format!("host_key_{i}")));
        lines.push(format!("HostKey {}", path.display()));
    }
    for (i, certificate) in settings.certificates.iter().enumerate() {
        let path = dir.join(format!("certificate_{i}.pub"));
        fs::write(&path, certificate).unwrap();
        lines.push(format!("HostCertificate {}", path.display()));
    }
    lines.push(format!("ListenAddress {}", addr.ip()));
    lines.push(format!("Port {}", addr.port()));
    let keys = if settings.keys_at_home { "home/.ssh/authorized_keys" } else { "authorized_keys" };
    lines.push(format!("AuthorizedKeysFile {}", dir.join(keys).display()));
    // The tests must not depend on the start-up files of whoever runs them, nor
    // kill a shell that is about to change something there.
    let home = match settings.login_shell {
        Some(_) if !settings.keys_at_home => String::new(),
        _ => format!(" HOME={}", dir.join("home").display()),
    };
    lines.push(format!("SetEnv {mark}{home}"));
    lines.push(format!("LogLevel {}", if settings.debug { "DEBUG1" } else { "VERBOSE" }));
    lines.extend(
        [
            "KbdInteractiveAuthentication no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "PidFile none",
            "PrintMotd no",
            "StrictModes no",
            "Subsystem sftp internal-sftp",
            "UsePAM no",
        ]
        .map(str::to_owned),
    );
    lines.join("\n") + "\n"
}
