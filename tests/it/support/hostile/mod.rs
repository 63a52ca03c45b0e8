//! SSH servers that misbehave, each in one way.

mod after_kex;
mod before_kex;
pub(crate) mod files;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::background::Background;
use super::openssh;
use super::wire::{Handshake, HostKey, Wire};
use files::{Files, Tree};

/// What a server does wrong. One that gets past its misdeed goes on as
/// [`Behaviour::Honest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Nothing: accepts any key and runs commands by `/bin/sh -c` as the user
    /// who runs the tests, one at a time.
    Honest,

    // Instead of key exchange.
    /// Accepts the connection and says nothing.
    Silent,
    /// Sends a byte of its identification every half second.
    SlowBanner,
    /// Sends its identification and nothing more.
    StallsBeforeKexinit,
    /// Identifies as SSH-1.5 and waits.
    Ssh15,
    /// Sends an identification line that never ends.
    EndlessBanner,
    /// Announces a packet of 2 GiB.
    HugePacketLength,
    /// Resets the connection at once.
    Resets,
    /// Answers as a web server does.
    SpeaksHttp,
    /// Closes the connection at once.
    Closes,

    // Odd identification, then honest.
    /// 1,024 lines before the identification, which RFC 4253 allows.
    LinesBeforeBanner,
    /// A NUL in the identification.
    NulInBanner,
    /// SSH-1.99, which means 2.0.
    Ssh199,
    /// The identification ends in LF alone.
    BannerWithoutCr,

    // During key exchange.
    /// Offers no strict key exchange; AES-GCM needs none.
    NotStrict,
    /// As [`Behaviour::NotStrict`], with chacha20-poly1305 as the only cipher.
    NotStrictChacha,
    /// Terrapin: a message injected before NEWKEYS despite strict key exchange.
    IgnoreBeforeNewkeys,
    /// The signature is not of this exchange.
    WrongSignature,
    /// Has another host key when keys are exchanged anew, mid-command.
    RekeysWithOtherHostKey,
    /// As [`Behaviour::RekeysWithOtherHostKey`], and the key is of another type.
    RekeysWithOtherHostKeyType,
    /// Spoils every other message after the identification, by chance from
    /// this seed.
    Mutates(u64),

    // During authentication.
    NeverAnswersAuth,
    /// Refuses every key.
    RefusesAuth,
    /// Takes no key and no password but as the answer to one question, then asks
    /// no further question, as PAM does (keyboard-interactive, RFC 4256).
    AsksOneQuestion,
    /// As [`Behaviour::AsksOneQuestion`], but wants a code besides.
    AsksTwoQuestions,
    /// As [`Behaviour::AsksOneQuestion`], and no answer is right.
    AsksInVain,

    // When a channel is opened.
    NeverAnswersChannelOpen,
    RefusesChannelOpen,
    /// Data for the channel before it is confirmed, and for one never opened.
    ForgesData,
    /// An exit status of 0 likewise.
    ForgesExitStatus,
    /// A close likewise.
    ForgesClose,

    // When a command is to be run.
    NeverAnswersExec,
    RefusesExec,
    /// Runs the command, closes without an exit status.
    NoExitStatus,
    /// Runs the command, reports that SIGKILL ended it.
    ExitSignal,
    /// 16 MiB of stdout whatever the window, then exit status 0.
    DataBeyondWindow,
    /// stderr without end, within the window.
    FloodsStderr,
    /// Asks for channels of five types nobody offered, then runs the command.
    OpensChannels,
    /// 10,000 global requests that want a reply, then runs the command.
    FloodsGlobalRequests,
    /// Part of the output, then DISCONNECT.
    DisconnectsMidCommand,
    /// Part of the output, then the end of the TCP stream.
    ClosesMidCommand,
}

/// A running server; dropping it closes every connection.
pub(crate) struct Hostile {
    addr: SocketAddr,
    host_key: String,
    seen: Arc<Mutex<Seen>>,
    tree: Arc<Mutex<Tree>>,
    _thread: Background,
}

/// What clients did.
#[derive(Default)]
struct Seen {
    connections: usize,
    commands: Vec<Vec<u8>>,
    unanswered: usize,
    channel_answers: Vec<u8>,
    secrets: Vec<Vec<u8>>,
}

