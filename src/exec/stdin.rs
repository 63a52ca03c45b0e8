//! Feeding a command's stdin, in a task of its own: the task that reads a
//! channel must never wait for a write on it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::remote::{Secret, Stdin};
use crate::transport::ChannelInput;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// What the reader of the channel tells the feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// sudo wants its password.
    Password,
    /// Our `/bin/sh` reads: the preamble, then the command's own stdin.
    Begin,
}

/// What is fed.
pub(super) struct Feed {
    pub(super) password: Option<Secret>,
    pub(super) preamble: Zeroizing<Vec<u8>>,
    pub(super) stdin: Source,
}

/// The command's own stdin, ready to be read.
pub(super) enum Source {
    Bytes(Arc<[u8]>),
    /// Whatever is sent here, until nobody can send any more.
    Fed(mpsc::Receiver<Bytes>),
    File(tokio::fs::File),
    Inherit,
}

impl Source {
    /// Opens what must be opened, before anything is sent: a command must not
    /// run as if its stdin were empty.
    pub(super) async fn open(stdin: &Stdin) -> Result<Self, String> {
        let path = match stdin {
            Stdin::Empty => return Ok(Self::Bytes(Arc::default())),
            Stdin::Bytes(bytes) => return Ok(Self::Bytes(Arc::clone(bytes))),
            Stdin::Inherit => return Ok(Self::Inherit),
            Stdin::File(path) => path,
        };
        let open = async {
            let file = tokio::fs::File::open(path).await?;
            if file.metadata().await?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(file)
        };
        let opened: io::Result<_> = open.await;
        opened
            .map(Self::File)
            .map_err(|error| format!("cannot read our own file {}: {error}", path.display()))
    }
}

/// Feeds on cue until everything is sent. A command that stops reading is no
/// error: its exit status says what became of it. An error of our own source
/// is returned.
pub(super) async fn feed(
    input: Arc<dyn ChannelInput>,
    feed: Feed,
    mut cues: mpsc::Receiver<Cue>,
) -> io::Result<()> {
    while let Some(cue) = cues.recv().await {
        match (cue, &feed.password) {
            (Cue::Password, Some(password)) => {
                let line = Zeroizing::new(format!("{}\n", password.0.expose_secret()));
                if input.write(Bytes::copy_from_slice(line.as_bytes())).await.is_err() {
                    return Ok(());
                }
            }
            (Cue::Password, None) => {}
            (Cue::Begin, _) => break,
        }
    }
    if !feed.preamble.is_empty()
        && input.write(Bytes::copy_from_slice(&feed.preamble)).await.is_err()
    {
        return Ok(());
    }
    match feed.stdin {
        Source::Bytes(bytes) => {
            for bytes in bytes.chunks(CHUNK) {
                if input.write(Bytes::copy_from_slice(bytes)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Source::Fed(mut bytes) => {
            while let Some(bytes) = bytes.recv().await {
                if input.write(bytes).await.is_err() {
                    return Ok(());
                }
            }
        }
        Source::File(file) => copy(file, &*input).await?,
        Source::Inherit => copy(tokio::io::stdin(), &*input).await?,
    }
    let _ = input.eof().await;
    Ok(())
}

async fn copy(mut source: impl AsyncRead + Unpin, input: &dyn ChannelInput) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = source.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        if input.write(Bytes::copy_from_slice(bytes)).await.is_err() {
            return Ok(());
        }
    }
}
