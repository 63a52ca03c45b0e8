//! The users that tests log in as.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Parent of the homes. It outlives a test process: the users do too.
const HOMES: &str = "/tmp/orchestrator-test-homes";

/// The login shell of an ordinary user made for the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Dash,
    Bash,
    Zsh,
    Ksh,
    Tcsh,
    Fish,
    /// busybox's ash.
    Ash,
    Rbash,
    Nologin,
}

impl Shell {
    /// The login shells that can run a command, one by one.
    pub(crate) const WORKING: [Self; 7] =
        [Self::Dash, Self::Bash, Self::Zsh, Self::Ksh, Self::Tcsh, Self::Fish, Self::Ash];

    fn name(self) -> &'static str {
        match self {
            Self::Dash => "dash",
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Ksh => "ksh",
            Self::Tcsh => "tcsh",
            Self::Fish => "fish",
            Self::Ash => "ash",
            Self::Rbash => "rbash",
            Self::Nologin => "nologin",
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Self::Nologin => "/usr/sbin/nologin".into(),
            // busybox takes the applet from its own name.
            Self::Ash => Path::new(HOMES).join("ash"),
            _ => Path::new("/bin").join(self.name()),
        }
    }
}

/// A user of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
}

/// Whether this process may create users and log in as them.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The name of the user who runs the tests.
pub(crate) fn current_user() -> String {
    output(Command::new("id").arg("-un"))
}

/// The ordinary user `orchtest-SHELL` with that login shell, created by root
/// when missing. Safe when several test processes ask at once.
pub(crate) fn ordinary_user(shell: Shell) -> Account {
    account(&format!("orchtest-{}", shell.name()), shell)
}

/// The ordinary user whom only dropbear serves: dropbear reads a user's own
/// authorized_keys, so its tests share one home.
pub(crate) fn dropbear_user() -> Account {
    account("orchtest-dropbear", Shell::Dash)
}

/// The password of [`password_user`]; not a word that stands anywhere else.
pub(crate) const PASSWORD: &str = "orch-quartz-7-herring";

/// The ordinary user who can log in by [`PASSWORD`].
pub(crate) fn password_user() -> Account {
    let account = account("orchtest-password", Shell::Dash);
    set_password(&account.name, PASSWORD);
    account
}

/// Sets a password without showing it: others look for it in argument lists.
pub(crate) fn set_password(name: &str, password: &str) {
    let _lock = lock();
    let mut chpasswd = Command::new("/usr/sbin/chpasswd").stdin(Stdio::piped()).spawn().unwrap();
    writeln!(chpasswd.stdin.take().unwrap(), "{name}:{password}").unwrap();
    assert!(chpasswd.wait().unwrap().success());
}

fn account(name: &str, shell: Shell) -> Account {
    assert!(is_root(), "this test logs in as {name}, whom only root can create: run it as root");
    let account = Account { name: name.to_owned(), home: Path::new(HOMES).join(name) };
    let _lock = lock();
    let program = shell.program();
    if shell == Shell::Ash && !program.exists() {
        symlink("/bin/busybox", &program).unwrap();
    }
    assert!(program.exists(), "{} is not installed: install {}", program.display(), shell.name());
    let known = Command::new("id").arg(name).output().unwrap().status.success();
    if !known {
        // A password of `*` locks nothing: sshd without PAM refuses users whose password is `!`.
        output(
            Command::new("/usr/sbin/useradd")
                .args(["--system", "--no-create-home", "--password", "*", "--home-dir"])
                .arg(&account.home)
                .arg("--shell")
                .arg(&program)
                .arg(name),
        );
    }
    if !account.home.exists() {
        DirBuilder::new().mode(0o700).create(&account.home).unwrap();
        own(&account, &account.home);
    }
    account
}

/// Gives a file to the user.
pub(crate) fn own(account: &Account, path: &Path) {
    let id = |flag: &str| output(Command::new("id").args([flag, &account.name])).parse().unwrap();
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
}

/// Held while users and homes are made, by one test process at a time.
pub(crate) fn lock() -> File {
    if !Path::new(HOMES).exists() {
        let _ = DirBuilder::new().mode(0o755).create(HOMES);
    }
    fs::set_permissions(HOMES, Permissions::from_mode(0o755)).unwrap();
    let file = File::create(Path::new(HOMES).join(".lock")).unwrap();
    file.lock().unwrap();
    file
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
