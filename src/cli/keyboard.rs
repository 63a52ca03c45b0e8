//! Enter, pressed by a person who wonders how the run stands.
//!
//! The terminal stays as it is: it hands over whole lines, and shows itself
//! what is typed. So there is nothing to put back, however the program ends.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, isatty, tcgetattr, tcgetpgrp};

/// Held by whoever reads the keyboard: what is typed as an answer is for nobody
/// else.
static READER: Mutex<()> = Mutex::new(());

/// Waits until nobody else reads the keyboard, and keeps it.
pub(super) fn take() -> MutexGuard<'static, ()> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody is being asked something.
pub(super) fn taken() -> bool {
    matches!(READER.try_lock(), Err(TryLockError::WouldBlock))
}

/// Whether this program is the one that the person at a terminal sees. In the
/// background it would be stopped for reading, and draw into what another shows.
pub(super) fn in_front(terminal: impl std::os::fd::AsFd) -> bool {
    // A terminal that is not the controlling one has no foreground of ours.
    tcgetpgrp(terminal).map_or(true, |group| group == getpgrp())
}

/// The keyboard, as far as Enter is pressed on it.
pub(super) struct Keyboard {
    listens: bool,
}

impl Keyboard {
    /// Our stdin, if it is a terminal and nothing of the run reads it.
    pub(super) fn new(free: bool) -> Self {
        Self { listens: free && isatty(io::stdin()) }
    }

    /// How often Enter was pressed since the last time, and for how many of
    /// those the terminal has moved its cursor. Returns at once.
    pub(super) fn enters(&mut self) -> Enters {
        let mut enters = Enters::default();
        while self.listens && enters.pressed < ENTERS_MAX {
            let Ok(_alone) = READER.try_lock() else { break };
            match pending() {
                Pending::Line { echoed } => {
                    let mut line = [0; 4096];
                    match rustix::io::read(io::stdin(), &mut line) {
                        Ok(1..) => {
                            enters.pressed += 1;
                            enters.echoed += usize::from(echoed);
                        }
                        // The end of the input.
                        Ok(0) => self.listens = false,
                        Err(_) => break,
                    }
                }
                Pending::Nothing => break,
                Pending::Never => self.listens = false,
            }
        }
        enters
    }
}

/// What was pressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Enters {
    pub(super) pressed: usize,
    /// How many of them are on the screen.
    pub(super) echoed: usize,
}

/// More are not looked at in one go: a file may have been pasted.
const ENTERS_MAX: usize = 64;

enum Pending {
    Line { echoed: bool },
    Never,
    Nothing,
}

/// Whether a read would give a line at once.
fn pending() -> Pending {
    let stdin = io::stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
    if !poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0) {
        return Pending::Nothing;
    }
    if !asked[0].revents().contains(PollFlags::IN) {
        return Pending::Never;
    }
    if !in_front(&stdin) {
        return Pending::Nothing;
    }
    match tcgetattr(&stdin) {
        Ok(modes) if modes.local_modes.contains(LocalModes::ICANON) => {
            let echo = modes.local_modes.intersects(LocalModes::ECHO | LocalModes::ECHONL);
            Pending::Line { echoed: echo && same_terminal() }
        }
        // Keys come one by one: somebody else has plans with them.
        Ok(_) => Pending::Nothing,
        Err(_) => Pending::Never,
    }
}

/// Whether what is typed on stdin is shown where stderr is.
fn same_terminal() -> bool {
    let device = |stat: rustix::io::Result<rustix::fs::Stat>| stat.ok().map(|stat| stat.st_rdev);
    device(rustix::fs::fstat(io::stdin())) == device(rustix::fs::fstat(io::stderr()))
}
