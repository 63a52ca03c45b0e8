//! Proving that the log is what was written.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::AuditError;
use super::chain::{Defect, Link};
use super::checkpoint::{self, BadNote, Note, Notes};
use super::files;
use super::keys::PublicKey;
use super::lines::{Ending, Lines};
use super::lock::Lock;
use super::segments::{self, Segment};

/// What to hold the log against besides itself.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Checkpoints that were kept elsewhere, as text: one or more notes.
    pub checkpoints: Option<String>,
    /// The public key that was kept elsewhere, as in the `.pub` file.
    pub public_key: Option<String>,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records that hold, from the first on.
    pub records: u64,
    /// The number of the last of them.
    pub last_seq: u64,
    /// Its hash, in hexadecimal.
    pub last_hash: String,
    /// Files the log consists of.
    pub segments: usize,
    /// The first record that is not as it was written; nothing after it was read.
    pub first_bad: Option<FirstBad>,
    /// Bytes of an unfinished line at the very end, as a crash leaves it; the
    /// next process to open the log cuts it off.
    pub torn_tail: u64,
    /// Checkpoints that hold, given ones included.
    pub checkpoints: u64,
    /// The last record a checkpoint covers: what comes after it could be cut
    /// off without a trace.
    pub covered_seq: u64,
    /// Checkpoint records without a signature in the checkpoint file.
    pub unsigned_checkpoints: u64,
    /// Broken places an operator accepted when opening the log.
    pub gaps: u64,
}

/// The first record that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstBad {
    /// Its number.
    pub seq: u64,
    /// The segment it is, or should be, in.
    pub path: PathBuf,
    /// What is wrong with it.
    pub defect: Defect,
}

impl Verification {
    /// Whether nothing was found: no bad record and no torn tail.
    pub fn is_intact(&self) -> bool {
        self.first_bad.is_none() && self.torn_tail == 0
    }
}

/// Verifies the log at `path`: every line, the chain, and every checkpoint.
/// Memory does not grow with the log. Blocks; a log that is being written is
/// verified as it was at the start.
///
/// # Errors
/// The log is not there or cannot be read, or a given key is none. A broken
/// log is no error here: it is what [`Verification`] tells.
pub fn verify(path: impl AsRef<Path>, options: &VerifyOptions) -> Result<Verification, AuditError> {
    let log = path.as_ref();
    let snapshot = Snapshot::of(log)?;
    let key = match &options.public_key {
        Some(text) => {
            Some(PublicKey::parse(text).ok_or(AuditError::Key("the given public key".into()))?)
        }
        None => PublicKey::of(log)?,
    };
    let mut run = Run { log, found: Verification::default(), link: Link::genesis() };
    run.found.segments = snapshot.segments.len();
    let own = snapshot.checkpoints.map(|(file, len)| file.take(len));
    let given = options.checkpoints.as_deref().map(str::as_bytes);
    match &key {
        Some(key) => {
            let mut claims = vec![];
            claims.extend(own.map(|own| Claims::new(Box::new(own), key)));
            claims.extend(given.map(|given| Claims::new(Box::new(given), key)));
            run.segments(&snapshot.segments, snapshot.last_len, &mut claims)?;
        }
        None if run.found.segments > 0 && options.checkpoints.is_some() => {
            return Err(AuditError::Key(files::beside(log, ".pub")));
        }
        None => run.segments(&snapshot.segments, snapshot.last_len, &mut [])?,
    }
    Ok(run.found)
}

/// The files as they were at one moment between two commits.
struct Snapshot {
    segments: Vec<Segment>,
    last_len: u64,
    checkpoints: Option<(File, u64)>,
}

impl Snapshot {
    fn of(log: &Path) -> Result<Self, AuditError> {
        // A copy of a log elsewhere has no lock file, and needs none.
        let lock = Lock::existing(log, Duration::from_secs(30))?;
        let _guard = lock.as_ref().map(Lock::acquire).transpose()?;
        let segments = segments::list(log)?;
        let Some(last) = segments.last() else { return Err(AuditError::Missing(log.into())) };
        let failed = || AuditError::io("look at", &last.path);
        let last_len = std::fs::metadata(&last.path).map_err(failed())?.len();
        let path = checkpoint::file_of(log);
        let checkpoints = match File::open(&path) {
            Ok(file) => {
                let len = file.metadata().map_err(AuditError::io("look at", &path))?.len();
                Some((file, len))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(AuditError::io("open", &path)(error)),
        };
        Ok(Self { last_len, checkpoints, segments })
    }
}

struct Run<'a> {
    log: &'a Path,
    found: Verification,
    link: Link,
}

