//! Servers that misbehave once the connection is encrypted.

use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use super::super::wire::{Fields, Handshake, HostKey, Payload, Wire, message};
use super::{Behaviour, Seen};

const WINDOW: u32 = 2 * 1024 * 1024;
const PACKET: usize = 32 * 1024;
const FLOOD: usize = 16 * 1024 * 1024;
const REQUESTS: usize = 10_000;
const UNASKED: [&str; 5] =
    ["session", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-tcpip"];

/// Serves authentication and one command after the other.
pub(super) async fn misbehave(
    wire: &mut Wire,
    behaviour: Behaviour,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    authenticate(wire, behaviour, seen).await?;
    loop {
        let channel = open_channel(wire, behaviour, seen).await?;
        let command = exec_request(wire, &channel, behaviour, seen).await?;
        seen.lock().unwrap().commands.push(command.clone());
        serve_exec(wire, channel, &command, behaviour, seen).await?;
    }
}

pub(super) async fn authenticate(
    wire: &mut Wire,
    behaviour: Behaviour,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    wire.reader.skip_to(message::SERVICE_REQUEST).await?;
    wire.writer.send(&Payload::new(message::SERVICE_ACCEPT).str("ssh-userauth")).await?;
    let failure = Payload::new(message::USERAUTH_FAILURE).str("publickey").bool(false);
    loop {
        let request = wire.reader.skip_to(message::USERAUTH_REQUEST).await?;
        let mut fields = Fields::of(&request);
        let (_user, _service, method) = (fields.str()?, fields.str()?, fields.str()?);
        if behaviour == Behaviour::NeverAnswersAuth {
            seen.lock().unwrap().unanswered += 1;
            continue;
        }
        if let Some(questions) = questions(behaviour) {
            match method {
                b"password" => {
                    fields.bool()?;
                    seen.lock().unwrap().secrets.push(fields.str()?.to_vec());
                }
                b"keyboard-interactive" => {
                    ask(wire, questions, seen).await?;
                    if behaviour == Behaviour::AsksOneQuestion {
                        return wire.writer.send(&Payload::new(message::USERAUTH_SUCCESS)).await;
                    }
                }
                _ => {}
            }
            let failure = Payload::new(message::USERAUTH_FAILURE);
            wire.writer.send(&failure.str("publickey,keyboard-interactive").bool(false)).await?;
            continue;
        }
        if method != b"publickey" || behaviour == Behaviour::RefusesAuth {
            wire.writer.send(&failure).await?;
        } else if fields.bool()? {
            return wire.writer.send(&Payload::new(message::USERAUTH_SUCCESS)).await;
        } else {
            let (algorithm, key) = (fields.str()?, fields.str()?);
            let answer = Payload::new(message::USERAUTH_PK_OK).str(algorithm).str(key);
            wire.writer.send(&answer).await?;
        }
    }
}

fn questions(behaviour: Behaviour) -> Option<&'static [&'static str]> {
    match behaviour {
        Behaviour::AsksOneQuestion | Behaviour::AsksInVain => Some(&["Password: "]),
        Behaviour::AsksTwoQuestions => Some(&["Password: ", "Code: "]),
        _ => None,
    }
}

/// Asks without echo, then nothing more.
async fn ask(wire: &mut Wire, questions: &[&str], seen: &Mutex<Seen>) -> io::Result<()> {
    for round in [questions, &[]] {
        let head = Payload::new(message::USERAUTH_INFO_REQUEST).str("").str("").str("");
        let head = head.u32(u32::try_from(round.len()).unwrap());
        let asked = round.iter().fold(head, |asked, question| asked.str(question).bool(false));
        wire.writer.send(&asked).await?;
        let answer = wire.reader.skip_to(message::USERAUTH_INFO_RESPONSE).await?;
        let mut fields = Fields::of(&answer);
        for _ in 0..fields.u32()? {
            seen.lock().unwrap().secrets.push(fields.str()?.to_vec());
        }
    }
    Ok(())
}

/// A channel the client opened, by the client's number.
struct Channel {
    number: u32,
    window: usize,
}

impl Channel {
    fn message(&self, message: u8) -> Payload {
        Payload::new(message).u32(self.number)
    }

    fn data(&self, bytes: &[u8]) -> Payload {
        self.message(message::CHANNEL_DATA).str(bytes)
    }

    fn stderr(&self, bytes: &[u8]) -> Payload {
        self.message(message::CHANNEL_EXTENDED_DATA).u32(1).str(bytes)
    }

