//! Making a connection: socket, key exchange, host key, authentication, each
//! within the deadline and each with its own error.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use russh::client::{self, GexParams, Handle};
use russh::keys::PrivateKey;
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::algorithms::{Adjustments, Algorithms};
use super::auth::{self, Proof};
use super::connection::{Link, SshConnection};
use super::handler::{Client, Learned, Verify, describe};
use super::host_key;
use super::key_file::{self, NewKey, PublicLine};
use super::keys::{self, KeyError, Passphrases};
use super::known_hosts::KnownHosts;
use super::profile::Profile;
use super::socket::{Control, Socket};
use super::trace::Trace;
use crate::transport::{
    ChannelError, ConnectError, ConnectErrorKind, ConnectPhase, Connection, ConnectionFacts,
    Connector, Endpoint, Route,
};

/// How the connector behaves towards every host.
#[derive(Clone)]
pub struct Settings {
    /// What is offered where an endpoint names no profile of its own.
    pub profile: Profile,
    /// What is asked for beyond the profile, an endpoint's own included.
    pub adjustments: Adjustments,
    /// What is known of host keys.
    pub known_hosts: Arc<KnownHosts>,
    /// Where passphrases come from.
    pub passphrases: Passphrases,
    /// The socket of the ssh-agent, for endpoints that use it.
    pub agent_socket: Option<PathBuf>,
    /// The longest that authentication may take.
    pub auth_timeout: Duration,
    /// How often a silent connection is asked for a sign of life; it is given
    /// up after three unanswered questions.
    pub keepalive: Duration,
    /// After how many bytes in one direction new keys are negotiated.
    pub rekey_bytes: usize,
}

/// Connects by SSH.
pub struct SshConnector {
    settings: Settings,
    keys: Mutex<HashMap<PathBuf, Arc<OnceCell<Arc<PrivateKey>>>>>,
}

/// How often keepalives may go unanswered.
const KEEPALIVE_MAX: usize = 3;

/// How many messages of a channel the library keeps until they are taken away,
/// which happens at once unless the channel's consumer is slow.
const MESSAGES_MAX: usize = 16;

impl SshConnector {
    /// A connector that keeps unlocked keys for as long as it lives.
    pub fn new(settings: Settings) -> Self {
        Self { settings, keys: Mutex::default() }
    }

    /// As [`connect`](Connector::connect), but proves who we are by a password
    /// (RFC 4252, 8, and RFC 4256), offered once. Only for putting a key on a
    /// host; jump hosts on the way are logged in to by key as always.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket and ends every task it started.
    pub async fn connect_with_password(
        &self,
        endpoint: &Endpoint,
        password: &SecretString,
        deadline: Instant,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let algorithms = self.algorithms(endpoint)?;
        self.connect_by(endpoint, &algorithms, Proof::Password(password), None, deadline).await
    }

    /// Uses a key that was just made for the connections that its file will be
    /// named for, so that nobody is asked for its passphrase again.
    pub fn hold(&self, path: &Path, key: &NewKey) {
        let cell = Arc::new(OnceCell::new_with(Some(Arc::new(key.unlocked.clone()))));
        self.keys().insert(path.to_owned(), cell);
    }

    /// Says that a key file took the place of another.
    pub fn key_moved(&self, from: &Path, to: &Path) {
        let mut keys = self.keys();
        match keys.remove(from) {
            Some(cell) => keys.insert(to.to_owned(), cell),
            None => keys.remove(to),
        };
    }

    /// The public half of a key of ours; see [`key_file::public_line`]. Blocks.
    ///
    /// # Errors
    /// As there.
    pub fn public_line(&self, path: &Path) -> Result<PublicLine, KeyError> {
        key_file::public_line(path, &self.settings.passphrases)
    }

