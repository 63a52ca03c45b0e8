//! A live connection and its channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ahead::Ahead;
use super::handler::{Client, Learned, describe};
use super::socket::Control;
use super::stream::drained;
use crate::remote::ExitStatus;
use crate::transport::{
    ByteStream, Channel, ChannelError, ChannelEvent, ChannelInput, ChannelOutput, Connection,
    ConnectionFacts, ExecRequest,
};

/// How many events may wait for a channel's consumer, of at most 32 KiB each. A
/// server is told that it may go on when the library has what it sent, so that
/// this is what bounds the memory that a slow consumer costs.
const EVENTS_MAX: usize = 8;

/// For how many intervals the library may owe an answer before the connection
/// counts as wedged: with the one before the question, as many as keepalives
/// are given.
const ANSWER_INTERVALS: u32 = 2;

type WriteHalf = ChannelWriteHalf<Msg>;
type EventReceiver = mpsc::Receiver<ChannelEvent>;
type Session = (Arc<WriteHalf>, EventReceiver);
type Opened = Result<Session, russh::Error>;

/// A connection over russh.
pub(super) struct SshConnection {
    handle: Arc<Handle<Client>>,
    facts: ConnectionFacts,
    link: Arc<Link>,
    ahead: Ahead<Opened>,
    /// The connection to the jump host that carries this one, kept alive.
    _carrier: Option<Arc<dyn Connection>>,
}

/// What outlives the borrow of a connection: its socket's switch, what the
/// handler learned, and how many channels wait for their consumers.
pub(super) struct Link {
    pub(super) control: Arc<Control>,
    pub(super) learned: Arc<Learned>,
    waiting: AtomicUsize,
}

impl Link {
    pub(super) fn new(control: Arc<Control>, learned: Arc<Learned>) -> Self {
        Self { control, learned, waiting: AtomicUsize::new(0) }
    }

    fn lost(&self, sent: bool) -> ChannelError {
        ChannelError::Lost { sent, reason: self.learned.closed() }
    }
}

impl SshConnection {
    pub(super) fn new(
        handle: Handle<Client>,
        facts: ConnectionFacts,
        link: Link,
        carrier: Option<Arc<dyn Connection>>,
        keepalive: Duration,
    ) -> Arc<Self> {
        let (handle, link) = (Arc::new(handle), Arc::new(link));
        let connection =
            Arc::new(Self { handle, facts, link, ahead: Ahead::default(), _carrier: carrier });
        tokio::spawn(watch(Arc::downgrade(&connection), keepalive));
        connection
    }

    /// A session channel that is being read from the start, so that no answer
    /// ever waits for us.
    async fn open_session(&self) -> Result<Session, ChannelError> {
        let ahead = self.ahead.take();
        if let Some(opening) = ahead {
            match opening.await {
                // One that has something to say before it is asked was closed.
                Ok(Ok(session)) if session.1.is_empty() && !session.1.is_closed() => {
                    return Ok(session);
                }
                Ok(Err(russh::Error::ChannelOpenFailure(_))) => self.ahead.expect(false),
                _ => {}
            }
        }
        match self.opening().await {
            Ok(opened) => opened.map_err(|error| self.refusal(&error)),
            Err(_) => Err(self.link.lost(false)),
        }
    }

    /// Begins to open a session channel. That goes on without a caller that gives
    /// up, so that what the server then opens is closed again: it allows few at
    /// once.
    fn opening(&self) -> JoinHandle<Opened> {
        let (handle, link) = (Arc::clone(&self.handle), Arc::clone(&self.link));
        tokio::spawn(async move {
            let (read, write) = handle.channel_open_session().await?.split();
            let write = Arc::new(write);
            let (sender, events) = mpsc::channel(EVENTS_MAX);
            tokio::spawn(drain(read, Arc::clone(&write), sender, link));
            Ok((write, events))
        })
    }

    fn channel(&self, write: Arc<WriteHalf>, events: EventReceiver) -> Channel {
        Channel {
            output: Box::new(Output(events)),
            input: Box::new(Input { write, link: Arc::clone(&self.link) }),
        }
    }

    fn refusal(&self, error: &russh::Error) -> ChannelError {
        match error {
            russh::Error::ChannelOpenFailure(reason) => {
                let reason = match reason {
                    russh::ChannelOpenFailure::AdministrativelyProhibited => {
                        "administratively prohibited".into()
                    }
                    russh::ChannelOpenFailure::ConnectFailed => {
                        "open failed (too many sessions on one connection?)".into()
                    }
                    other => format!("{other:?}"),
                };
                ChannelError::Refused { reason }
            }
            russh::Error::Disconnect | russh::Error::SendError => self.link.lost(false),
            other => {
                self.link.learned.set_closed(&describe(other));
                self.link.lost(false)
            }
        }
    }
}

impl Drop for SshConnection {
    fn drop(&mut self) {
        self.link.control.kill();
    }
}

impl Connection for SshConnection {
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Channel, ChannelError>> {
        async move {
            let (write, events) = self.open_session().await?;
            let unsent = |_| self.link.lost(false);
            if let Some(pty) = request.pty {
                write
                    .request_pty(false, &pty.term, pty.columns, pty.rows, 0, 0, &[])
                    .await
                    .map_err(unsent)?;
            }
            write.exec(true, request.command).await.map_err(unsent)?;
            self.ahead.fill(|| self.opening());
            Ok(self.channel(write, events))
        }
        .boxed()
    }

    fn expect_more(&self, more: bool) {
        self.ahead.expect(more);
    }

    fn subsystem<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Channel, ChannelError>> {
        async move {
            let (write, events) = self.open_session().await?;
            write.request_subsystem(true, name).await.map_err(|_| self.link.lost(false))?;
            Ok(self.channel(write, events))
        }
        .boxed()
    }

