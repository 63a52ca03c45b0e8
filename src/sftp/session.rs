//! Starting a session, and what the server said it can do.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::DropGuard;

use super::Bounds;
use super::error::SftpError;
use super::frames::PACKET_MAX;
use super::link::{Link, OpenHandle};
use super::reply::{Answer, Expect, VERSION};
use super::tasks::{self, Incoming};
use super::wire::{Fields, Packet, Request, Violation};
use crate::transport::Channel;

/// The version of the protocol.
const SFTP_VERSION: u32 = 3;

/// What every server takes and gives at once (draft-ietf-secsh-filexfer-02, 3).
const PAYLOAD_DEFAULT: usize = 32 * 1024;

/// A server that announces less is taken to mean this.
const PAYLOAD_MIN: usize = 1024;

/// What stands around a payload in its packet, handle included.
const AROUND_MAX: usize = 1024;

/// An extension of OpenSSH's that this module uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// `fsync@openssh.com`: [`File::sync`](super::File::sync).
    Fsync,
    /// `limits@openssh.com`: asked at the start.
    Limits,
    /// `lsetstat@openssh.com`: [`Sftp::lsetstat`].
    Lsetstat,
    /// `posix-rename@openssh.com`: [`Sftp::posix_rename`].
    PosixRename,
    /// `statvfs@openssh.com`: [`Sftp::statvfs`].
    Statvfs,
}

impl Extension {
    const ALL: [Self; 5] =
        [Self::Fsync, Self::Limits, Self::Lsetstat, Self::PosixRename, Self::Statvfs];

    fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync@openssh.com",
            Self::Limits => "limits@openssh.com",
            Self::Lsetstat => "lsetstat@openssh.com",
            Self::PosixRename => "posix-rename@openssh.com",
            Self::Statvfs => "statvfs@openssh.com",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Statvfs => "2",
            Self::Fsync | Self::Limits | Self::Lsetstat | Self::PosixRename => "1",
        }
    }
}

/// A session. Clones are the same session; the channel is closed when the last
/// of them, and the last open [`File`](super::File), is dropped.
#[derive(Clone)]
pub struct Sftp(Arc<Session>);

struct Session {
    link: Arc<Link>,
    extensions: Vec<Extension>,
    read_max: usize,
    write_max: usize,
    handles_max: Option<usize>,
    _close: DropGuard,
}

impl Sftp {
    /// Starts a session on the channel of an `sftp` subsystem, or of a command
    /// that is an SFTP server. The connection stays the caller's to keep.
    ///
    /// # Errors
    /// [`SftpError::NotStarted`] if there is no session within `bounds.start`.
    ///
    /// # Cancel safety
    /// Dropping the future closes the channel.
    pub async fn start(channel: Channel, bounds: Bounds) -> Result<Self, SftpError> {
        let deadline = Instant::now() + bounds.start;
        let (link, queue) = Link::new(&bounds);
        let close = link.over.clone().drop_guard();
        link.greet(Packet::init(SFTP_VERSION));
        tokio::spawn(tasks::write(Arc::clone(&link), channel.input, queue));

        let mut incoming = Incoming::new(channel.output);
        let not_started = |incoming: &Incoming, reason: String| SftpError::NotStarted {
            reason,
            said: incoming.said(false),
        };
        let late = || format!("there was no answer within {} s", bounds.start.as_secs_f64());
        let extensions = match timeout_at(deadline, version(&mut incoming)).await {
            Ok(Ok(extensions)) => extensions,
            Ok(Err(reason)) => return Err(not_started(&incoming, reason)),
            Err(_) => return Err(not_started(&incoming, late())),
        };
        tokio::spawn(tasks::read(Arc::clone(&link), incoming, bounds.stall));

        let limits = if extensions.contains(&Extension::Limits) {
            timeout_at(deadline, limits(&link)).await.unwrap_or_else(|_| {
                Err(SftpError::NotStarted { reason: late(), said: String::new() })
            })?
        } else {
            Limits::default()
        };
        link.limit_handles(limits.handles);
        let ours = bounds.packet_max.clamp(PAYLOAD_MIN, PACKET_MAX - AROUND_MAX);
        let (read_max, write_max) = (limits.read.min(ours), limits.write.min(ours));
        let handles_max = Some(limits.handles).filter(|&handles| handles < usize::MAX);
        let _close = close;
        Ok(Self(Arc::new(Session { link, extensions, read_max, write_max, handles_max, _close })))
    }