    /// The socket of the ssh-agent.
    pub(super) fn agent(&self) -> Option<&Path> {
        self.settings.agent_socket.as_deref()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<OnceCell<Arc<PrivateKey>>>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect_by(
        &self,
        endpoint: &Endpoint,
        algorithms: &Algorithms,
        proof: Proof<'_>,
        carrier: Option<&Arc<dyn Connection>>,
        deadline: Instant,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let trace = Trace::default();
        let once = self.connect_once(endpoint, algorithms, proof, carrier, deadline, &trace);
        let result = match once.await {
            Err(Obstacle::LacksStrictKex) => {
                let (narrower, trace) = (algorithms.without_terrapin(), Trace::default());
                self.connect_once(endpoint, &narrower, proof, carrier, deadline, &trace).await
            }
            other => other,
        };
        result.map_err(ConnectError::from)
    }

    /// One attempt with one offer; what comes of each step is noted.
    pub(super) async fn connect_once(
        &self,
        endpoint: &Endpoint,
        algorithms: &Algorithms,
        proof: Proof<'_>,
        carrier: Option<&Arc<dyn Connection>>,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<Arc<dyn Connection>, Obstacle> {
        let started = Instant::now();
        let (socket, made) = self.dial(endpoint, carrier, deadline, trace).await?;
        let control = socket.control();
        let guard = KillOnDrop::new(Arc::clone(&control));
        let learned = Arc::new(Learned::default());
        let verify = host_key::verifier(
            Arc::clone(&self.settings.known_hosts),
            endpoint,
            algorithms.rsa_min_bits,
            Arc::clone(&trace.accepted),
        )?;
        let handle = self.handshake(endpoint, algorithms, verify, socket, &learned, deadline).await;
        let mut handle = match handle {
            Ok(handle) => handle,
            Err(_) if learned.lacks_strict_kex() => return Err(Obstacle::LacksStrictKex),
            Err(error) => return Err(error.into()),
        };
        let connect_time = started.elapsed();
        let _ = trace.exchanged.set(Instant::now());

        let auth_deadline = deadline.min(Instant::now() + self.settings.auth_timeout);
        let authenticating = Instant::now();
        let authenticated =
            timeout_at(auth_deadline, auth::authenticate(&mut handle, endpoint, proof, &learned));
        let proven = match authenticated.await {
            Ok(result) => result?,
            Err(_) => {
                let waited = authenticating.elapsed();
                return Err(late(endpoint, ConnectPhase::Auth, waited).into());
            }
        };
        let _ = trace.proven.set((Instant::now(), proven));
        let negotiated = learned.negotiated().unwrap_or_default();
        let facts = ConnectionFacts {
            post_quantum: negotiated.kex.starts_with("mlkem"),
            kex: negotiated.kex,
            cipher: negotiated.cipher,
            mac: negotiated.mac,
            host_key_type: negotiated.host_key_type,
            host_key: learned.host_key().unwrap_or_default(),
            strict_kex: negotiated.strict_kex,
            server: negotiated.server,
            address: endpoint.authority(),
            user: endpoint.user.clone(),
            connect_time,
            auth_time: authenticating.elapsed(),
        };
        guard.disarm();
        let link = Link::new(control, learned);
        // Cloned only now: how many hold a carrier is how many it carries.
        let carrier = made.or_else(|| carrier.cloned());
        Ok(SshConnection::new(handle, facts, link, carrier, self.settings.keepalive))
    }

    /// A socket to the endpoint, and the connection that carries it, if that
    /// had to be made because none was given.
    pub(super) async fn dial(
        &self,
        endpoint: &Endpoint,
        carrier: Option<&Arc<dyn Connection>>,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<(Socket, Option<Arc<dyn Connection>>), ConnectError> {
        let (socket, made) = self.reach(endpoint, carrier, deadline, trace).await?;
        let _ = trace.reached.set(Instant::now());
        Ok((socket.heard_by(trace.heard.clone()), made))
    }

    async fn reach(
        &self,
        endpoint: &Endpoint,
        carrier: Option<&Arc<dyn Connection>>,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<(Socket, Option<Arc<dyn Connection>>), ConnectError> {
        match &endpoint.route {
            Route::Direct => {
                let addresses = resolve(endpoint, deadline).await?;
                let ips = addresses.iter().map(SocketAddr::ip).collect();
                let _ = trace.resolved.set((Instant::now(), ips));
                Ok((tcp(endpoint, &addresses, deadline).await?, None))
            }
            Route::Via(jump) => {
                let mut made = None;
                let carrier = match carrier {
                    Some(carrier) => carrier,
                    None => {
                        let connected = self.connect(jump, deadline).await;
                        &*made.insert(connected.map_err(|error| error.at_jump_host(jump))?)
                    }
                };
                let opening = carrier.open_stream(&endpoint.address, endpoint.port);
                let stream = match timeout_at(deadline, opening).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return Err(not_carried(endpoint, jump, &error)),
                    Err(_) => return Err(late(endpoint, ConnectPhase::Tcp, Duration::ZERO)),
                };
                Ok((Socket::inner(stream), made))
            }
        }
    }

    /// Everything before authentication.
    pub(super) async fn handshake(
        &self,
        endpoint: &Endpoint,
        algorithms: &Algorithms,
        verify: Verify,
        socket: Socket,
        learned: &Arc<Learned>,
        deadline: Instant,
    ) -> Result<Handle<Client>, ConnectError> {
        let control = socket.control();
        let (known, vouched) = host_key::offer(&self.settings.known_hosts, endpoint)?;
        let config = client::Config {
            client_id: russh::SshId::Standard(
                concat!("SSH-2.0-orchestrator_", env!("CARGO_PKG_VERSION")).into(),
            ),
            limits: russh::Limits {
                rekey_write_limit: self.settings.rekey_bytes,
                rekey_read_limit: self.settings.rekey_bytes,
                rekey_time_limit: Duration::from_secs(3600),
            },
            preferred: algorithms.preferred(&known, vouched),
            keepalive_interval: Some(self.settings.keepalive),
            keepalive_max: KEEPALIVE_MAX,
            gex: GexParams::new(3072, 4096, 8192).unwrap_or_default(),
            channel_buffer_size: MESSAGES_MAX,
            ..client::Config::default()
        };
        let client = Client {
            verify,
            algorithms: algorithms.clone(),
            learned: Arc::clone(learned),
            control: Arc::clone(&control),
        };
        let started = Instant::now();
        let phase = || if control.identified() { ConnectPhase::Kex } else { ConnectPhase::Banner };
        match timeout_at(deadline, client::connect_stream(Arc::new(config), socket, client)).await {
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(error)) => {
                Err(learned.refusal().unwrap_or_else(|| refused(endpoint, phase(), &error)))
            }
            Err(_) => Err(late(endpoint, phase(), started.elapsed())),
        }
    }

    /// The endpoint's key, read and unlocked at most once.
    pub(super) async fn key(&self, path: &Path) -> Result<Arc<PrivateKey>, KeyError> {
        let cell = Arc::clone(self.keys().entry(path.to_owned()).or_default());
        let load = || async {
            let (path, passphrases) = (path.to_owned(), self.settings.passphrases.clone());
            let shown = path.display().to_string();
            tokio::task::spawn_blocking(move || keys::load(&path, &passphrases))
                .await
                .unwrap_or_else(|error| Err(KeyError::Io { path: shown, cause: error.to_string() }))
                .map(Arc::new)
        };
        cell.get_or_try_init(load).await.cloned()
    }

    pub(super) fn algorithms(&self, endpoint: &Endpoint) -> Result<Algorithms, ConnectError> {
        let profile = match &endpoint.profile {
            None => self.settings.profile,
            Some(name) => name.parse().map_err(|error: super::InvalidProfile| {
                fail(ConnectPhase::Kex, ConnectErrorKind::Algorithms, error.to_string())
            })?,
        };
        Ok(self.settings.adjustments.apply(profile))
    }
}

impl SshConnector {
    async fn connect_by_key(
        &self,
        endpoint: &Endpoint,
        carrier: Option<&Arc<dyn Connection>>,
        deadline: Instant,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        let algorithms = self.algorithms(endpoint)?;
        // Unlocking a key may wait for a person; that is not the host's time.
        let unlocking = Instant::now();
        let key = match &endpoint.identity.key_file {
            Some(path) => Some(self.key(path).await.map_err(|error| locked(&error))?),
            None => None,
        };
        let deadline = deadline + unlocking.elapsed();
        let proof = Proof::Key { key: key.as_ref(), agent: self.agent() };
        self.connect_by(endpoint, &algorithms, proof, carrier, deadline).await
    }
}

impl Connector for SshConnector {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        self.connect_by_key(endpoint, None, deadline).boxed()
    }

    fn connect_over<'a>(
        &'a self,
        carrier: &'a Arc<dyn Connection>,
        endpoint: &'a Endpoint,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, ConnectError>> {
        self.connect_by_key(endpoint, Some(carrier), deadline).boxed()
    }
}

