//! Files of other users of a host, moved by sudo.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use orchestrator::event::Progress;
use orchestrator::ids::RunId;
use orchestrator::outcome::{Status, VerifiedBy};
use orchestrator::remote::{RunAs, Transfer};
use orchestrator::transfer::{self, Context, Ledger, Report, Watcher};
use orchestrator::transport::Connection;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::elevate::{private_dir, with, without};
use crate::exec::sudo::{PASSWORD, Sudoers, with_password, without_password};
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root, ordinary_user};

struct Nobody;

impl Watcher for Nobody {
    fn progress(&self, _: Progress) {}
}

async fn moved(connection: &Arc<dyn Connection>, transfer: Transfer) -> Report {
    let context = Context {
        connection,
        run: RunId::new(),
        vm: &"vm01".parse().unwrap(),
        attempt: 1,
        login: "orchtest@host:22",
        ledger: &Ledger::default(),
        watcher: &Nobody,
        cancel: &CancellationToken::new(),
    };
    transfer::run(&transfer, context).await
}

/// One for whose users sudo can start no SFTP server, because sshd's own is
/// built in.
fn without_sftp_server() -> Sshd {
    drop(Sshd::builder().login_shell(Shell::Bash).start());
    let command = "case \"$SSH_ORIGINAL_COMMAND\" in internal-sftp) \
                   exec /usr/lib/openssh/sftp-server ;; esac; eval \"$(printf %s \
                   \"$SSH_ORIGINAL_COMMAND\" | sed 's#/usr/l[^ ;]*/sftp-server#/nonexistent#g')\"";
    let builder = Sshd::builder().login_shell(Shell::Dash);
    builder.line(&format!("ForceCommand {command}")).start()
}

fn mode_and_owner(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid(), found.gid())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// New, replaced, unchanged and fetched: what holds by either way.
async fn files_of_root(sshd: &Sshd, run_as: RunAs, verified_by: VerifiedBy) {
    let (there, here) = (private_dir(None), TempDir::new().unwrap());
    let local = here.path().join("a b");
    fs::write(&local, "first").unwrap();
    fs::set_permissions(&local, Permissions::from_mode(0o640)).unwrap();
    let connection = connect(sshd).await;
    let push = |target: &Path| Transfer::upload(&local, target).run_as(run_as.clone());

    // Into a directory, where nothing is yet.
    let report = moved(&connection, push(there.path())).await;
    assert_eq!(report.status, Status::Success, "{report:?}");
    assert_eq!(report.transferred.files[0].verified_by, Some(verified_by));
    let target = there.path().join("a b");
    assert_eq!(fs::read(&target).unwrap(), b"first");
    assert_eq!(mode_and_owner(&target), (0o640, 0, 0));

    // Over a file, which keeps its owner and its mode, behind a link.
    assert!(Command::new("chown").arg("1234:2345").arg(&target).status().unwrap().success());
    fs::set_permissions(&target, Permissions::from_mode(0o604)).unwrap();
    symlink(&target, there.path().join("link")).unwrap();
    fs::write(&local, "second").unwrap();
    let report = moved(&connection, push(&there.path().join("link"))).await;
    assert_eq!(report.status, Status::Success, "{report:?}");
    assert_eq!(fs::read(&target).unwrap(), b"second");
    assert_eq!(mode_and_owner(&target), (0o604, 1234, 2345));
    assert!(fs::symlink_metadata(there.path().join("link")).unwrap().is_symlink());

    // With a mode of its own.
    fs::write(&local, "third").unwrap();
    let report = moved(&connection, push(&target).mode(0o4711)).await;
    assert_eq!(report.status, Status::Success, "{report:?}");
    assert_eq!(mode_and_owner(&target), (0o4711, 1234, 2345));

    // Back again, and only what is proven.
    let back = here.path().join("back");
    let pull = |source: &Path| Transfer::download(source, &back).run_as(run_as.clone());
    let report = moved(&connection, pull(&target)).await;
    assert_eq!(report.status, Status::Success, "{report:?}");
    assert_eq!(fs::read(&back).unwrap(), b"third");
    let missing = moved(&connection, pull(&there.path().join("none"))).await;
    assert_eq!(missing.failure.unwrap().code, "not_found");
    let other = push(&target).sha256("00".repeat(32));
    fs::write(&local, "fourth").unwrap();
    let report = moved(&connection, other).await;
    assert_eq!(report.status, Status::ChecksumMismatch, "{report:?}");
    assert_eq!(fs::read(&target).unwrap(), b"third");

    assert_eq!(names(there.path()), ["a b", "link"]);
    assert_eq!(names(here.path()), ["a b", "back"]);
}

#[tokio::test]
async fn files_of_root_by_an_sftp_server_of_root() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    files_of_root(&without(), without_password(None), VerifiedBy::Sha256sum).await;
    files_of_root(&with(), with_password(PASSWORD), VerifiedBy::Sha256sum).await;
}

#[tokio::test]
async fn files_of_root_by_way_of_a_copy() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let sshd = without_sftp_server();
    files_of_root(&sshd, without_password(None), VerifiedBy::Sha256sum).await;
    let left: Vec<String> = names(&ordinary_user(Shell::Dash).home)
        .into_iter()
        .filter(|name| name.starts_with(".staged.orch-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_tree_does_not_go_by_way_of_a_copy() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    let (sshd, here) = (without_sftp_server(), TempDir::new().unwrap());
    let connection = connect(&sshd).await;
    let push = Transfer::upload(here.path(), "/root/tree").recursive(true);
    let pull = Transfer::download("/etc", here.path().join("etc")).recursive(true);
    for transfer in [push, pull] {
        let report = moved(&connection, transfer.run_as(without_password(None))).await;
        let failure = report.failure.unwrap();
        assert_eq!(failure.code, "unsupported");
        assert!(failure.message.contains("no sftp-server"), "{}", failure.message);
    }
    assert!(!Path::new("/root/tree").exists());
}

#[tokio::test]
async fn sudo_that_refuses_moves_nothing() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd, here) = (Sudoers::install(), with(), TempDir::new().unwrap());
    let local = here.path().join("x");
    fs::write(&local, "x").unwrap();
    let push = Transfer::upload(&local, "/root/never").run_as(without_password(None));
    let report = moved(&connect(&sshd).await, push).await;
    assert_eq!(report.status, Status::Failed);
    assert!(report.failure.unwrap().message.contains("password is required"));
    assert!(!Path::new("/root/never").exists());
}
