//! Several programs at once, one file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use orchestrator::store::{Filter, Store};

use super::path;
use crate::cli_exec::{Lab, Running};

/// Hosts whose key cannot be found end without a connection: what is left is
/// the store's own work, and the log's.
#[test]
fn eight_programs_remember_fifty_runs_each() {
    let mut lab = Lab::new();
    for vm in ["vm01", "vm02"] {
        lab = lab.entry(vm, "127.0.0.1:1".parse().unwrap(), "");
    }
    lab.config();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let lab = &lab;
            scope.spawn(move || {
                for round in 0..50 {
                    let text = format!("echo {worker} {round}");
                    let said = Running::start(lab.command(["vm[01-02]", &text])).wait();
                    assert!(!said.stderr.contains("not remembered"), "{said:?}");
                }
            });
        }
    });
    let store = Store::open_existing(path(&lab)).unwrap();
    let runs = store.runs(&Filter::default()).unwrap();
    let commands: BTreeSet<&str> = runs.iter().map(|run| run.command.as_str()).collect();
    assert_eq!((runs.len(), commands.len()), (400, 400));
    assert!(runs.iter().all(|run| run.ended.is_some() && run.hosts.len() == 2));
    for entry in fs::read_dir(lab.path("state")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
