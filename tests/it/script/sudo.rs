//! Scripts as another user: they belong to that user.

use super::{file, script};
use crate::cli_exec::Lab;
use crate::exec::sudo::Sudoers;
use crate::support::{Shell, Sshd, is_root};

#[test]
fn a_script_belongs_to_whom_it_runs_as() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    drop(Sshd::builder().login_shell(Shell::Bash).start());
    let sshd = Sshd::builder().login_shell(Shell::Dash).start();
    let lab = Lab::one(&sshd);
    let show = file(&lab, "show.sh", "#!/bin/sh\nid -un; ls -ld \"${0%/*}\"; echo \"$0\"; exit 4");
    for (flag, user) in [("--sudo", "root"), ("--sudo=orchtest-bash", "orchtest-bash")] {
        let said = script(&lab, [flag, "vm01", &show]);
        let lines: Vec<&str> = said.ends(4).text().lines().collect();
        assert_eq!(lines[0], user);
        assert!(lines[1].starts_with("drwx------") && lines[1].contains(user), "{lines:?}");
        let dir = std::path::Path::new(lines[2]).parent().unwrap();
        assert!(!dir.exists(), "{}", dir.display());
    }
}

#[test]
fn a_user_whom_sudo_refuses_is_sent_nothing() {
    if !is_root() {
        return;
    }
    let sshd = Sshd::builder().login_shell(Shell::Bash).start();
    let lab = Lab::one(&sshd);
    let show = file(&lab, "show.sh", "id");
    script(&lab, ["--sudo", "vm01", &show]).ends(255).says(&["sudo refuses"]);
}
