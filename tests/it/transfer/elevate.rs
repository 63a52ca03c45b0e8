//! Files as another user of the host has them.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use orchestrator::remote::RunAs;
use orchestrator::sftp::{Bounds, Open, Sftp};
use orchestrator::transfer::elevate::{NotElevated, sftp_as};
use tempfile::TempDir;

use crate::exec::host;
use crate::exec::secrets::Onlooker;
use crate::exec::sudo::{PASSWORD, Sudoers, with_password, without_password};
use crate::exec::sudo_rs::host_with_sudo_rs;
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root};

/// A directory that its owner alone may enter: root, or the user named.
pub(super) fn private_dir(owner: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    if let Some(user) = owner {
        assert!(Command::new("chown").arg(user).arg(dir.path()).status().unwrap().success());
    }
    dir
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

async fn refusal(sshd: &Sshd, run_as: &RunAs) -> NotElevated {
    match sftp_as(&*connect(sshd).await, run_as).await {
        Ok(_) => panic!("{run_as:?} was let in"),
        Err(error) => error,
    }
}

/// Writes and reads where the one who logs in may not.
async fn reaches(sshd: &Sshd, run_as: &RunAs) {
    let dir = private_dir(run_as.user.as_deref());
    let path = dir.path().join("caf\u{e9} '\n");
    let connection = connect(sshd).await;
    let channel = sftp_as(&*connection, run_as).await.unwrap();
    let sftp = Sftp::start(channel, Bounds::default()).await.unwrap();
    let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await.unwrap();
    file.write_at(0, "secret".into()).await.unwrap();
    file.close().await.unwrap();
    let there = fs::metadata(&path).unwrap();
    assert_eq!(there.mode() & 0o7777, 0o600);
    assert_eq!(there.uid(), fs::metadata(dir.path()).unwrap().uid());
    let file = sftp.open(bytes(&path), Open::Read).await.unwrap();
    assert_eq!(file.read_at(0, 100).await.unwrap(), "secret");
    drop(file);
}

pub(super) fn without() -> Sshd {
    drop(Sshd::builder().login_shell(Shell::Bash).start());
    Sshd::builder().login_shell(Shell::Dash).start()
}

pub(super) fn with() -> Sshd {
    Sshd::builder().login_shell(Shell::Ksh).start()
}

#[tokio::test]
async fn sftp_as_root_and_as_another_user() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    reaches(&without(), &without_password(None)).await;
    reaches(&without(), &without_password(Some("orchtest-bash"))).await;
    reaches(&with(), &with_password(PASSWORD)).await;
}

#[tokio::test]
async fn sftp_by_sudo_rs() {
    if !is_root() {
        return;
    }
    let (_sudoers, (sshd, _dir)) = (Sudoers::install(), host_with_sudo_rs());
    reaches(&sshd, &with_password(PASSWORD)).await;
    let error = refusal(&sshd, &with_password("orch-wrong")).await;
    assert!(matches!(error, NotElevated::WrongPassword), "{error:?}");
}

#[tokio::test]
async fn its_paths_begin_where_a_login_does() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), without());
    let connection = connect(&sshd).await;
    let login = connection.subsystem("sftp").await.unwrap();
    let root = sftp_as(&*connection, &without_password(None)).await.unwrap();
    let begins = async |channel| {
        Sftp::start(channel, Bounds::default()).await.unwrap().realpath(b".").await.unwrap()
    };
    assert_eq!(begins(login).await, begins(root).await);
}

#[tokio::test]
async fn what_a_login_shell_prints_is_not_taken_for_sftp() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let noise = "printf welcome; seq 1 20000; echo orch1 x R; seq 1 20000 >&2";
    reaches(&host::with_rc(noise), &without_password(None)).await;
}

#[tokio::test]
async fn a_wrong_password_is_offered_once_and_is_an_error_of_its_own() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), with());
    let error = refusal(&sshd, &with_password("orch-wrong")).await;
    assert!(matches!(error, NotElevated::WrongPassword), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("orch-wrong"));
}

#[tokio::test]
async fn check_26_the_password_for_sftp_is_in_no_argument_list() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), with());
    let onlooker = Onlooker::start(PASSWORD);
    let looks = onlooker.looks();
    let connection = connect(&sshd).await;
    let channel = sftp_as(&*connection, &with_password(PASSWORD)).await.unwrap();
    let sftp = Sftp::start(channel, Bounds::default()).await.unwrap();
    sftp.realpath(b".").await.unwrap();
    crate::support::wait_until("it looked often", || onlooker.looks() > looks + 20).await;
    assert_eq!(onlooker.seen(), 0);
}

#[tokio::test]
async fn sudo_that_refuses_says_why() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let unprivileged = Sshd::builder().login_shell(Shell::Zsh).start();
    let nologin = Sshd::builder().login_shell(Shell::Nologin).start();
    let missing = host::with_rc("PATH=/nonexistent");
    let cases = [
        (&with(), without_password(None), "password is required"),
        (&unprivileged, without_password(None), "password is required"),
        (&missing, without_password(None), "not found"),
        (&without(), without_password(Some("nobody-here")), "unknown user"),
        (&nologin, without_password(None), "not available"),
    ];
    for (sshd, run_as, reason) in cases {
        let error = refusal(sshd, &run_as).await;
        assert!(matches!(error, NotElevated::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// The servers' paths cannot be emptied here, so they are changed in our text.
fn without_sftp_server() -> Sshd {
    let builder = Sshd::builder().login_shell(Shell::Dash);
    let edit = "set -- \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed 's#/usr/l[^ ;]*/sftp-server#/nonexistent#g')\"";
    builder.line(&format!("ForceCommand {edit}; eval \"$1\"")).start()
}

#[tokio::test]
async fn a_host_without_an_sftp_server_to_start_is_told_apart() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let error = refusal(&without_sftp_server(), &without_password(None)).await;
    assert!(matches!(error, NotElevated::NoServer), "{error:?}");
}