/// Why one attempt with one offer did not succeed.
pub(super) enum Obstacle {
    Error(Box<ConnectError>),
    LacksStrictKex,
}

impl From<ConnectError> for Obstacle {
    fn from(error: ConnectError) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<Obstacle> for ConnectError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Error(error) => *error,
            Obstacle::LacksStrictKex => fail(
                ConnectPhase::Kex,
                ConnectErrorKind::Algorithms,
                "the server offers nothing that is safe without strict key exchange".into(),
            ),
        }
    }
}

/// Ends the library's task and the socket when a connection attempt is given
/// up; the library would keep both.
pub(super) struct KillOnDrop(Option<Arc<Control>>);

impl KillOnDrop {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self(Some(control))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.kill();
        }
    }
}

async fn resolve(endpoint: &Endpoint, deadline: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
    let started = Instant::now();
    let resolving = tokio::net::lookup_host((endpoint.address.as_str(), endpoint.port));
    match timeout_at(deadline, resolving).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => {
            let hint = "check the VM's `ip` in the configuration".to_owned();
            Err(unreached(format!("cannot resolve {}: {error}", endpoint.address), Some(hint)))
        }
        Err(_) => Err(late(endpoint, ConnectPhase::Tcp, started.elapsed())),
    }
}

async fn tcp(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<Socket, ConnectError> {
    let started = Instant::now();
    let at = endpoint.authority();
    let mut last = format!("{} has no address", endpoint.address);
    for (index, address) in addresses.iter().enumerate() {
        // A name with several addresses must not spend all its time on the
        // first that does not answer.
        let rest = u32::try_from(addresses.len() - index).unwrap_or(1);
        let now = Instant::now();
        let share = now + deadline.saturating_duration_since(now) / rest;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                return Socket::tcp(stream).map_err(|error| unreached(error.to_string(), None));
            }
            Ok(Err(error)) if lacks_files(&error) => return Err(no_files(&at, &error)),
            Ok(Err(error)) => last = format!("cannot connect to {at}: {}", plain(&error)),
            Err(_) if Instant::now() >= deadline => {
                return Err(late(endpoint, ConnectPhase::Tcp, started.elapsed()));
            }
            Err(_) => last = format!("no answer from {address}"),
        }
    }
    let hint = format!("check that sshd runs there and listens on port {}", endpoint.port);
    Err(unreached(last, Some(hint)))
}