    /// Whether the server announced an extension, in the version known here.
    pub fn supports(&self, extension: Extension) -> bool {
        self.0.extensions.contains(&extension)
    }

    /// The most bytes that one read gives.
    pub fn read_max(&self) -> usize {
        self.0.read_max
    }

    /// The most bytes that one write carries; longer ones become several.
    pub fn write_max(&self) -> usize {
        self.0.write_max
    }

    /// How many handles the server lets be open at once, if it said so.
    pub fn handles_max(&self) -> Option<usize> {
        self.0.handles_max
    }

    pub(super) async fn call(&self, request: Request) -> Answer {
        self.0.link.call(request).await
    }

    pub(super) async fn open_handle(&self, request: Request) -> Result<OpenHandle, SftpError> {
        self.0.link.open(request).await
    }

    pub(super) fn extended(
        &self,
        extension: Extension,
        expect: Expect,
    ) -> Result<Request, SftpError> {
        if self.supports(extension) {
            Ok(Request::extended(extension.name(), expect))
        } else {
            Err(SftpError::Unsupported(extension.name()))
        }
    }

    /// Ends the session for what the server did.
    pub(super) fn violated(&self, violation: Violation) -> SftpError {
        self.0.link.violated(violation);
        self.0.link.ended()
    }

    pub(super) fn unexpected(&self) -> SftpError {
        self.0.link.unexpected()
    }
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sftp").field("extensions", &self.0.extensions).finish_non_exhaustive()
    }
}

/// Waits for the server's first packet; an error is the reason why it is none.
async fn version(incoming: &mut Incoming) -> Result<Vec<Extension>, String> {
    loop {
        match incoming.frames.next() {
            Ok(Some(packet)) => return parse_version(packet),
            Ok(None) => incoming.more().await?,
            Err(_) => {
                incoming.hear_out().await;
                return Err("what answers is not an SFTP server".into());
            }
        }
    }
}

fn parse_version(packet: bytes::Bytes) -> Result<Vec<Extension>, String> {
    let mut fields = Fields::new(packet);
    if fields.u8()? != VERSION {
        return Err("what answers is not an SFTP server".into());
    }
    let version = fields.u32()?;
    if version != SFTP_VERSION {
        return Err(format!("the server speaks version {version} of SFTP, and 3 was asked for"));
    }
    let mut extensions = Vec::new();
    while !fields.is_empty() {
        let (name, version) = (fields.string()?, fields.string()?);
        let known =
            |extension: &Extension| name == extension.name() && version == extension.version();
        extensions.extend(Extension::ALL.into_iter().find(known));
    }
    Ok(extensions)
}

/// What the server takes at most.
struct Limits {
    read: usize,
    write: usize,
    handles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read: PAYLOAD_DEFAULT, write: PAYLOAD_DEFAULT, handles: usize::MAX }
    }
}

/// Asks for the limits (`limits@openssh.com`). A server that announces the
/// extension and then refuses has the ordinary ones.
async fn limits(link: &Arc<Link>) -> Result<Limits, SftpError> {
    let request = Request::extended(Extension::Limits.name(), Expect::Extended);
    match link.call(request).await {
        Ok(super::Reply::Extended(reply)) => {
            parse_limits(Fields::new(reply)).map_err(|violation| {
                link.violated(violation);
                link.ended()
            })
        }
        Ok(_) => Err(link.unexpected()),
        Err(SftpError::Status { .. }) => Ok(Limits::default()),
        Err(error) => Err(error),
    }
}

/// Zero means that the server has no such limit.
fn parse_limits(mut reply: Fields) -> Result<Limits, Violation> {
    let mut limit = || reply.u64().map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (packet, read, write, handles) = (limit()?, limit()?, limit()?, limit()?);
    let packet = if packet == 0 { usize::MAX } else { packet.saturating_sub(AROUND_MAX) };
    let payload = |limit: usize| {
        let limit = if limit == 0 { PAYLOAD_DEFAULT } else { limit };
        limit.min(packet).max(PAYLOAD_MIN)
    };
    let handles = if handles == 0 { usize::MAX } else { handles };
    Ok(Limits { read: payload(read), write: payload(write), handles })
}
