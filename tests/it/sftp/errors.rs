//! What a server refuses.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use orchestrator::sftp::{Bounds, Open, SftpError, StatusCode};

use super::{bytes, session, session_with};
use crate::support::{Shell, Sshd, is_root};

#[tokio::test]
async fn missing_existing_and_wrong_things_are_told_apart_as_far_as_the_protocol_goes() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("there");
    let missing = dir.path().join("missing");
    fs::write(&path, "").unwrap();

    assert!(sftp.stat(bytes(&missing)).await.unwrap_err().is_not_found());
    assert!(sftp.open(bytes(&missing), Open::Read).await.unwrap_err().is_not_found());
    assert!(sftp.open(bytes(&missing), Open::Write).await.unwrap_err().is_not_found());
    assert!(sftp.read_dir(bytes(&missing)).await.unwrap_err().is_not_found());
    let exists = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await.unwrap_err();
    assert!(exists.is_failure(), "{exists}");
    assert!(sftp.mkdir(bytes(&path), 0o700).await.unwrap_err().is_failure());
    let no_link = sftp.readlink(bytes(&path)).await.unwrap_err();
    assert_eq!(no_link.code(), Some(StatusCode::BadMessage));
    let directory = sftp.open(bytes(dir.path()), Open::Read).await.unwrap();
    assert!(directory.read_at(0, 10).await.unwrap_err().is_failure());

    // What would end the session for all is not sent.
    let refused = sftp.stat(b"a\0b").await.unwrap_err();
    assert!(matches!(refused, SftpError::Unsupported(_)) && !refused.ends_session(), "{refused}");
    sftp.stat(bytes(&path)).await.unwrap();
}

#[tokio::test]
async fn what_the_user_may_not_do_is_permission_denied() {
    let dir = tempfile::tempdir().unwrap();
    let sshd =
        if is_root() { Sshd::builder().login_shell(Shell::Dash).start() } else { Sshd::start() };
    let sftp = session_with(sshd, Bounds::default()).await.unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o000)).unwrap();
    let inside = dir.path().join("f");
    let create = sftp.open(bytes(&inside), Open::CreateNew { mode: 0o600 }).await.unwrap_err();
    let list = sftp.read_dir(bytes(dir.path())).await.unwrap_err();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(create.is_permission_denied(), "{create}");
    assert!(list.is_permission_denied(), "{list}");
}