impl Hostile {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::serve(behaviour, None)
    }

    /// Serves files, to whoever comes, and lies about them.
    pub(crate) fn with_files(files: Files) -> Self {
        Self::serve(Behaviour::Honest, Some(files))
    }

    fn serve(behaviour: Behaviour, files: Option<Files>) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let host = Arc::new(HostKey::generate());
        let host_key = host.public();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let record = seen.clone();
        let tree = Arc::new(Mutex::new(Tree::default()));
        if let Some(files) = &files {
            *tree.lock().unwrap() = files.tree.clone();
        }
        let (files, held) = (files.map(Arc::new), tree.clone());
        let thread = Background::run(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                record.lock().unwrap().connections += 1;
                let (host, record) = (host.clone(), record.clone());
                let (files, tree) = (files.clone(), held.clone());
                connections.spawn(async move {
                    // What a client thinks of it shows at the client.
                    let _ = match files {
                        Some(files) => serve_files(stream, &host, &record, &files, &tree).await,
                        None => serve(stream, behaviour, &host, &record).await,
                    };
                });
            }
        });
        Self { addr, host_key, seen, tree, _thread: thread }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `ssh-ed25519 AAAA…`
    pub(crate) fn host_key(&self) -> &str {
        &self.host_key
    }

    pub(crate) fn known_hosts(&self) -> String {
        openssh::known_hosts_line(self.addr, &self.host_key)
    }

    /// The files as they are now.
    pub(crate) fn tree(&self) -> Tree {
        self.tree.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The commands of the exec requests received so far.
    pub(crate) fn commands(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().commands.clone()
    }

    /// Passwords and answers received so far.
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().secrets.clone()
    }

    /// Requests received so far that a behaviour leaves without an answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.seen.lock().unwrap().unanswered
    }

    /// The message numbers of the answers to [`Behaviour::OpensChannels`]: 92
    /// is a refusal, 91 a confirmation.
    pub(crate) fn channel_answers(&self) -> Vec<u8> {
        self.seen.lock().unwrap().channel_answers.clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    host: &HostKey,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    if before_kex::misbehave(&mut stream, behaviour).await? {
        return Ok(());
    }
    let how = handshake(behaviour);
    let mut wire = Wire::new(stream);
    if behaviour == Behaviour::LinesBeforeBanner {
        wire.writer.raw("They may say what they like.\r\n".repeat(1024).as_bytes()).await?;
    }
    wire.exchange_banners(how.banner).await?;
    if let Behaviour::Mutates(seed) = behaviour {
        wire.writer.mutate(seed);
    }
    wire.exchange_keys(host, how).await?;
    after_kex::misbehave(&mut wire, behaviour, seen).await
}

async fn serve_files(
    stream: TcpStream,
    host: &HostKey,
    seen: &Mutex<Seen>,
    files: &Files,
    tree: &Arc<Mutex<Tree>>,
) -> io::Result<()> {
    let how = Handshake::default();
    let mut wire = Wire::new(stream);
    wire.exchange_banners(how.banner).await?;
    wire.exchange_keys(host, how).await?;
    after_kex::authenticate(&mut wire, Behaviour::Honest, seen).await?;
    files::serve(wire, files, tree).await
}

fn handshake(behaviour: Behaviour) -> Handshake {
    let usual = Handshake::default();
    match behaviour {
        Behaviour::NulInBanner => Handshake { banner: "SSH-2.0-Nul\0Inside\r\n", ..usual },
        Behaviour::Ssh199 => Handshake { banner: "SSH-1.99-Scripted\r\n", ..usual },
        Behaviour::BannerWithoutCr => Handshake { banner: "SSH-2.0-Scripted\n", ..usual },
        Behaviour::NotStrict => Handshake { strict: false, ..usual },
        Behaviour::NotStrictChacha => {
            Handshake { strict: false, cipher: "chacha20-poly1305@openssh.com", ..usual }
        }
        Behaviour::IgnoreBeforeNewkeys => Handshake { ignore_before_newkeys: true, ..usual },
        Behaviour::WrongSignature => Handshake { wrong_signature: true, ..usual },
        _ => usual,
    }
}
