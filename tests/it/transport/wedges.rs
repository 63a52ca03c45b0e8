//! The two ways in which a connection of the SSH library wedges, each shown
//! with the library alone and then shown gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use orchestrator::transport::{ChannelEvent, Connection};
use russh::client;
use tokio::time::timeout;

use super::library::{Echo, bare_client};
use super::{PATIENCE, Target, exec, nothing_is_left, output_of, tasks, works};
use crate::support::Sshd;

const MIB: usize = 1024 * 1024;

/// How long something must not move to count as stuck.
const STUCK: Duration = Duration::from_secs(2);

/// The byte at this place of a stream in which no stretch looks like another.
fn pattern(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]
}

/// Sends so many bytes to a command that gives them back, reading meanwhile.
pub(super) async fn round_trip(
    connection: &dyn Connection,
    command: &str,
    bytes: usize,
    limit: Duration,
) {
    let mut channel = exec(connection, command).await.unwrap();
    let input = channel.input;
    let write = async {
        for start in (0..bytes).step_by(256 * 1024) {
            let end = bytes.min(start + 256 * 1024);
            let chunk: Bytes = (start..end).map(pattern).collect();
            input.write(chunk).await.unwrap();
        }
        input.eof().await.unwrap();
    };
    let read = async {
        let mut at = 0;
        while let Some(event) = channel.output.next().await {
            if let ChannelEvent::Stdout(chunk) = event {
                let right = chunk.iter().zip(at..).all(|(byte, at)| *byte == pattern(at));
                assert!(right, "wrong bytes after {at}");
                at += chunk.len();
            }
        }
        at
    };
    let both = async { tokio::join!(write, read).1 };
    let got = timeout(limit, both).await.expect("both directions go on");
    assert_eq!(got, bytes);
}

/// An sshd that allows more channels than ours ever are.
fn roomy() -> Sshd {
    Sshd::builder().line("MaxSessions 64").start()
}

fn target(sshd: &Sshd) -> Target {
    Target::new(sshd.addr(), &sshd.known_hosts())
}

/// Starts a command whose output nobody reads, and waits until it holds up the
/// connection.
async fn unread(connection: &dyn Connection) -> orchestrator::transport::Channel {
    let channel = exec(connection, "yes").await.unwrap();
    loop {
        if timeout(STUCK, output_of(connection, "true")).await.is_err() {
            return channel;
        }
    }
}

/// If this fails, the library was mended, and exclusive use may go.
#[tokio::test]
async fn an_unread_channel_freezes_the_library() {
    let sshd = roomy();
    let handle = bare_client(sshd.addr(), sshd.user(), client::Config::default()).await;
    let unread = handle.channel_open_session().await.unwrap();
    unread.exec(true, "yes").await.unwrap();
    let frozen = async {
        loop {
            let another = async {
                let mut channel = handle.channel_open_session().await.unwrap();
                channel.exec(true, "true").await.unwrap();
                while channel.wait().await.is_some() {}
            };
            if timeout(STUCK, another).await.is_err() {
                return;
            }
        }
    };
    timeout(PATIENCE, frozen).await.expect("it freezes");
}

#[tokio::test]
async fn an_unread_channel_that_is_dropped_frees_the_others() {
    let sshd = roomy();
    let target = target(&sshd);
    let connection = target.connect().await;
    let unread = unread(&*connection).await;
    drop(unread);
    works(&*connection).await;
    round_trip(&*connection, "cat", 8 * MIB, PATIENCE).await;
}

/// With more requests waiting than the library's queue holds.
#[tokio::test]
async fn an_unread_channel_that_is_dropped_frees_many_others() {
    let sshd = roomy();
    let target = target(&sshd);
    let connection = target.connect().await;
    let unread = unread(&*connection).await;
    let others = join_all((0..40).map(|_| works(&*connection)));
    let waiting = tokio::spawn({
        // The queue fills before the channel is dropped.
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(unread);
        }
    });
    timeout(PATIENCE, others).await.expect("the others go on");
    waiting.await.unwrap();
}

#[tokio::test]
async fn abort_ends_a_wedged_connection_and_frees_everything() {
    let sshd = roomy();
    let target = target(&sshd);
    let before = tasks();
    let connection = target.connect().await;
    let mut unread = unread(&*connection).await;
    let writer = exec(&*connection, "cat");
    let waiting = tokio::join!(timeout(PATIENCE, writer), async {
        tokio::time::sleep(STUCK / 2).await;
        connection.abort();
    });
    assert!(waiting.0.is_ok(), "what waited is told");
    timeout(PATIENCE, connection.closed()).await.unwrap();
    assert!(!connection.is_open());
    let rest = async { while unread.output.next().await.is_some() {} };
    timeout(PATIENCE, rest).await.expect("the channel ends");
    assert!(output_of(&*connection, "true").await.is_err());
    drop(unread);
    drop(connection);
    nothing_is_left(before, sshd.addr()).await;
}

#[tokio::test]
async fn dropping_a_wedged_connection_frees_everything() {
    let sshd = roomy();
    let target = target(&sshd);
    let before = tasks();
    let connection = target.connect().await;
    let unread = unread(&*connection).await;
    drop(connection);
    drop(unread);
    nothing_is_left(before, sshd.addr()).await;
}

/// A writer whose window is full is woken by the end of the connection.
#[tokio::test]
async fn abort_wakes_a_writer_that_waits_for_its_window() {
    let sshd = roomy();
    let target = target(&sshd);
    let connection = target.connect().await;
    let channel = exec(&*connection, "sleep 600").await.unwrap();
    let write =
        async { while channel.input.write(Bytes::from_static(&[0; 64 * 1024])).await.is_ok() {} };
    let abort = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        connection.abort();
    };
    timeout(PATIENCE, async { tokio::join!(write, abort) }).await.expect("the writer is told");
}

/// If this fails, the library was mended.
#[tokio::test]
async fn writing_without_reading_deadlocks_the_library() {
    let sshd = roomy();
    let config = client::Config { channel_buffer_size: 16, ..client::Config::default() };
    let handle = bare_client(sshd.addr(), sshd.user(), config).await;
    let channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    let write = async {
        for _ in 0..64 * MIB / (256 * 1024) {
            channel.data_bytes(vec![0; 256 * 1024]).await.unwrap();
        }
    };
    assert!(timeout(STUCK * 2, write).await.is_err(), "64 MiB went somewhere");
}

#[tokio::test]
async fn both_directions_at_once_through_cat() {
    let sshd = roomy();
    let target = target(&sshd);
    let connection = target.connect().await;
    for _ in 0..if super::soak() { 20 } else { 3 } {
        round_trip(&*connection, "cat", 64 * MIB, PATIENCE * 2).await;
    }
    works(&*connection).await;
}

/// Every few bytes the window must be opened again, which is what filled the
/// library's inbox.
#[tokio::test]
async fn both_directions_at_once_with_small_windows() {
    for window in [2 * 1024, 32 * 1024] {
        let server = Echo::with_window(window).await;
        let target = Target::new(server.address, &server.known_hosts);
        let connection = target.connect().await;
        for _ in 0..3 {
            round_trip(&*connection, "echo", 2 * MIB, PATIENCE).await;
        }
    }
}

/// Several commands at once, all of which write and read.
#[tokio::test]
async fn several_channels_in_both_directions() {
    let sshd = roomy();
    let target = target(&sshd);
    let connection: Arc<dyn Connection> = target.connect().await;
    let trips = (0..6).map(|_| round_trip(&*connection, "cat", 4 * MIB, PATIENCE * 2));
    join_all(trips).await;
}
