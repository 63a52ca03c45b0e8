//! What is in the making is known to whoever comes next, and to nobody else.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orchestrator::transfer::{Entry, Kind, Ledger, Open};
use tempfile::TempDir;

use crate::support::block_until;

const LOGIN: &str = "ops@10.0.0.1:22";

fn entry(path: &[u8]) -> Entry {
    Entry {
        login: LOGIN.into(),
        kind: Kind::Part,
        path: path.into(),
        target: b"/opt/caf\xe9\n".into(),
        source: b"a.tar".into(),
        run_as: Some("root".into()),
    }
}

/// Each has a journal of its own, as a process has.
fn ledgers() -> (TempDir, PathBuf, impl Fn() -> Ledger) {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("state/parts");
    (state, dir.clone(), move || Ledger::new(Some(dir.clone())))
}

fn paths(found: &[Open]) -> Vec<&[u8]> {
    found.iter().map(|open| open.entry().path.as_slice()).collect()
}

fn journals(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_a_dead_process_left_open_is_found_once() {
    let (_state, dir, ledger) = ledgers();
    let dead = ledger();
    let (left, closed) = (dead.open(entry(b"/x\xff")).unwrap(), dead.open(entry(b"/y")).unwrap());
    assert_eq!(mode(&dir), 0o700);
    assert!(journals(&dir).iter().all(|path| mode(path) == 0o600));
    closed.close();
    let living = ledger();
    assert_eq!(living.orphans(LOGIN).len(), 0, "its process lives");
    drop(left);
    assert_eq!(living.orphans(LOGIN).len(), 0, "its process lives");
    drop(dead);

    let found = living.orphans(LOGIN);
    assert_eq!(found.iter().map(Open::entry).collect::<Vec<_>>(), [&entry(b"/x\xff")]);
    assert_eq!(ledger().orphans(LOGIN).len(), 0, "it is taken");
    assert_eq!(living.orphans(LOGIN).len(), 0, "it is taken");
    found.into_iter().for_each(Open::close);
    drop(living);
    assert_eq!(ledger().orphans(LOGIN).len(), 0, "it is closed");
    assert_eq!(journals(&dir), Vec::<PathBuf>::new());
}

#[test]
fn what_this_process_gave_up_is_found_again() {
    let (_state, _dir, ledger) = ledgers();
    for ledger in [ledger(), Ledger::default()] {
        let held = ledger.open(entry(b"/held")).unwrap();
        drop(ledger.open(entry(b"/lost")).unwrap());
        assert_eq!(paths(&ledger.orphans(LOGIN)), [b"/lost"]);
        // That one was dropped again.
        let found = ledger.clone().orphans(LOGIN);
        assert_eq!(paths(&found), [b"/lost"]);
        found.into_iter().for_each(Open::close);
        assert_eq!(ledger.orphans(LOGIN).len(), 0);
        held.close();
    }
}

#[test]
fn each_login_has_its_own() {
    let (_state, dir, ledger) = ledgers();
    let dead = ledger();
    let other = Entry { login: "ops@10.0.0.2:22".into(), ..entry(b"/other") };
    drop((dead.open(entry(b"/x")).unwrap(), dead.open(other).unwrap()));
    drop(dead);
    let (one, two) = (ledger(), ledger());
    let found = one.orphans(LOGIN);
    assert_eq!(paths(&found), [b"/x"]);
    // Taken by one process for one login, it is still there for another's other.
    let others = two.orphans("ops@10.0.0.2:22");
    assert_eq!(paths(&others), [b"/other"]);
    assert_eq!(journals(&dir).len(), 2);
    // Held by a process that dies in turn, it is there for the next.
    drop((found, one));
    assert_eq!(paths(&two.orphans(LOGIN)), [b"/x"]);
}

#[test]
fn lines_that_make_no_sense_are_passed_over() {
    let (_state, dir, ledger) = ledgers();
    let dead = ledger();
    drop((dead.open(entry(b"/x")).unwrap(), dead));
    let [path] = &journals(&dir)[..] else { panic!("{:?}", journals(&dir)) };
    let whole = fs::read(path).unwrap();
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"nonsense\n\xff\0\n{\"open\":{\"id\":1}}\n").unwrap();
    // Killed in the middle of a line.
    file.write_all(&whole[..whole.len() / 2]).unwrap();
    drop(file);
    let living = ledger();
    assert_eq!(paths(&living.orphans(LOGIN)), [b"/x"]);
    assert_eq!(journals(&dir).len(), 1, "its own");
}

