//! Ctrl-C and SIGTERM: the run is cancelled, its remote processes are killed,
//! and the exit code says why.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::report::exit::Exit;

/// Which signal came, if one did.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<AtomicU8>);

impl Interrupted {
    /// The exit code that the signal calls for.
    pub(super) fn exit(&self) -> Option<u8> {
        Some(self.0.load(Ordering::SeqCst)).filter(|&code| code != 0)
    }
}

/// Cancels on the first signal. A second one ends the program at once: whoever
/// sends it does not want to wait for the hosts.
pub(super) fn cancel_on_signal(
    cancel: CancellationToken,
    quiet: bool,
) -> Result<Interrupted, Failure> {
    let interrupted = Interrupted::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let seen = interrupted.clone();
    tokio::spawn(async move {
        loop {
            let exit = tokio::select! {
                biased;
                _ = interrupt.recv() => Exit::Interrupted,
                _ = terminate.recv() => Exit::Terminated,
                _ = hangup.recv() => Exit::Terminated,
            };
            if seen.0.swap(exit.code(), Ordering::SeqCst) != 0 {
                tell("left at once: what was begun may still run on the hosts");
                std::process::exit(i32::from(exit.code()));
            }
            if !quiet {
                tell("ending it on the hosts; interrupt again to leave at once");
            }
            cancel.cancel();
        }
    });
    Ok(interrupted)
}

/// Whether there is a line of ours on stderr, which must not be drawn over.
pub(super) fn told() -> bool {
    TOLD.load(Ordering::SeqCst)
}

/// Signals are the whole process's, and so is what was said of them.
static TOLD: AtomicBool = AtomicBool::new(false);

/// A line on stderr, whoever reads it.
fn tell(text: &str) {
    TOLD.store(true, Ordering::SeqCst);
    let _ = writeln!(std::io::stderr(), "interrupted: {text}");
}
