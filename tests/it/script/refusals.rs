//! What cannot run is refused with the reason, and nothing is sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::{file, json, left, script};
use crate::cli_exec::Lab;
use crate::exec::host::open_dir;
use crate::support::{Proxy, Shell, Sshd, is_root};

#[test]
fn what_can_run_nowhere_is_refused_before_anything_is_sent() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let crlf = file(&lab, "crlf.sh", "#!/bin/sh\r\necho\r\n");
    script(&lab, ["vm01", &crlf]).ends(2).says(&["CR LF", "dos2unix"]);
    let empty = file(&lab, "empty.sh", "");
    script(&lab, ["vm01", &empty]).ends(2).says(&["empty"]);
    let huge = file(&lab, "huge.sh", vec![b'#'; (16 << 20) + 1]);
    script(&lab, ["vm01", &huge]).ends(2).says(&["16 MiB", "push"]);
    script(&lab, ["vm01", "/nonexistent.sh"]).ends(2).says(&["/nonexistent.sh"]);
    script(&lab, ["vm01", "--remote", "--at", "/x", "/y"]).ends(2);
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn what_a_hosts_system_cannot_run_is_refused_and_on_record() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new()
        .vm_at("vm01", &sshd, proxy.addr(), "")
        .vm_at("vm02", &sshd, proxy.addr(), ", os: macos")
        .vm_at("vm03", &sshd, proxy.addr(), ", os: windows");
    let windows = file(&lab, "setup.ps1", "Write-Host hello");
    let plain = file(&lab, "plain.sh", "true");
    for (vm, path, words) in [
        ("vm01", &windows, "os is linux"),
        ("vm02", &windows, "os is macos"),
        ("vm03", &plain, "os is windows"),
    ] {
        let host = json(&lab, [vm, path]);
        assert_eq!(host["status"], "failed");
        assert_eq!(host["error"]["code"], "unsupported_os");
        let message = host["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    script(&lab, ["vm01", "--remote", "C:/x.bat"]).ends(255).says(&["--interpreter"]);
    assert_eq!(proxy.connections(), 0);
    assert_eq!(lab.statuses(), ["failed"; 4]);
    script(&lab, ["vm01", "--interpreter", "cat", &windows]).ends(0);
}

#[test]
fn a_host_that_runs_nothing_says_so() {
    let sshd = if is_root() {
        Sshd::builder()
            .login_shell(Shell::Dash)
            .line("ChrootDirectory /run/sshd")
            .line("ForceCommand internal-sftp")
            .start()
    } else {
        Sshd::builder().line("ForceCommand internal-sftp").start()
    };
    let lab = Lab::one(&sshd);
    let plain = file(&lab, "plain.sh", "true");
    let host = json(&lab, ["vm01", &plain]);
    assert_eq!(host["error"]["code"], "script_not_received");
    assert_eq!(host["error"]["phase"], "shell");
    let message = host["error"]["message"].as_str().unwrap();
    assert!(message.contains("the script was not sent"), "{message}");
}

/// A directory with another `cat`.
fn with_cat(text: &str) -> TempDir {
    let dir = open_dir();
    let cat = dir.path().join("cat");
    fs::write(&cat, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&cat, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn one_that_does_not_arrive_whole_is_not_run() {
    // The host's cat loses the end.
    let dir = with_cat("head -c 9");
    let sshd = super::host_with(&format!("PATH={}:$PATH", dir.path().display()));
    let lab = Lab::one(&sshd);
    let plain = file(&lab, "plain.sh", "echo a; echo b");
    let host = json(&lab, ["vm01", &plain]);
    assert_eq!(host["error"]["code"], "script_not_received");
    assert!(host["error"]["message"].as_str().unwrap().contains("9 of 14 bytes"), "{host}");
    assert!(left(&sshd).is_empty());
}

#[test]
fn one_that_arrives_altered_is_not_run() {
    let dir = with_cat("tr a b");
    let sshd = super::host_with(&format!("PATH={}:$PATH", dir.path().display()));
    let lab = Lab::one(&sshd);
    let plain = file(&lab, "plain.sh", "echo a");
    let said = script(&lab, ["--exit-code", "table", "vm01", &plain]);
    said.ends(6).says(&["arrived altered"]);
    assert!(left(&sshd).is_empty());
    assert_eq!(lab.statuses(), ["checksum_mismatch"]);
}
