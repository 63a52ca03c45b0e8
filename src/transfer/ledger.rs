//! Which files are in the making, so that the next transfer can clean up after
//! one that was killed, or go on where it stopped.
//!
//! Each process writes a journal of its own and holds a lock on it for as long
//! as it lives. Whoever gets the lock of a journal knows that its process is
//! gone, whatever process ids say, and takes its open entries over.

mod journal;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::tools::Tools;
use crate::outcome::VerifiedBy;
use journal::{Journal, Sweep};

/// A journal is written anew beyond this many bytes more than what is open
/// takes: lines of what is long closed add up where thousands of files are
/// moved.
const JOURNAL_MAX: u64 = 1 << 20;

/// Where files in the making are written down.
///
/// All of its calls wait for the disk, and for other processes that sweep at
/// this moment, for a few milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Shared>);

/// A thing in the making.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Entry {
    /// Which host and who logs in there: `vm01=user@address:port`.
    pub login: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    #[serde(with = "journal::base64")]
    pub path: Vec<u8>,
    /// What it shall become.
    #[serde(with = "journal::base64")]
    pub target: Vec<u8>,
    /// What it is made from, in whatever words its maker would use again.
    #[serde(with = "journal::base64")]
    pub source: Vec<u8>,
    /// The user on the host whom it belongs to, if not the one who logs in.
    pub run_as: Option<String>,
}

/// What kind of thing is in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file on this machine.
    LocalPart,
    /// A file on the host.
    Part,
    /// A directory on the host, with whatever is in it.
    ScriptDir,
}

impl Ledger {
    /// A ledger in this directory, which is made when it is first needed; one
    /// without a directory remembers what this process did, and no longer.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self(Arc::new(Shared { dir, ..Shared::default() }))
    }

    /// Where it is.
    pub fn dir(&self) -> Option<&Path> {
        self.0.dir.as_deref()
    }

    /// Which tool is the fastest for a login, if that is known.
    pub(super) fn fastest_tool(&self, login: &str) -> Option<VerifiedBy> {
        self.0.tools.known(self.dir(), login)
    }

    /// Remembers which tool is the fastest for a login.
    pub(super) fn remember_tool(&self, login: &str, tool: VerifiedBy) {
        self.0.tools.remember(self.dir(), login, tool);
    }

    /// Writes a thing down, to be called before it is made.
    ///
    /// The line survives the death of this process, not a power cut.
    ///
    /// # Errors
    /// It cannot be written down: the disk is full, or the directory may be
    /// written by others. Then the thing must not be made, for nobody would
    /// clean up after us.
    pub fn open(&self, entry: Entry) -> io::Result<Open> {
        let id = Uuid::now_v7();
        let mut state = self.0.state();
        if let Some(dir) = &self.0.dir {
            state.write_down(dir, id, &entry)?;
        }
        state.things.insert(id, Thing { entry: entry.clone(), held: true });
        drop(state);
        Ok(Open { ledger: Arc::clone(&self.0), id, entry, closed: false })
    }

    /// Takes over what was left open for a login: by processes that are gone,
    /// and by transfers of this process that lost their host. Nobody else gets
    /// these for as long as they are held. Things that somebody is still making
    /// are not among them.
    ///
    /// What cannot be read is left for another time, with a warning.
    pub fn orphans(&self, login: &str) -> Vec<Open> {
        let mut state = self.0.state();
        if let Some(dir) = &self.0.dir
            && let Err(error) = state.inherit(dir, login)
        {
            tracing::warn!(dir = %dir.display(), %error, "cannot look for unfinished transfers");
        }
        let left = |thing: &Thing| !thing.held && thing.entry.login == login;
        let mut found: Vec<Open> = Vec::new();
        for (&id, thing) in state.things.iter_mut().filter(|(_, thing)| left(thing)) {
            thing.held = true;
            let (ledger, entry) = (Arc::clone(&self.0), thing.entry.clone());
            found.push(Open { ledger, id, entry, closed: false });
        }
        found.sort_by_key(|open| open.id);
        found
    }
}

/// A thing that is written down. Dropping this leaves it for the next
/// [`Ledger::orphans`], of this process or of another once this one is gone.
#[derive(Debug)]
pub struct Open {
    ledger: Arc<Shared>,
    id: Uuid,
    entry: Entry,
    closed: bool,
}

impl Open {
    /// What was written down.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Strikes it out: it has become what it should, or is removed.
    pub fn close(mut self) {
        self.closed = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        if self.closed {
            state.strike_out(self.id);
        } else if let Some(thing) = state.things.get_mut(&self.id) {
            thing.held = false;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    dir: Option<PathBuf>,
    state: Mutex<State>,
    /// What else is remembered of the hosts.
    tools: Tools,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    journal: Option<Journal>,
    /// How many bytes it had when it was begun.
    begun: u64,
    /// Everything open that this process made or took over.
    things: HashMap<Uuid, Thing>,
}

#[derive(Debug)]
struct Thing {
    entry: Entry,
    /// Whether somebody here deals with it.
    held: bool,
}

impl State {
    fn write_down(&mut self, dir: &Path, id: Uuid, entry: &Entry) -> io::Result<()> {
        let full = |journal: &Journal| journal.len() > 2 * self.begun + JOURNAL_MAX;
        if self.journal.as_ref().is_none_or(full) {
            self.begin(&Sweep::of(dir)?)?;
        }
        match &mut self.journal {
            Some(journal) => journal.open(id, entry),
            None => Ok(()),
        }
    }

    /// Begins a journal with what is open.
    fn begin(&mut self, sweep: &Sweep) -> io::Result<()> {
        let mut journal = Journal::create(sweep)?;
        for (&id, thing) in &self.things {
            if let Err(error) = journal.open(id, &thing.entry) {
                journal.remove();
                return Err(error);
            }
        }
        self.begun = journal.len();
        if let Some(old) = self.journal.replace(journal) {
            old.remove();
        }
        Ok(())
    }

    fn strike_out(&mut self, id: Uuid) {
        self.things.remove(&id);
        // A line too few is no harm: a thing that is gone cannot be removed
        // twice, and nothing else ever has its name.
        if let Some(Err(error)) = self.journal.as_mut().map(|journal| journal.closed(id)) {
            tracing::debug!(%error, "cannot strike out a finished transfer");
        }
    }

    /// Moves what dead journals have open for a login into our own.
    fn inherit(&mut self, dir: &Path, login: &str) -> io::Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        let sweep = Sweep::of(dir)?;
        for mut dead in sweep.dead()? {
            let (theirs, left) = dead.entries(login);
            for (id, entry) in theirs {
                if self.journal.is_none() {
                    self.begin(&sweep)?;
                }
                // First here, then no longer there: killed in between, it is
                // in both, which is no harm.
                if let Some(journal) = &mut self.journal {
                    journal.open(id, &entry)?;
                }
                self.things.insert(id, Thing { entry, held: false });
                dead.closed(id)?;
            }
            if left == 0 {
                dead.remove();
            }
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.things.is_empty()
            && let Some(journal) = self.journal.take()
        {
            journal.remove();
        }
    }
}
