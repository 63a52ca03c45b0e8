//! Sessions with a server that does what a test tells it to.

mod bounds;
mod flow;
mod hostile;
mod start;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::frames::Frames;
use super::wire::{Fields, put_string};
use super::{Bounds, File, Open, Sftp, SftpError};
use crate::transport::{Channel, ChannelError, ChannelEvent, ChannelInput, ChannelOutput};

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// The server's end of a channel.
struct Server {
    events: mpsc::UnboundedSender<ChannelEvent>,
    writes: mpsc::Receiver<Bytes>,
    frames: Frames,
}

/// A request as it came.
struct Asked {
    kind: u8,
    id: u32,
    body: Bytes,
}

/// A channel that holds few writes, as a window does.
fn channel() -> (Channel, Server) {
    let (events, output) = mpsc::unbounded_channel();
    let (input, writes) = mpsc::channel(1);
    let server = Server { events, writes, frames: Frames::default() };
    (Channel { output: Box::new(Output(output)), input: Box::new(Input(input)) }, server)
}

/// A session with a server of no extensions.
async fn session() -> (Sftp, Server) {
    session_with(Bounds::default()).await
}

async fn session_with(bounds: Bounds) -> (Sftp, Server) {
    let (channel, mut server) = channel();
    let serve = async {
        assert_eq!(server.asked().await.unwrap().kind, super::kind::INIT);
        server.send(VERSION, 3, b"");
    };
    let (sftp, ()) = tokio::join!(Sftp::start(channel, bounds), serve);
    (sftp.unwrap(), server)
}

/// A file whose handle is `handle`.
async fn open(sftp: &Sftp, server: &mut Server, handle: &[u8]) -> File {
    let serve = async {
        let asked = server.asked().await.unwrap();
        assert_eq!(asked.kind, super::kind::OPEN);
        server.send(HANDLE, asked.id, &string(handle));
    };
    let (file, ()) = tokio::join!(sftp.open(b"f", Open::Read), serve);
    file.unwrap()
}

impl Server {
    /// The next request; `None` when the channel was closed.
    async fn asked(&mut self) -> Option<Asked> {
        loop {
            if let Some(packet) = self.frames.next().unwrap() {
                let mut fields = Fields::new(packet);
                let (kind, id) = (fields.u8().unwrap(), fields.u32().unwrap());
                return Some(Asked { kind, id, body: fields.rest() });
            }
            self.frames.push(self.writes.recv().await?);
        }
    }

    /// Whether nothing is asked although there was every opportunity.
    async fn is_left_alone(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.asked().now_or_never().is_none()
    }

    fn send(&self, kind: u8, id: u32, body: &[u8]) {
        self.stdout(&packet(kind, id, body));
    }

    fn status(&self, id: u32, code: u32) {
        self.send(STATUS, id, &code.to_be_bytes());
    }

    fn stdout(&self, bytes: &[u8]) {
        self.event(ChannelEvent::Stdout(Bytes::copy_from_slice(bytes)));
    }

    /// A client that is gone hears nothing.
    fn event(&self, event: ChannelEvent) {
        let _ = self.events.send(event);
    }
}

fn packet(kind: u8, id: u32, body: &[u8]) -> BytesMut {
    let mut packet = BytesMut::new();
    packet.put_u32(body.len() as u32 + 5);
    packet.put_u8(kind);
    packet.put_u32(id);
    packet.put_slice(body);
    packet
}

fn string(bytes: &[u8]) -> BytesMut {
    let mut string = BytesMut::new();
    put_string(&mut string, bytes);
    string
}

/// Attributes that have nothing but a size.
fn size(size: u64) -> Vec<u8> {
    [&1_u32.to_be_bytes()[..], &size.to_be_bytes()].concat()
}

#[track_caller]
fn protocol<T: std::fmt::Debug>(result: Result<T, SftpError>) -> String {
    match result {
        Err(SftpError::Protocol(what)) => what,
        other => panic!("{other:?}"),
    }
}

struct Output(mpsc::UnboundedReceiver<ChannelEvent>);

impl ChannelOutput for Output {
    fn next(&mut self) -> BoxFuture<'_, Option<ChannelEvent>> {
        self.0.recv().boxed()
    }
}

struct Input(mpsc::Sender<Bytes>);

impl ChannelInput for Input {
    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), ChannelError>> {
        let lost = |_| ChannelError::Lost { sent: true, reason: None };
        self.0.send(bytes).map(move |sent| sent.map_err(lost)).boxed()
    }

    fn eof(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }

    fn signal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        async { Ok(()) }.boxed()
    }
}
