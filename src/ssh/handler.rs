//! What the SSH library asks of us while a connection lives.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, Error, Names};

use super::algorithms::Algorithms;
use super::connect::plain;
use super::socket::Control;
use crate::transport::{ConnectError, ConnectErrorKind, ConnectPhase};

/// Judges a host key; the error is what the user will read.
pub(super) type Verify =
    Box<dyn Fn(&PublicKeyOrCertificate) -> Result<String, ConnectError> + Send + Sync>;

/// What the handler learned, for whoever awaits the connection.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    refusal: Option<ConnectError>,
    negotiated: Option<Negotiated>,
    host_key: Option<String>,
    closed: Option<String>,
    lacks_strict_kex: bool,
}

/// The result of a key exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) kex: String,
    pub(super) host_key_type: String,
    pub(super) cipher: String,
    pub(super) mac: String,
    pub(super) strict_kex: bool,
    pub(super) server: String,
}

impl Learned {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why we refused the server, if we did.
    pub(super) fn refusal(&self) -> Option<ConnectError> {
        self.state().refusal.take()
    }

    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        self.state().negotiated.clone()
    }

    /// The fingerprint that was accepted.
    pub(super) fn host_key(&self) -> Option<String> {
        self.state().host_key.clone()
    }

    /// Why the connection ended.
    pub(super) fn closed(&self) -> Option<String> {
        self.state().closed.clone()
    }

    pub(super) fn set_closed(&self, reason: &str) {
        self.state().closed.get_or_insert_with(|| reason.to_owned());
    }

    /// Whether the server was refused only because what it chose is unsafe
    /// without strict key exchange, so that a narrower offer may succeed.
    pub(super) fn lacks_strict_kex(&self) -> bool {
        self.state().lacks_strict_kex
    }
}

/// One connection's handler.
pub(super) struct Client {
    pub(super) verify: Verify,
    pub(super) algorithms: Algorithms,
    pub(super) learned: Arc<Learned>,
    pub(super) control: Arc<Control>,
}

/// The library drops its handler when its loop ends, be it by a panic.
impl Drop for Client {
    fn drop(&mut self) {
        self.control.set_ended();
    }
}

impl Client {
    fn refuse(&self, phase: ConnectPhase, message: String, hint: Option<&str>) -> Error {
        self.learned.state().refusal = Some(ConnectError {
            phase,
            kind: ConnectErrorKind::Algorithms,
            message,
            hint: hint.map(str::to_owned),
            host_key: None,
        });
        Error::Kex
    }

    /// The first key exchange settles what later ones may not change.
    fn settle(&self, negotiated: Negotiated) -> Result<(), Error> {
        let before = self.learned.state().negotiated.clone();
        if let Some(before) = before {
            if before.host_key_type != negotiated.host_key_type {
                self.learned.set_closed("the server changed its host key type while rekeying");
                return Err(Error::WrongServerSig);
            }
            return Ok(());
        }
        let exposed = negotiated.cipher.contains("chacha20") || negotiated.mac.contains("-etm");
        if !negotiated.strict_kex && (exposed || self.algorithms.require_strict_kex) {
            if !self.algorithms.require_strict_kex {
                self.learned.state().lacks_strict_kex = true;
            }
            let message = "the server does not support strict key exchange, without which \
                           an attacker on the path can cut messages (CVE-2023-48795)";
            let hint = "update its sshd, or set profile: strong for this host";
            return Err(self.refuse(ConnectPhase::Kex, message.into(), Some(hint)));
        }
        if self.algorithms.require_pq && !negotiated.kex.starts_with("mlkem") {
            let message = format!("{} does not resist a quantum computer", negotiated.kex);
            return Err(self.refuse(ConnectPhase::Kex, message, None));
        }
        self.learned.state().negotiated = Some(negotiated);
        Ok(())
    }
}

impl Handler for Client {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let verdict = (self.verify)(key);
        let mut state = self.learned.state();
        match verdict {
            Ok(fingerprint) => {
                state.host_key = Some(fingerprint);
                Ok(true)
            }
            Err(refusal) => {
                state.refusal = Some(refusal);
                Ok(false)
            }
        }
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        session: &mut Session,
    ) -> Result<(), Error> {
        let cipher = names.cipher.as_ref().to_owned();
        let authenticated = cipher.contains("gcm") || cipher.contains("poly1305");
        let mac = if authenticated { "aead" } else { names.client_mac.as_ref() };
        self.settle(Negotiated {
            kex: names.kex.as_ref().to_owned(),
            host_key_type: names.key.as_str().to_owned(),
            mac: mac.to_owned(),
            cipher,
            strict_kex: names.strict_kex(),
            server: String::from_utf8_lossy(session.remote_sshid())
                .chars()
                .filter(|c| !c.is_control())
                .take(255)
                .collect(),
        })
    }

    // A server has no business opening channels to us; the library's default
    // is to accept them. Dropping the reply rejects.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        _keys: Vec<russh::keys::PublicKey>,
        _session: &mut Session,
    ) -> Result<(), Error> {
        // Learning announced keys would be trust on first use by another name.
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<(), Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let message: String =
                    info.message.chars().filter(|c| !c.is_control()).take(200).collect();
                self.learned.set_closed(&format!("the server said: {message}"));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.learned.set_closed(&describe(&error));
                Err(error)
            }
        }
    }
}

/// A library error in words that do not assume the library.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Disconnect | Error::HUP => "the server closed the connection".into(),
        Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".into()
        }
        Error::IO(error) => plain(error),
        Error::KeepaliveTimeout => "the server stopped answering keepalives".into(),
        Error::PacketAuth | Error::DecryptionError => {
            "a packet failed its integrity check: the data was altered on the way".into()
        }
        Error::PacketSize(size) => format!("the server sent a packet of {size} bytes"),
        Error::StrictKeyExchangeViolation { .. } => {
            "the server broke the rules of strict key exchange (CVE-2023-48795)".into()
        }
        Error::WrongServerSig => "the server's signature is wrong".into(),
        other => other.to_string(),
    }
}
