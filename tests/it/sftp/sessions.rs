//! Sessions that begin, end, or never begin.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use orchestrator::sftp::{Bounds, Open, Sftp, SftpError};
use orchestrator::transport::ExecRequest;

use super::{Session, bytes, session, session_with};
use crate::support::client::connect;
use crate::support::{Sshd, SshdBuilder, wait_until};

#[tokio::test]
async fn five_hundred_files_open_at_once_and_none_fails() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let copies = (0..500_u32).map(|number| {
        let (sftp, path) = (Sftp::clone(&sftp), dir.path().join(number.to_string()));
        tokio::spawn(async move {
            let content = Bytes::from(number.to_string());
            let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await?;
            file.write_at(0, content.clone()).await?;
            file.close().await?;
            let file = sftp.open(bytes(&path), Open::Read).await?;
            let read = file.read_at(0, 100).await?;
            // Closed by being dropped.
            Ok::<bool, SftpError>(read == content)
        })
    });
    for copied in join_all(copies).await {
        assert_eq!(copied.unwrap(), Ok(true));
    }
}

/// A server has room for more handles than 128, and their numbers are bytes.
#[tokio::test]
async fn two_hundred_handles_stay_open() {
    let bounds = Bounds { handles_max: 200, ..Bounds::default() };
    let sftp = session_with(Sshd::start(), bounds).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "abc").unwrap();
    let opened = join_all((0..200).map(|_| sftp.open(bytes(&path), Open::Read))).await;
    let files: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    for read in join_all(files.iter().map(|file| file.read_at(1, 9))).await {
        assert_eq!(read.unwrap(), "bc");
    }
    for closed in join_all(files.into_iter().map(|file| file.close())).await {
        closed.unwrap();
    }
}

#[tokio::test]
async fn a_killed_session_is_lost_at_once_for_everybody() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await.unwrap();
    sftp.sshd.kill_sessions();
    let started = Instant::now();
    let content = Bytes::from(vec![0; sftp.write_max()]);
    let writes = join_all((0..200).map(|_| file.write_at(0, content.clone()))).await;
    for write in writes {
        let error = write.unwrap_err();
        assert!(matches!(error, SftpError::Lost { .. }), "{error}");
    }
    assert!(matches!(sftp.stat(b"/").await, Err(SftpError::Lost { .. })));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_last_clone_closes_the_channel() {
    let Session { sftp, connection, sshd } = session().await;
    let other = sftp.clone();
    drop(sftp);
    other.stat(b"/").await.unwrap();
    drop(other);
    wait_until("sshd closes the session", || sshd.log().contains("Close session")).await;
    assert!(connection.is_open());
}

async fn refusal(builder: SshdBuilder) -> SftpError {
    let started = Instant::now();
    let error = session_with(builder.start(), Bounds::default()).await.err().unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "{error}");
    error
}

#[tokio::test]
async fn what_is_no_sftp_server_is_not_started_and_says_what_it_said() {
    let not_started = |error: SftpError| match error {
        SftpError::NotStarted { reason, said } => (reason, said),
        other => panic!("{other}"),
    };
    let line = |line| Sshd::builder().line(line);
    let (reason, said) = not_started(refusal(line("ForceCommand /bin/false")).await);
    assert_eq!((&reason[..], &said[..]), ("its process ended with status 1", ""));
    let (reason, said) = not_started(refusal(line("ForceCommand echo not today")).await);
    assert_eq!((&reason[..], &said[..]), ("what answers is not an SFTP server", "not today"));
    let (_, said) = not_started(refusal(line("ForceCommand echo no")).await);
    assert_eq!(said, "no");
    let (_, said) = not_started(refusal(line("ForceCommand yes; sleep 100")).await);
    assert_eq!(said.len(), 199);
}

#[tokio::test]
async fn a_subsystem_that_the_server_does_not_have_is_not_started() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let channel = connection.subsystem("no-such-thing").await.unwrap();
    let error = Sftp::start(channel, Bounds::default()).await.unwrap_err();
    assert!(
        matches!(&error, SftpError::NotStarted { reason, .. } if reason.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let sshd = Sshd::builder().line("ForceCommand sleep 100").start();
    let bounds = Bounds { start: Duration::from_millis(300), ..Bounds::default() };
    let error = session_with(sshd, bounds).await.err().unwrap();
    let expected = "there was no answer within 0.3 s";
    assert!(
        matches!(&error, SftpError::NotStarted { reason, .. } if reason == expected),
        "{error}"
    );
}

#[tokio::test]
async fn a_command_serves_as_well_as_a_subsystem() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let command = b"exec /usr/lib/openssh/sftp-server".to_vec();
    let channel = connection.exec(ExecRequest { command, pty: None }).await.unwrap();
    let sftp = Sftp::start(channel, Bounds::default()).await.unwrap();
    assert!(sftp.stat(b"/").await.unwrap().is_dir());
}

/// sshd passes a command's stderr on, and drops a subsystem's.
#[tokio::test]
async fn a_command_that_is_no_server_is_told_by_its_stderr() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let command = b"echo nothing here >&2; exit 3".to_vec();
    let channel = connection.exec(ExecRequest { command, pty: None }).await.unwrap();
    let error = Sftp::start(channel, Bounds::default()).await.unwrap_err();
    let (reason, said) = ("its process ended with status 3".into(), "nothing here".into());
    assert_eq!(error, SftpError::NotStarted { reason, said });
}
