//! Whoever changes the log is found out.

use std::fs;
use std::path::PathBuf;

use orchestrator::audit::{AuditError, AuditLog, Defect, Verification, VerifyOptions, verify};
use orchestrator::outcome::Status;

use crate::support::audit_log::{Dice, Place, attempt, options, result, rounds};

/// A closed log of several segments, as lines, and where each line stands.
struct Original {
    place: Place,
    segments: Vec<(PathBuf, Vec<String>)>,
}

impl Original {
    fn new() -> Self {
        let place = Place::new();
        let mut small = options();
        small.segment_bytes = 6000;
        let log = AuditLog::open(&place.log, small).unwrap();
        for number in 0..20 {
            let (record, op) = attempt(&format!("echo {number}"));
            log.append_blocking(record).unwrap();
            log.append_blocking(result(op, Status::Success)).unwrap();
        }
        log.close_blocking().unwrap();
        let lines = |path: &PathBuf| -> Vec<String> {
            let text = fs::read_to_string(path).unwrap();
            text.split_inclusive('\n').map(str::to_owned).collect()
        };
        let segments: Vec<_> =
            place.segments().into_iter().map(|path| (path.clone(), lines(&path))).collect();
        assert!(segments.len() > 2, "several segments");
        Self { place, segments }
    }

    /// The number of the first line of a segment.
    fn first(&self, segment: usize) -> u64 {
        1 + self.segments[..segment].iter().map(|(_, lines)| lines.len() as u64).sum::<u64>()
    }

    /// What verification finds while `segment` holds `content` instead.
    fn with(&self, segment: usize, content: &[u8]) -> Verification {
        let (path, lines) = &self.segments[segment];
        fs::write(path, content).unwrap();
        let found = verify(&self.place.log, &VerifyOptions::default()).unwrap();
        fs::write(path, lines.concat()).unwrap();
        found
    }
}

#[test]
fn every_change_is_found_and_its_first_record_named() {
    let original = Original::new();
    let mut dice = Dice(51);
    for round in 0..rounds(250, 1000) {
        let segment = dice.roll(original.segments.len());
        let (_, lines) = &original.segments[segment];
        let at = dice.roll(lines.len());
        let mut changed = lines.clone();
        let (what, index, content) = match round % 5 {
            0 | 1 => {
                let mut content = lines.concat().into_bytes();
                let byte = dice.roll(content.len());
                let index = content[..byte].iter().filter(|byte| **byte == b'\n').count();
                content[byte] ^= 1 << dice.roll(8);
                ("flip", index, content)
            }
            2 => {
                changed.remove(at);
                ("delete", at, changed.concat().into_bytes())
            }
            3 => {
                let other = (at + 1 + dice.roll(lines.len() - 1)) % lines.len();
                changed.swap(at, other);
                ("swap", at.min(other), changed.concat().into_bytes())
            }
            _ => {
                let from = dice.roll(lines.len());
                changed.insert(at, lines[from].clone());
                // A second copy right behind the first: the second is wrong.
                let index = if from == at { at + 1 } else { at };
                ("insert", index, changed.concat().into_bytes())
            }
        };
        let found = original.with(segment, &content);
        let bad = found.first_bad.map(|bad| bad.seq);
        let expected = original.first(segment) + index as u64;
        assert_eq!(bad, Some(expected), "{what}, round {round}, segment {segment}");
    }
    let found = verify(&original.place.log, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "restored: {found:?}");
}

#[test]
fn cutting_the_log_at_any_line_end_is_found_by_its_checkpoint() {
    let original = Original::new();
    let last = original.segments.len() - 1;
    for segment in 0..=last {
        let lines = &original.segments[segment].1;
        for keep in 0..lines.len() {
            let found = original.with(segment, lines[..keep].concat().as_bytes());
            let bad = found.first_bad.unwrap();
            assert_eq!(bad.seq, original.first(segment) + keep as u64);
            assert!(segment < last || matches!(bad.defect, Defect::Truncated { .. }));
        }
    }
    for (path, _) in original.segments[1..].iter().rev() {
        fs::remove_file(path).unwrap();
        let found = verify(&original.place.log, &VerifyOptions::default()).unwrap();
        assert!(matches!(found.first_bad.unwrap().defect, Defect::Truncated { .. }));
    }
}

#[test]
fn a_log_cut_short_is_not_opened() {
    let place = Place::new();
    let log = place.open();
    log.append_blocking(attempt("one").0).unwrap();
    log.append_blocking(attempt("two").0).unwrap();
    log.close_blocking().unwrap();
    let text = fs::read_to_string(&place.log).unwrap();
    let cut = text.find('\n').unwrap() + 1;
    fs::write(&place.log, &text[..cut]).unwrap();
    let refused = AuditLog::open(&place.log, options()).unwrap_err();
    assert!(
        matches!(
            refused,
            AuditError::Broken { seq: 2, defect: Defect::Truncated { covers: 3 }, .. }
        ),
        "{refused:?}"
    );
}

#[test]
fn rewriting_the_whole_chain_is_found_by_a_checkpoint() {
    let place = Place::new();
    for (log, command) in [(&place.log, "true"), (&place.dir.path().join("forged.jsonl"), "false")]
    {
        let log = AuditLog::open(log, options()).unwrap();
        log.append_blocking(attempt(command).0).unwrap();
        log.close_blocking().unwrap();
    }
    // A chain that holds in itself, under the checkpoints of the true one.
    fs::copy(place.dir.path().join("forged.jsonl"), &place.log).unwrap();
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert_eq!(found.first_bad.unwrap().defect, Defect::Contradicted);
}

#[test]
fn a_forged_checkpoint_is_found() {
    let place = Place::new();
    let log = place.open();
    log.append_blocking(attempt("one").0).unwrap();
    log.close_blocking().unwrap();
    let path = place.beside(".checkpoints");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\n2\n", "\n1\n", 1)).unwrap();
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert_eq!(found.first_bad.unwrap().defect, Defect::Signature);
}

#[test]
fn a_rollback_of_log_and_checkpoints_is_found_by_a_copy_kept_elsewhere() {
    let place = Place::new();
    let write = |command: &str| {
        let log = place.open();
        log.append_blocking(attempt(command).0).unwrap();
        log.close_blocking().unwrap();
    };
    write("before");
    let old = [place.log.clone(), place.beside(".checkpoints")]
        .map(|path| (fs::read(&path).unwrap(), path));
    write("to be hidden");
    let elsewhere = VerifyOptions {
        checkpoints: Some(fs::read_to_string(place.beside(".checkpoints")).unwrap()),
        public_key: Some(fs::read_to_string(place.beside(".pub")).unwrap()),
    };
    assert!(verify(&place.log, &elsewhere).unwrap().is_intact());

    for (content, path) in old {
        fs::write(path, content).unwrap();
    }
    assert!(verify(&place.log, &VerifyOptions::default()).unwrap().is_intact(), "by itself");
    let found = verify(&place.log, &elsewhere).unwrap();
    assert!(matches!(found.first_bad.unwrap().defect, Defect::Truncated { .. }));
}
