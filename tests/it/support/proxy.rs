//! A TCP proxy that misbehaves on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::background::Background;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// What happens once so many bytes of a connection went one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing more goes this way until the fault is lifted; TCP stays open.
    Stall,
    /// Both ends see a connection reset.
    Reset,
    /// The receiver sees the end of the stream; the other way goes on.
    HalfClose,
    /// The next byte is exclusive-ored with the mask.
    Flip(u8),
}

/// A proxy in front of an address. Faults can be set before or during a
/// connection and concern every connection; dropping it resets them all.
pub(crate) struct Proxy {
    addr: SocketAddr,
    settings: watch::Sender<Settings>,
    counters: Arc<Counters>,
    _thread: Background,
}

#[derive(Clone, Copy)]
struct Settings {
    upstream: SocketAddr,
    refuses: bool,
    /// Connections of an earlier epoch are reset.
    epoch: u64,
    to_server: Line,
    to_client: Line,
}

/// One direction.
#[derive(Clone, Copy, Default)]
struct Line {
    delay: Duration,
    bytes_per_second: Option<u32>,
    fault: Option<(u64, Fault)>,
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl Proxy {
    /// A proxy that forwards faithfully, on a port of 127.0.0.1.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let line = Line::default();
        let settings =
            Settings { upstream, refuses: false, epoch: 0, to_server: line, to_client: line };
        let (settings, seen) = watch::channel(settings);
        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        let thread = Background::run(async move {
            serve(TcpListener::from_std(listener).unwrap(), addr, seen, counted).await;
        });
        Self { addr, settings, counters, _thread: thread }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where connections made from now on go.
    pub(crate) fn set_upstream(&self, upstream: SocketAddr) {
        self.settings.send_modify(|settings| settings.upstream = upstream);
    }

    /// Whether new connections are refused, as on a port where nobody listens.
    /// Takes effect shortly after.
    pub(crate) fn set_refuses(&self, refuses: bool) {
        self.settings.send_modify(|settings| settings.refuses = refuses);
    }

    /// How long each byte is under way.
    pub(crate) fn set_delay(&self, direction: Direction, delay: Duration) {
        self.modify(direction, |line| line.delay = delay);
    }

    /// How many bytes a second get through; `None` for no limit.
    pub(crate) fn set_rate(&self, direction: Direction, bytes_per_second: Option<u32>) {
        self.modify(direction, |line| line.bytes_per_second = bytes_per_second);
    }

    /// What happens after `offset` bytes of a connection went this way: once
    /// per connection, at once where it is past that offset, save that a flip
    /// then never happens.
    pub(crate) fn set_fault(&self, direction: Direction, offset: u64, fault: Fault) {
        self.modify(direction, |line| line.fault = Some((offset, fault)));
    }

    /// Lifts the fault; a stalled connection goes on where it stopped.
    pub(crate) fn clear_fault(&self, direction: Direction) {
        self.modify(direction, |line| line.fault = None);
    }

    /// Resets every connection there is.
    pub(crate) fn reset_connections(&self) {
        self.settings.send_modify(|settings| settings.epoch += 1);
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::SeqCst)
    }

    /// Bytes forwarded this way so far, over all connections.
    pub(crate) fn bytes(&self, direction: Direction) -> u64 {
        self.counters.bytes(direction).load(Ordering::SeqCst)
    }

    fn modify(&self, direction: Direction, change: impl FnOnce(&mut Line)) {
        self.settings.send_modify(|settings| {
            change(match direction {
                Direction::ToServer => &mut settings.to_server,
                Direction::ToClient => &mut settings.to_client,
            });
        });
    }
}

