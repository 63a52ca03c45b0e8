//! Exit codes: the command's own on one host, the table's elsewhere.

use super::Lab;
use crate::support::{Behaviour, Hostile, KeyKind, KeyPair, Proxy, Sshd};

#[test]
fn the_commands_own_code_passes_through() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    for code in [0, 1, 2, 3, 7, 9, 74, 126, 127, 130, 255] {
        let said = lab.exec(["vm01", &format!("exit {code}")]);
        assert_eq!(said.ends(code).stderr, "");
    }
    lab.exec(["vm01", "--", "/no/such/program"]).ends(127);
    lab.exec(["vm01", "--", "/usr/lib/os-release"]).ends(126);
    lab.exec(["vm01", "--exit-code", "table", "exit 42"]).ends(1);
}

#[test]
fn a_transfer_gives_the_tables_code_on_one_host_too() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    std::fs::write(lab.path("home/file"), "x").unwrap();
    let nowhere = lab.path("nowhere/file").display().to_string();
    let push = |more: &[&str]| {
        let args = ["vm01", "file", &nowhere].into_iter().chain(more.iter().copied());
        super::lab::Said::from(lab.verb("push", args).output().unwrap())
    };
    push(&[]).ends(1).says(&["there is no such directory", "--mkdir"]);
    push(&["--mkdir"]).ends(0);
    lab.forget();
    push(&[]).ends(5);
}

#[test]
fn death_by_signal_is_255_and_said() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let said = lab.exec(["vm01", "echo out; kill -KILL $$"]);
    assert_eq!(said.ends(255).text(), "out\n");
    said.says(&["vm01", "signal KILL"]);
    let (said, document) = lab.json(["vm01", "kill -TERM $$"]);
    said.ends(255);
    assert_eq!(document["hosts"][0]["signal"], "TERM");
    assert!(document["hosts"][0]["exit_code"].is_null());
}

#[test]
fn errors_of_the_tool_are_255_or_in_the_table() {
    let sshd = Sshd::start();
    let nobody = Proxy::start(sshd.addr());
    nobody.set_refuses(true);
    crate::support::block_until("the port is closed", || {
        std::net::TcpStream::connect(nobody.addr()).is_err()
    });
    let stranger = Sshd::builder().client_key(KeyPair::generate(KeyKind::Ed25519)).start();
    let lab = Lab::one(&sshd)
        .vm_at("dead", &sshd, nobody.addr(), "")
        .vm("noauth", &stranger)
        .vm("nokey", &sshd)
        .entry("unknown", Proxy::start(sshd.addr()).addr(), "");
    std::fs::copy(lab.path("keys/id_ed25519_vm01"), lab.path("keys/id_ed25519_noauth")).unwrap();
    std::fs::copy(lab.path("keys/id_ed25519_vm01"), lab.path("keys/id_ed25519_unknown")).unwrap();
    std::fs::remove_file(lab.path("keys/id_ed25519_nokey")).unwrap();

    let table = ["--exit-code", "table"];
    let check = |args: &[&str], code: i32, says: &[&str]| {
        lab.exec(args.iter().copied()).ends(255).says(says);
        lab.exec(table.iter().chain(args).copied()).ends(code).says(says);
    };
    check(&["dead", "true"], 4, &["dead: ", "refused", "phase tcp"]);
    check(&["noauth", "true"], 4, &["noauth: ", "phase auth"]);
    check(&["nokey", "true"], 4, &["No private key found for vm_id=nokey in "]);
    check(&["vm01", "--timeout", "1", "sleep 300"], 3, &["vm01 timed out after 1 s"]);
    check(&["vm01", "vi /etc/motd"], 7, &["vm01: ", "rule builtin/interactive"]);
}

#[test]
fn a_host_key_that_is_not_known_or_changed_is_5() {
    let mut sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    sshd.restart_with_other_host_key();
    let shown = sshd.host_keys()[0].fingerprint();
    let known = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    lab.exec(["vm01", "true"]).ends(255).says(&[
        "vm01: ",
        &shown,
        "known_hosts:1",
        "ssh-keygen -f",
    ]);
    lab.exec(["--exit-code", "table", "vm01", "true"]).ends(5);
    assert_eq!(std::fs::read_to_string(lab.path("known_hosts")).unwrap(), known);
    lab.forget();
    lab.exec(["--exit-code", "table", "vm01", "true"]).ends(5).says(&[&shown, "hosts trust vm01"]);
    assert_eq!(lab.statuses(), ["host_key_rejected"; 3]);
    let records = lab.audit();
    let results = records.iter().filter(|record| record["event"] == "exec.result");
    for result in results {
        assert_eq!(result["target"]["hostkey"], shown.as_str(), "{result}");
    }
}

#[test]
fn the_worst_host_decides() {
    let sshd = Sshd::start();
    let silent = Hostile::start(Behaviour::Silent);
    // The same server by an address that no known host key is for.
    let stranger = Proxy::start(sshd.addr());
    let lab = Lab::one(&sshd)
        .vm("vm02", &sshd)
        .vm_at("silent", &sshd, silent.addr(), "")
        .entry("stranger", stranger.addr(), "")
        .set("ssh: {", "ssh: { connect_timeout: 1s,");
    std::fs::copy(lab.path("keys/id_ed25519_vm01"), lab.path("keys/id_ed25519_stranger")).unwrap();
    lab.exec(["vm01,vm02", "exit 7"]).ends(1);
    lab.exec(["vm01,silent", "exit 1"]).ends(4);
    lab.exec(["vm01,silent,stranger", "exit 1"]).ends(5);
    lab.exec(["vm01,vm02", "--timeout", "1", "sleep 300"]).ends(3);
    lab.exec(["vm01,stranger", "top"]).ends(7);
}