/// Whether this process, or the system, has too many files open.
fn lacks_files(error: &std::io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].contains(&errno))
}

fn no_files(at: &str, error: &std::io::Error) -> ConnectError {
    let hint = "raise the limit of open files (ulimit -n), or lower --fanout".to_owned();
    let message = format!("cannot connect to {at}: {}", plain(error));
    ConnectError { hint: Some(hint), ..fail(ConnectPhase::Tcp, ConnectErrorKind::NoFiles, message) }
}

fn unreached(cause: String, hint: Option<String>) -> ConnectError {
    ConnectError { hint, ..fail(ConnectPhase::Tcp, ConnectErrorKind::Network, cause) }
}

/// An I/O error of the system's in our own style, without the number that
/// `Display` adds.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    if error.raw_os_error().is_none() {
        return text;
    }
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

pub(super) fn fail(phase: ConnectPhase, kind: ConnectErrorKind, message: String) -> ConnectError {
    ConnectError { phase, kind, message, hint: None, host_key: None }
}

fn late(endpoint: &Endpoint, phase: ConnectPhase, waited: Duration) -> ConnectError {
    let message =
        format!("{} took more than {:.1} s: {phase}", endpoint.authority(), waited.as_secs_f32());
    let hint = "raise --connect-timeout if the host is only slow".to_owned();
    ConnectError { hint: Some(hint), ..fail(phase, ConnectErrorKind::Deadline, message) }
}

