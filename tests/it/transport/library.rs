//! The other side built with the SSH library itself, where a test needs a peer
//! that OpenSSH cannot be configured to be; and the library as our client
//! would be without what we put around it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::keys::{Algorithm, PrivateKey, PublicKeyOrCertificate};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, Preferred, cipher, client, compression, kex, mac, server};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{KeyKind, KeyPair};

/// A server that echoes what it gets on a channel.
pub(super) struct Echo {
    pub(super) address: SocketAddr,
    pub(super) known_hosts: String,
    connections: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Echo {
    /// Without strict key exchange, with these algorithms.
    pub(super) async fn without_strict_kex(
        ciphers: &'static [cipher::Name],
        macs: &'static [mac::Name],
    ) -> Self {
        let preferred = Preferred {
            kex: Cow::Borrowed(&[kex::CURVE25519]),
            cipher: Cow::Borrowed(ciphers),
            mac: Cow::Borrowed(macs),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        };
        Self::start(server::Config { preferred, ..server::Config::default() }).await
    }

    /// With a window of so many bytes for what it is sent.
    pub(super) async fn with_window(window_size: u32) -> Self {
        Self::start(server::Config { window_size, ..server::Config::default() }).await
    }

    pub(super) async fn that_takes_rsa_only_with_sha1() -> Self {
        let key = Cow::Borrowed(&[Algorithm::Ed25519, Algorithm::Rsa { hash: None }][..]);
        let preferred = Preferred { key, ..Preferred::default() };
        Self::start(server::Config { preferred, ..server::Config::default() }).await
    }

    async fn start(config: server::Config) -> Self {
        let host_key = KeyPair::shared(KeyKind::Ed25519);
        let keys = vec![PrivateKey::from_openssh(&host_key.private).unwrap()];
        let config = Arc::new(server::Config { keys, ..config });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, Echoing).await {
                        let _ = session.await;
                    }
                });
            }
        });
        let known_hosts = format!("[127.0.0.1]:{} {}\n", address.port(), host_key.public);
        Self { address, known_hosts, connections, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

struct Echoing;

impl server::Handler for Echoing {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.data(channel, data.to_vec())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

/// The library's client, believing any server.
pub(super) struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// The library's client, logged in.
pub(super) async fn bare_client(
    address: SocketAddr,
    user: &str,
    config: client::Config,
) -> client::Handle<Trusting> {
    let mut handle = client::connect(Arc::new(config), address, Trusting).await.unwrap();
    let key = PrivateKey::from_openssh(&KeyPair::shared(KeyKind::Ed25519).private).unwrap();
    let key = russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key), None);
    assert!(handle.authenticate_publickey(user, key).await.unwrap().success());
    handle
}
