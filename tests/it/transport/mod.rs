//! Our transport against real, hostile and unlucky servers, at the level of
//! `Connector` and `Connection`. A test's name begins with its check's number
//! where it has one.

mod before_kex;
mod bit_flips;
mod channels;
mod host_certificates;
mod host_keys;
mod hostile;
mod identity;
mod jumps;
mod leaks;
mod library;
mod malformed;
mod offer;
mod pool;
mod rekey;
mod round_trips;
mod rsa;
mod servers;
mod terrapin;
mod wedges;

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use orchestrator::remote::ExitStatus;
use orchestrator::ssh::{Settings, SshConnector};
use orchestrator::transport::{
    Channel, ChannelError, ChannelEvent, ChannelOutput, ConnectError, Connection, Connector,
    Endpoint, ExecRequest, Identity, Route, Trust,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::support::{Hostile, KeyKind, KeyPair, client, wait_until};

/// Longer than anything that ends takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What this process may grow by, whatever a server sends.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// Whether the full counts are asked for instead of those of every day.
fn soak() -> bool {
    std::env::var_os("ORCHESTRATOR_SOAK").is_some()
}

/// A connector, and an endpoint for it.
struct Target {
    connector: SshConnector,
    endpoint: Endpoint,
    _key: TempDir,
}

impl Target {
    /// An address that is no fixture's own, with a key that fixtures accept.
    fn new(address: SocketAddr, known_hosts: &str) -> Self {
        Self::with(address, client::settings(known_hosts))
    }

    fn with(address: SocketAddr, settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::shared(KeyKind::Ed25519).write_to(dir.path().join("key"));
        let endpoint = Endpoint {
            label: "vm01".into(),
            address: address.ip().to_string(),
            port: address.port(),
            user: crate::support::current_user(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity { key_file: Some(key), agent: false },
            profile: None,
        };
        Self { connector: SshConnector::new(settings), endpoint, _key: dir }
    }

    fn hostile(server: &Hostile) -> Self {
        Self::new(server.addr(), &server.known_hosts())
    }

    fn profile(mut self, name: &str) -> Self {
        self.endpoint.profile = Some(name.into());
        self
    }

    async fn connect(&self) -> Arc<dyn Connection> {
        self.connect_within(PATIENCE).await.unwrap()
    }

    async fn connect_within(&self, limit: Duration) -> Result<Arc<dyn Connection>, ConnectError> {
        dial(&self.connector, &self.endpoint, limit).await
    }

    /// Why there is no connection.
    async fn refusal(&self) -> ConnectError {
        self.connect_within(PATIENCE).await.err().expect("it connects")
    }
}

async fn dial(
    connector: &SshConnector,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<Arc<dyn Connection>, ConnectError> {
    connector.connect(endpoint, Instant::now() + limit).await
}

/// Starts a command without our wrapper.
async fn exec(connection: &dyn Connection, command: &str) -> Result<Channel, ChannelError> {
    let request = ExecRequest { command: command.into(), pty: None };
    timeout(PATIENCE, connection.exec(request)).await.expect("a channel in time")
}

/// All that came of a channel until it closed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<ExitStatus>,
    refused: bool,
}

impl Said {
    fn exited(stdout: &str, code: u32) -> Self {
        let exit = Some(ExitStatus::Code(code));
        Self { stdout: stdout.into(), exit, ..Self::default() }
    }
}

/// Reads a channel to its end.
async fn listen(output: &mut dyn ChannelOutput) -> Said {
    let mut said = Said::default();
    let listening = async {
        while let Some(event) = output.next().await {
            match event {
                ChannelEvent::Stdout(bytes) => said.stdout.extend_from_slice(&bytes),
                ChannelEvent::Stderr(bytes) => said.stderr.extend_from_slice(&bytes),
                ChannelEvent::Exit(exit) => said.exit = Some(exit),
                ChannelEvent::Refused => said.refused = true,
                ChannelEvent::Accepted | ChannelEvent::Eof => {}
            }
        }
    };
    timeout(PATIENCE, listening).await.expect("the channel ends");
    said
}

/// Runs a command without our wrapper.
async fn output_of(connection: &dyn Connection, command: &str) -> Result<Said, ChannelError> {
    let mut channel = exec(connection, command).await?;
    Ok(listen(&mut *channel.output).await)
}

/// A connection that works, shown by a command.
async fn works(connection: &dyn Connection) {
    let said = output_of(connection, "echo works").await.unwrap();
    // stderr aside: an sshd at LogLevel DEBUG speaks there.
    assert_eq!(said.stdout, b"works\n");
    assert_eq!(said.exit, Some(ExitStatus::Code(0)));
}

/// Tasks of this test's runtime.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Sockets of this process that are connected, or connecting, to an address.
fn sockets_to(address: SocketAddr) -> usize {
    let own: HashSet<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = if address.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let port = format!(":{:04X}", address.port());
    fs::read_to_string(table)
        .unwrap()
        .lines()
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[2].ends_with(&port) && own.contains(fields[9])
        })
        .count()
}

/// Waits until nothing of what was done to this address is left.
async fn nothing_is_left(tasks_before: usize, address: SocketAddr) {
    wait_until("its tasks and sockets are gone", || {
        tasks() == tasks_before && sockets_to(address) == 0
    })
    .await;
}
