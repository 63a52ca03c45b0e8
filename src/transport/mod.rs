//! The seam: how a host is reached, without saying by which SSH library.
//!
//! [`Connector`] makes a [`Connection`] to an [`Endpoint`]; a connection opens
//! channels. Everything above this module is written against these traits
//! only.

mod channel;
mod endpoint;
mod error;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub use channel::{Channel, ChannelEvent, ChannelInput, ChannelOutput, ExecRequest, Pty};
pub use endpoint::{Endpoint, Identity, Route, Trust};
pub use error::{ChannelError, ConnectError, ConnectErrorKind, ConnectPhase};

/// A duplex stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Makes connections.
pub trait Connector: Send + Sync {
    /// Connects, verifies the host key and authenticates, all of it before
    /// `deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket and ends every task it started.
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>>;

    /// The same over a connection to the last jump host on the way, which
    /// others may be using too. A connector that has its own ways need not
    /// take it.
    ///
    /// # Cancel safety
    /// As there.
    fn connect_over<'a>(
        &'a self,
        carrier: &'a Arc<dyn Connection>,
        endpoint: &'a Endpoint,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        let _ = carrier;
        self.connect(endpoint, deadline)
    }
}

/// One authenticated connection to a host.
///
/// Dropping the last handle closes it.
pub trait Connection: Send + Sync {
    /// Opens a session channel and asks for a command (RFC 4254, 6.5).
    ///
    /// An error means that the command did not reach the server, except
    /// [`ChannelError::Lost`] with `sent`.
    ///
    /// # Cancel safety
    /// If the future is dropped the command may or may not have been sent.
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Channel, ChannelError>>;

    /// Opens a session channel and asks for a subsystem, such as `sftp`
    /// (RFC 4254, 6.5).
    ///
    /// # Cancel safety
    /// If the future is dropped the subsystem may or may not have been started.
    fn subsystem<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Channel, ChannelError>>;

    /// Says whether more commands will follow, one after another. As long as they
    /// do, a session channel is opened for the next one while this one runs, which
    /// spares it a round trip; a server that allows no second one is asked once.
    fn expect_more(&self, _more: bool) {}

    /// Opens a byte stream to an address as seen from the host
    /// (`direct-tcpip`, RFC 4254, 7.2). A stream that nobody reads holds up
    /// nothing else on the connection; one that holds back more than SSH inside
    /// it ever could ends.
    fn open_stream<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn ByteStream>, ChannelError>>;

    /// What was negotiated.
    fn facts(&self) -> &ConnectionFacts;

    /// Whether a new channel may be tried.
    fn is_open(&self) -> bool;

    /// Completes when the connection has ended, for whatever reason.
    fn closed(&self) -> BoxFuture<'_, ()>;

    /// Why it ended, if that is known.
    fn close_reason(&self) -> Option<String>;

    /// Ends the connection at once: the socket is shut, every channel ends.
    fn abort(&self);
}

/// What both sides agreed on, and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The key exchange method.
    pub kex: String,
    /// The cipher, client to server.
    pub cipher: String,
    /// The MAC, or the cipher's name where it authenticates by itself.
    pub mac: String,
    /// The host key's algorithm.
    pub host_key_type: String,
    /// The host key's SHA-256 fingerprint (`SHA256:…`).
    pub host_key: String,
    /// Whether strict key exchange was negotiated (against CVE-2023-48795).
    pub strict_kex: bool,
    /// Whether the key exchange resists a quantum computer.
    pub post_quantum: bool,
    /// The server's identification string.
    pub server: String,
    /// The address that was reached.
    pub address: String,
    /// The user that logged in.
    pub user: String,
    /// From name resolution to the end of key exchange.
    pub connect_time: std::time::Duration,
    /// User authentication.
    pub auth_time: std::time::Duration,
}
