//! What the log does when it cannot be written: nothing new begins, and what
//! has begun is not lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator::audit::{AuditError, AuditLog, VerifyOptions, verify};
use orchestrator::outcome::Status;

use crate::support::audit_log::{Place, attempt, child, entries, options, orders, result};

#[test]
fn a_log_deleted_under_us_stops_everything_new_and_keeps_results() {
    let place = Place::new();
    let log = place.open();
    let (record, op) = attempt("running");
    log.append_blocking(record).unwrap();
    fs::remove_file(&place.log).unwrap();
    for _ in 0..2 {
        let refused = log.append_blocking(attempt("new").0);
        assert!(matches!(refused, Err(AuditError::Replaced(_))), "{refused:?}");
    }
    let kept = log.append_blocking(result(op, Status::Success));
    let Err(AuditError::Spooled { path, cause }) = kept else { panic!("{kept:?}") };
    assert!(matches!(*cause, AuditError::Replaced(_)));
    assert!(fs::read_to_string(path).unwrap().contains(&op.to_string()));
    assert!(matches!(log.close_blocking(), Err(AuditError::Replaced(_))));
}

#[test]
fn a_log_replaced_under_us_is_not_written() {
    let place = Place::new();
    let log = place.open();
    log.append_blocking(attempt("one").0).unwrap();
    let copy = place.dir.path().join("copy");
    fs::copy(&place.log, &copy).unwrap();
    fs::rename(&copy, &place.log).unwrap();
    assert!(matches!(log.append_blocking(attempt("two").0), Err(AuditError::Replaced(_))));
    assert_eq!(entries(&place.log).len(), 1);
}

#[test]
fn a_log_cut_short_under_us_is_not_written() {
    let place = Place::new();
    let log = place.open();
    log.append_blocking(attempt("one").0).unwrap();
    fs::write(&place.log, "").unwrap();
    assert!(matches!(log.append_blocking(attempt("two").0), Err(AuditError::Replaced(_))));
}

#[test]
fn a_deleted_lock_is_no_lock() {
    let place = Place::new();
    let log = place.open();
    fs::remove_file(place.beside(".lock")).unwrap();
    assert!(matches!(log.append_blocking(attempt("one").0), Err(AuditError::Replaced(_))));
}

#[test]
fn a_reserve_given_up_by_another_process_stops_everything_new_but_no_result() {
    let place = Place::new();
    let log = place.open();
    let (record, op) = attempt("running");
    log.append_blocking(record).unwrap();
    fs::remove_file(place.beside(".reserve")).unwrap();
    let refused = log.append_blocking(attempt("new").0);
    assert!(matches!(refused, Err(AuditError::ReserveGone(_))), "{refused:?}");
    assert_eq!(log.append_blocking(result(op, Status::Success)).unwrap().seq, 2);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let error = AuditLog::open("/proc/audit/audit.jsonl", options()).unwrap_err();
    assert_eq!(error.to_string(), "cannot create the directory /proc/audit");
    assert!(!error.hint().is_empty());
}

/// Fills its log to the limit its parent set. In an ordinary run, where there
/// is none, it is its own small test.
#[test]
fn a_writer_to_the_limit() {
    let own = Place::new();
    let (path, count) = orders().unwrap_or((own.log.clone(), 0));
    let log = AuditLog::open(path, options()).unwrap();
    let (record, op) = attempt("running");
    log.append_blocking(record).unwrap();
    let refused = (0..count).find_map(|_| log.append_blocking(attempt(&filler()).0).err());
    assert_eq!(refused.is_some(), count > 0, "the limit was met");
    let ended = log.append_blocking(result(op, Status::Success));
    if count > 0 {
        assert!(matches!(refused, Some(AuditError::Io { doing: "append to", .. })), "{refused:?}");
        assert!(matches!(ended, Err(AuditError::Spooled { .. })), "{ended:?}");
        let again = log.append_blocking(attempt("x").0);
        assert!(matches!(again, Err(AuditError::Io { doing: "append to", .. })), "{again:?}");
    } else {
        ended.unwrap();
    }
}

