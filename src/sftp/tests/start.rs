//! How sessions begin, and what the server says it can do.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::remote::ExitStatus;
use crate::sftp::Extension;

/// Starts a session with a server that sends this.
async fn started_with(events: Vec<ChannelEvent>) -> Result<Sftp, SftpError> {
    let (channel, server) = channel();
    for event in events {
        server.event(event);
    }
    Sftp::start(channel, Bounds::default()).await
}

async fn not_started(events: Vec<ChannelEvent>) -> (String, String) {
    match started_with(events).await {
        Err(SftpError::NotStarted { reason, said }) => (reason, said),
        other => panic!("{other:?}"),
    }
}

fn stdout(bytes: &[u8]) -> ChannelEvent {
    ChannelEvent::Stdout(Bytes::copy_from_slice(bytes))
}

/// A server that announces `limits@openssh.com` and these limits.
async fn limited(limits: [u64; 4]) -> (Result<Sftp, SftpError>, Server) {
    let (channel, mut server) = channel();
    let serve = async {
        server.asked().await.unwrap();
        let extensions = [string(b"limits@openssh.com"), string(b"1")].concat();
        server.send(VERSION, 3, &extensions);
        let asked = server.asked().await.unwrap();
        assert_eq!(&asked.body[..], &string(b"limits@openssh.com")[..]);
        server.send(EXTENDED_REPLY, asked.id, &limits.map(u64::to_be_bytes).concat());
    };
    let (sftp, ()) = tokio::join!(Sftp::start(channel, Bounds::default()), serve);
    (sftp, server)
}

#[tokio::test]
async fn the_channel_may_have_been_accepted_before_or_not() {
    let version = packet(VERSION, 3, b"");
    started_with(vec![stdout(&version)]).await.unwrap();
    started_with(vec![ChannelEvent::Accepted, stdout(&version)]).await.unwrap();
    let bytes = version.iter().map(|&byte| stdout(&[byte])).collect();
    started_with(bytes).await.unwrap();
}

#[tokio::test]
async fn extensions_are_those_announced_in_the_version_known() {
    let names: [&[u8]; 3] = [b"posix-rename@openssh.com", b"statvfs@openssh.com", b"\xff@x"];
    let versions: [&[u8]; 3] = [b"1", b"1", b""];
    let pairs = names.iter().zip(versions).map(|(name, version)| [string(name), string(version)]);
    let body = pairs.flatten().collect::<Vec<_>>().concat();
    let sftp = started_with(vec![stdout(&packet(VERSION, 3, &body))]).await.unwrap();
    assert!(sftp.supports(Extension::PosixRename));
    assert!(!sftp.supports(Extension::Statvfs));
    assert_eq!((sftp.read_max(), sftp.write_max()), (32 * 1024, 32 * 1024));
    let unsupported = SftpError::Unsupported("statvfs@openssh.com");
    assert_eq!(sftp.statvfs(b"/").await, Err(unsupported));
}

#[tokio::test(start_paused = true)]
async fn what_answers_instead_is_quoted() {
    let text = b"Last login: Monday\n";
    let (reason, said) = not_started(vec![stdout(text), stdout(b"more\n")]).await;
    assert_eq!(reason, "what answers is not an SFTP server");
    assert_eq!(said, "Last login: Monday\nmore");
    let (_, said) = not_started(vec![stdout(&b"\xffx".repeat(50_000))]).await;
    assert_eq!(said.chars().count(), 200);
    let (reason, said) = not_started(vec![stdout(b"no\n"), ChannelEvent::Eof]).await;
    assert_eq!((&reason[..], &said[..]), ("its process closed its output", "no"));
}

