//! One task writes, one reads: neither ever waits for the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::SftpError;
use super::frames::Frames;
use super::link::Link;
use super::wire::Packet;
use crate::remote::ExitStatus;
use crate::transport::{ChannelError, ChannelEvent, ChannelInput, ChannelOutput};

/// How much of stderr is kept.
const STDERR_MAX: usize = 4096;

/// How much of stdout is kept for the case that it is no SFTP.
const STDOUT_MAX: usize = 200;

/// How long the last of the output may take once the server's process ended,
/// and how long a lost channel's reader may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Small requests are put into one write up to this length.
const BATCH_MAX: usize = 32 * 1024;

/// In how many steps silence is measured. A process that was stopped for a
/// while sees one step pass, not all.
const STALL_STEPS: u32 = 8;

/// Writes what is queued, until the session is over; then closes the channel.
pub(super) async fn write(
    link: Arc<Link>,
    input: Box<dyn ChannelInput>,
    mut queue: mpsc::Receiver<Packet>,
) {
    let writing = async {
        loop {
            if let Err(error) = write_batch(&*input, &mut queue).await {
                return error;
            }
        }
    };
    tokio::select! {
        error = writing => {
            // The reader knows more about the reason.
            let _ = timeout(LAST_WORDS, link.over.cancelled()).await;
            link.end(SftpError::Lost { reason: error.to_string() });
        }
        () = link.over.cancelled() => {}
    }
    let _ = timeout(LAST_WORDS, input.close()).await;
}

/// Writes at least one packet. The queue never closes: a link has its sender.
async fn write_batch(
    input: &dyn ChannelInput,
    queue: &mut mpsc::Receiver<Packet>,
) -> Result<(), ChannelError> {
    let Some(first) = queue.recv().await else { return Ok(()) };
    let Packet { head, mut payload } = first;
    let mut batch = BytesMut::from(head);
    // A short payload is copied: what stands alone in a packet of SSH costs more.
    while batch.len() + payload.len() < BATCH_MAX
        && let Ok(next) = queue.try_recv()
    {
        batch.extend_from_slice(&payload);
        batch.extend_from_slice(&next.head);
        payload = next.payload;
    }
    if batch.len() + payload.len() < BATCH_MAX {
        batch.extend_from_slice(&payload);
        payload = Bytes::new();
    }
    input.write(batch.freeze()).await?;
    if payload.is_empty() { Ok(()) } else { input.write(payload).await }
}

/// Reads and delivers answers until the session is over.
pub(super) async fn read(link: Arc<Link>, mut incoming: Incoming, stall: Duration) {
    let mut quiet = 0;
    loop {
        while !link.over.is_cancelled() {
            match incoming.frames.next() {
                Ok(Some(packet)) => link.deliver(packet),
                Ok(None) => break,
                Err(violation) => link.violated(violation),
            }
        }
        tokio::select! {
            biased;
            () = link.over.cancelled() => return,
            more = incoming.more() => match more {
                Ok(()) => quiet = 0,
                Err(reason) => {
                    let said = incoming.said(true);
                    let said = if said.is_empty() { said } else { format!(" after it said {said:?}") };
                    return link.end(SftpError::Lost { reason: reason + &said });
                }
            },
            () = sleep(stall / STALL_STEPS) => {
                quiet = if link.is_owed() { quiet + 1 } else { 0 };
                if quiet >= STALL_STEPS {
                    return link.end(SftpError::Stalled(stall));
                }
            }
        }
    }
}

/// The reading side of the channel.
pub(super) struct Incoming {
    output: Box<dyn ChannelOutput>,
    pub(super) frames: Frames,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<ExitStatus>,
    eof: bool,
    /// When to stop waiting for the rest of what an ended process said.
    last_words: Option<Instant>,
}

impl Incoming {
    pub(super) fn new(output: Box<dyn ChannelOutput>) -> Self {
        Self {
            output,
            frames: Frames::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            exit: None,
            eof: false,
            last_words: None,
        }
    }

    /// Waits for more stdout and puts it into `frames`; an error is the reason
    /// why there will be none.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn more(&mut self) -> Result<(), String> {
        while !(self.eof && self.exit.is_some()) {
            let event = match self.last_words {
                Some(deadline) => {
                    timeout_at(deadline, self.output.next()).await.unwrap_or_default()
                }
                None => self.output.next().await,
            };
            match event {
                Some(ChannelEvent::Stdout(bytes)) => {
                    keep(&mut self.stdout, &bytes, STDOUT_MAX);
                    self.frames.push(bytes);
                    return Ok(());
                }
                Some(ChannelEvent::Stderr(bytes)) => keep(&mut self.stderr, &bytes, STDERR_MAX),
                Some(ChannelEvent::Accepted) => {}
                Some(ChannelEvent::Refused) => return Err("the server refused it".into()),
                Some(ChannelEvent::Eof) => self.eof = true,
                Some(ChannelEvent::Exit(status)) => self.exit = Some(status),
                None => break,
            }
            if self.eof || self.exit.is_some() {
                self.last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
            }
        }
        Err(self.reason())
    }

    /// Listens a little longer to somebody who does not speak SFTP.
    pub(super) async fn hear_out(&mut self) {
        let listen = async { while self.stdout.len() < STDOUT_MAX && self.more().await.is_ok() {} };
        let _ = timeout(LAST_WORDS, listen).await;
    }

    /// What was said besides SFTP: stdout from before the session started, if
    /// it did not, and stderr.
    pub(super) fn said(&self, started: bool) -> String {
        let stdout = if started { &[][..] } else { &self.stdout };
        let parts = [stdout, &self.stderr].map(|text| String::from_utf8_lossy(text));
        let parts: Vec<&str> =
            parts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
        parts.join("\n")
    }

    fn reason(&self) -> String {
        match &self.exit {
            Some(ExitStatus::Code(code)) => format!("its process ended with status {code}"),
            Some(ExitStatus::Signal(signal)) => format!("its process was ended by SIG{signal}"),
            _ if self.eof => "its process closed its output".into(),
            _ => "the channel was closed".into(),
        }
    }
}

fn keep(text: &mut Vec<u8>, bytes: &Bytes, max: usize) {
    let room = max.saturating_sub(text.len());
    text.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