    fn exit_status(&self, status: u32) -> Payload {
        self.message(message::CHANNEL_REQUEST).str("exit-status").bool(false).u32(status)
    }

    fn exit_signal(&self, signal: &str) -> Payload {
        self.message(message::CHANNEL_REQUEST)
            .str("exit-signal")
            .bool(false)
            .str(signal)
            .bool(false)
            .str("")
            .str("")
    }
}

async fn open_channel(
    wire: &mut Wire,
    behaviour: Behaviour,
    seen: &Mutex<Seen>,
) -> io::Result<Channel> {
    loop {
        let request = wire.reader.receive().await?;
        if request[0] == message::GLOBAL_REQUEST {
            let mut fields = Fields::of(&request);
            fields.str()?;
            if fields.bool()? {
                wire.writer.send(&Payload::new(message::REQUEST_FAILURE)).await?;
            }
        }
        if request[0] != message::CHANNEL_OPEN {
            continue;
        }
        let mut fields = Fields::of(&request);
        let _type = fields.str()?;
        let (number, window) = (fields.u32()?, fields.u32()? as usize);
        let channel = Channel { number, window };
        if behaviour == Behaviour::NeverAnswersChannelOpen {
            seen.lock().unwrap().unanswered += 1;
            continue;
        }
        if behaviour == Behaviour::RefusesChannelOpen {
            let refusal = channel.message(message::CHANNEL_OPEN_FAILURE).u32(1);
            wire.writer.send(&refusal.str("not today").str("")).await?;
            continue;
        }
        forge(wire, &channel, behaviour).await?;
        let confirmation = channel.message(message::CHANNEL_OPEN_CONFIRMATION);
        let size = u32::try_from(PACKET).unwrap();
        wire.writer.send(&confirmation.u32(number).u32(WINDOW).u32(size)).await?;
        return Ok(channel);
    }
}

/// For the channel that is not confirmed yet, and for one never asked for.
async fn forge(wire: &mut Wire, asked: &Channel, behaviour: Behaviour) -> io::Result<()> {
    for number in [asked.number, asked.number.wrapping_add(1)] {
        let channel = Channel { number, window: 0 };
        let forged = match behaviour {
            Behaviour::ForgesData => channel.data(b"forged\n"),
            Behaviour::ForgesExitStatus => channel.exit_status(0),
            Behaviour::ForgesClose => channel.message(message::CHANNEL_CLOSE),
            _ => return Ok(()),
        };
        wire.writer.send(&forged).await?;
    }
    Ok(())
}

/// The command of the exec request, which is accepted.
async fn exec_request(
    wire: &mut Wire,
    channel: &Channel,
    behaviour: Behaviour,
    seen: &Mutex<Seen>,
) -> io::Result<Vec<u8>> {
    loop {
        let request = wire.reader.skip_to(message::CHANNEL_REQUEST).await?;
        let mut fields = Fields::of(&request);
        let (_recipient, kind, wants_reply) = (fields.u32()?, fields.str()?, fields.bool()?);
        if kind == b"exec" && behaviour == Behaviour::NeverAnswersExec {
            seen.lock().unwrap().unanswered += 1;
            continue;
        }
        let accepted = kind == b"exec" && behaviour != Behaviour::RefusesExec;
        let answer = if accepted { message::CHANNEL_SUCCESS } else { message::CHANNEL_FAILURE };
        if wants_reply {
            wire.writer.send(&channel.message(answer)).await?;
        }
        if accepted {
            return Ok(fields.str()?.to_vec());
        }
    }
}