#[test]
fn a_huge_file_is_left_alone() {
    let (_state, dir, ledger) = ledgers();
    let dead = ledger();
    drop((dead.open(entry(b"/x")).unwrap(), dead));
    let huge = dir.join("huge.jsonl");
    fs::File::create(&huge).unwrap().set_len((16 << 20) + 1).unwrap();
    fs::create_dir(dir.join("dir.jsonl")).unwrap();
    assert_eq!(paths(&ledger().orphans(LOGIN)), [b"/x"]);
    assert!(huge.exists());
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let (_state, dir, ledger) = ledgers();
    drop(ledger().open(entry(b"/x")).unwrap());
    fs::set_permissions(&dir, Permissions::from_mode(0o770)).unwrap();
    let error = ledger().open(entry(b"/y")).unwrap_err();
    assert!(error.to_string().contains("written by others"), "{error}");
    assert_eq!(ledger().orphans(LOGIN).len(), 0);
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&ledger().orphans(LOGIN)), [b"/x"]);
}

#[test]
fn a_journal_does_not_grow_with_what_is_closed() {
    let (_state, dir, ledger) = ledgers();
    let living = ledger();
    let held = living.open(entry(b"/held")).unwrap();
    for i in 0..10_000 {
        living.open(entry(format!("/{i}").as_bytes())).unwrap().close();
    }
    let [path] = &journals(&dir)[..] else { panic!("{:?}", journals(&dir)) };
    assert!(fs::metadata(path).unwrap().len() < 2 << 20);
    assert_eq!(ledger().orphans(LOGIN).len(), 0);
    drop((held, living));
    assert_eq!(paths(&ledger().orphans(LOGIN)), [b"/held"]);
}

/// Whatever the order, each thing is found by one.
#[test]
fn two_who_sweep_at_once_share_nothing() {
    let (_state, dir, ledger) = ledgers();
    for i in 0..50 {
        let dead = ledger();
        drop((dead.open(entry(format!("/{i}").as_bytes())).unwrap(), dead));
    }
    let sweeping: Vec<_> = (0..4)
        .map(|_| {
            let living = ledger();
            std::thread::spawn(move || (living.orphans(LOGIN), living))
        })
        .collect();
    let found: Vec<_> = sweeping.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(found.iter().map(|(found, _)| found.len()).sum::<usize>(), 50);
    for (found, _living) in found {
        found.into_iter().for_each(Open::close);
    }
    assert_eq!(journals(&dir).len(), 0);
}

/// What the test below starts: it writes two things down and waits to be
/// killed.
#[test]
fn a_process_to_be_killed() {
    let Some(dir) = std::env::var_os("ORCHTEST_LEDGER") else { return };
    let ledger = Ledger::new(Some(dir.into()));
    let _open = [ledger.open(entry(b"/1")).unwrap(), ledger.open(entry(b"/2")).unwrap()];
    std::thread::sleep(std::time::Duration::from_secs(300));
}

#[test]
fn a_process_that_is_killed_leaves_its_things_to_the_next() {
    let (_state, dir, ledger) = ledgers();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transfer::ledger::a_process_to_be_killed"])
        .env("ORCHTEST_LEDGER", &dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = || {
        let journals = if dir.exists() { journals(&dir) } else { Vec::new() };
        journals.iter().map(|path| fs::read_to_string(path).unwrap().lines().count()).sum::<usize>()
    };
    block_until("it wrote two lines", || lines() == 2);
    let living = ledger();
    assert_eq!(living.orphans(LOGIN).len(), 0);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(paths(&living.orphans(LOGIN)), [b"/1", b"/2"]);
}