impl Run<'_> {
    fn segments(
        &mut self,
        segments: &[Segment],
        last_len: u64,
        claims: &mut [Claims<'_>],
    ) -> Result<(), AuditError> {
        for claims in claims.iter_mut() {
            claims.advance(self.log)?;
        }
        for (at, segment) in segments.iter().enumerate() {
            let last = at + 1 == segments.len();
            if segment.first != self.link.seq + 1 {
                self.bad(&segment.path, Defect::WrongSeq { found: segment.first });
                return Ok(());
            }
            let limit = if last { last_len } else { u64::MAX };
            self.segment(segment, limit, last, claims)?;
            if self.found.first_bad.is_some() {
                return Ok(());
            }
        }
        for claims in claims {
            match &claims.next {
                Some(Ok(note)) => {
                    let covers = note.seq;
                    self.bad(self.log, Defect::Truncated { covers });
                }
                Some(Err(BadNote { seq })) => self.bad_note(seq.unwrap_or(self.link.seq)),
                None => {}
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        segment: &Segment,
        limit: u64,
        last: bool,
        claims: &mut [Claims<'_>],
    ) -> Result<(), AuditError> {
        let failed = || AuditError::io("read", &segment.path);
        let file = File::open(&segment.path).map_err(failed())?;
        let mut lines = Lines::new(file.take(limit), 0);
        while let Some(line) = lines.next().map_err(failed())? {
            let link = match (line.ending, self.link.follow(line.bytes)) {
                (Ending::EndOfFile, _) if last => {
                    self.found.torn_tail = line.end - line.start;
                    return Ok(());
                }
                // A crash can also leave a whole line of blocks that were
                // allotted and never written.
                (Ending::Newline, Err(Defect::Malformed)) if last && line.end == limit => {
                    self.found.torn_tail = line.end - line.start;
                    return Ok(());
                }
                (Ending::Newline, Ok(link)) => link,
                (Ending::Newline, Err(defect)) => {
                    self.bad(&segment.path, defect);
                    return Ok(());
                }
                _ => {
                    self.bad(&segment.path, Defect::Malformed);
                    return Ok(());
                }
            };
            self.link = link;
            self.found.gaps += u64::from(is_event(line.bytes, "audit.gap"));
            let mut signed = false;
            for claims in claims.iter_mut() {
                signed |= self.hold_against(claims)?;
                if self.found.first_bad.is_some() {
                    return Ok(());
                }
            }
            let unsigned = !signed && is_event(line.bytes, "audit.checkpoint");
            self.found.unsigned_checkpoints += u64::from(unsigned);
            self.found.records += 1;
            self.found.last_seq = self.link.seq;
            self.found.last_hash.clone_from(&self.link.hash);
        }
        Ok(())
    }

    /// Whether a note covers the record just read; a note that says otherwise
    /// makes it the first bad one.
    fn hold_against(&mut self, claims: &mut Claims<'_>) -> Result<bool, AuditError> {
        let mut signed = false;
        loop {
            match &claims.next {
                Some(Ok(note)) if note.seq == self.link.seq => {
                    if note.hash != self.link.hash {
                        let path = self.log.to_owned();
                        let seq = note.seq;
                        self.found.first_bad =
                            Some(FirstBad { seq, path, defect: Defect::Contradicted });
                        return Ok(false);
                    }
                    signed = true;
                    self.found.checkpoints += 1;
                    self.found.covered_seq = note.seq;
                }
                // A note out of its order was not written by the log.
                Some(Ok(Note { seq, .. }) | Err(BadNote { seq: Some(seq) }))
                    if *seq <= self.link.seq =>
                {
                    let seq = *seq;
                    self.bad_note(seq);
                    return Ok(false);
                }
                Some(Err(BadNote { seq: None })) => {
                    self.bad_note(self.link.seq);
                    return Ok(false);
                }
                _ => return Ok(signed),
            }
            claims.advance(self.log)?;
        }
    }

    fn bad(&mut self, path: &Path, defect: Defect) {
        let seq = self.link.seq + 1;
        self.found.first_bad.get_or_insert(FirstBad { seq, path: path.into(), defect });
    }

    fn bad_note(&mut self, seq: u64) {
        let path = checkpoint::file_of(self.log);
        self.found.first_bad.get_or_insert(FirstBad { seq, path, defect: Defect::Signature });
    }
}

/// A source of notes, one ahead.
struct Claims<'k> {
    notes: Notes<'k, Box<dyn Read + 'k>>,
    next: Option<checkpoint::Verdict>,
}

impl<'k> Claims<'k> {
    fn new(input: Box<dyn Read + 'k>, key: &'k PublicKey) -> Self {
        Self { notes: Notes::new(input, key), next: None }
    }

    fn advance(&mut self, log: &Path) -> Result<(), AuditError> {
        let path = checkpoint::file_of(log);
        self.next = self.notes.next().map_err(AuditError::io("read", &path))?;
        Ok(())
    }
}

fn is_event(line: &[u8], event: &str) -> bool {
    let member = format!(r#","event":"{event}","#);
    // The event stands right after the stamp, far from anything a user wrote.
    let head = &line[..line.len().min(512)];
    head.windows(member.len()).any(|window| window == member.as_bytes())
}
