//! What is tried again, and what never is.

use std::fs;

use super::{Lab, Running};
use crate::support::{Behaviour, Counter, Hostile, KeyKind, KeyPair, Proxy, Sshd, block_until};

/// A host whose connections are reset before the server says a word.
fn resetting(sshd: &Sshd) -> Proxy {
    let proxy = Proxy::start(sshd.addr());
    proxy.set_fault(crate::support::Direction::ToClient, 0, crate::support::Fault::Reset);
    proxy
}

#[test]
fn what_was_not_sent_is_tried_again_as_often_as_configured() {
    let sshd = Sshd::start();
    let proxy = resetting(&sshd);
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(2);
    let (_, document) = lab.json(["vm01", "true"]);
    assert_eq!(document["hosts"][0]["status"], "unreachable");
    assert_eq!(document["hosts"][0]["attempts"], 2);
    assert_eq!(proxy.connections(), 2);
    assert_eq!(lab.statuses(), ["unreachable", "unreachable"]);
    lab.exec(["--retries", "0", "vm01", "true"]).ends(255);
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_host_that_comes_back_is_reached() {
    let sshd = Sshd::start();
    let proxy = resetting(&sshd);
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(10);
    let running = Running::start(lab.command(["vm01", "echo reached"]));
    block_until("the first attempt failed", || proxy.connections() == 1);
    proxy.clear_fault(crate::support::Direction::ToClient);
    assert_eq!(running.wait().ends(0).text(), "reached\n");
}

#[test]
fn what_was_refused_is_not_asked_for_twice() {
    let stranger = Sshd::builder().client_key(KeyPair::generate(KeyKind::Ed25519)).start();
    let sshd = Sshd::start();
    let (unknown, refuses) = (Proxy::start(sshd.addr()), Proxy::start(stranger.addr()));
    let lab = Lab::one(&sshd)
        .vm_at("auth", &stranger, refuses.addr(), "")
        .entry("key", unknown.addr(), "")
        .attempts(5);
    for vm in ["auth", "key"] {
        fs::copy(lab.path("keys/id_ed25519_vm01"), lab.path(&format!("keys/id_ed25519_{vm}")))
            .unwrap();
    }
    lab.exec(["auth,key", "true"]).ends(5);
    assert_eq!((refuses.connections(), unknown.connections()), (1, 1));
    let mut statuses = lab.statuses();
    statuses.sort();
    assert_eq!(statuses, ["auth_failed", "host_key_rejected"]);
    assert_eq!(stranger.log().matches("Failed publickey").count(), 1, "{}", stranger.log());
}

#[test]
fn a_channel_that_is_refused_is_tried_again() {
    let server = Hostile::start(Behaviour::RefusesChannelOpen);
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).entry("odd", server.addr(), ", ssh_user: root").attempts(2);
    fs::copy(lab.path("keys/id_ed25519_vm01"), lab.path("keys/id_ed25519_odd")).unwrap();
    fs::write(lab.path("known_hosts"), server.known_hosts()).unwrap();
    let (_, document) = lab.json(["odd", "true"]);
    let host = &document["hosts"][0];
    assert_eq!((&host["status"], &host["attempts"]), (&"unreachable".into(), &2.into()), "{host}");
    assert_eq!(lab.statuses(), ["unreachable", "unreachable"]);
}

/// Runs a counted command whose link is lost while it waits.
fn lose(idempotent: bool, cut: impl Fn(&Sshd, &Proxy)) -> (usize, serde_json::Value, Lab) {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let counter = Counter::new();
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").attempts(3);
    // The second run, if there is one, goes through.
    let gate = lab.path("gate");
    let command = format!(
        "{}; test -e {gate} || {{ : > {gate}; sleep 300; }}",
        counter.command(),
        gate = gate.display()
    );
    let flag = if idempotent { "--idempotent" } else { "--color=auto" };
    let args = [flag, "--json", "--exit-code", "table", "vm01", &command];
    let running = Running::start(lab.command(args));
    block_until("the command waits", || gate.exists());
    cut(&sshd, &proxy);
    let said = running.wait();
    said.ends(if idempotent { 0 } else { 9 });
    let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    (counter.runs(), document["hosts"][0].clone(), lab)
}

#[test]
fn a_link_lost_after_the_request_is_unknown_and_nothing_runs_twice() {
    let cuts: [fn(&Sshd, &Proxy); 2] =
        [|sshd, _| sshd.kill_sessions(), |_, proxy| proxy.reset_connections()];
    for cut in cuts {
        let (runs, host, lab) = lose(false, cut);
        assert_eq!(runs, 1);
        assert_eq!((&host["status"], &host["attempts"]), (&"unknown".into(), &1.into()), "{host}");
        assert_eq!(lab.statuses(), ["unknown"]);
        assert_eq!(lab.audit()[1]["result"]["may_have_run"], true);
    }
}

#[test]
fn an_idempotent_command_runs_exactly_once_more() {
    let (runs, host, lab) = lose(true, |sshd, _| sshd.kill_sessions());
    assert_eq!(runs, 2);
    assert_eq!((&host["status"], &host["attempts"]), (&"success".into(), &2.into()), "{host}");
    assert_eq!(lab.statuses(), ["unknown", "success"]);
}
