//! Why a host could not be reached, or a channel not be had.

use std::fmt;

use super::Endpoint;

/// How far a connection attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectPhase {
    /// User authentication (RFC 4252).
    Auth,
    /// Waiting for the identification string (RFC 4253, 4.2).
    Banner,
    /// Verifying the host key.
    HostKey,
    /// Finding and reading our own key.
    Key,
    /// Key exchange (RFC 4253, 7).
    Kex,
    /// Resolving the name and the TCP handshake.
    Tcp,
}

impl fmt::Display for ConnectPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth => "authentication",
            Self::Banner => "waiting for the SSH banner",
            Self::HostKey => "host key verification",
            Self::Key => "reading our key",
            Self::Kex => "key exchange",
            Self::Tcp => "connecting",
        })
    }
}

/// What kind of obstacle it was; this decides the status and whether trying
/// again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectErrorKind {
    /// No algorithm in common.
    Algorithms,
    /// The server refused our credentials.
    Auth,
    /// Too many attempts failed; none is made for a while.
    CircuitOpen,
    /// The deadline passed.
    Deadline,
    /// The key is not the recorded one.
    HostKeyChanged,
    /// The key is revoked.
    HostKeyRevoked,
    /// Nothing is recorded for this host.
    HostKeyUnknown,
    /// Only keys of other types are recorded for this host.
    HostKeyUnknownType,
    /// Our own private key is missing, unreadable or locked.
    Key,
    /// The network, or the server closing before it said much: worth another
    /// try.
    Network,
    /// This process has too many files open.
    NoFiles,
    /// The server broke the protocol.
    Protocol,
}

/// Why there is no connection. Nothing was executed on the host.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// How far it came.
    pub phase: ConnectPhase,
    /// What stood in the way.
    pub kind: ConnectErrorKind,
    /// The cause in one sentence, naming the address.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
    /// The fingerprint that the server showed, if it came that far.
    pub host_key: Option<String>,
}

impl ConnectError {
    /// The same, as an error of the jump host on the way.
    pub(crate) fn at_jump_host(mut self, jump: &Endpoint) -> Self {
        self.message = format!("jump host {}: {}", jump.label, self.message);
        self
    }

    /// Whether the same attempt may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        use ConnectErrorKind as Kind;
        matches!(self.kind, Kind::Network | Kind::Deadline | Kind::NoFiles)
    }
}

/// Why a channel could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChannelError {
    /// The connection ended.
    #[error("the connection was lost{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Lost {
        /// Whether the request may have reached the server.
        sent: bool,
        /// What is known of the cause.
        reason: Option<String>,
    },
    /// The server refused to open a channel.
    #[error("the server refused a channel: {reason}")]
    Refused {
        /// The server's own reason.
        reason: String,
    },
}
