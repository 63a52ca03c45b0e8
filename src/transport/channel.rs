//! The channel of one command or subsystem.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::ChannelError;
use crate::remote::ExitStatus;

/// What to ask of the server.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The string that the user's login shell gets. No NUL: sshd drops the
    /// connection on one.
    pub command: Vec<u8>,
    /// A pseudo-terminal, if the command shall have one.
    pub pty: Option<Pty>,
}

/// A pseudo-terminal (RFC 4254, 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pty {
    /// The value of `TERM`.
    pub term: String,
    /// Width in characters.
    pub columns: u32,
    /// Height in characters.
    pub rows: u32,
}

/// What the server says on a channel. Data and exit may come in any order; the
/// channel is over when [`ChannelOutput::next`] gives `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// The server took the request: the login shell is being started.
    Accepted,
    /// There will be no more output.
    Eof,
    /// How the process ended.
    Exit(ExitStatus),
    /// The server refused the request: nothing was started.
    Refused,
    /// Bytes on stderr.
    Stderr(Bytes),
    /// Bytes on stdout.
    Stdout(Bytes),
}

/// Both directions of a channel, so that one task can write while another
/// reads. Nothing may await a write in the task that must read.
pub struct Channel {
    /// From the server.
    pub output: Box<dyn ChannelOutput>,
    /// To the server.
    pub input: Box<dyn ChannelInput>,
}

/// The reading side.
pub trait ChannelOutput: Send {
    /// The next event; `None` when the channel is closed or the connection
    /// lost.
    ///
    /// While nobody calls this, the whole connection may stand still once its
    /// bound is full: keep calling it, or have the connection to yourself.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    fn next(&mut self) -> BoxFuture<'_, Option<ChannelEvent>>;
}

/// The writing side.
pub trait ChannelInput: Send + Sync {
    /// Sends bytes to the command's stdin, waiting for the server's window.
    ///
    /// # Cancel safety
    /// If the future is dropped, a part may have been sent.
    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// Says that stdin is over.
    fn eof(&self) -> BoxFuture<'_, Result<(), ChannelError>>;

    /// Asks the server to deliver a signal, by its name without `SIG`
    /// (RFC 4254, 6.9). Servers may ignore it.
    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), ChannelError>>;

    /// Closes the channel.
    fn close(&self) -> BoxFuture<'_, Result<(), ChannelError>>;
}