async fn serve_exec(
    wire: &mut Wire,
    channel: Channel,
    command: &[u8],
    behaviour: Behaviour,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    match behaviour {
        Behaviour::DataBeyondWindow => {
            for _ in 0..FLOOD / PACKET {
                wire.writer.send(&channel.data(&[b'x'; PACKET])).await?;
            }
            return end(wire, &channel, Some(channel.exit_status(0))).await;
        }
        Behaviour::FloodsStderr => return flood_stderr(wire, channel).await,
        Behaviour::DisconnectsMidCommand | Behaviour::ClosesMidCommand => {
            wire.writer.send(&channel.data(b"partial\n")).await?;
            if behaviour == Behaviour::DisconnectsMidCommand {
                let goodbye = Payload::new(message::DISCONNECT).u32(11).str("bye").str("");
                wire.writer.send(&goodbye).await?;
            }
            // With the client's bytes unread, closing would be a reset.
            wire.writer.shut_down().await?;
            loop {
                wire.reader.receive().await?;
            }
        }
        Behaviour::OpensChannels => ask_for_channels(wire, seen).await?,
        Behaviour::FloodsGlobalRequests => flood_global_requests(wire).await?,
        Behaviour::RekeysWithOtherHostKey => {
            wire.exchange_keys(&HostKey::generate(), Handshake::default()).await?;
        }
        Behaviour::RekeysWithOtherHostKeyType => {
            wire.exchange_keys(&HostKey::generate_ecdsa(), Handshake::default()).await?;
        }
        _ => {}
    }
    let output = run(command.to_vec()).await?;
    for part in output.stdout.chunks(PACKET) {
        wire.writer.send(&channel.data(part)).await?;
    }
    for part in output.stderr.chunks(PACKET) {
        wire.writer.send(&channel.stderr(part)).await?;
    }
    let status = match behaviour {
        Behaviour::NoExitStatus => None,
        Behaviour::ExitSignal => Some(channel.exit_signal("KILL")),
        _ => {
            let code = output.status.code().unwrap_or(255);
            Some(channel.exit_status(code.unsigned_abs()))
        }
    };
    end(wire, &channel, status).await
}

async fn end(wire: &mut Wire, channel: &Channel, status: Option<Payload>) -> io::Result<()> {
    let eof = channel.message(message::CHANNEL_EOF);
    let close = channel.message(message::CHANNEL_CLOSE);
    for payload in status.into_iter().chain([eof, close]) {
        wire.writer.send(&payload).await?;
    }
    Ok(())
}

/// Ends when the client closes the channel.
async fn flood_stderr(wire: &mut Wire, mut channel: Channel) -> io::Result<()> {
    loop {
        while channel.window > 0 {
            let size = PACKET.min(channel.window);
            wire.writer.send(&channel.stderr(&vec![b'x'; size])).await?;
            channel.window -= size;
        }
        let answer = wire.reader.receive().await?;
        match answer[0] {
            message::CHANNEL_WINDOW_ADJUST => {
                let mut fields = Fields::of(&answer);
                fields.u32()?;
                channel.window += fields.u32()? as usize;
            }
            message::CHANNEL_CLOSE => return end(wire, &channel, None).await,
            _ => {}
        }
    }
}

/// Ends when the client has answered each.
async fn ask_for_channels(wire: &mut Wire, seen: &Mutex<Seen>) -> io::Result<()> {
    for (number, kind) in (100..).zip(UNASKED) {
        let size = u32::try_from(PACKET).unwrap();
        let open = Payload::new(message::CHANNEL_OPEN).str(kind).u32(number).u32(WINDOW).u32(size);
        let open = match kind {
            "x11" => open.str("127.0.0.1").u32(6000),
            "forwarded-tcpip" | "direct-tcpip" => {
                open.str("127.0.0.1").u32(22).str("127.0.0.1").u32(40000)
            }
            _ => open,
        };
        wire.writer.send(&open).await?;
    }
    let mut answers = 0;
    while answers < UNASKED.len() {
        let answer = wire.reader.receive().await?[0];
        if matches!(answer, message::CHANNEL_OPEN_CONFIRMATION | message::CHANNEL_OPEN_FAILURE) {
            seen.lock().unwrap().channel_answers.push(answer);
            answers += 1;
        }
    }
    Ok(())
}

/// Ends when the client has answered each. Reads while it writes, or both
/// sides would wait for each other.
async fn flood_global_requests(wire: &mut Wire) -> io::Result<()> {
    let Wire { reader, writer, .. } = wire;
    let request = Payload::new(message::GLOBAL_REQUEST).str("are-you-there@example.com").bool(true);
    let ask = async {
        for _ in 0..REQUESTS {
            writer.send(&request).await?;
        }
        Ok(())
    };
    let listen = async {
        for _ in 0..REQUESTS {
            reader.skip_to(message::REQUEST_FAILURE).await?;
        }
        Ok(())
    };
    tokio::try_join!(ask, listen).map(|_| ())
}

async fn run(command: Vec<u8>) -> io::Result<Output> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let sh = move || {
        Command::new("/bin/sh")
            .arg("-c")
            .arg(OsString::from_vec(command))
            .stdin(Stdio::null())
            .output()
    };
    tokio::task::spawn_blocking(sh).await.map_err(io::Error::other)?
}