#[tokio::test(start_paused = true)]
async fn other_versions_and_other_packets_are_refused() {
    let (reason, _) = not_started(vec![stdout(&packet(VERSION, 6, b""))]).await;
    assert!(reason.contains("version 6"), "{reason}");
    let (reason, _) = not_started(vec![stdout(&packet(STATUS, 3, b""))]).await;
    assert_eq!(reason, "what answers is not an SFTP server");
    let torn = packet(VERSION, 3, b"\0\0\0\x09name");
    let (reason, _) = not_started(vec![stdout(&torn)]).await;
    assert_eq!(reason, "a string longer than its packet");
    let (reason, _) = not_started(vec![stdout(&[0, 0, 0, 0])]).await;
    assert_eq!(reason, "what answers is not an SFTP server");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_is_told_by_its_status_and_bounded_stderr() {
    let (reason, _) = not_started(vec![ChannelEvent::Refused]).await;
    assert_eq!(reason, "the server refused it");
    let mut events = vec![ChannelEvent::Stderr(Bytes::from_static(&[b'e'; 3000])); 1000];
    events.push(ChannelEvent::Exit(ExitStatus::Code(1)));
    let (reason, said) = not_started(events).await;
    assert_eq!((&reason[..], said.len()), ("its process ended with status 1", 4096));
    let killed = ExitStatus::Signal("KILL".into());
    let (reason, _) = not_started(vec![ChannelEvent::Exit(killed), ChannelEvent::Eof]).await;
    assert_eq!(reason, "its process was ended by SIGKILL");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_in_time_also_between_version_and_limits() {
    let begun = Instant::now();
    let (channel, server) = channel();
    let late = Sftp::start(channel, Bounds::default()).await;
    assert!(matches!(late, Err(SftpError::NotStarted { .. })), "{late:?}");
    drop(server);
    let extensions = [string(b"limits@openssh.com"), string(b"1")].concat();
    let (channel, server) = super::channel();
    server.send(VERSION, 3, &extensions);
    let late = Sftp::start(channel, Bounds::default()).await;
    assert!(matches!(late, Err(SftpError::NotStarted { .. })), "{late:?}");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn limits_count_where_they_are_lower_than_ours() {
    let maxima = |sftp: &Sftp| (sftp.read_max(), sftp.write_max());
    let (sftp, _server) = limited([262_144, 100_000, 50_000, 0]).await;
    assert_eq!(maxima(&sftp.unwrap()), (100_000, 50_000));
    let (sftp, _server) = limited([u64::MAX; 4]).await;
    assert_eq!(maxima(&sftp.unwrap()), (255 * 1024, 255 * 1024));
    let (sftp, _server) = limited([0; 4]).await;
    assert_eq!(maxima(&sftp.unwrap()), (32 * 1024, 32 * 1024));
    let (sftp, _server) = limited([34_000, 1 << 40, 1 << 40, 0]).await;
    assert_eq!(maxima(&sftp.unwrap()), (34_000 - 1024, 34_000 - 1024));
    let (sftp, _server) = limited([1; 4]).await;
    assert_eq!(maxima(&sftp.unwrap()), (1024, 1024));
}

#[tokio::test]
async fn the_servers_limit_of_handles_counts() {
    let (sftp, mut server) = limited([0, 0, 0, 1]).await;
    let sftp = sftp.unwrap();
    let file = open(&sftp, &mut server, b"1").await;
    let second = tokio::spawn(async move { sftp.open(b"g", Open::Read).await.map(drop) });
    assert!(server.is_left_alone().await);
    drop(file);
    let close = server.asked().await.unwrap();
    assert!(server.is_left_alone().await);
    server.status(close.id, 0);
    let opening = server.asked().await.unwrap();
    server.send(HANDLE, opening.id, &string(b"2"));
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_start_that_is_given_up_closes_the_channel() {
    let (channel, mut server) = channel();
    let start =
        tokio::time::timeout(Duration::from_millis(10), Sftp::start(channel, Bounds::default()));
    start.await.unwrap_err();
    assert_eq!(server.asked().await.unwrap().kind, super::super::kind::INIT);
    assert!(server.asked().await.is_none());
    server.events.closed().await;
}