impl Settings {
    fn line(&self, direction: Direction) -> Line {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

impl Counters {
    fn bytes(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }
}

async fn serve(
    listener: TcpListener,
    addr: SocketAddr,
    mut settings: watch::Receiver<Settings>,
    counters: Arc<Counters>,
) {
    let mut door = Door::Open(listener);
    let mut connections = JoinSet::new();
    loop {
        door = door.set(settings.borrow_and_update().refuses, addr);
        tokio::select! {
            client = door.enter() => {
                counters.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(forward(client, settings.clone(), counters.clone()));
            }
            _ = settings.changed() => {}
        }
    }
}

/// A port that is listened on, or held without listening: then the kernel
/// refuses connections and nobody else can take the port.
enum Door {
    Open(TcpListener),
    Shut(TcpSocket),
}

impl Door {
    fn set(self, shut: bool, addr: SocketAddr) -> Self {
        match (self, shut) {
            (Self::Open(listener), true) => {
                drop(listener);
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                socket.bind(addr).unwrap();
                Self::Shut(socket)
            }
            (Self::Shut(socket), false) => Self::Open(socket.listen(1024).unwrap()),
            (door, _) => door,
        }
    }

    async fn enter(&self) -> TcpStream {
        match self {
            Self::Open(listener) => listener.accept().await.unwrap().0,
            Self::Shut(_) => std::future::pending().await,
        }
    }
}

/// Ends by a clean close when both ends are done, else by a reset.
async fn forward(
    mut client: TcpStream,
    settings: watch::Receiver<Settings>,
    counters: Arc<Counters>,
) {
    // A drop at any point resets, unless both directions ended first.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    let upstream = settings.borrow().upstream;
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let _ = server.set_zero_linger();
    let _ = server.set_nodelay(true);
    let (client_out, client_in) = client.split();
    let (server_out, server_in) = server.split();
    let to_server = Pipe::new(Direction::ToServer, &settings, &counters);
    let to_client = Pipe::new(Direction::ToClient, &settings, &counters);
    let mut watched = settings.clone();
    let epoch = settings.borrow().epoch;
    let ended = tokio::select! {
        ended = async {
            tokio::try_join!(to_server.run(client_out, server_in), to_client.run(server_out, client_in))
        } => ended,
        _ = watched.wait_for(|settings| settings.epoch != epoch) => Err(Reset),
    };
    if ended.is_ok() {
        for stream in [&client, &server] {
            #[allow(deprecated)] // its trap, a drop that blocks, needs a linger time
            let _ = stream.set_linger(None);
        }
    }
}

/// The connection is to be reset.
struct Reset;

/// One direction of one connection.
struct Pipe {
    direction: Direction,
    settings: watch::Receiver<Settings>,
    counters: Arc<Counters>,
    offset: u64,
    /// Later bytes are read and thrown away.
    closed: bool,
    flipped: bool,
}

impl Pipe {
    fn new(
        direction: Direction,
        settings: &watch::Receiver<Settings>,
        counters: &Arc<Counters>,
    ) -> Self {
        let (settings, counters) = (settings.clone(), counters.clone());
        Self { direction, settings, counters, offset: 0, closed: false, flipped: false }
    }

    /// Reads and writes apart, so that a delay costs no throughput.
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Reset> {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(64);
        let mut seen = self.settings.clone();
        let direction = self.direction;
        let read = async move {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let length = from.read(&mut buffer).await.map_err(|_| Reset)?;
                let due = Instant::now() + seen.borrow_and_update().line(direction).delay;
                // An empty chunk is the end of the stream, which takes its time too.
                queue.send((due, buffer[..length].to_vec())).await.map_err(|_| Reset)?;
                if length == 0 {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some((due, chunk)) = queued.recv().await {
                sleep_until(due).await;
                if chunk.is_empty() {
                    self.fault_at_offset(&mut to).await?;
                    let _ = to.shutdown().await;
                }
                self.write(chunk, &mut to).await?;
            }
            Ok(())
        };
        tokio::try_join!(read, write).map(|_| ())
    }

    async fn write(&mut self, mut chunk: Vec<u8>, to: &mut WriteHalf<'_>) -> Result<(), Reset> {
        while !chunk.is_empty() {
            self.fault_at_offset(to).await?;
            if self.closed {
                return Ok(());
            }
            let line = self.settings.borrow().line(self.direction);
            let until_fault = match line.fault {
                Some((at, Fault::Flip(mask))) if at == self.offset && !self.flipped => {
                    self.flipped = true;
                    chunk[0] ^= mask;
                    1
                }
                Some((at, _)) if at > self.offset => at - self.offset,
                _ => u64::MAX,
            };
            // Small steps keep a slow line even.
            let step = if line.bytes_per_second.is_some() { 512 } else { usize::MAX };
            let step = step.min(chunk.len()).min(usize::try_from(until_fault).unwrap_or(step));
            to.write_all(&chunk[..step]).await.map_err(|_| Reset)?;
            self.offset += step as u64;
            self.counters.bytes(self.direction).fetch_add(step as u64, Ordering::SeqCst);
            chunk.drain(..step);
            if let Some(rate) = line.bytes_per_second {
                sleep(Duration::from_secs_f64(step as f64 / f64::from(rate))).await;
            }
        }
        // A fault at the very end of what was sent must not wait for more.
        self.fault_at_offset(to).await
    }

    /// Does what is due at this offset, save the flip.
    async fn fault_at_offset(&mut self, to: &mut WriteHalf<'_>) -> Result<(), Reset> {
        loop {
            let fault = self.settings.borrow_and_update().line(self.direction).fault;
            match fault {
                Some((at, Fault::Reset)) if at <= self.offset => return Err(Reset),
                Some((at, Fault::HalfClose)) if at <= self.offset && !self.closed => {
                    self.closed = true;
                    let _ = to.shutdown().await;
                }
                Some((at, Fault::Stall)) if at <= self.offset => {
                    self.settings.changed().await.map_err(|_| Reset)?;
                }
                _ => return Ok(()),
            }
        }
    }
}
