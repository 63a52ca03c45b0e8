//! Signed statements of how far the log went and what its last hash was, in
//! the form of C2SP `tlog-checkpoint` and `signed-note`.
//!
//! A note is five lines: origin, last record's number, its hash in base64, an
//! empty line, the signature. An empty line separates notes in a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::AuditError;
use super::chain::Link;
use super::files;
use super::keys::{PublicKey, Signer};

use crate::hex::hex;

/// What a verified note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) seq: u64,
    pub(super) hash: String,
}

/// A note that was read, or what could be told of one that does not hold.
pub(super) type Verdict = Result<Note, BadNote>;

/// A note without a valid signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadNote {
    /// The record it claims to cover, when that can be read.
    pub(super) seq: Option<u64>,
}

/// More than the longest note.
const NOTE_MAX: u64 = 4096;

/// The file the checkpoints of a log are in.
pub(super) fn file_of(log: &Path) -> PathBuf {
    files::beside(log, ".checkpoints")
}

/// Appends a note over `link`, durably. The caller holds the lock.
pub(super) fn append(log: &Path, signer: &Signer, link: &Link) -> Result<(), AuditError> {
    let path = file_of(log);
    let mut file = files::open_or_create(&path)?;
    cut_torn(&mut file, &path)?;
    let text = text(signer.name(), link);
    let note = format!("{text}\n{}\n", signer.sign(&text));
    let written = file.write_all(note.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(AuditError::io("append a checkpoint to", &path))
}

/// The last whole note of `log`; `None` when there is none. Costs the same
/// however long the file is.
pub(super) fn last(log: &Path, key: &PublicKey) -> Result<Option<Verdict>, AuditError> {
    let path = file_of(log);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AuditError::io("open", &path)(error)),
    };
    let end = end_of_last(&mut file).map_err(AuditError::io("read", &path))?;
    let mut window = Vec::new();
    file.seek(SeekFrom::Start(end.saturating_sub(NOTE_MAX)))
        .and_then(|start| file.take(end - start).read_to_end(&mut window))
        .map_err(AuditError::io("read", &path))?;
    let text = String::from_utf8_lossy(&window);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines.last_chunk::<6>().map(|lines| parse(lines, key)))
}

/// Reads one note after the other.
pub(super) struct Notes<'k, R> {
    input: BufReader<R>,
    key: &'k PublicKey,
}

impl<'k, R: Read> Notes<'k, R> {
    pub(super) fn new(input: R, key: &'k PublicKey) -> Self {
        Self { input: BufReader::new(input), key }
    }

    /// The next note. An unfinished last one, as a crash leaves it, is no note.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Verdict>> {
        let mut lines: [String; 6] = Default::default();
        for (at, line) in lines.iter_mut().enumerate() {
            let mut bytes = Vec::new();
            (&mut self.input).take(NOTE_MAX).read_until(b'\n', &mut bytes)?;
            if bytes.pop_if(|byte| *byte == b'\n').is_none() {
                // A file of one note may end without the separating line.
                let ends_here = at == 5 && bytes.is_empty();
                if !ends_here {
                    return Ok(
                        (bytes.len() as u64 == NOTE_MAX).then_some(Err(BadNote { seq: None }))
                    );
                }
            }
            *line = String::from_utf8_lossy(&bytes).into_owned();
        }
        let [a, b, c, d, e, f] = &lines;
        Ok(Some(parse(&[a, b, c, d, e, f], self.key)))
    }
}

fn text(origin: &str, link: &Link) -> String {
    format!("{origin}\n{}\n{}\n", link.seq, BASE64.encode(unhex(&link.hash)))
}

fn parse(lines: &[&str; 6], key: &PublicKey) -> Verdict {
    let [origin, seq, hash, empty, signature, end] = lines;
    let bad = BadNote { seq: seq.parse().ok() };
    let text = format!("{origin}\n{seq}\n{hash}\n");
    if !empty.is_empty() || !end.is_empty() || !key.verifies(&text, signature) {
        return Err(bad);
    }
    match (bad.seq, BASE64.decode(hash)) {
        (Some(seq), Ok(hash)) => Ok(Note { seq, hash: hex(&hash) }),
        _ => Err(bad),
    }
}

