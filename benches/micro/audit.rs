//! Records made durable. The disk is the one that `TMPDIR` is on.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use orchestrator::audit::{ActionFacts, ActionKind, AuditLog, Event, OpId, Options, Record};
use tempfile::TempDir;

fn open() -> (TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(Arc::new(|text: &str| Cow::Borrowed(text)));
    let log = AuditLog::open(dir.path().join("audit.jsonl"), options).unwrap();
    (dir, log)
}

fn record() -> Record {
    let mut action = ActionFacts::new(ActionKind::Shell);
    action.command = Some("systemctl is-active nginx".into());
    let mut record = Record::new(Event::ExecAttempt);
    record.op_id = Some(OpId::new());
    record.attempt = Some(1);
    record.action = Some(action);
    record
}

/// As on one host: each waits for its own.
#[divan::bench]
fn one_after_the_other(bencher: Bencher<'_, '_>) {
    let (_dir, log) = open();
    bencher.bench(|| log.append_blocking(record()).unwrap());
}

/// As on a fleet: those that come while one is written share the next write.
#[divan::bench(args = [16, 128])]
fn many_at_once(bencher: Bencher<'_, '_>, writers: usize) {
    let (_dir, log) = open();
    bencher.counter(ItemsCount::new(writers)).bench(|| {
        thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| log.append_blocking(record()).unwrap());
            }
        });
    });
}

#[divan::bench]
fn open_and_close(bencher: Bencher<'_, '_>) {
    let (dir, log) = open();
    for _ in 0..1_000 {
        drop(log.append(record()));
    }
    log.close_blocking().unwrap();
    let path = dir.path().join("audit.jsonl");
    bencher.bench(|| {
        let options = Options::new(Arc::new(|text: &str| Cow::Borrowed(text)));
        AuditLog::open(&path, options).unwrap().close_blocking().unwrap();
    });
}
