//! Timeouts, Ctrl-C, SIGTERM and readers that go away.

use std::fs;
use std::io::Read;
use std::process::Command;

use rustix::process::Signal;

use super::{Lab, Running, Said, waits};
use crate::support::{Sshd, block_until, process_name, processes_with_env};

/// Nothing of any session is left on the host.
fn all_gone(sshd: &Sshd) {
    block_until("the command's processes are gone", || processes_with_env(sshd.mark()).is_empty());
}

/// The program, once its command runs on every one of these flags' hosts.
fn begun(lab: &Lab, args: &[&str]) -> Running {
    let flag = lab.path("flag");
    let script = waits(&flag);
    let running = Running::start(lab.command(args.iter().copied().chain([script.as_str()])));
    block_until("the command runs", || fs::read(&flag).is_ok_and(|pid| pid.ends_with(b"\n")));
    running
}

#[test]
fn a_timeout_ends_every_process_and_keeps_the_output() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let stubborn = "echo early; trap '' TERM; setsid sleep 300 & sleep 300 & sleep 300; wait";
    let (said, document) = lab.json(["--timeout", "1s", "--grace", "1s", "vm01", stubborn]);
    said.ends(255);
    let host = &document["hosts"][0];
    assert_eq!(host["status"], "timeout");
    assert_eq!(host["stdout"], "early\n");
    assert!(host["exit_code"].is_null());
    all_gone(&sshd);
    let said = lab.exec(["--timeout", "1s", "--grace", "1s", "vm01", stubborn]);
    assert_eq!(said.ends(255).text(), "early\n");
    said.says(&["vm01 timed out after 1 s", "4 processes ended, 0 survivors"]);
    all_gone(&sshd);
    assert_eq!(lab.statuses(), ["timeout", "timeout"]);
}

#[test]
fn zero_is_no_timeout_and_the_configured_one_counts() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).set("default_retry", "default_timeout: 1\n  default_retry");
    lab.exec(["vm01", "sleep 300"]).ends(255).says(&["timed out after 1 s"]);
    assert_eq!(
        lab.exec(["--timeout", "0", "vm01", "sleep 1.5; echo done"]).ends(0).text(),
        "done\n"
    );
}

#[test]
fn a_signal_ends_the_remote_tree_and_the_code_names_it() {
    let sshd = Sshd::start();
    let signals = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)];
    for (signal, code) in signals {
        let lab = Lab::one(&sshd);
        let running = begun(&lab, &["vm01"]);
        running.signal(signal);
        let said = running.wait();
        assert_eq!(said.ends(code).text(), "begun\n");
        said.says(&["vm01 cancelled", "0 survivors"]);
        all_gone(&sshd);
        assert_eq!(lab.statuses(), ["cancelled"]);
    }
}

#[test]
fn a_signal_leaves_hosts_that_wait_for_their_turn_untouched() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let running = begun(&lab, &["-f", "1", "vm01,vm02"]);
    running.signal(Signal::INT);
    running.wait().ends(130);
    all_gone(&sshd);
    assert_eq!(lab.statuses(), ["cancelled"]);
}

#[test]
fn a_second_signal_does_not_wait_for_the_hosts() {
    let sshd = Sshd::start();
    let proxy = crate::support::Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let running = begun(&lab, &["vm01"]);
    // Nothing gets through any more, so that the kill takes its time.
    for direction in [crate::support::Direction::ToServer, crate::support::Direction::ToClient] {
        proxy.set_fault(direction, 0, crate::support::Fault::Stall);
    }
    let mut running = running;
    running.signal(Signal::INT);
    // The first is seen before the second is sent: signals of one kind merge.
    block_until("the first signal is handled", || !signal_pending(running.0.id()));
    running.signal(Signal::TERM);
    let mut stderr = running.0.stderr.take().unwrap();
    assert_eq!(running.wait().code, Some(143));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_reader_that_goes_away_stops_the_command_quietly() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let direct = lab.command(["vm01", "yes"]);
    let words = std::iter::once(direct.get_program()).chain(direct.get_args());
    let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut piped = Command::new("sh");
    piped.args(["-c", "\"$@\" | head -c 1", "sh"]).args(line).env_clear();
    piped.envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said: Said = piped.output().unwrap().into();
    assert_eq!(said.ends(0).text(), "y");
    assert_eq!(said.stderr, "");
    all_gone(&sshd);
    assert_eq!(lab.statuses(), ["cancelled"]);
}

#[test]
fn a_reader_who_never_looks_is_no_error() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    for (args, code) in [
        (&["--list-hosts", "all"][..], 0),
        (&["--json", "vm01", "echo out; exit 4"], 4),
        (&["-o", "summary", "vm01", "echo out; exit 4"], 4),
    ] {
        let mut running = Running::start(lab.command(args.iter().copied()));
        drop(running.0.stdout.take());
        let said = running.wait();
        assert_eq!(said.ends(code).stderr, "", "{args:?}");
    }
}

#[test]
fn a_killed_program_leaves_the_command_or_takes_it_along() {
    let sshd = Sshd::start();
    let (kept, taken) = (Lab::one(&sshd), Lab::one(&sshd));
    let (gate, done) = (kept.path("gate"), kept.path("done"));
    let goes_on = format!(
        ": > {done}.begun; while ! test -e {gate}; do sleep 0.01; done; : > {done}",
        done = done.display(),
        gate = gate.display()
    );
    let keeps = Running::start(kept.command(["vm01", &goes_on]));
    block_until("the command runs", || kept.path("done.begun").exists());
    let takes = begun(&taken, &["--on-disconnect", "kill", "vm01"]);
    drop(keeps);
    drop(takes);
    let pid: u32 = fs::read_to_string(taken.path("flag")).unwrap().trim().parse().unwrap();
    block_until("its command is gone", || process_name(pid).is_none());
    fs::write(gate, "").unwrap();
    block_until("the other went on", || done.exists());
}

/// Whether a signal waits to be delivered to the process.
fn signal_pending(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    pending.trim().bytes().any(|digit| digit != b'0')
}
