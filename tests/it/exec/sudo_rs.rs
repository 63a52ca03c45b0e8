//! sudo-rs, whose prompt looks different. `ORCHESTRATOR_SUDO_RS` names a
//! setuid one; without it, a script speaks as it does.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use orchestrator::exec::{Ending, Limits};
use orchestrator::remote::Command;
use tempfile::TempDir;

use super::sudo::{
    PASSWORD, Sudoers, arrives, ends, ends_with_its_connection, with_password,
    wrong_password_stops_it,
};
use super::{PATIENCE, host, run_within};
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root};

/// The user of the real one has a password; the script asks for the same and
/// lets Debian's sudo do the rest for a user who needs none.
fn speak(password: &str) -> String {
    format!(
        r#"#!/bin/sh
while [ "$1" != -- ]; do
    case $1 in
        -p) prompt=$2; shift 2 ;;
        -u) user=$2; shift 2 ;;
        *) shift ;;
    esac
done
shift
for _ in 1 2 3; do
    printf '[sudo: %s] Password: ' "$prompt" >&2
    IFS= read -r given || exit 1
    printf '%s\n' "$given" >>"${{0%/*}}/given"
    echo >&2
    [ "$given" != '{password}' ] || exec /usr/bin/sudo -n -u "${{user:-root}}" -- "$@"
    sleep 2
    echo 'sudo: Authentication failed, try again.' >&2
done
echo 'sudo: maximum 3 incorrect authentication attempts' >&2
exit 1
"#
    )
}

pub(crate) fn host_with_sudo_rs() -> (Sshd, TempDir) {
    host_with(std::env::var_os("ORCHESTRATOR_SUDO_RS"))
}

fn host_with(real: Option<OsString>) -> (Sshd, TempDir) {
    let dir = host::open_dir();
    let sudo = dir.path().join("sudo");
    // What the script was given, by whoever runs it.
    fs::write(dir.path().join("given"), "").unwrap();
    fs::set_permissions(dir.path().join("given"), Permissions::from_mode(0o666)).unwrap();
    match &real {
        Some(real) => symlink(real, &sudo).unwrap(),
        None => {
            fs::write(&sudo, speak(PASSWORD)).unwrap();
            fs::set_permissions(&sudo, Permissions::from_mode(0o755)).unwrap();
        }
    }
    let shell = if real.is_some() { Shell::Ksh } else { Shell::Dash };
    let first = format!(
        "ForceCommand PATH={}:$PATH; export PATH; eval \"$SSH_ORIGINAL_COMMAND\"",
        dir.path().display()
    );
    (Sshd::builder().login_shell(shell).line(&first).start(), dir)
}

#[tokio::test]
async fn sudo_rs_with_a_password() {
    if !is_root() {
        return;
    }
    let (_sudoers, (sshd, _dir)) = (Sudoers::install(), host_with_sudo_rs());
    arrives(&sshd, &with_password(PASSWORD), "root").await;
    ends(&sshd, &with_password(PASSWORD)).await;
    ends_with_its_connection(&sshd, &with_password(PASSWORD)).await;
}

#[tokio::test]
async fn sudo_rs_with_a_wrong_password() {
    if !is_root() {
        return;
    }
    let (_sudoers, (sshd, _dir)) = (Sudoers::install(), host_with_sudo_rs());
    wrong_password_stops_it(&sshd).await;
}

/// Neither the command's stdin nor, should a deadline pass while sudo thinks,
/// our own text is offered to it for a password.
#[tokio::test]
async fn a_wrong_password_is_all_that_sudo_is_given() {
    if !is_root() {
        return;
    }
    let (_sudoers, (sshd, dir)) = (Sudoers::install(), host_with(None));
    let given = || fs::read_to_string(dir.path().join("given")).unwrap();
    wrong_password_stops_it(&sshd).await;
    assert_eq!(given(), "orch-wrong\n");
    let connection = connect(&sshd).await;
    let limits = Limits { timeout: Some(Duration::from_secs(1)), ..PATIENCE };
    let command = Command::new("true").run_as(with_password("orch-wrong"));
    let report = run_within(&*connection, &command, limits).await;
    assert!(!matches!(report.ending, Ending::Exited(_)), "{report:?}");
    assert!(given().lines().all(|line| line == "orch-wrong"), "{}", given());
}
