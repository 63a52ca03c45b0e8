//! Nothing stays, however it ends.

use std::fs;

use rustix::process::Signal;

use super::{cache, file, left, nothing_left, script};
use crate::cli_exec::{Lab, Running};
use crate::support::{Direction, Fault, Proxy, Sshd, block_until, processes_with_env};

/// Says where it is, and waits to be killed.
fn waits(lab: &Lab) -> String {
    let flag = lab.path("flag");
    file(lab, "waits.sh", format!("#!/bin/sh\necho $$ > {}; sleep 303; wait\n", flag.display()))
}

/// The program, once its script runs; and the script's process.
fn begun(lab: &Lab, args: &[&str]) -> (Running, u32) {
    let flag = lab.path("flag");
    let _ = fs::remove_file(&flag);
    let running = Running::start(lab.verb("script", args.iter().copied()));
    block_until("the script runs", || fs::read(&flag).is_ok_and(|pid| pid.ends_with(b"\n")));
    (running, fs::read_to_string(flag).unwrap().trim().parse().unwrap())
}

#[test]
fn check_31_it_is_removed_after_success_failure_and_timeout() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    for code in [0, 1, 255] {
        let exits = file(&lab, "exits.sh", format!("exit {code}"));
        script(&lab, ["vm01", &exits]).ends(code);
        nothing_left(&sshd);
    }
    let waits = waits(&lab);
    script(&lab, ["--timeout", "1s", "--grace", "1s", "vm01", &waits]).ends(255);
    nothing_left(&sshd);
    let itself = file(&lab, "itself.sh", "chmod 000 \"${0%/*}\"");
    script(&lab, ["vm01", &itself]).ends(0);
    nothing_left(&sshd);
    assert_eq!(lab.statuses(), ["success", "failed", "failed", "timeout", "success"]);
}

#[test]
fn it_is_removed_when_it_is_killed_or_we_are_interrupted() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let waits = waits(&lab);
    let (running, pid) = begun(&lab, &["vm01", &waits]);
    assert_eq!(left(&sshd).len(), 1);
    crate::support::kill(pid);
    running.wait().ends(255).says(&["signal KILL"]);
    nothing_left(&sshd);
    processes_with_env(sshd.mark()).into_iter().for_each(crate::support::kill);
    let (running, _) = begun(&lab, &["vm01", &waits]);
    running.signal(Signal::INT);
    running.wait().ends(130);
    nothing_left(&sshd);
    block_until("nothing runs", || processes_with_env(sshd.mark()).is_empty());
    assert_eq!(lab.statuses(), ["failed", "cancelled"]);
}

#[test]
fn check_31_what_a_killed_program_left_is_swept_by_the_next_run_but_not_while_it_runs() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let waits = waits(&lab);
    let quick = file(&lab, "quick.sh", "exit 0");
    let (running, pid) = begun(&lab, &["vm01", &waits]);
    running.signal(Signal::KILL);
    drop(running);
    assert_eq!(left(&sshd).len(), 1);
    // Somebody else's is left alone in any case.
    let other = cache(&sshd).join(format!("orch-{}", "0".repeat(32)));
    fs::create_dir(&other).unwrap();
    script(&lab, ["vm01", &quick]).ends(0);
    assert_eq!(left(&sshd).len(), 2, "the script still runs");
    crate::support::kill(pid);
    script(&lab, ["vm01", &quick]).ends(0);
    assert_eq!(left(&sshd), [other]);
}

#[test]
fn a_lost_link_leaves_it_to_a_second_connection_or_to_the_next_run() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let waits = waits(&lab);
    let (running, pid) = begun(&lab, &["vm01", &waits]);
    // The host is still there, and the script runs on.
    sshd.kill_sessions();
    running.wait().ends(255).says(&["the link was lost"]);
    assert_eq!(left(&sshd).len(), 1);
    crate::support::kill(pid);
    let quick = file(&lab, "quick.sh", "exit 0");
    script(&lab, ["vm01", &quick]).ends(0);
    nothing_left(&sshd);
    assert_eq!(lab.statuses(), ["unknown", "success"]);
}

#[test]
fn a_link_cut_while_it_is_sent_is_retried() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(2);
    // All of it would take 400,000 bytes.
    proxy.set_fault(Direction::ToServer, 150_000, Fault::Reset);
    let large = file(&lab, "large.sh", format!("echo done; exit\n{}", "#\n".repeat(200_000)));
    let running = Running::start(lab.verb("script", ["vm01", large.as_str()]));
    block_until("the link is cut", || proxy.bytes(Direction::ToServer) >= 150_000);
    proxy.clear_fault(Direction::ToServer);
    assert_eq!(running.wait().ends(0).text(), "done\n");
    nothing_left(&sshd);
    assert_eq!(lab.statuses(), ["unreachable", "success"]);
}

#[test]
fn an_interrupt_while_it_is_sent_leaves_nothing() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    proxy.set_rate(Direction::ToServer, Some(50_000));
    let large = file(&lab, "large.sh", format!("echo done; exit\n{}", "#\n".repeat(1_000_000)));
    let running = Running::start(lab.verb("script", ["vm01", large.as_str()]));
    block_until("it is being received", || !left(&sshd).is_empty());
    running.signal(Signal::INT);
    // What is under way already need not be waited for.
    proxy.set_rate(Direction::ToServer, None);
    running.wait().ends(130);
    nothing_left(&sshd);
    assert_eq!(lab.statuses(), ["cancelled"]);
}
