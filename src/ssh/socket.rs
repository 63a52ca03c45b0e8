//! The bytes under a connection: ours, so that it can always be ended.

mod intake;
mod preamble;

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use self::intake::Intake;
use self::preamble::Preamble;
use super::trace::Heard;
use crate::transport::ByteStream;

/// The stream handed to the SSH library.
pub(super) struct Socket {
    stream: Stream,
    intake: Intake,
    control: Arc<Control>,
    preamble: Preamble,
    /// The server's identification line and what came with it, until the
    /// library has read it.
    identification: Bytes,
    /// Who wants to know what the library reads first.
    heard: Option<Arc<Heard>>,
}

enum Stream {
    Tcp(TcpStream),
    Inner(Box<dyn ByteStream>),
}

/// The counter of a socket and the switch that ends it, held by everybody who
/// watches it.
#[derive(Debug, Default)]
pub(super) struct Control {
    killed: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    bytes_in: AtomicU64,
    identified: AtomicBool,
    kill: CancellationToken,
    end: CancellationToken,
}

impl Control {
    /// Ends the socket: reads and writes fail from now on.
    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
        self.kill.cancel();
    }

    /// Completes when [`kill`](Self::kill) was called: nothing more is read,
    /// not even what has already arrived.
    pub(super) fn killed(&self) -> &CancellationToken {
        &self.kill
    }

    /// Says that the SSH library has let go of the socket.
    pub(super) fn set_ended(&self) {
        self.end.cancel();
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.kill.is_cancelled() || self.end.is_cancelled()
    }

    /// Completes when nothing can be sent any more.
    pub(super) async fn over(&self) {
        tokio::select! {
            () = self.kill.cancelled() => {}
            () = self.end.cancelled() => {}
        }
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Whether the server has sent its identification line.
    pub(super) fn identified(&self) -> bool {
        self.identified.load(Ordering::Relaxed)
    }

    fn check(&self) -> io::Result<()> {
        if self.killed.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by us"));
        }
        Ok(())
    }
}

impl Socket {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::new(Stream::Tcp(stream)))
    }

    pub(super) fn inner(stream: Box<dyn ByteStream>) -> Self {
        Self::new(Stream::Inner(stream))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            intake: Intake::default(),
            control: Arc::default(),
            preamble: Preamble::default(),
            identification: Bytes::new(),
            heard: None,
        }
    }

    /// The same, overheard.
    pub(super) fn heard_by(self, heard: Option<Arc<Heard>>) -> Self {
        Self { heard, ..self }
    }

    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// Gives the identification line, and then what follows it.
    fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.control.identified() && !ready!(self.poll_identify(cx))? {
            return Poll::Ready(Ok(()));
        }
        if self.identification.is_empty() {
            return self.poll_receive(cx, buf);
        }
        let length = buf.remaining().min(self.identification.len());
        buf.put_slice(&self.identification.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// Reads until the server has identified itself; `false` when it ended
    /// before. The library gets to see nothing of what came ahead of that: it
    /// would give up after a few lines.
    fn poll_identify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut bytes);
            ready!(self.poll_receive(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            if let Some(identification) = self.preamble.read(buf.filled())? {
                self.identification = identification;
                self.control.identified.store(true, Ordering::Relaxed);
                return Poll::Ready(Ok(true));
            }
        }
    }

    /// Gives what has arrived.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.intake.is_empty() {
            let room = self.intake.room();
            let mut read = ReadBuf::new(room);
            ready!(match &mut self.stream {
                Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut read),
                Stream::Inner(stream) => Pin::new(stream).poll_read(cx, &mut read),
            })?;
            let received = read.filled().len();
            if self.intake.fill(received) {
                self.acknowledge();
            }
        }
        let given = self.intake.give(buf);
        self.control.bytes_in.fetch_add(given as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// Acknowledges at once what has arrived. A server under Nagle's algorithm
    /// waits for that before it sends the end of what it has to say: without it
    /// the first command of a connection takes 40 ms longer. The kernel forgets
    /// this after a few packets, so it is asked again whenever there is nothing
    /// more to read.
    fn acknowledge(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            #[cfg(target_os = "linux")]
            let _ = rustix::net::sockopt::set_tcp_quickack(stream.as_fd(), true);
            #[cfg(not(target_os = "linux"))]
            let _ = stream.as_fd();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.control.reader.register(cx.waker());
        this.control.check()?;
        let before = buf.filled().len();
        let handed_over = this.poll_hand_over(cx, buf);
        if let Some(heard) = &this.heard {
            heard.take(&buf.filled()[before..]);
        }
        handed_over
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.control.writer.register(cx.waker());
        this.control.check()?;
        match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Inner(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.control.check()?;
        match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Inner(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.control.check().is_err() {
            return Poll::Ready(Ok(()));
        }
        match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Inner(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_socket_wakes_its_reader() {
        use tokio::io::AsyncReadExt;
        let (near, _far) = tokio::io::duplex(16);
        let mut socket = Socket::inner(Box::new(near));
        let control = socket.control();
        let reader = tokio::spawn(async move { socket.read_u8().await });
        tokio::task::yield_now().await;
        control.kill();
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
