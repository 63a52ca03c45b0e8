//! A server of files, true to the protocols but for one lie: many channels at
//! once, SFTP over a tree in memory, and commands run on a copy of it.

mod exec;
mod lie;
mod server;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::wire::{Fields, Payload, Wire, Writer, message};

pub(crate) use lie::{EVIL, Exec, Files, Lie};
pub(crate) use tree::{Node, Tree};

use server::Server;

const WINDOW: u32 = 2 * 1024 * 1024;
const PACKET: usize = 32 * 1024;

/// How long answers are collected to be turned around.
const COLLECT: Duration = Duration::from_millis(20);

/// Serves an authenticated connection.
pub(super) async fn serve(wire: Wire, files: &Files, tree: &Arc<Mutex<Tree>>) -> io::Result<()> {
    let Wire { mut reader, writer, .. } = wire;
    let (sender, mut messages) = mpsc::channel(64);
    let reading = async {
        loop {
            let message = reader.receive().await?;
            let _ = sender.send(message).await;
        }
    };
    let mut host = Host { writer, files, tree: Arc::clone(tree), channels: BTreeMap::new() };
    let serving = async {
        loop {
            let next = match host.holds_answers() {
                true => timeout(COLLECT, messages.recv()).await,
                false => Ok(messages.recv().await),
            };
            match next {
                Ok(Some(message)) => host.take(&message).await?,
                Ok(None) => return Ok(()),
                Err(_) => host.release().await?,
            }
        }
    };
    tokio::select! {
        ended = reading => ended,
        ended = serving => ended,
    }
}

struct Host<'a> {
    writer: Writer,
    files: &'a Files,
    tree: Arc<Mutex<Tree>>,
    /// By the client's numbers, which are ours too.
    channels: BTreeMap<u32, Channel>,
}

struct Channel {
    window: usize,
    /// What waits for room in the window.
    pending: Vec<u8>,
    purpose: Purpose,
}

enum Purpose {
    Unknown,
    Sftp { server: Server, partial: Vec<u8>, held: Vec<Vec<u8>> },
    Command { line: Vec<u8>, stdin: Vec<u8> },
}

