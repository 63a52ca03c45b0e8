//! A store that cannot be used, and runs that did not end.

use std::fs;

use orchestrator::outcome::Status;
use rustix::process::Signal;

use super::{last, path, runs};
use crate::cli_exec::{Lab, Running, waits};
use crate::support::{Sshd, block_until};

#[test]
fn a_run_goes_on_without_a_store() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    fs::create_dir_all(path(&lab)).unwrap();
    let said = lab.exec(["vm01", "echo ran"]);
    assert_eq!(said.ends(0).text(), "ran\n");
    assert_eq!(said.stderr.matches("note: this run is not remembered: ").count(), 1, "{said:?}");
    let said = lab.exec(["-q", "vm01", "echo ran"]);
    assert_eq!(said.ends(0).stderr, "");
    fs::remove_dir(path(&lab)).unwrap();
    fs::write(path(&lab), "no database, but somebody's notes, and long ones").unwrap();
    lab.exec(["vm01", "true"]).ends(0).says(&["not remembered"]);
    runs(&lab, ["list"]).ends(1).says(&["runs.db"]);
}

#[test]
fn remembering_can_be_switched_off() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).set("runs: {", "runs: { enabled: false,");
    assert_eq!(lab.exec(["vm01", "true"]).ends(0).stderr, "");
    assert!(!path(&lab).exists());
}

#[test]
fn a_program_that_was_killed_leaves_its_hosts_unknown() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let flag = lab.path("flag");
    let running = Running::start(lab.command(["vm01", &waits(&flag)]));
    block_until("the run to be written down", || {
        flag.exists()
            && orchestrator::store::Store::open_existing(path(&lab))
                .is_ok_and(|store| store.run("last").is_ok())
    });
    running.signal(Signal::KILL);
    running.wait();
    let run = last(&lab);
    assert_eq!((run.ended, run.hosts[0].1.as_str()), (None, "unknown"));
    let said = runs(&lab, ["show", "last"]);
    assert!(said.ends(0).text().contains("its program was ended"), "{said:?}");
    let dry = runs(&lab, ["rerun", "last", "--only", "unknown", "--dry-run"]);
    assert!(dry.ends(0).text().contains("vm01"), "{dry:?}");
}

#[test]
fn an_interrupted_run_is_remembered() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let flag = lab.path("flag");
    let running = Running::start(lab.command(["-f", "1", "vm[01-02]", &waits(&flag)]));
    block_until("the command to run", || flag.exists());
    running.signal(Signal::INT);
    running.wait().ends(130);
    let run = last(&lab);
    assert!(run.ended.is_some());
    // Either may have had its turn first.
    let ended = |wanted| {
        let mut hosts = run.hosts.iter().filter(|(_, status)| *status == wanted);
        hosts.next().unwrap().0.as_str()
    };
    let (cancelled, waited) = (ended(Status::Cancelled), ended(Status::NotStarted));
    let shown = runs(&lab, ["show", "last", cancelled, "--stdout"]);
    assert_eq!(shown.ends(0).text(), "begun\n");
    let dry = runs(&lab, ["rerun", "last", "--only", "not-started", "--dry-run"]);
    assert!(dry.ends(0).text().contains(waited) && !dry.text().contains(cancelled), "{dry:?}");
}
