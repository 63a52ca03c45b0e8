//! The files of a host as another of its users sees them, by sudo.
//!
//! sshd starts its SFTP server as the user who logs in, so it is started anew
//! under sudo. What the host prints before that is never taken for SFTP, and
//! nothing but the password is written before the server is known to run.

use std::future::pending;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use super::tool::Proof;
use crate::exec::sudo_words;
use crate::quote;
use crate::remote::{RunAs, SudoPassword};
use crate::transport::{
    Channel, ChannelError, ChannelEvent, ChannelInput, ChannelOutput, Connection, ExecRequest,
};

/// How long sudo may take; it may ask others.
const SUDO_MAX: Duration = Duration::from_secs(30);

/// How much of what comes before the server is kept.
const SAID_MAX: usize = 4096;

/// Becomes the SFTP server, wherever this system keeps it. `$1` is the nonce.
const START: &str = "for server in \
/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server \
/usr/libexec/sftp-server /usr/lib/sftp-server /usr/local/libexec/sftp-server; do \
if [ -x $server ]; then echo orch1 $1 R; exec $server; fi; done; echo orch1 $1 N";

/// Why there is no SFTP as that user. Nothing was changed on the host.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotElevated {
    /// There is no channel, or it ended.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Everything was allowed, and the host has no SFTP server to start: sshd's
    /// is built in. Files can be moved by staging them.
    #[error("the host has no sftp-server that could be started by sudo")]
    NoServer,
    /// sudo, or the login shell before it, refused.
    #[error("sudo refuses to run as {user}{said}")]
    Refused {
        /// As whom.
        user: String,
        /// Its own words after `: `, or nothing.
        said: String,
    },
    /// Nothing was decided in time.
    #[error("sudo took longer than {} s", SUDO_MAX.as_secs())]
    TimedOut,
    /// There is a password, and it is not the right one. It was offered once.
    #[error("sudo does not accept the password")]
    WrongPassword,
}

/// Starts an SFTP server as another user. The channel is as that of an `sftp`
/// subsystem whose server has not yet been spoken to; relative paths begin where
/// a login does, and new files get the umask that sudo sets.
///
/// # Errors
/// See [`NotElevated`].
///
/// # Cancel safety
/// If the future is dropped the channel is closed, which ends what was started.
pub async fn sftp_as(connection: &dyn Connection, run_as: &RunAs) -> Result<Channel, NotElevated> {
    let proof = Proof::new().map_err(|error| ChannelError::Lost {
        sent: false,
        reason: Some(format!("this system gives no random numbers: {error}")),
    })?;
    let (mark, [nonce, _]) = (&proof.mark, proof.args());
    let prompt = format!("{mark}P");
    let mut words = vec![b"exec".to_vec()];
    words.extend(sudo_words(run_as, &prompt));
    words.extend(["/bin/sh", "-c", START, "sh"].map(|word| word.as_bytes().to_vec()));
    words.push(nonce.into_vec());
    // Every word here is plain: sudo's user is checked to be.
    let line: Vec<String> =
        words.iter().map(|word| quote::login_word(word).unwrap_or_default()).collect();

    let request = ExecRequest { command: line.join(" ").into_bytes(), pty: None };
    let handshake = Handshake {
        ready: format!("{mark}R\n").into_bytes(),
        none: format!("{mark}N\n").into_bytes(),
        prompt: prompt.into_bytes(),
        run_as,
        stdout: Vec::new(),
        stderr: Vec::new(),
        prompts: 0,
    };
    let deadline = Instant::now() + SUDO_MAX;
    let channel = timeout_at(deadline, connection.exec(request)).await;
    let Channel { mut output, input } = channel.map_err(|_| NotElevated::TimedOut)??;
    match timeout_at(deadline, handshake.run(&mut *output, &*input)).await {
        Ok(Ok(())) => Ok(Channel { output, input }),
        Ok(Err(error)) => Err(closing(&*input, error).await),
        Err(_) => Err(closing(&*input, NotElevated::TimedOut).await),
    }
}

/// sudo gives up when its stdin ends.
async fn closing(input: &dyn ChannelInput, error: NotElevated) -> NotElevated {
    let _ = timeout(Duration::from_millis(200), input.close()).await;
    error
}

/// What is said until the server runs.
struct Handshake<'a> {
    ready: Vec<u8>,
    none: Vec<u8>,
    prompt: Vec<u8>,
    run_as: &'a RunAs,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    prompts: u32,
}

impl Handshake<'_> {
    async fn run(
        mut self,
        output: &mut dyn ChannelOutput,
        input: &dyn ChannelInput,
    ) -> Result<(), NotElevated> {
        // Beside the reading, not between: the server may not take it yet.
        let mut writing: BoxFuture<'_, Result<(), ChannelError>> = pending().boxed();
        loop {
            let event = tokio::select! {
                event = output.next() => event,
                written = &mut writing => {
                    writing = pending().boxed();
                    written?;
                    continue;
                }
            };
            match event {
                Some(ChannelEvent::Stdout(bytes)) => {
                    self.stdout.extend_from_slice(&bytes);
                    if contains(&self.stdout, &self.ready) {
                        // The server itself waits to be spoken to.
                        return Ok(());
                    }
                    if contains(&self.stdout, &self.none) {
                        return Err(NotElevated::NoServer);
                    }
                    keep_last(&mut self.stdout);
                }
                Some(ChannelEvent::Stderr(bytes)) => {
                    self.stderr.extend_from_slice(&bytes);
                    if let Some(password) = self.asked()? {
                        writing = input.write(password);
                    }
                    keep_last(&mut self.stderr);
                }
                Some(ChannelEvent::Accepted | ChannelEvent::Exit(_) | ChannelEvent::Eof) => {}
                Some(ChannelEvent::Refused) | None => return Err(self.refused()),
            }
        }
    }

    /// The password, if sudo has just asked for it.
    fn asked(&mut self) -> Result<Option<Bytes>, NotElevated> {
        let SudoPassword::Given(secret) = &self.run_as.password else { return Ok(None) };
        let Some(at) = position(&self.stderr, &self.prompt) else { return Ok(None) };
        // What came before is a greeting, or sudo's lecture.
        self.stderr.drain(..at + self.prompt.len());
        self.prompts += 1;
        if self.prompts > 1 {
            return Err(NotElevated::WrongPassword);
        }
        let line = Zeroizing::new(format!("{}\n", secret.0.expose_secret()));
        Ok(Some(Bytes::copy_from_slice(line.as_bytes())))
    }

    fn refused(&self) -> NotElevated {
        let said = if self.stderr.trim_ascii().is_empty() { &self.stdout } else { &self.stderr };
        let text = String::from_utf8_lossy(said);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut last: Vec<&str> = lines.rev().take(2).collect();
        last.reverse();
        let printable: String =
            last.join("; ").chars().filter(|c| !c.is_control()).take(200).collect();
        NotElevated::Refused {
            user: self.run_as.user.clone().unwrap_or_else(|| "root".into()),
            said: if printable.is_empty() { printable } else { format!(": {printable}") },
        }
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    position(text, what).is_some()
}

fn position(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Forgets the beginning of what is too long.
fn keep_last(text: &mut Vec<u8>) {
    text.drain(..text.len().saturating_sub(SAID_MAX));
}
