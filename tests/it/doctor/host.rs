//! The stages after the login.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Examined, examine};
use crate::cli_verbs::world::{World, address, set_mode};
use crate::exec::host::{open_dir, with_rc, with_sh};
use crate::exec::sudo::Sudoers;
use crate::support::{Behaviour, Hostile, Shell, Sshd, is_root};

#[test]
fn a_healthy_host() {
    let sshd = Sshd::start();
    let found = examine(&sshd).ends(0);
    assert_eq!((&found.host["status"], &found.host["error"]), (&"success".into(), &().into()));
    assert_eq!(found.host["ssh"]["cipher"], "aes256-gcm@openssh.com");
    let at = format!("{}@{}, linux", sshd.user(), sshd.addr());
    found
        .finds("inventory", "ok", &at)
        .finds("name", "ok", "127.0.0.1 is an address")
        .finds("tcp", "ok", "answers")
        .finds("banner", "ok", "SSH-2.0-OpenSSH_")
        .finds("algorithms", "ok", "curve25519-sha256, aes256-gcm@openssh.com, ")
        .finds("auth", "ok", "id_ed25519_vm01, SHA256:")
        .finds("exec", "ok", "Linux ")
        .finds("sftp", "ok", "posix-rename, fsync, statvfs, limits; reads of 261120")
        .finds("hash", "ok", "sha256sum")
        .finds("tmp", "ok", "scripts run in ")
        .finds("clock", "ok", " ours, give or take ")
        .finds("disk", "ok", "free of");
}

#[test]
fn whatever_bin_sh_is() {
    for program in ["/bin/busybox", "/bin/bash", "/bin/ksh", "/bin/mksh"] {
        let (sshd, _dir) = with_sh(Path::new(program));
        let found = examine(&sshd);
        for stage in ["exec", "hash", "tmp", "clock"] {
            assert_eq!(found.stage(stage)["verdict"], "ok", "{program}: {found:#?}");
        }
    }
}

#[test]
fn nothing_is_left_on_the_host() {
    let sshd = Sshd::builder().keys_at_home().start();
    examine(&sshd).ends(0);
    let left: Vec<_> =
        fs::read_dir(sshd.home()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, [".ssh"]);
}

#[test]
fn sftp_and_nothing_else() {
    let sshd = Sshd::builder().line("ForceCommand internal-sftp").start();
    let found = examine(&sshd).ends(1).finds("exec", "fail", "").notes("exec", "no_commands");
    let found = found.finds("sftp", "ok", "posix-rename").finds("disk", "ok", "free of");
    found.finds("hash", "skipped", "commands do not run there").finds("clock", "skipped", "");
}

#[test]
fn no_sftp() {
    let sshd = with_rc("case $SSH_ORIGINAL_COMMAND in *sftp*) exit 1 ;; esac");
    let found = examine(&sshd).ends(1).notes("sftp", "no_sftp").hints("sftp", "Subsystem sftp");
    // The shell tells what SFTP does not.
    found.finds("exec", "ok", "Linux").finds("disk", "ok", "free of");
}

#[test]
fn a_user_without_a_login_shell() {
    let sshd = Sshd::builder().login_shell(Shell::Nologin).start();
    let found = examine(&sshd).ends(1).notes("exec", "no_commands");
    found.hints("exec", "login shell").finds("auth", "ok", "orchtest-nologin");
}

#[test]
fn a_server_without_commands() {
    let server = Hostile::start(Behaviour::RefusesExec);
    let addr = server.addr();
    let vm = format!("{{ip: {}, ssh_port: {}, ssh_user: ops}}", addr.ip(), addr.port());
    let world = World::new(&format!("  vm01: {vm}\n"), "");
    world.give_key("vm01");
    world.know(&server.known_hosts());
    let found = Examined::of(&world.run(&["doctor", "vm01", "--json"])).ends(1);
    found.notes("exec", "no_channel").finds("sftp", "fail", "");
}

/// A host whose PATH is this directory with these programs.
fn with_programs(programs: &[(&str, &str)]) -> (Sshd, tempfile::TempDir) {
    let dir = open_dir();
    for (name, text) in programs {
        let path = dir.path().join(name);
        if text.starts_with('/') {
            symlink(text, path).unwrap();
        } else {
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            set_mode(&path, 0o755);
        }
    }
    let sftp =
        "case $SSH_ORIGINAL_COMMAND in internal-sftp) exec /usr/lib/openssh/sftp-server ;; esac";
    (with_rc(&format!("{sftp}; PATH={}", dir.path().display())), dir)
}

/// What the texts need; without mkdir they would look for more.
const NEEDED: [(&str, &str); 7] = [
    ("date", "/bin/date"),
    ("df", "/bin/df"),
    ("id", "/usr/bin/id"),
    ("ls", "/bin/ls"),
    ("mkdir", "/bin/mkdir"),
    ("mount", "/bin/mount"),
    ("uname", "/bin/uname"),
];