impl Host<'_> {
    async fn take(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut fields = Fields::of(packet);
        match packet[0] {
            message::GLOBAL_REQUEST => {
                fields.str()?;
                if fields.bool()? {
                    self.writer.send(&Payload::new(message::REQUEST_FAILURE)).await?;
                }
                Ok(())
            }
            message::CHANNEL_OPEN => {
                let _type = fields.str()?;
                let (number, window) = (fields.u32()?, fields.u32()? as usize);
                let channel = Channel { window, pending: Vec::new(), purpose: Purpose::Unknown };
                self.channels.insert(number, channel);
                let size = u32::try_from(PACKET).unwrap();
                let confirmation = Payload::new(message::CHANNEL_OPEN_CONFIRMATION);
                self.writer.send(&confirmation.u32(number).u32(number).u32(WINDOW).u32(size)).await
            }
            message::CHANNEL_REQUEST => self.request(fields).await,
            message::CHANNEL_DATA => {
                let (number, data) = (fields.u32()?, fields.str()?);
                let room = Payload::new(message::CHANNEL_WINDOW_ADJUST).u32(number);
                self.writer.send(&room.u32(u32::try_from(data.len()).unwrap())).await?;
                self.data(number, data).await
            }
            message::CHANNEL_WINDOW_ADJUST => {
                let (number, more) = (fields.u32()?, fields.u32()? as usize);
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.window += more;
                }
                self.flush(number).await
            }
            message::CHANNEL_EOF => self.run(fields.u32()?).await,
            message::CHANNEL_CLOSE => {
                let number = fields.u32()?;
                match self.channels.remove(&number) {
                    Some(_) => self.send(message::CHANNEL_CLOSE, number).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn request(&mut self, mut fields: Fields<'_>) -> io::Result<()> {
        let (number, kind, wants_reply) = (fields.u32()?, fields.str()?, fields.bool()?);
        let purpose = match kind {
            b"subsystem" if fields.str()? == b"sftp" => Some(Purpose::Sftp {
                server: Server::new(self.files.lie.clone(), Arc::clone(&self.tree)),
                partial: Vec::new(),
                held: Vec::new(),
            }),
            b"exec" if self.files.exec != Exec::Refused => {
                Some(Purpose::Command { line: fields.str()?.to_vec(), stdin: Vec::new() })
            }
            _ => None,
        };
        let accepted = purpose.is_some();
        if let Some((channel, purpose)) = self.channels.get_mut(&number).zip(purpose) {
            channel.purpose = purpose;
        }
        let answer = if accepted { message::CHANNEL_SUCCESS } else { message::CHANNEL_FAILURE };
        if wants_reply { self.send(answer, number).await } else { Ok(()) }
    }

    async fn data(&mut self, number: u32, data: &[u8]) -> io::Result<()> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        match &mut channel.purpose {
            Purpose::Unknown => {}
            Purpose::Command { stdin, .. } => stdin.extend_from_slice(data),
            Purpose::Sftp { server, partial, held } => {
                partial.extend_from_slice(data);
                while let Some(packet) = next_packet(partial) {
                    let answer = server.answer(&packet)?;
                    match self.files.lie {
                        Lie::Reverses => held.push(answer),
                        _ => channel.pending.extend(answer),
                    }
                }
            }
        }
        self.flush(number).await
    }

    fn holds_answers(&self) -> bool {
        self.channels.values().any(
            |channel| matches!(&channel.purpose, Purpose::Sftp { held, .. } if !held.is_empty()),
        )
    }

    /// Gives what was held back, the last first.
    async fn release(&mut self) -> io::Result<()> {
        for channel in self.channels.values_mut() {
            if let Purpose::Sftp { held, .. } = &mut channel.purpose {
                channel.pending.extend(held.drain(..).rev().flatten());
            }
        }
        for number in self.channels.keys().copied().collect::<Vec<_>>() {
            self.flush(number).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, number: u32) -> io::Result<()> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let ready = channel.pending.len().min(channel.window);
        channel.window -= ready;
        let ready: Vec<u8> = channel.pending.drain(..ready).collect();
        for part in ready.chunks(PACKET) {
            self.writer.send(&Payload::new(message::CHANNEL_DATA).u32(number).str(part)).await?;
        }
        Ok(())
    }

    /// Runs a command whose stdin has ended.
    async fn run(&mut self, number: u32) -> io::Result<()> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let Purpose::Command { line, stdin } = &mut channel.purpose else { return Ok(()) };
        let (line, stdin) = (std::mem::take(line), std::mem::take(stdin));
        let (how, tree) = (self.files.exec, self.tree.lock().unwrap().clone());
        let run = tokio::task::spawn_blocking(move || exec::run(how, &tree, &line, &stdin));
        let output = run.await.map_err(io::Error::other)??;
        let stderr = Payload::new(message::CHANNEL_EXTENDED_DATA).u32(number).u32(1);
        self.writer.send(&stderr.str(output.stderr)).await?;
        if how == Exec::Hangs {
            return Ok(());
        }
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.pending.extend(output.stdout);
        }
        self.flush(number).await?;
        let status = Payload::new(message::CHANNEL_REQUEST).u32(number).str("exit-status");
        let code = output.status.code().unwrap_or(255).unsigned_abs();
        self.writer.send(&status.bool(false).u32(code)).await?;
        self.send(message::CHANNEL_EOF, number).await?;
        self.channels.remove(&number);
        self.send(message::CHANNEL_CLOSE, number).await
    }

    async fn send(&mut self, message: u8, number: u32) -> io::Result<()> {
        self.writer.send(&Payload::new(message).u32(number)).await
    }
}

/// A whole packet without its length, if there is one.
fn next_packet(stream: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(*stream.first_chunk()?) as usize;
    if stream.len() < 4 + length {
        return None;
    }
    Some(stream.drain(..4 + length).skip(4).collect())
}
