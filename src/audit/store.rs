//! All the files of one log together: opening them, and appending under the lock.

use std::path::{Path, PathBuf};

use super::AuditError;
use super::chain::Defect;
use super::checkpoint::{self, BadNote};
use super::files;
use super::keys::{self, PublicKey, Signer};
use super::live::Live;
use super::lock::Lock;
use super::log::{Options, Receipt};
use super::record::{Body, Event, Kind, Record};
use super::recovery::{self, OpenAttempts};
use super::reserve;
use super::resume::OLDEST_OPEN;
use super::segments;
use super::stamp::Stamp;

/// An open log.
pub(super) struct Store {
    log: PathBuf,
    lock: Lock,
    live: Live,
    stamp: Stamp,
    signer: Signer,
    redaction_key: [u8; 32],
    segment_bytes: u64,
    /// Records not yet covered by a checkpoint of this process.
    unsigned: u64,
    open: OpenAttempts,
    /// Attempts that came through this store and have no result yet.
    unanswered: usize,
}

impl Store {
    /// Opens `log`, made when there is none, and repairs what a crash left.
    /// Reads what is behind the last checkpoint and, where that does not say
    /// that nothing before it matters, the last two segments at most.
    pub(super) fn open(log: &Path, options: &Options) -> Result<Self, AuditError> {
        let stamp = Stamp::of_this_process().map_err(AuditError::io("learn the boot of", log))?;
        files::create_directory(files::directory(log))?;
        let lock = Lock::of(log, options.lock_wait)?;
        let guard = lock.acquire()?;
        let signer = Signer::of(log, stamp.node())?;
        let redaction_key = keys::redaction_key(log)?;
        let mut open = OpenAttempts::new();
        let mut repairs = Vec::new();
        let live = match read_end(log, &mut open, &mut repairs) {
            Err(broken @ AuditError::Broken { .. }) if options.accept_broken => {
                repairs.push(recovery::gap(&broken));
                Live::after_broken(log, covered(log).ok().flatten().map_or(0, |note| note.seq))?
            }
            read => read?,
        };
        reserve::set_aside(log)?;
        let spooled = reserve::spooled(log)?;
        for members in spooled.iter().cloned() {
            open.see(serde_json::Value::from(members.clone()).to_string().as_bytes());
            repairs.push(recovery::from_spool(members));
        }
        repairs.extend(open.answered(&stamp));
        let log = log.to_owned();
        let mut store = Self {
            log,
            lock,
            live,
            stamp,
            signer,
            redaction_key,
            segment_bytes: options.segment_bytes,
            unsigned: 0,
            open,
            unanswered: 0,
        };
        if !repairs.is_empty() {
            store.append(&repairs)?;
        }
        if !spooled.is_empty() {
            reserve::clear_spool(&store.log)?;
        }
        drop(guard);
        Ok(store)
    }

    /// Makes `bodies` durable, all or none.
    pub(super) fn commit(&mut self, bodies: &[Body]) -> Result<Vec<Receipt>, AuditError> {
        let _guard = self.lock.acquire()?;
        if bodies.iter().any(|body| body.kind != Kind::Result) {
            reserve::require(&self.log)?;
        }
        self.catch_up()?;
        let receipts = self.append(bodies)?;
        for body in bodies {
            match body.kind {
                Kind::Attempt => self.unanswered += 1,
                Kind::Fact => {}
                Kind::Result => self.unanswered = self.unanswered.saturating_sub(1),
            }
        }
        Ok(receipts)
    }

    /// Signs the end of the chain. The record comes first, so that the
    /// signature covers it.
    pub(super) fn checkpoint(&mut self) -> Result<(), AuditError> {
        let _guard = self.lock.acquire()?;
        self.catch_up()?;
        let mut record = Record::new(Event::AuditCheckpoint);
        record.metadata.insert("origin".into(), self.signer.name().into());
        record.metadata.insert(OLDEST_OPEN.into(), self.open.oldest().to_string());
        self.append(&[Body::plain(&record)])?;
        checkpoint::append(&self.log, &self.signer, self.live.link())?;
        self.unsigned = 0;
        Ok(())
    }

    /// What tags redacted values.
    pub(super) fn redaction_key(&self) -> [u8; 32] {
        self.redaction_key
    }

    /// How many results are to come, at most.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// How many records this process wrote since its last checkpoint.
    pub(super) fn unsigned(&self) -> u64 {
        self.unsigned
    }

    /// Frees the space kept back for results.
    pub(super) fn release_reserve(&self) {
        reserve::release(&self.log);
    }

    /// Keeps a record that the log did not take.
    pub(super) fn spool(&self, body: &Body, cause: AuditError) -> AuditError {
        let cause = Box::new(cause);
        match reserve::spool(&self.log, &self.stamp, body) {
            Ok(path) => AuditError::Spooled { path, cause },
            Err(_) => AuditError::Unrecorded { line: reserve::line(&self.stamp, body), cause },
        }
    }

    fn catch_up(&mut self) -> Result<(), AuditError> {
        match self.live.catch_up(&mut |_, line| self.open.see(line))? {
            Some(torn) => self.append(&[recovery::recovered(&torn)]).map(|_| ()),
            None => Ok(()),
        }
    }

    fn append(&mut self, bodies: &[Body]) -> Result<Vec<Receipt>, AuditError> {
        self.live.rotate(self.segment_bytes)?;
        let seen = &mut |line: &[u8]| self.open.see(line);
        let receipts = self.live.append(&self.stamp, bodies, seen)?;
        self.unsigned += bodies.len() as u64;
        Ok(receipts)
    }
}

/// Reads the end of the log and holds it against the last checkpoint.
fn read_end(
    log: &Path,
    open: &mut OpenAttempts,
    repairs: &mut Vec<Body>,
) -> Result<Live, AuditError> {
    let note = covered(log)?;
    let mut live = Live::open(log, note.as_ref())?;
    // An attempt may be open across the border of two segments.
    if live.is_at_start()
        && let [.., before, _] = &segments::list(log)?[..]
    {
        open.see_segment(before)?;
    }
    let mut contradicted = false;
    let torn = live.catch_up(&mut |link, line| {
        let covered = note.as_ref().filter(|note| note.seq == link.seq);
        contradicted |= covered.is_some_and(|note| note.hash != link.hash);
        open.see(line);
    })?;
    if let Some(note) = note {
        let broken = |seq, defect| AuditError::Broken { path: log.into(), seq, defect };
        if contradicted {
            return Err(broken(note.seq, Defect::Contradicted));
        }
        if live.link().seq < note.seq {
            return Err(broken(live.link().seq + 1, Defect::Truncated { covers: note.seq }));
        }
    }
    repairs.extend(torn.as_ref().map(recovery::recovered));
    Ok(live)
}

/// The last checkpoint of the log.
fn covered(log: &Path) -> Result<Option<checkpoint::Note>, AuditError> {
    let Some(key) = PublicKey::of(log)? else { return Ok(None) };
    match checkpoint::last(log, &key)? {
        None => Ok(None),
        Some(Ok(note)) => Ok(Some(note)),
        Some(Err(BadNote { seq })) => Err(AuditError::Broken {
            path: checkpoint::file_of(log),
            seq: seq.unwrap_or(0),
            defect: Defect::Signature,
        }),
    }
}