/// Cuts what a crash left of a note, so that the next one stands alone.
fn cut_torn(file: &mut File, path: &Path) -> Result<(), AuditError> {
    let failed = || AuditError::io("repair", path);
    let end = end_of_last(file).map_err(failed())?;
    let len = file.metadata().map_err(failed())?.len();
    if end < len { file.set_len(end).map_err(failed()) } else { Ok(()) }
}

/// Where the last whole note ends: after its signature and an empty line.
fn end_of_last(file: &mut File) -> std::io::Result<u64> {
    let len = file.metadata()?.len();
    let start = file.seek(SeekFrom::Start(len.saturating_sub(2 * NOTE_MAX)))?;
    let mut window = Vec::new();
    (&mut *file).take(2 * NOTE_MAX).read_to_end(&mut window)?;
    let dash = "\n\n\u{2014} ".as_bytes();
    let ends = |at: usize| {
        let line = window[..at].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        window[at..].starts_with(b"\n\n") && line.starts_with(&dash[2..])
    };
    Ok((0..window.len()).rev().find(|at| ends(*at)).map_or(start, |at| start + at as u64 + 2))
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    (0..text.len()).step_by(2).filter_map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::sha256;
    use std::fs;

    struct Fixture {
        _dir: tempfile::TempDir,
        log: PathBuf,
        signer: Signer,
        key: PublicKey,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        let signer = Signer::of(&log, "ctl1").unwrap();
        let key = PublicKey::of(&log).unwrap().unwrap();
        Fixture { _dir: dir, log, signer, key }
    }

    fn link(seq: u64) -> Link {
        Link { seq, hash: sha256([&seq.to_be_bytes()]), line: String::new() }
    }

    fn all(fixture: &Fixture) -> Vec<Verdict> {
        let file = File::open(file_of(&fixture.log)).unwrap();
        let mut notes = Notes::new(file, &fixture.key);
        std::iter::from_fn(|| notes.next().unwrap()).collect()
    }

    #[test]
    fn notes_come_back_in_order() {
        let fixture = fixture();
        assert_eq!(last(&fixture.log, &fixture.key).unwrap(), None);
        for seq in [3, 70_000] {
            append(&fixture.log, &fixture.signer, &link(seq)).unwrap();
        }
        let expected = [3, 70_000].map(|seq| Ok(Note { seq, hash: link(seq).hash }));
        assert_eq!(all(&fixture), expected);
        assert_eq!(last(&fixture.log, &fixture.key).unwrap(), Some(expected[1].clone()));
    }

    #[test]
    fn a_torn_note_is_no_note_and_the_next_one_replaces_it() {
        let fixture = fixture();
        append(&fixture.log, &fixture.signer, &link(3)).unwrap();
        let path = file_of(&fixture.log);
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            assert_eq!(last(&fixture.log, &fixture.key).unwrap().unwrap().unwrap().seq, 3, "{cut}");
            append(&fixture.log, &fixture.signer, &link(9)).unwrap();
            let seqs: Vec<u64> = all(&fixture).into_iter().map(|note| note.unwrap().seq).collect();
            let complete = cut + 1 >= whole.len();
            assert!(seqs == [3, 9] || complete && seqs.last() == Some(&9), "{cut}: {seqs:?}");
        }
    }

    #[test]
    fn every_changed_byte_of_a_note_is_noticed() {
        let fixture = fixture();
        append(&fixture.log, &fixture.signer, &link(3)).unwrap();
        let path = file_of(&fixture.log);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let note = all(&fixture).into_iter().next();
            assert!(!matches!(note, Some(Ok(_))), "byte {at}");
        }
    }
}