    fn open_stream<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn ByteStream>, ChannelError>> {
        async move {
            let channel = self
                .handle
                .channel_open_direct_tcpip(address, u32::from(port), "127.0.0.1", 0)
                .await
                .map_err(|error| match self.refusal(&error) {
                    ChannelError::Refused { .. } => ChannelError::Refused {
                        reason: format!("it cannot reach {address} port {port}, or may not"),
                    },
                    lost => lost,
                })?;
            Ok(drained(channel, Arc::clone(&self.link)))
        }
        .boxed()
    }

    fn facts(&self) -> &ConnectionFacts {
        &self.facts
    }

    fn is_open(&self) -> bool {
        !self.link.control.is_over()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        self.link.control.over().boxed()
    }

    fn close_reason(&self) -> Option<String> {
        self.link.learned.closed()
    }

    fn abort(&self) {
        self.link.control.kill();
    }
}

/// Moves one channel's messages out of the library until the channel ends, the
/// consumer goes away or the connection is killed. This task is the reason why
/// a consumer that stops reading can be got rid of.
async fn drain(
    mut read: ChannelReadHalf,
    write: Arc<WriteHalf>,
    sender: mpsc::Sender<ChannelEvent>,
    link: Arc<Link>,
) {
    let killed = link.control.killed();
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = sender.closed() => break,
            () = killed.cancelled() => return,
        };
        let Some(message) = message else { return };
        let Some(event) = event(message) else { continue };
        if let Err(mpsc::error::TrySendError::Full(event)) = sender.try_send(event) {
            link.waiting.fetch_add(1, Ordering::SeqCst);
            let went_on = tokio::select! {
                sent = sender.send(event) => sent.is_ok(),
                () = killed.cancelled() => false,
            };
            link.waiting.fetch_sub(1, Ordering::SeqCst);
            if !went_on {
                break;
            }
        }
    }
    // The consumer is gone while the channel is open: close it, and go on
    // emptying it for as long as the library has something for us. Both at
    // once: the library may have no room for the close before it is rid of
    // what it has for us.
    let empty = async { while read.wait().await.is_some() {} };
    let close = async {
        let _ = tokio::join!(write.close(), empty);
    };
    tokio::select! {
        () = close => {}
        () = killed.cancelled() => {}
    }
}

fn event(message: ChannelMsg) -> Option<ChannelEvent> {
    Some(match message {
        ChannelMsg::Data { data } => ChannelEvent::Stdout(data),
        ChannelMsg::ExtendedData { data, ext: 1 } => ChannelEvent::Stderr(data),
        ChannelMsg::Eof => ChannelEvent::Eof,
        ChannelMsg::ExitStatus { exit_status } => ChannelEvent::Exit(ExitStatus::Code(exit_status)),
        ChannelMsg::ExitSignal { signal_name, .. } => {
            ChannelEvent::Exit(ExitStatus::Signal(signal_text(&signal_name)))
        }
        ChannelMsg::Success => ChannelEvent::Accepted,
        ChannelMsg::Failure => ChannelEvent::Refused,
        _ => return None,
    })
}

/// A signal's name as RFC 4254, 6.10 writes it; a server may send any string,
/// so only what can be a name passes.
fn signal_text(signal: &Sig) -> String {
    let name = match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    };
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '@').take(32).collect()
}

struct Output(EventReceiver);

impl ChannelOutput for Output {
    fn next(&mut self) -> BoxFuture<'_, Option<ChannelEvent>> {
        self.0.recv().boxed()
    }
}

struct Input {
    write: Arc<WriteHalf>,
    link: Arc<Link>,
}

impl Input {
    /// Nothing sent to a killed connection may wait for its window.
    async fn unless_killed<T>(
        &self,
        work: impl Future<Output = Result<T, russh::Error>>,
    ) -> Result<T, ChannelError> {
        tokio::select! {
            done = work => done.map_err(|_| self.link.lost(true)),
            () = self.link.control.over() => Err(self.link.lost(true)),
        }
    }
}

impl ChannelInput for Input {
    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.unless_killed(self.write.data_bytes(bytes)).boxed()
    }

    fn eof(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.unless_killed(self.write.eof()).boxed()
    }

    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        let signal = match name {
            "HUP" => Sig::HUP,
            "INT" => Sig::INT,
            "KILL" => Sig::KILL,
            "TERM" => Sig::TERM,
            other => Sig::Custom(other.to_owned()),
        };
        self.unless_killed(self.write.signal(signal)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.unless_killed(self.write.close()).boxed()
    }
}

/// Ends a connection whose library no longer answers.
///
/// The library's keepalives live in the same loop that may be stuck, so this
/// task stands outside it. A connection on which a channel waits for its own
/// consumer is not stuck: it is being read slowly.
async fn watch(connection: std::sync::Weak<SshConnection>, interval: Duration) {
    let Some(link) = connection.upgrade().map(|connection| Arc::clone(&connection.link)) else {
        return;
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = link.control.over() => return,
        }
        if link.waiting.load(Ordering::SeqCst) > 0 {
            continue;
        }
        // Not the connection itself, which ends when nobody else has it.
        let Some(handle) = connection.upgrade().map(|connection| Arc::clone(&connection.handle))
        else {
            return;
        };
        let before = link.control.bytes_in();
        let answered = tokio::select! {
            answered = timeout(interval * ANSWER_INTERVALS, handle.send_ping()) => answered,
            () = link.control.over() => return,
        };
        let silent = link.control.bytes_in() == before && link.waiting.load(Ordering::SeqCst) == 0;
        if answered.is_err() && silent {
            link.learned.set_closed("the connection stopped responding");
            link.control.kill();
            return;
        }
    }
}
