//! Batches, gates and what stops a run, on real servers.

use std::fs;
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::Value;

use super::{Lab, Running, Said};
use crate::support::{Sshd, block_until, processes_with_env};

/// Several hosts that are one sshd.
fn lab(sshd: &Sshd, hosts: usize) -> Lab {
    (1..=hosts).fold(Lab::new(), |lab, n| lab.vm(&format!("vm{n:02}"), sshd))
}

fn all_gone(sshd: &Sshd) {
    block_until("the commands' processes are gone", || processes_with_env(sshd.mark()).is_empty());
}

fn events(said: &Said) -> Vec<Value> {
    said.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

fn statuses(document: &Value) -> Vec<&str> {
    let hosts = document["hosts"].as_array().unwrap();
    hosts.iter().map(|host| host["status"].as_str().unwrap()).collect()
}

/// What a host's command knows itself by: the host's name is in its mark.
const WHO: &str = "case $ORCH_RUN in";

#[test]
fn batches_come_in_order_and_are_told() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 5);
    let said = lab.exec(["--batch", "1,40%", "-o", "ndjson", "all", "echo x"]);
    let events = events(said.ends(0));
    let batches = of_kind(&events, "batch_finished");
    let told: Vec<_> = batches.iter().map(|it| (&it["index"], &it["of"], &it["hosts"])).collect();
    let expected = [
        serde_json::json!([1, 3, ["vm01"]]),
        serde_json::json!([2, 3, ["vm02", "vm03"]]),
        serde_json::json!([3, 3, ["vm04", "vm05"]]),
    ];
    assert_eq!(serde_json::to_value(told).unwrap(), serde_json::json!(expected));
    // Nobody of a batch begins before the one before has ended.
    let mut batch_of = 0;
    for event in &events {
        match event["type"].as_str().unwrap() {
            "batch_finished" => batch_of += 1,
            "host_started" => {
                let hosts = batches[batch_of]["hosts"].as_array().unwrap();
                assert!(hosts.contains(&event["vm_id"]), "{event}");
            }
            _ => {}
        }
    }
    let said = lab.exec(["--canary", "--batch", "2", "all", "true"]);
    said.ends(0).says(&["batch 1/3 vm01: 1 ok", "batch 3/3 vm[04-05]: 2 ok"]);
    let said = lab.exec(["--canary=2", "--gate", "probe:test -d /", "--dry-run", "all", "true"]);
    let shown = said.ends(0).text();
    assert!(shown.contains("probe between batches: test -d /\nbatch 1/2\nvm01"), "{shown}");
}

#[test]
fn gates_stop_with_their_reason() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 3);
    let odd = format!("{WHO} *.vm02.*) echo new;; *) echo old;; esac");
    let run = |gates: &[&str], command: &str| {
        let gates = gates.iter().flat_map(|gate| ["--gate", gate]);
        lab.exec(["--batch", "1", "-o", "none"].into_iter().chain(gates).chain(["all", command]))
    };
    run(&["rc", "same-output", "match:^old$"], "echo old").ends(0);
    run(&["same-output"], &odd)
        .ends(8)
        .says(&["stopped: gate same-output: the output of vm02 differs from vm01's"]);
    run(&["match:^new$"], &odd)
        .ends(8)
        .says(&["stopped: gate match: the output of vm01 does not match ^new$"]);
    run(&["rc"], "exit 3").ends(8).says(&["stopped: gate rc: vm01 did not succeed"]);
    let flag = lab.path("flag");
    let probe = format!("probe:test -e {}", flag.display());
    run(&[&probe], "true").ends(8).says(&["stopped: gate probe: it did not succeed on vm01"]);
    let attempts = lab.attempted();
    run(&[&probe], &format!("touch {}", flag.display())).ends(0);
    // Three hosts, and a probe after each but the last.
    assert_eq!(lab.attempted() - attempts, 5);
}

#[test]
fn a_gate_looks_at_output_that_is_only_shown() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 2);
    let said = lab.exec(["--batch", "1", "--gate", "match:x", "all", "echo x"]);
    assert_eq!(said.ends(0).text(), "vm01 │ x\nvm02 │ x\n");
}

