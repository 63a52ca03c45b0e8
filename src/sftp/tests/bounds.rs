//! No more at once than was said.

use futures_util::future::join_all;

use super::*;
use crate::sftp::kind;

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let (sftp, mut server) = session_with(Bounds { requests_max: 5, ..Bounds::default() }).await;
    let asking = tokio::spawn(async move {
        join_all((0..100).map(|_| sftp.stat(b"f"))).await.into_iter().all(|stat| stat.is_ok())
    });
    let mut owed = Vec::new();
    for _ in 0..5 {
        owed.push(server.asked().await.unwrap().id);
    }
    for _ in 5..100 {
        assert!(server.is_left_alone().await);
        server.send(ATTRS, owed.pop().unwrap(), &size(1));
        owed.push(server.asked().await.unwrap().id);
    }
    for id in owed {
        server.send(ATTRS, id, &size(1));
    }
    assert!(asking.await.unwrap());
}

/// A window of one write, answers only for who reads them: neither waits for
/// the other.
#[tokio::test]
async fn writes_that_wait_for_the_window_do_not_keep_answers_from_being_read() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"h").await;
    let content = Bytes::from(vec![7; 100_000]);
    let writing = tokio::spawn(async move {
        let writes = (0..200).map(|at| file.write_at(at * 100_000, content.clone()));
        join_all(writes).await.into_iter().collect::<Result<(), SftpError>>()
    });
    let mut written = 0;
    while written < 200 * 100_000 {
        let asked = server.asked().await.unwrap();
        assert_eq!(asked.kind, kind::WRITE);
        let mut fields = Fields::new(asked.body);
        assert_eq!(fields.string().unwrap(), "h");
        fields.u64().unwrap();
        let content = fields.string().unwrap();
        fields.end().unwrap();
        assert!(content.len() <= 32 * 1024 && content.iter().all(|&byte| byte == 7));
        written += content.len();
        server.status(asked.id, 0);
    }
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_part_ends_a_long_write() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"h").await;
    let serve = async {
        let asked = server.asked().await.unwrap();
        server.status(asked.id, 0);
        let asked = server.asked().await.unwrap();
        server.status(asked.id, 4);
        assert!(server.is_left_alone().await);
    };
    let (written, ()) = tokio::join!(file.write_at(0, Bytes::from(vec![0; 200_000])), serve);
    assert!(written.unwrap_err().is_failure());
}

#[tokio::test]
async fn a_read_asks_for_no_more_than_the_server_gives() {
    let (sftp, mut server) = session().await;
    let file = open(&sftp, &mut server, b"h").await;
    assert!(file.read_at(0, 0).await.unwrap().is_empty());
    let serve = async {
        let asked = server.asked().await.unwrap();
        assert_eq!(&asked.body[asked.body.len() - 4..], &32_768_u32.to_be_bytes());
        server.send(DATA, asked.id, &string(&[1; 32_768]));
    };
    let (read, ()) = tokio::join!(file.read_at(0, usize::MAX), serve);
    assert_eq!(read.unwrap().len(), 32_768);
}

#[tokio::test]
async fn paths_that_would_end_the_session_are_not_sent() {
    let (sftp, mut server) = session().await;
    for path in [&b"a\0b"[..], &[b'p'; 16 * 1024 + 1]] {
        let refused = sftp.remove(path).await;
        assert!(matches!(refused, Err(SftpError::Unsupported(_))), "{refused:?}");
    }
    assert!(server.is_left_alone().await);
}
