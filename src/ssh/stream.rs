//! A byte stream through a host, which is read whether or not anybody wants
//! the bytes.
//!
//! The SSH library hands on a channel's data in the task that serves the whole
//! connection, so one stream that is not read would stall all others beside it.
//! Here a task takes everything off the channel at once. What an SSH server
//! can have under way towards a client that does not read is bounded by the
//! windows of the channels inside the stream, so that only one that breaks the
//! protocol can exceed [`WAITING_MAX`]; its stream ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::connection::Link;
use crate::transport::ByteStream;

/// How much may wait for the reader of one stream: the windows of more channels
/// than are ever open in it, at 2 MiB each.
const WAITING_MAX: usize = 32 * 1024 * 1024;

/// One stream; its end closes the channel.
struct Drained<W> {
    arriving: UnboundedReceiver<Bytes>,
    current: Bytes,
    waiting: Arc<AtomicUsize>,
    writer: W,
}

/// Makes a channel a stream that never holds up its connection.
pub(super) fn drained(channel: Channel<Msg>, link: Arc<Link>) -> Box<dyn ByteStream> {
    let (read, write) = channel.split();
    let (sender, arriving) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let writer = write.make_writer();
    tokio::spawn(drain(read, write, sender, Arc::clone(&waiting), link));
    Box::new(Drained { arriving, current: Bytes::new(), waiting, writer })
}

async fn drain(
    mut read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    sender: UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    link: Arc<Link>,
) {
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = sender.closed() => break,
            () = link.control.killed().cancelled() => return,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let length = data.len();
                let too_much = waiting.fetch_add(length, Ordering::SeqCst) + length > WAITING_MAX;
                if too_much || sender.send(data).is_err() {
                    break;
                }
            }
            None | Some(ChannelMsg::Eof | ChannelMsg::Close) => break,
            Some(_) => {}
        }
    }
    // The reader sees the end first, whatever becomes of the rest.
    drop((sender, read));
    tokio::select! {
        _ = write.close() => {}
        () = link.control.over() => {}
    }
}

impl<W: Unpin> AsyncRead for Drained<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.current.is_empty() {
            match ready!(this.arriving.poll_recv(cx)) {
                Some(bytes) => this.current = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = buf.remaining().min(this.current.len());
        buf.put_slice(&this.current[..length]);
        this.current.advance(length);
        this.waiting.fetch_sub(length, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Drained<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_shutdown(cx)
    }
}