#[test]
fn gates_that_make_no_sense_are_refused() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 2);
    lab.exec(["--gate", "rc", "all", "true"]).ends(2).says(&["there is only one"]);
    lab.exec(["--batch", "1", "--gate", "hold:2m", "all", "true"]).ends(2).says(&["is no gate"]);
    for wrong in ["0", "0%", "101%", "x", "1,,2"] {
        lab.exec(["--batch", wrong, "all", "true"]).ends(2);
    }
    let args = ["--batch", "1", "--gate", "same-output", "all", "/etc/hostname", "/tmp/"];
    let said: Said = lab.verb("push", args).output().unwrap().into();
    said.ends(2).says(&["needs a command or a script"]);
    assert_eq!(lab.attempted(), 0);
}

#[test]
fn failures_above_the_limit_stop_the_run_and_an_unreachable_host_is_one() {
    let sshd = Sshd::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lab = lab(&sshd, 2).vm_at("vm03", &sshd, nobody, "");
    let lab = (4..=8).fold(lab, |lab, n| lab.vm(&format!("vm{n:02}"), &sshd));
    let command = format!("{WHO} *.vm01.*) true;; *) exit 3;; esac");
    let args = ["--json", "-f", "1", "--max-fail", "2", "all", &command];
    let said = lab.exec(args);
    let document: Value = serde_json::from_slice(&said.ends(8).stdout).unwrap();
    let stopped = &document["stopped"];
    assert_eq!(
        (&stopped["reason"], &stopped["message"]),
        (&"max_fail".into(), &"3 of 8 failed (limit 2)".into())
    );
    let expected = ["success", "failed", "unreachable", "failed"];
    assert_eq!(statuses(&document)[..4], expected);
    assert_eq!(statuses(&document)[4..], ["not_started"; 4]);
    assert_eq!(lab.attempted(), 4);
    lab.exec(["-f", "1", "--max-fail", "40%", "all", &command])
        .ends(8)
        .says(&["stopped: 4 of 8 failed (limit 3)"]);
    let said = lab.exec(["-f", "1", "--max-fail", "7", "all", &command]);
    assert!(!said.ends(4).stderr.contains("stopped"), "{said:?}");
}

#[test]
fn fail_fast_kills_what_runs_and_counts_it() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 4);
    let flag = lab.path("flag");
    let flag = flag.display();
    // vm03 fails when the two before it run.
    let command = format!(
        "{WHO} *.vm03.*) while ! [ -e {flag}1 ] || ! [ -e {flag}2 ]; do sleep 0.1; done; exit 3;; \
         *.vm01.*) touch {flag}1;; *) touch {flag}2;; esac; sleep 301 & sleep 302; wait"
    );
    let said = lab.exec(["--json", "-k", "-f", "3", "--grace", "2s", "all", &command]);
    let document: Value = serde_json::from_slice(&said.ends(8).stdout).unwrap();
    assert_eq!(statuses(&document), ["cancelled", "cancelled", "failed", "not_started"]);
    for host in &document["hosts"].as_array().unwrap()[..2] {
        assert_eq!(host["kill"], serde_json::json!({"ended": 3, "survivors": []}));
        assert_eq!(host["error"]["message"], "cancelled: 1 of 4 failed (limit 0)");
    }
    all_gone(&sshd);
    assert_eq!(lab.statuses().iter().filter(|status| *status == "cancelled").count(), 2);
}

#[test]
fn the_deadline_ends_the_run() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 3);
    let said = lab.exec(["-f", "2", "--deadline", "2s", "--grace", "1s", "all", "sleep 300"]);
    said.ends(8).says(&[
        "vm01 ended: the run's deadline of 2 s passed: TERM, then KILL after 1 s; 2 processes \
         ended, 0 survivors",
        "stopped: the run's deadline of 2 s passed",
    ]);
    all_gone(&sshd);
    assert_eq!(lab.statuses(), ["timeout", "timeout"]);
    lab.exec(["--deadline", "2s", "--grace", "1s", "all", "sleep 300"]).ends(3);
    all_gone(&sshd);
    lab.exec(["--deadline", "60", "all", "true"]).ends(0);
}