#[test]
fn no_tools_and_no_sudo() {
    let (sshd, _dir) = with_programs(&NEEDED);
    let found = examine(&sshd).ends(0).notes("hash", "no_hash_tool").finds("exec", "ok", "Linux");
    assert_eq!(found.host["verdict"], "warn");
    if is_root() {
        found.notes("sudo", "no_sudo").hints("sudo", "install sudo");
    }
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    world.run(&["doctor", "--strict"]).is(1);
}

#[test]
fn kinds_of_sudo() {
    assert!(is_root(), "this test logs in as others: run it as root");
    let _sudoers = Sudoers::install();
    let asked = |shell| examine(&Sshd::builder().login_shell(shell).start());
    asked(Shell::Dash).finds("sudo", "ok", "no password needed");
    asked(Shell::Ksh)
        .finds("sudo", "ok", "wants a password")
        .notes("sudo", "sudo_wants_a_password");

    let rs = "case $1 in -V) echo sudo-rs 0.2.5 ;; *) exit 0 ;; esac";
    let (sshd, _dir) = with_programs(&[&NEEDED[..], &[("sudo", rs)]].concat());
    examine(&sshd).finds("sudo", "ok", "sudo-rs 0.2.5, no password needed");
    let (sshd, _dir) = with_programs(&[&NEEDED[..], &[("doas", "exit 0")]].concat());
    examine(&sshd).notes("sudo", "doas_only");
    let no = "case $1 in -V) echo Sudo version 1.9 ;; *) echo sorry, a tty >&2; exit 1 ;; esac";
    let (sshd, _dir) = with_programs(&[&NEEDED[..], &[("sudo", no)]].concat());
    examine(&sshd).notes("sudo", "sudo_refuses").finds("sudo", "warn", "refuses: sorry, a tty");
}

#[test]
fn a_clock_that_is_off() {
    let fake = "exec /bin/date -d '1 hour ago' \"$@\"";
    let programs = [&[("date", fake)], &NEEDED[1..]].concat();
    let (sshd, _dir) = with_programs(&programs);
    let found = examine(&sshd).ends(0).notes("clock", "clock_skew").hints("clock", "chrony");
    found.finds("clock", "warn", "3600 s behind ours");

    // As busybox's.
    let coarse = [&[("date", "exec /bin/date +%s.%%N")], &NEEDED[1..]].concat();
    let (sshd, _dir) = with_programs(&coarse);
    examine(&sshd).finds("clock", "ok", "give or take 0.5");
    let silent = [&[("date", "exit 1")], &NEEDED[1..]].concat();
    let (sshd, _dir) = with_programs(&silent);
    examine(&sshd).notes("clock", "clock_unknown");
}

/// A file system of its own, gone with this value.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        assert!(is_root(), "this test mounts a file system: run it as root");
        let dir = open_dir();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path());
        assert!(mount.status().unwrap().success());
        Self(dir)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_home_where_nothing_can_be_executed() {
    let home = Mounted::new("noexec,mode=777,size=8m");
    let sshd = with_rc(&format!("HOME={0}; export HOME", home.0.path().display()));
    let found = examine(&sshd).notes("tmp", "noexec").finds("tmp", "ok", "scripts run in /var/tmp");
    found.finds("tmp", "ok", "mounted noexec");
}

#[test]
fn a_disk_that_is_nearly_full() {
    let home = Mounted::new("mode=777,size=8m");
    fs::write(home.0.path().join("much"), vec![0; 7_900_000]).unwrap();
    // Without SFTP, so that df is asked: it is the shell's HOME that is full.
    let rc = format!(
        "HOME={}; export HOME; case $SSH_ORIGINAL_COMMAND in *sftp*) exit 1 ;; esac",
        home.0.path().display()
    );
    examine(&with_rc(&rc)).notes("disk", "disk_nearly_full").hints("disk", "make room");
}

#[test]
fn a_host_that_never_answers_a_question_is_left_in_time() {
    let slow = [&[("date", "exec /bin/sleep 300")], &NEEDED[1..]].concat();
    let (sshd, _dir) = with_programs(&slow);
    let began = std::time::Instant::now();
    let found = examine(&sshd).ends(1).notes("clock", "no_answer_in_time");
    assert!(began.elapsed().as_secs() < 35, "{found:?}");
    found.finds("disk", "ok", "free of");
}

#[test]
fn windows_is_asked_no_command() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    world.configure(&format!("  vm01: {}\n", address(&sshd).replace('}', ", os: windows}")), "");
    let found = Examined::of(&world.run(&["doctor", "vm01", "--json"])).ends(1);
    found.notes("exec", "unsupported_os").finds("sftp", "ok", "posix-rename");
}