pub(super) fn locked(error: &KeyError) -> ConnectError {
    ConnectError {
        hint: Some(error.hint()),
        ..fail(ConnectPhase::Key, ConnectErrorKind::Key, error.to_string())
    }
}

fn not_carried(endpoint: &Endpoint, jump: &Endpoint, error: &ChannelError) -> ConnectError {
    let message =
        format!("jump host {} gives no way to {}: {error}", jump.label, endpoint.authority());
    let hint = format!("check AllowTcpForwarding and PermitOpen in sshd_config on {}", jump.label);
    ConnectError { hint: Some(hint), ..fail(ConnectPhase::Tcp, ConnectErrorKind::Network, message) }
}

fn refused(endpoint: &Endpoint, phase: ConnectPhase, error: &russh::Error) -> ConnectError {
    use russh::Error;
    let at = endpoint.authority();
    if let Error::NoCommonAlgo { kind, ours, theirs } = error {
        return no_common(&at, kind, ours, theirs);
    }
    let broken = match error {
        Error::IO(error) => error.kind() == std::io::ErrorKind::InvalidData,
        Error::Disconnect | Error::HUP => false,
        _ => true,
    };
    if broken {
        let message = format!("{at}: {}", describe(error));
        return fail(phase, ConnectErrorKind::Protocol, message);
    }
    let message = format!("{at}: {} during {phase}", describe(error));
    let hint = "sshd drops connections above its MaxStartups, and from addresses it \
                penalises (PerSourcePenalties)"
        .to_owned();
    ConnectError { hint: Some(hint), ..fail(phase, ConnectErrorKind::Network, message) }
}

fn no_common(
    at: &str,
    kind: &russh::AlgorithmKind,
    ours: &[String],
    theirs: &[String],
) -> ConnectError {
    let (what, directive) = match kind {
        russh::AlgorithmKind::Kex => ("key exchange", "KexAlgorithms curve25519-sha256"),
        russh::AlgorithmKind::Key => ("host key", "HostKeyAlgorithms ssh-ed25519"),
        russh::AlgorithmKind::Cipher => ("cipher", "Ciphers aes256-gcm@openssh.com"),
        russh::AlgorithmKind::Mac => ("MAC", "MACs hmac-sha2-256-etm@openssh.com"),
        russh::AlgorithmKind::Compression => ("compression", "Compression no"),
    };
    let list = |names: &[String]| {
        let shown: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.starts_with("ext-info") && !name.starts_with("kex-strict"))
            .collect();
        shown.join(", ")
    };
    let message = format!(
        "{at}: no common {what} algorithm. We offer {}. The server offers {}",
        list(ours),
        list(theirs),
    );
    let hint = format!(
        "allow a strong one on the server (sshd_config: {directive}); nothing weaker can be \
         switched on here, so a device that cannot be updated needs a jump host"
    );
    ConnectError {
        hint: Some(hint),
        ..fail(ConnectPhase::Kex, ConnectErrorKind::Algorithms, message)
    }
}
