//! Scripts that are put where they are to stay.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{file, json, script};
use crate::cli_exec::Lab;
use crate::exec::sudo::Sudoers;
use crate::support::{Shell, Sshd, is_root};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_put_in_place_executable_run_from_there_and_kept() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let text = "#!/bin/sh\necho \"$0 $1\"; pwd; exit 3\n";
    let show = file(&lab, "show.sh", text);
    let at = sshd.home().join("a b");
    let path = at.to_str().unwrap();
    let said = script(&lab, ["--at", path, "-C", "/usr", "vm01", &show, "--", "x y"]);
    assert_eq!(said.ends(3).text(), format!("{path} x y\n/usr\n"));
    assert_eq!(fs::read_to_string(&at).unwrap(), text);
    assert_eq!(mode(&at), 0o755);
    assert_eq!(fs::read_dir(sshd.home()).unwrap().count(), 1, "nothing else is there");

    // What is there keeps its permissions, and can be executed.
    fs::set_permissions(&at, fs::Permissions::from_mode(0o640)).unwrap();
    let other = file(&lab, "other.sh", "#!/bin/sh\nexit 4\n");
    script(&lab, ["--at", path, "vm01", &other]).ends(4);
    assert_eq!(mode(&at), 0o740);
    script(&lab, ["--at", path, "--mode", "700", "vm01", &other]).ends(4);
    assert_eq!(mode(&at), 0o700);
    script(&lab, ["--at", path, "--mode", "600", "vm01", &other]).ends(2).says(&["600"]);

    let host = json(&lab, ["--at", path, "vm01", &show]);
    assert_eq!(host["exit_code"], 3);
    assert_eq!(host["path"], path);
    assert_eq!(host["verified_by"], "sha256sum");
    assert_eq!(host["sha256"], host["script_sha256"]);
    let records = lab.audit();
    assert_eq!(records.last().unwrap()["action"]["remote"], path);
}

#[test]
fn what_cannot_be_put_in_place_is_not_run() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let show = file(&lab, "show.sh", "echo ran");
    let home = sshd.home();
    let host = json(&lab, ["--at", home.to_str().unwrap(), "vm01", &show]);
    assert!(host["error"]["message"].as_str().unwrap().contains("is a directory"), "{host}");
    let host = json(&lab, ["--at", "/nonexistent/dir/x", "vm01", &show]);
    assert_eq!((&host["status"], &host["stdout"]), (&"failed".into(), &"".into()), "{host}");
}

#[test]
fn root_can_put_it_where_the_user_cannot() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let sshd = Sshd::builder().login_shell(Shell::Dash).start();
    let lab = Lab::one(&sshd);
    let show = file(&lab, "show.sh", "#!/bin/sh\nid -un\n");
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("show");
    let said = script(&lab, ["--sudo", "--at", at.to_str().unwrap(), "vm01", &show]);
    assert_eq!(said.ends(0).text(), "root\n");
    assert_eq!(mode(&at), 0o755);
}