#[test]
fn a_file_size_limit_fails_closed_and_the_spool_comes_back_into_the_log() {
    let place = Place::new();
    let writer = child("audit::disk::a_writer_to_the_limit", &place.log, 500);
    // The limit leaves room for the reserve and little more. Only a shell can
    // have the signal that goes with it ignored.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2200; exec \"$@\"", "sh"]);
    limited.arg(writer.get_program()).args(writer.get_args());
    limited.envs(writer.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    assert_eq!(verify(&place.log, &VerifyOptions::default()).unwrap().torn_tail, 0);
    place.open().close_blocking().unwrap();
    let found = verify(&place.log, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "{found:?}");
    let read = entries(&place.log);
    let running =
        |entry: &&orchestrator::audit::Entry| entry.text("/op_id") == read[0].text("/op_id");
    let ends: Vec<_> = read.iter().filter(running).skip(1).collect();
    assert_eq!(ends.len(), 1, "the result from the spool, and no other");
    assert_eq!(ends[0].text("/result/status"), Some("success"));
    assert!(ends[0].text("/metadata/spooled_at").is_some());
    assert!(!place.beside(".spool").exists());
}

#[test]
fn a_full_disk_refuses_attempts_and_takes_results_until_the_reserve_is_used_up() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: no file system of limited size can be mounted here");
        return;
    };
    let path = disk.dir.join("audit.jsonl");
    let log = AuditLog::open(&path, options()).unwrap();
    let (record, op) = attempt("running");
    log.append_blocking(record).unwrap();
    let refused = (0..5000).find_map(|_| log.append_blocking(attempt(&filler()).0).err()).unwrap();
    assert!(matches!(refused, AuditError::Full { .. }), "{refused:?}");

    let receipt = log.append_blocking(result(op, Status::Success)).unwrap();
    let refused = log.append_blocking(attempt("new").0);
    assert!(matches!(refused, Err(AuditError::Full { .. })), "{refused:?}");
    let mut results = 0;
    let last = loop {
        let mut ended = result(op, Status::Failed);
        ended.reason = Some(filler());
        match log.append_blocking(ended) {
            Ok(_) => results += 1,
            Err(error) => break error,
        }
    };
    assert!(results > 100, "the reserve held {results} results");
    let (AuditError::Spooled { cause, .. } | AuditError::Unrecorded { cause, .. }) = &last else {
        panic!("{last:?}")
    };
    assert!(matches!(**cause, AuditError::Full { .. }));
    assert!(matches!(log.close_blocking(), Err(AuditError::Full { .. })));

    let found = verify(&path, &VerifyOptions::default()).unwrap();
    assert!(found.is_intact(), "{found:?}");
    assert_eq!(found.last_seq, receipt.seq + results);
    let full = AuditLog::open(&path, options()).unwrap_err();
    assert!(matches!(full, AuditError::Io { .. } | AuditError::Full { .. }), "{full:?}");

    disk.remount("size=16m");
    AuditLog::open(&path, options()).unwrap().close_blocking().unwrap();
    assert!(verify(&path, &VerifyOptions::default()).unwrap().is_intact());
    disk.remount("ro");
    let read_only = AuditLog::open(&path, options()).unwrap_err();
    assert!(matches!(read_only, AuditError::Io { doing: "open", .. }), "{read_only:?}");
}

/// A text of some length.
fn filler() -> String {
    "x".repeat(4000)
}

/// A file system of 4 MiB, gone on drop.
struct SmallDisk {
    dir: PathBuf,
    _parent: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount() -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("disk");
        fs::create_dir(&dir).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], &dir);
        mounted.then_some(Self { dir, _parent: parent })
    }

    fn remount(&self, option: &str) {
        assert!(mount(&["-o", &format!("remount,{option}")], &self.dir), "remount {option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

fn mount(arguments: &[&str], dir: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(dir).output();
    status.is_ok_and(|output| output.status.success())
}
