//! Servers that break the rules.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sftp::kind;

/// What a server sends in answer to a read of ten bytes under an id.
type Trick = fn(u32) -> Vec<u8>;

const TRICKS: &[(&str, Trick)] = &[
    ("a reply to nothing that was asked", |id| packet(STATUS, id + 7, b"\0\0\0\0").to_vec()),
    ("a reply of the wrong type (102)", |id| packet(HANDLE, id, &string(b"h")).to_vec()),
    ("a reply of the wrong type (105)", |id| packet(ATTRS, id, &size(1)).to_vec()),
    ("a reply of the wrong type (7)", |id| packet(7, id, b"").to_vec()),
    ("an empty packet", |_| vec![0; 4]),
    ("a packet of 4294967295 bytes", |_| vec![0xff; 4]),
    ("a packet of 263169 bytes", |_| 263_169_u32.to_be_bytes().to_vec()),
    ("a truncated packet", |_| b"\0\0\0\x02\x65\0".to_vec()),
    ("a truncated packet", |id| packet(STATUS, id, b"\0\0").to_vec()),
    ("a string longer than its packet", |id| packet(DATA, id, b"\0\0\0\x05abc").to_vec()),
    ("11 bytes of data where 10 were asked for", |id| {
        packet(DATA, id, &string(b"elevenbytes")).to_vec()
    }),
    ("bytes after the end of a reply", |id| packet(DATA, id, b"\0\0\0\x01ab").to_vec()),
    ("success without the result that was asked for", |id| {
        packet(STATUS, id, b"\0\0\0\0").to_vec()
    }),
];

#[tokio::test]
async fn each_trick_ends_the_session_for_everybody() {
    for (what, trick) in TRICKS {
        let (sftp, mut server) = session().await;
        let file = open(&sftp, &mut server, b"h").await;
        let serve = async {
            let read = server.asked().await.unwrap();
            server.asked().await.unwrap();
            server.stdout(&trick(read.id));
        };
        let (read, stat, ()) = tokio::join!(file.read_at(0, 10), sftp.stat(b"f"), serve);
        assert_eq!(protocol(read), *what);
        assert_eq!(protocol(stat), *what);
        assert_eq!(protocol(sftp.stat(b"f").await), *what);
        assert!(server.asked().await.is_none(), "the channel is closed: {what}");
    }
}

#[tokio::test]
async fn a_second_reply_ends_the_session() {
    let (sftp, mut server) = session().await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(ATTRS, asked.id, &size(1));
        server.send(ATTRS, asked.id, &size(2));
    };
    let (stat, ()) = tokio::join!(sftp.stat(b"f"), serve);
    assert_eq!(stat.unwrap().size, Some(1));
    server.events.closed().await;
    assert_eq!(protocol(sftp.stat(b"f").await), "a reply to nothing that was asked");
}

#[tokio::test]
async fn a_handle_that_is_too_long_is_no_handle() {
    let (sftp, mut server) = session().await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(HANDLE, asked.id, &string(&[1; 257]));
    };
    let (file, ()) = tokio::join!(sftp.open(b"f", Open::Read), serve);
    assert_eq!(protocol(file), "a handle of 257 bytes");
}

/// A directory's names, all the same one.
fn names(count: u32, name: &[u8]) -> Vec<u8> {
    let entry = [&string(name)[..], &string(b"-rw-r--r--"), &[0; 4]].concat();
    [&count.to_be_bytes()[..], &entry.repeat(count as usize)].concat()
}

#[tokio::test]
async fn a_directory_without_end_is_an_error() {
    let (sftp, mut server) = session().await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(HANDLE, asked.id, &string(b"d"));
        let body = names(8000, b"f");
        let mut replies = 0;
        while let Some(asked) = server.asked().await {
            server.send(NAME, asked.id, &body);
            replies += 1;
        }
        replies
    };
    let (entries, replies) = tokio::join!(sftp.read_dir(b"d"), serve);
    assert_eq!(protocol(entries), "a directory without end");
    assert_eq!(replies, 126);
}

#[tokio::test]
async fn counts_of_names_that_lie_are_errors() {
    let more = [&u32::MAX.to_be_bytes()[..], &names(2, b"f")[4..]].concat();
    let fewer = [&1_u32.to_be_bytes()[..], &names(2, b"f")[4..]].concat();
    for body in [more, fewer] {
        let (sftp, mut server) = session().await;
        let serve = async {
            let asked = server.asked().await.unwrap();
            server.send(HANDLE, asked.id, &string(b"d"));
            let asked = server.asked().await.unwrap();
            server.send(NAME, asked.id, &body);
        };
        let (entries, ()) = tokio::join!(sftp.read_dir(b"d"), serve);
        protocol(entries);
    }
    for count in [0, 2] {
        let (sftp, mut server) = session().await;
        let serve = async {
            let asked = server.asked().await.unwrap();
            server.send(NAME, asked.id, &names(count, b"f"));
        };
        let (name, ()) = tokio::join!(sftp.readlink(b"l"), serve);
        assert_eq!(protocol(name), "not one name where one was asked for");
    }
}

#[tokio::test]
async fn names_come_raw_but_for_the_two_dots() {
    let (sftp, mut server) = session().await;
    let wanted: [&[u8]; 6] = [b"", b"a/b", b"../x", b"nul\0", b"caf\xe9\n", b"..."];
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(HANDLE, asked.id, &string(b"d"));
        for name in wanted.into_iter().chain([&b"."[..], b".."]) {
            let asked = server.asked().await.unwrap();
            assert_eq!(asked.kind, kind::READDIR);
            server.send(NAME, asked.id, &names(1, name));
        }
        let asked = server.asked().await.unwrap();
        server.status(asked.id, 1);
        let asked = server.asked().await.unwrap();
        assert_eq!(asked.kind, kind::CLOSE);
        server.status(asked.id, 0);
    };
    let (entries, ()) = tokio::join!(sftp.read_dir(b"d"), serve);
    let found: Vec<Vec<u8>> = entries.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_flood_of_stderr_is_kept_in_bounds() {
    let (sftp, mut server) = session().await;
    for _ in 0..1000 {
        server.event(ChannelEvent::Stderr(Bytes::from_static(&[b'e'; 10_000])));
    }
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.send(ATTRS, asked.id, &size(1));
    };
    let (stat, ()) = tokio::join!(sftp.stat(b"f"), serve);
    stat.unwrap();
    drop(server);
    let Err(SftpError::Lost { reason }) = sftp.stat(b"f").await else { panic!() };
    assert!(reason.contains("eee") && reason.len() < 5000, "{}", reason.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes, everybody is told something, soon.
    #[test]
    fn arbitrary_packets_neither_panic_nor_hang(
        packets in prop::collection::vec(
            (95..110_u8, 0..4_u32, prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..40)),
            0..8,
        ),
        cut in 1..60_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (sftp, mut server) = session().await;
            let serve = async {
                for _ in 0..3 {
                    server.asked().await;
                }
                let stream: Vec<u8> =
                    packets.iter().flat_map(|(kind, id, body)| packet(*kind, *id, body)).collect();
                for chunk in stream.chunks(cut) {
                    server.stdout(chunk);
                }
                while server.asked().await.is_some() {}
            };
            let ask = async move {
                let _ = tokio::join!(
                    sftp.open(b"f", Open::Read),
                    sftp.realpath(b"f"),
                    sftp.stat(b"f"),
                );
            };
            let both = async { tokio::join!(ask, serve) };
            tokio::time::timeout(Duration::from_secs(100), both).await.unwrap();
        });
    }
}
