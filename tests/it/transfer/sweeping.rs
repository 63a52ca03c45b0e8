//! What others left is removed; what others are making is not.

use std::fs;
use std::path::PathBuf;

use orchestrator::transfer::{Entry, Kind, Ledger};

use super::Site;
use super::content::{noise, parts};
use crate::cli_exec::Running;
use crate::support::block_until;

/// A slow transfer of `x`, in the middle.
fn under_way(site: &Site, verb: &str) -> (Running, PathBuf) {
    let dir = if verb == "push" { site.there("") } else { site.here("") };
    let running = Running::start(site.cli(verb, &["--bwlimit", "200K"], "x", "x"));
    block_until("it is in the making", || parts(&dir).len() == 1);
    let part = dir.join(parts(&dir).remove(0));
    (running, part)
}

#[test]
fn check_40_a_living_transfer_is_left_alone() {
    for verb in ["push", "pull"] {
        let site = Site::new();
        let content = noise(300_000, 1);
        let (from, to) = match verb {
            "push" => (site.here("x"), site.there("x")),
            _ => (site.there("x"), site.here("x")),
        };
        fs::write(from, &content).unwrap();
        site.write_here("other", "other");
        let (running, part) = under_way(&site, verb);
        // One that sweeps, one that would go on, and one of the same file.
        site.moved("push", &[], "other", "other").ends(0);
        site.moved("pull", &[], "again", "other").ends(0);
        assert!(part.exists());
        let host = site.json(verb, &["--resume"], "x", "x");
        assert_eq!((&host["status"], &host["resumed_from"]), (&"success".into(), &().into()));
        assert!(part.exists());
        running.wait().ends(0);
        assert!(fs::read(to).unwrap() == content);
        site.is_clean();
        assert_eq!(site.journals(), 0);
    }
}

/// Many at once, each with the others' parts in sight.
#[test]
fn check_40_several_programs_at_once_share_a_host() {
    let site = Site::new();
    let running: Vec<Running> = (0..4)
        .map(|i| {
            let name = format!("f{i}");
            site.write_here(&name, noise(300_000, i));
            Running::start(site.cli("push", &["--bwlimit", "1M"], &name, &name))
        })
        .collect();
    for (i, running) in running.into_iter().enumerate() {
        running.wait().ends(0);
        let there = fs::read(site.there(format!("f{i}"))).unwrap();
        assert!(there == noise(300_000, i as u64));
    }
    site.is_clean();
    assert_eq!(site.journals(), 0);
}

/// A ledger that was tampered with makes nobody remove another file.
#[test]
fn only_files_in_the_making_are_removed() {
    let site = Site::new();
    let here = site.write_here("keep", "mine");
    let there = site.write_there("keep", "theirs");
    let ledger = Ledger::new(Some(site.ledger()));
    for (kind, path) in [(Kind::LocalPart, &here), (Kind::Part, &there)] {
        let entry = Entry {
            login: format!("vm01={}@127.0.0.1:{}", site.sshd.user(), site.sshd.port()),
            kind,
            path: path.to_str().unwrap().into(),
            target: b"x".into(),
            source: b"x".into(),
            run_as: None,
        };
        drop(ledger.open(entry).unwrap());
    }
    drop(ledger);
    site.write_here("x", "x");
    site.moved("push", &[], "x", "x").ends(0);
    assert_eq!(fs::read(here).unwrap(), b"mine");
    assert_eq!(fs::read(there).unwrap(), b"theirs");
}
