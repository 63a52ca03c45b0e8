//! Many requests at once, stalls, losses, and callers who go away.

use std::time::Duration;

use futures_util::future::{join_all, select};
use tokio::time::{Instant, sleep};

use super::*;
use crate::remote::ExitStatus;
use crate::sftp::kind;

#[tokio::test]
async fn replies_may_come_in_any_order_and_in_pieces() {
    let (sftp, mut server) = session().await;
    let serve = async {
        let mut asked = Vec::new();
        for _ in 0..50 {
            asked.push(server.asked().await.unwrap());
        }
        for asked in asked.iter().rev() {
            assert_eq!(asked.kind, kind::STAT);
            // The path is the size that is asked for.
            let path = std::str::from_utf8(&asked.body[4..]).unwrap();
            for byte in packet(ATTRS, asked.id, &size(path.parse().unwrap())) {
                server.stdout(&[byte]);
            }
        }
    };
    let ask = join_all((0..50_u64).map(|number| {
        let sftp = &sftp;
        async move { (number, sftp.stat(number.to_string().as_bytes()).await) }
    }));
    let (answers, ()) = tokio::join!(ask, serve);
    for (number, answer) in answers {
        assert_eq!(answer.unwrap().size, Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_while_something_is_owed_is_a_stall() {
    let (sftp, mut server) = session().await;
    // Nothing is owed: silence is no fault.
    sleep(Duration::from_secs(10_000)).await;
    let begun = Instant::now();
    let serve = async {
        let mut owed = Vec::new();
        for _ in 0..2 {
            owed.push(server.asked().await.unwrap());
        }
        // Each answer gives everybody else more time.
        sleep(Duration::from_secs(50)).await;
        server.send(ATTRS, owed[0].id, &size(1));
        sleep(Duration::from_secs(50)).await;
        server.stdout(&packet(ATTRS, owed[1].id, &size(1))[..5]);
        server.events.closed().await;
    };
    let (first, second, ()) = tokio::join!(sftp.stat(b"a"), sftp.stat(b"b"), serve);
    first.unwrap();
    assert_eq!(second, Err(SftpError::Stalled(Duration::from_secs(60))));
    let waited = begun.elapsed().as_secs();
    assert!((160..=168).contains(&waited), "{waited}");
    assert_eq!(sftp.stat(b"a").await, Err(SftpError::Stalled(Duration::from_secs(60))));
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_at_once_with_its_reason() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"h").await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        // Half an answer, then the end.
        server.stdout(&packet(DATA, asked.id, &string(b"abc"))[..9]);
        server.event(ChannelEvent::Stderr(Bytes::from_static(b"out of memory\n")));
        server.event(ChannelEvent::Exit(ExitStatus::Code(255)));
        server.event(ChannelEvent::Eof);
    };
    let begun = Instant::now();
    let (read, stat, ()) = tokio::join!(file.read_at(0, 3), sftp.stat(b"f"), serve);
    assert!(begun.elapsed() < Duration::from_millis(100));
    let reason = r#"its process ended with status 255 after it said "out of memory""#;
    let lost = SftpError::Lost { reason: reason.into() };
    assert_eq!(read.unwrap_err(), lost);
    assert_eq!(stat.unwrap_err(), lost);
    assert_eq!(file.close().await.unwrap_err(), lost);
}

/// The exit status may come before the last of the output.
#[tokio::test(start_paused = true)]
async fn an_answer_after_the_exit_status_still_counts() {
    let (sftp, mut server) = session().await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.event(ChannelEvent::Exit(ExitStatus::Code(0)));
        server.send(ATTRS, asked.id, &size(1));
    };
    let (stat, ()) = tokio::join!(sftp.stat(b"f"), serve);
    stat.unwrap();
    let lost = sftp.stat(b"f").await;
    assert!(matches!(lost, Err(SftpError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_caller_who_goes_away_is_answered_in_vain() {
    let (sftp, mut server) = session_with(Bounds { requests_max: 1, ..Bounds::default() }).await;
    let asked = {
        let (stat, asked) = (Box::pin(sftp.stat(b"gone")), Box::pin(server.asked()));
        let futures_util::future::Either::Right((asked, _)) = select(stat, asked).await else {
            panic!("nothing answered")
        };
        asked.unwrap()
    };
    // It still counts: the one place is taken until the answer came.
    let next = tokio::spawn(async move { sftp.stat(b"next").await });
    assert!(server.is_left_alone().await);
    server.send(ATTRS, asked.id, &size(1));
    let asked = server.asked().await.unwrap();
    assert_eq!(&asked.body[4..], b"next");
    server.send(ATTRS, asked.id, &size(2));
    assert_eq!(next.await.unwrap().unwrap().size, Some(2));
}

#[tokio::test]
async fn a_file_opened_for_nobody_is_closed() {
    let (sftp, mut server) = session_with(Bounds { handles_max: 1, ..Bounds::default() }).await;
    let asked = {
        let (open, asked) = (Box::pin(sftp.open(b"f", Open::Read)), Box::pin(server.asked()));
        let futures_util::future::Either::Right((asked, _)) = select(open, asked).await else {
            panic!("nothing answered")
        };
        asked.unwrap()
    };
    server.send(HANDLE, asked.id, &string(b"\x80"));
    let close = server.asked().await.unwrap();
    assert_eq!((close.kind, &close.body[..]), (kind::CLOSE, &string(b"\x80")[..]));
    server.status(close.id, 0);
    open(&sftp, &mut server, b"\x81").await;
}

#[tokio::test]
async fn a_file_is_closed_once_however_it_ends() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"1").await;
    drop(file);
    let close = server.asked().await.unwrap();
    assert_eq!((close.kind, &close.body[..]), (kind::CLOSE, &string(b"1")[..]));
    server.status(close.id, 4);

    let file = open(&sftp, &mut server, b"2").await;
    let serve = async {
        let close = server.asked().await.unwrap();
        assert_eq!((close.kind, &close.body[..]), (kind::CLOSE, &string(b"2")[..]));
        server.status(close.id, 4);
    };
    let (closed, ()) = tokio::join!(file.close(), serve);
    assert!(closed.unwrap_err().is_failure());
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn a_file_keeps_its_session() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"1").await;
    drop(sftp);
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(DATA, asked.id, &string(b"abc"));
    };
    let (read, ()) = tokio::join!(file.read_at(0, 10), serve);
    assert_eq!(read.unwrap(), "abc");
    drop(file);
    server.events.closed().await;
}
