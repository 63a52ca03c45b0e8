//! One connection to a host, and what becomes of a list when it is lost.

use super::{each, json, list};
use crate::cli_exec::{Lab, Running};
use crate::support::{Counter, Proxy, Sshd, block_until};

#[test]
fn all_commands_share_one_connection() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let (said, host) = json(&lab, &"true\n".repeat(40), &[]);
    said.ends(0);
    assert_eq!((each(&host, "status").len(), proxy.connections()), (40, 1));
    let (said, _) = json(&lab, &"echo a\n".repeat(40), &["--commands-parallel", "50"]);
    said.ends(0);
    assert_eq!(proxy.connections(), 2);
    let (said, _) = json(&lab, &"true\n".repeat(40), &["--shell-session"]);
    said.ends(0);
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_server_with_few_channels_gets_no_more_than_it_takes() {
    let sshd = Sshd::builder().line("MaxSessions 2").start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let counter = Counter::new();
    let text = format!("{}; sleep 0.1\n", counter.command()).repeat(12);
    let (said, host) = json(&lab, &text, &["--commands-parallel", "6"]);
    said.ends(0);
    assert!(each(&host, "status").iter().all(|status| *status == "success"), "{host}");
    assert_eq!((counter.runs(), proxy.connections()), (12, 1));
    assert_eq!(lab.attempted(), 12);
}

#[test]
fn a_lost_link_leaves_the_running_command_unknown_and_the_rest_not_started() {
    for args in [&[][..], &["--keep-going"], &["--shell-session", "--keep-going"]] {
        let sshd = Sshd::start();
        let proxy = Proxy::start(sshd.addr());
        let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(5);
        let (flag, counter) = (lab.path("flag"), Counter::new());
        let text = format!(
            "echo a\n{}; : >{}; sleep 305\n{}\n",
            counter.command(),
            flag.display(),
            counter.command()
        );
        list(&lab, &text);
        let all = ["--exit-code", "table", "--json", "vm01", "--commands", "list"];
        let running = Running::start(lab.command(args.iter().copied().chain(all)));
        block_until("the second command runs", || flag.exists());
        proxy.reset_connections();
        let said = running.wait();
        let document: serde_json::Value = serde_json::from_slice(&said.ends(9).stdout).unwrap();
        let host = &document["hosts"][0];
        assert_eq!(each(host, "status"), ["success", "unknown", "not_started"], "{args:?}");
        assert_eq!(host["status"], "unknown");
        assert_eq!(lab.statuses(), ["success", "unknown", "not_started"]);
        assert_eq!((counter.runs(), proxy.connections()), (1, 1));
    }
}

#[test]
fn a_command_that_may_run_twice_goes_on_over_another_connection() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(5);
    let (flag, gate) = (lab.path("flag"), lab.path("gate"));
    let text = format!(
        "true\n: >{}; while ! test -e {}; do sleep 0.1; done; echo done\necho last\n",
        flag.display(),
        gate.display()
    );
    list(&lab, &text);
    let args = ["--idempotent", "--json", "vm01", "--commands", "list"];
    let running = Running::start(lab.command(args));
    block_until("the second command runs", || flag.exists());
    proxy.reset_connections();
    std::fs::write(gate, "").unwrap();
    let said = running.wait();
    let document: serde_json::Value = serde_json::from_slice(&said.ends(0).stdout).unwrap();
    let host = &document["hosts"][0];
    assert_eq!(each(host, "stdout"), ["", "done\n", "last\n"]);
    assert_eq!(each(host, "attempts"), [1, 2, 1]);
    assert_eq!(lab.statuses(), ["success", "unknown", "success", "success"]);
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn a_host_that_is_not_reached_is_tried_again_for_its_first_command() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    proxy.set_fault(crate::support::Direction::ToClient, 0, crate::support::Fault::Reset);
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(2);
    let (said, host) = json(&lab, "true\ntrue", &["--exit-code", "table"]);
    said.ends(4);
    assert_eq!(each(&host, "status"), ["unreachable", "not_started"]);
    assert_eq!((&host["status"], &host["attempts"]), (&"unreachable".into(), &2.into()));
    assert_eq!(lab.statuses(), ["unreachable", "unreachable", "not_started"]);
    assert_eq!(proxy.connections(), 2);
    let said = lab.exec(["--retries", "0", "vm01", "--commands", "list"]);
    assert_eq!(said.ends(255).stderr.matches("vm01:").count(), 2, "{said:?}");
}
