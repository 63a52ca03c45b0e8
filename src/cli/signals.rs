//! Ctrl-C and SIGTERM: the run is cancelled, its remote processes are killed,
//! and the exit code says why. Where a person watches several hosts, the first
//! Ctrl-C only asks how they are.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::report::exit::Exit;

/// Which signal came, if one did.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<State>);

#[derive(Default)]
struct State {
    /// The exit code that the signal calls for; 0 as long as nothing is ended.
    code: AtomicU8,
    /// Whether the next Ctrl-C is a question.
    asks: AtomicBool,
}

/// What a signal means to whoever shows the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The person asks how the run stands.
    Asked,
    /// What runs is being ended on the hosts.
    Ending,
}

impl Interrupted {
    /// The exit code that the signal calls for.
    pub(super) fn exit(&self) -> Option<u8> {
        Some(self.0.code.load(Ordering::SeqCst)).filter(|&code| code != 0)
    }

    /// Says whether the next Ctrl-C is a question. However long after it the
    /// one after that comes, it is none any more.
    pub(super) fn ask_first(&self, asks: bool) {
        self.0.asks.store(asks, Ordering::SeqCst);
    }
}

/// Cancels on the first signal. A second one ends the program at once: whoever
/// sends it does not want to wait for the hosts.
pub(super) fn cancel_on_signal(
    cancel: CancellationToken,
    quiet: bool,
) -> Result<Interrupted, Failure> {
    listen(cancel, quiet, None)
}

/// The same, but that what is to be said is left to whoever shows the run.
pub(super) fn notice_signals(
    cancel: CancellationToken,
    quiet: bool,
) -> Result<(Interrupted, UnboundedReceiver<Notice>), Failure> {
    let (sender, notices) = unbounded_channel();
    Ok((listen(cancel, quiet, Some(sender))?, notices))
}

/// Makes the next Ctrl-C no question: it was typed as the answer to one.
pub(super) fn mean_it() {
    MEANT.store(true, Ordering::SeqCst);
}

/// What is said when what runs is being ended.
pub(super) const ENDING: &str =
    "interrupted: ending it on the hosts; interrupt again to leave at once";

/// What is said when the run goes on all the same.
pub(super) const GOES_ON: &str = "it goes on; interrupt again to end it on the hosts";

/// Whether the next Ctrl-C was typed where a password was asked for. Prompts
/// and signals are the whole process's.
static MEANT: AtomicBool = AtomicBool::new(false);

fn listen(
    cancel: CancellationToken,
    quiet: bool,
    notices: Option<UnboundedSender<Notice>>,
) -> Result<Interrupted, Failure> {
    let interrupted = Interrupted::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let state = Arc::clone(&interrupted.0);
    tokio::spawn(async move {
        let notice = |notice| notices.as_ref().is_some_and(|to| to.send(notice).is_ok());
        loop {
            let exit = tokio::select! {
                biased;
                _ = interrupt.recv() => Exit::Interrupted,
                _ = terminate.recv() => Exit::Terminated,
                _ = hangup.recv() => Exit::Terminated,
            };
            let asks = exit == Exit::Interrupted && state.asks.swap(false, Ordering::SeqCst);
            let meant = exit == Exit::Interrupted && MEANT.swap(false, Ordering::SeqCst);
            if asks && !meant && notice(Notice::Asked) {
                continue;
            }
            if state.code.swap(exit.code(), Ordering::SeqCst) != 0 {
                tell("interrupted: left at once: what was begun may still run on the hosts");
                std::process::exit(i32::from(exit.code()));
            }
            if !quiet && !notice(Notice::Ending) {
                tell(ENDING);
            }
            cancel.cancel();
        }
    });
    Ok(interrupted)
}

/// A line on stderr, whoever reads it.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
