//! Going on where a transfer stopped, if that is what it was.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use orchestrator::transfer::{Entry, Kind, Ledger};

use super::Site;
use super::content::noise;
use crate::cli_exec::Running;
use crate::support::block_until;

const SIZE: usize = 300_000;

/// What an interrupted transfer may have left: its content, and how much of it
/// can be gone on with.
fn leftovers(content: &[u8]) -> Vec<(&'static str, Vec<u8>, usize)> {
    let longer = [content, b"more"].concat();
    let prefix = |length: usize| (content[..length].to_vec(), length);
    let ((one, a), (kilo, b), (half, c), (almost, d), (all, e)) =
        (prefix(1), prefix(1024), prefix(SIZE / 2), prefix(SIZE - 1), prefix(SIZE));
    vec![
        ("nothing", Vec::new(), 0),
        ("one byte", one, a),
        ("1k", kilo, b),
        ("half", half, c),
        ("all but one", almost, d),
        ("all", all, e),
        ("longer", longer, 0),
        ("of the same length", noise(SIZE, 2), 0),
        ("shorter and other", noise(SIZE / 2, 3), 0),
    ]
}

/// Writes down what a process that is gone had in the making.
fn abandon(site: &Site, kind: Kind, source: &Path, target: &Path, content: &[u8]) {
    let name = target.file_name().unwrap().to_str().unwrap();
    let part = target.with_file_name(format!(".{name}.orch-{}.part", "0123456789abcdef".repeat(2)));
    fs::write(&part, content).unwrap();
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let entry = Entry {
        login: format!("vm01={}@127.0.0.1:{}", site.sshd.user(), site.sshd.port()),
        kind,
        path: bytes(&part),
        target: bytes(target),
        source: bytes(source),
        run_as: None,
    };
    drop(Ledger::new(Some(site.ledger())).open(entry).unwrap());
}

#[test]
fn check_33_a_push_goes_on_with_what_is_proven_and_with_nothing_else() {
    let site = Site::new();
    let content = noise(SIZE, 1);
    let here = site.write_here("x", &content);
    for (what, left, resumed) in leftovers(&content) {
        let there = site.there("x");
        abandon(&site, Kind::Part, &here, &there, &left);
        let host = site.json("push", &["--resume"], "x", "x");
        assert_eq!(host["status"], "success", "{what}: {host}");
        assert_eq!(host["resumed_from"].as_u64().unwrap_or(0), resumed as u64, "{what}: {host}");
        assert!(fs::read(&there).unwrap() == content, "{what}");
        site.is_clean();
        assert_eq!(site.journals(), 0, "{what}");
        fs::remove_file(there).unwrap();
    }
}

#[test]
fn check_33_a_pull_goes_on_with_what_is_proven_and_with_nothing_else() {
    let site = Site::new();
    let content = noise(SIZE, 1);
    let there = site.write_there("x", &content);
    for (what, left, resumed) in leftovers(&content) {
        let here = site.here("x");
        abandon(&site, Kind::LocalPart, &there, &here, &left);
        let host = site.json("pull", &["--resume"], "x", "x");
        assert_eq!(host["status"], "success", "{what}: {host}");
        assert_eq!(host["resumed_from"].as_u64().unwrap_or(0), resumed as u64, "{what}: {host}");
        assert!(fs::read(&here).unwrap() == content, "{what}");
        site.is_clean();
        assert_eq!(site.journals(), 0, "{what}");
        fs::remove_file(here).unwrap();
    }
}

/// Without `--resume` nothing is gone on with, and nothing is left.
#[test]
fn check_33_without_resume_leftovers_are_removed() {
    let site = Site::new();
    let content = noise(SIZE, 1);
    let (here, there) = (site.write_here("x", &content), site.there("x"));
    abandon(&site, Kind::Part, &here, &there, &content[..1000]);
    abandon(&site, Kind::LocalPart, &there, &site.here("y"), &content[..1000]);
    let host = site.json("push", &[], "x", "x");
    assert_eq!(host["status"], "success", "{host}");
    assert!(host["resumed_from"].is_null(), "{host}");
    site.is_clean();
    assert_eq!(site.journals(), 0);
}

/// A program that is killed leaves what `--resume` goes on with, both ways and
/// more than once.
#[test]
fn check_33_a_killed_transfer_is_resumed() {
    let site = Site::new();
    // Most of a minute at that rate: no pause of ours lets it come to its end.
    let content = noise(16 << 20, 1);
    for verb in ["push", "pull"] {
        let (from, to) = match verb {
            "push" => (site.here("x"), site.there("x")),
            _ => (site.there("x"), site.here("x")),
        };
        fs::write(&from, &content).unwrap();
        let dir = to.parent().unwrap().to_owned();
        let arrived = || {
            let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap());
            let parts = files.filter(|file| file.file_name().as_bytes().ends_with(b".part"));
            parts.filter_map(|part| Some(part.metadata().ok()?.len())).max().unwrap_or(0)
        };
        let mut least = 1;
        for _ in 0..2 {
            let options = ["--resume", "--bwlimit", "400K"];
            let running = Running::start(site.cli(verb, &options, "x", "x"));
            block_until("more has arrived", || arrived() >= least + 300_000);
            drop(running);
            least = arrived();
            assert!(!to.exists());
        }
        let host = site.json(verb, &["--resume"], "x", "x");
        assert_eq!(host["status"], "success", "{host}");
        assert!(host["resumed_from"].as_u64().unwrap() >= 600_000, "{host}");
        assert!(fs::read(&to).unwrap() == content);
        site.is_clean();
        fs::remove_file(&from).unwrap();
        fs::remove_file(&to).unwrap();
    }
}
