//! Which hosts are meant, and which are refused.

use serde_json::Value;

use super::{Lab, Said};
use crate::support::{Counter, Proxy, Sshd};

fn lines(said: &Said) -> Vec<&str> {
    said.text().lines().collect()
}

#[test]
fn hosts_are_listed_and_nothing_else_happens() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let mut lab = Lab::new();
    for vm in ["vm01", "vm02", "vm03"] {
        lab = lab.entry(vm, proxy.addr(), "");
    }
    let list = |targets: &str| lab.exec(["--list-hosts", targets, "true"]);
    assert_eq!(lines(list("vm03,vm01").ends(0)), ["vm03", "vm01"]);
    assert_eq!(lines(list("vm[01-02]").ends(0)), ["vm01", "vm02"]);
    assert_eq!(lines(list("all").ends(0)), ["vm01", "vm02", "vm03"]);
    assert_eq!(lines(list("vm01,vm[01-02],all").ends(0)), ["vm01", "vm02", "vm03"]);
    // Neither keys nor a command are needed for it.
    assert_eq!(lines(lab.exec(["--list-hosts", "vm02"]).ends(0)), ["vm02"]);
    assert_eq!(proxy.connections(), 0);
    assert!(!lab.path("log").exists());
}

#[test]
fn a_dry_run_connects_nowhere() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let said = lab.exec(["--dry-run", "vm01", "uptime"]);
    let addr = proxy.addr().to_string();
    assert!(said.ends(0).text().contains("uptime") && said.text().contains(&addr), "{said:?}");
    let said = lab.exec(["--dry-run", "vm01", "vi x"]);
    assert!(said.ends(7).text().contains("DENIED by builtin/interactive"), "{said:?}");
    lab.exec(["--dry-run", "vm07", "uptime"]).ends(2);
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn all_skips_hosts_that_may_not_be_used_and_names_them() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd)
        .vm_at("vm02", &sshd, sshd.addr(), ", enabled: false")
        .vm_at("vm03", &sshd, sshd.addr(), ", enabled: no")
        .vm("vm04", &sshd);
    let said = lab.exec(["all", "-N", "echo ran"]);
    assert_eq!(said.ends(0).text(), "ran\nran\n");
    assert_eq!(said.stderr.matches("vm[02-03]").count(), 1, "{said:?}");
    let said = lab.exec(["--list-hosts", "all"]);
    assert_eq!(lines(said.ends(0).says(&["vm[02-03]"])), ["vm01", "vm04"]);
    assert_eq!(lab.exec(["-q", "--list-hosts", "all"]).ends(0).stderr, "");
    assert_eq!(lab.exec(["vm01", "true"]).ends(0).stderr, "");
    let listed = lab.set("default_retry", "allowed_vm_ids: [vm02]\n  default_retry");
    assert_eq!(lines(listed.exec(["--list-hosts", "all"]).ends(0)), ["vm02"]);
}

#[test]
fn a_host_that_may_not_be_used_is_refused_and_on_record() {
    let counter = Counter::new();
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "").vm_at(
        "vm02",
        &sshd,
        proxy.addr(),
        ", enabled: false",
    );
    let run = |targets: &str| lab.exec(["--operator", "alice", targets, &counter.command()]);
    run("vm02").ends(2).says(&["vm_id vm02 not in allowed list"]);
    run("vm[01-02]").ends(2).says(&["vm_id vm02 not in allowed list"]);
    run("vm11").ends(2).says(&["vm_id vm11 not found in config", "did you mean vm01?"]);
    assert_eq!((counter.runs(), proxy.connections()), (0, 0));

    let records = lab.audit();
    let of = |event: &str| records.iter().filter(|r| r["event"] == event).collect::<Vec<&Value>>();
    let (attempts, results) = (of("exec.attempt"), of("exec.result"));
    assert_eq!((attempts.len(), results.len()), (3, 3));
    for (attempt, (result, vm)) in attempts.iter().zip(results.iter().zip(["vm02", "vm02", "vm11"]))
    {
        assert_eq!(attempt["op_id"], result["op_id"]);
        assert_eq!(attempt["target"]["host"], vm);
        assert_eq!(attempt["decision"]["allow"], false);
        assert_eq!(attempt["decision"]["rule"], "builtin/allowed-vms");
        assert_eq!(attempt["actor"]["id"], "alice");
        assert_eq!(result["result"]["status"], "policy_denied");
        assert_eq!(result["result"]["may_have_run"], false);
    }
    let listed = lab.set("default_retry", "allowed_vm_ids: [vm02]\n  default_retry");
    listed.exec(["vm01", "true"]).ends(2).says(&["vm_id vm01 not in allowed list"]);
    assert_eq!(listed.exec(["vm02", "echo ok"]).ends(0).text(), "ok\n");
}

#[test]
fn targets_that_cannot_be_read_or_name_nobody() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    for targets in ["", ",", "vm[", "vm[03-01]", "vm01;id", "@web", "-"] {
        let said = lab.exec([targets, "true"]);
        assert!(said.ends(2).stderr.starts_with("error: "), "{targets:?}: {said:?}");
    }
    Lab::new().exec(["all", "true"]).ends(2).says(&["\"all\" selects no host"]);
}

#[test]
fn the_source_systems_file_loads() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/config.example.yml");
    let said = lab.exec(["--config", example, "--list-hosts", "all"]);
    assert_eq!(lines(said.ends(0)), ["vm01", "vm02", "vm03", "vm04"]);
    assert_eq!(said.stderr, "");
}

#[test]
fn a_command_is_one_string_or_words() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    lab.exec(["vm01"]).ends(2).says(&["there is no command"]);
    lab.exec(["vm01", "true", "--", "true"]).ends(2);
    lab.exec(["vm01", "ls", "/tmp"]).ends(2).says(&["orchestrator exec vm01 -- ls -l /tmp"]);
    lab.exec(["vm01", ""]).ends(2).says(&["the command is empty"]);
}