#[test]
fn a_signal_ends_every_hosts_tree_and_says_so_for_each() {
    let sshd = Sshd::start();
    let lab = lab(&sshd, 4);
    let flag = lab.path("flag");
    let flag = flag.display();
    let command = format!(
        "{WHO} *.vm01.*) touch {flag}1;; *) touch {flag}2;; esac; sleep 301 & sleep 302; wait"
    );
    let running = Running::start(lab.command(["-f", "2", "--batch", "3", "all", &command]));
    block_until("both run", || {
        ["1", "2"].iter().all(|n| fs::exists(lab.path("flag").display().to_string() + n).unwrap())
    });
    running.signal(Signal::INT);
    let said = running.wait();
    said.ends(130).says(&[
        "vm01 cancelled: TERM, then KILL after 5 s; 3 processes ended, 0 survivors",
        "vm02 cancelled: TERM, then KILL after 5 s; 3 processes ended, 0 survivors",
        "2 cancelled, 2 not_started",
    ]);
    all_gone(&sshd);
}

/// As many entries as this are one default sshd, which allows ten unfinished
/// logins.
#[test]
fn check_46_more_hosts_than_a_default_sshd_lets_in_at_once() {
    let sshd = Sshd::start();
    let lab = (1..=120).fold(Lab::new(), |lab, n| lab.vm(&format!("vm{n:03}"), &sshd));
    let lab = lab.attempts(5);
    let (said, document) = lab.json(["-f", "120", "all", "true"]);
    said.ends(0);
    assert_eq!(statuses(&document), ["success"; 120]);
}

/// A listener whose queue is full: the kernel answers nobody any more.
fn black_hole() -> (TcpListener, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let wait = std::time::Duration::from_millis(300);
    let waiting = (0..8).map_while(|_| std::net::TcpStream::connect_timeout(&address, wait).ok());
    let waiting: Vec<_> = waiting.collect();
    assert!(waiting.len() < 8, "its queue has an end");
    (listener, waiting)
}

#[test]
fn check_44_dead_hosts_hold_up_nobody() {
    let sshd = Sshd::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (hole, _waiting) = black_hole();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut lab = Lab::new();
    for n in 1..=40 {
        let id = format!("vm{n:02}");
        lab = match n {
            1..=4 => lab.vm_at(&id, &sshd, refused, ""),
            5..=7 => lab.vm_at(&id, &sshd, silent.local_addr().unwrap(), ""),
            8..=10 => lab.vm_at(&id, &sshd, hole.local_addr().unwrap(), ""),
            11..=12 => {
                let key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
                lab.vm_at(&id, &sshd, sshd.addr(), &format!(", host_key: \"{key}\""))
            }
            _ => lab.vm(&id, &sshd),
        };
    }
    let said = lab.exec(["-f", "40", "--connect-timeout", "8s", "-o", "ndjson", "all", "echo x"]);
    let events = events(said.ends(5));
    let ends = of_kind(&events, "host_finished");
    assert_eq!(ends.len(), 40);
    let code = |end: &&Value| end["error"]["code"].as_str().unwrap_or("none").to_owned();
    let count = |wanted: &str| ends.iter().filter(|end| code(end) == wanted).count();
    assert_eq!(count("none"), 28);
    assert_eq!(count("connect_failed"), 4);
    assert_eq!(count("connect_timeout"), 6);
    assert_eq!(count("host_key_changed"), 2);
    // All who live have ended before the first deadline.
    let first_late = ends.iter().position(|end| code(end) == "connect_timeout").unwrap();
    assert_eq!(ends.len() - first_late, 6);
    // Who lets the time pass is not given it again.
    let mut late = ends.iter().filter(|end| code(end) == "connect_timeout");
    assert!(late.all(|end| end["attempts"] == 1));
}

#[test]
fn a_dead_jump_host_is_not_tried_for_each_of_its_targets() {
    let sshd = Sshd::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut lab = Lab::new().vm_at("vm99", &sshd, nobody, "");
    for n in 1..=8 {
        lab = lab.vm_at(&format!("vm{n:02}"), &sshd, sshd.addr(), ", proxy_jump: vm99");
    }
    let (said, document) = lab.json(["-f", "1", "vm[01-08]", "true"]);
    said.ends(8);
    assert_eq!(statuses(&document)[..5], ["unreachable"; 5]);
    assert_eq!(statuses(&document)[5..], ["circuit_open"; 3]);
    let error = &document["hosts"][7]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&"circuit_open".into(), &false.into()));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("jump host vm99: "), "{message}");
}
