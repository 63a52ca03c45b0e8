//! Connection attempts that are given up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::client;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::library::Trusting;
use super::{PATIENCE, Target, nothing_is_left, sockets_to, tasks};
use crate::support::wait_until;

const SILENCES: [&str; 3] = ["", "SSH-2.0-Silent", "SSH-2.0-Silent\r\n"];

/// A server that says this and then only listens; it counts those who came and
/// those who left.
struct Listening {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
}

impl Listening {
    fn start(says: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (came, left) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = (Arc::clone(&came), Arc::clone(&left));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (came, left) = (Arc::clone(&counters.0), Arc::clone(&counters.1));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    stream.write_all(says.as_bytes()).unwrap();
                    came.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.read_to_end(&mut Vec::new());
                    left.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, came, left }
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

/// The library keeps the task and the socket of a handshake that nobody waits
/// for any more. If this fails, it was mended, and our switch may go.
#[tokio::test]
async fn an_abandoned_handshake_leaks_in_the_library() {
    let server = Listening::start("SSH-2.0-Silent\r\n");
    let before = tasks();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connecting = client::connect_stream(Arc::default(), stream, Trusting);
    assert!(timeout(Duration::from_millis(500), connecting).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((tasks(), sockets_to(server.address), server.left()), (before + 1, 1, 0));
}

#[tokio::test]
async fn an_abandoned_connect_leaves_nothing() {
    for says in SILENCES {
        let server = Listening::start(says);
        let target = Target::new(server.address, "");
        let before = tasks();
        for attempt in 1..=3 {
            let mut connecting = Box::pin(target.connect_within(PATIENCE));
            while server.came() < attempt {
                let _ = timeout(Duration::from_millis(10), &mut connecting).await;
            }
            // Until the library has taken the stream over.
            let _ = timeout(Duration::from_millis(100), &mut connecting).await;
            assert_eq!(sockets_to(server.address), 1, "{says:?}");
            drop(connecting);
            nothing_is_left(before, server.address).await;
            wait_until("the server sees the end", || server.left() == attempt).await;
        }
    }
}

#[tokio::test]
async fn a_connect_that_is_too_late_leaves_nothing() {
    for says in SILENCES {
        let server = Listening::start(says);
        let target = Target::new(server.address, "");
        let before = tasks();
        assert!(target.connect_within(Duration::from_millis(300)).await.is_err());
        nothing_is_left(before, server.address).await;
        wait_until("the server sees the end", || server.left() == 1).await;
    }
}

/// Dropped at many moments of a handshake that would have succeeded.
#[tokio::test]
async fn a_connect_dropped_at_any_moment_leaves_nothing() {
    let sshd = crate::support::Sshd::builder().line("MaxStartups 100").start();
    let target = Target::new(sshd.addr(), &sshd.known_hosts());
    let before = tasks();
    for moment in 0..30 {
        let _ = timeout(Duration::from_millis(moment), target.connect_within(PATIENCE)).await;
    }
    nothing_is_left(before, sshd.addr()).await;
}
