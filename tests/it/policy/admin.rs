//! Verbs that run no command of the operator's ask the policy, too.

use std::fs;

use orchestrator::audit::Reader;
use serde_json::Value;

use super::with_policy;
use crate::cli_exec::{Lab, Said};
use crate::support::{Proxy, Sshd};

const NO_ADMIN: &str = "
roles:
  ops: {permissions: exec, operators: '*', hosts: vm01}
binaries: [{path: /bin/true}]
";

/// Every record of the log, of whatever kind.
fn records(lab: &Lab) -> Vec<Value> {
    let entries = Reader::open(lab.audit_path()).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| entry.value().clone()).collect()
}

/// The last attempt and its result are of this kind, and of a denial.
#[track_caller]
fn denied(lab: &Lab, event: &str, rule: &str) {
    let records = records(lab);
    let ours = |suffix: &str| {
        let name = format!("{event}.{suffix}");
        let found = records.iter().rev().find(|record| record["event"] == name);
        found.unwrap_or_else(|| panic!("{name} is missing")).clone()
    };
    for record in [ours("attempt"), ours("result")] {
        assert_eq!(record["decision"]["allow"], false, "{record}");
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        assert!(record["decision"]["policy_sha256"].is_string(), "{record}");
    }
    assert_eq!(ours("result")["result"]["status"], "policy_denied");
}

#[test]
fn what_is_trusted_is_changed_only_with_the_permission_admin() {
    let sshd = Sshd::builder().keys_at_home().start();
    let proxy = Proxy::start(sshd.addr());
    let lab = with_policy(Lab::new().vm_at("vm01", &sshd, proxy.addr(), ""), NO_ADMIN);
    let known = fs::read(lab.path("known_hosts")).unwrap();
    let authorized = sshd.home().join(".ssh/authorized_keys");
    let there = fs::read(&authorized).unwrap();
    let run = |verb: &str, args: &[&str]| {
        Said::from(lab.verb(verb, args.iter().copied()).output().unwrap())
    };
    let key = lab.path("keys/id_ed25519_vm01");
    let before = fs::read(&key).unwrap();

    for args in [["deploy", "vm01"].as_slice(), &["rotate", "vm01", "--no-passphrase"]] {
        let said = run("keys", args);
        said.ends(7);
        assert!(said.text().contains("has admin here (rule builtin/roles)"), "{said:?}");
        denied(&lab, "keys", "builtin/roles");
    }
    let fingerprint = sshd.host_keys()[0].fingerprint();
    let trust = run("hosts", &["trust", "vm01", "--fingerprint", fingerprint.as_str()]);
    trust.ends(7).says(&["vm01: no role of", "has admin here", "give a role with `admin`"]);
    denied(&lab, "session", "builtin/roles");
    assert_eq!(proxy.connections(), 0);
    assert_eq!(fs::read(lab.path("known_hosts")).unwrap(), known);
    assert_eq!(fs::read(&authorized).unwrap(), there);
    assert_eq!(fs::read(&key).unwrap(), before);

    // Whoever has the permission may, and that is on record, too.
    fs::write(lab.path("policy.yml"), NO_ADMIN.replace("exec", "[exec, admin]")).unwrap();
    run("keys", &["deploy", "vm01"]).ends(0);
    let result = records(&lab).into_iter().rfind(|record| record["event"] == "keys.result");
    assert_eq!(result.unwrap()["decision"]["rule"], "roles/ops");
    lab.forget();
    run("hosts", &["trust", "vm01", "--fingerprint", fingerprint.as_str()]).ends(0);
    let result = records(&lab).into_iter().rfind(|record| record["event"] == "hostkey.result");
    assert_eq!(result.unwrap()["decision"]["rule"], "roles/ops");
}

/// Seeing whether a host is reached takes some permission there, whichever.
#[test]
fn nobody_looks_at_hosts_where_they_may_do_nothing() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm("vm01", &sshd).vm_at("vm02", &sshd, proxy.addr(), "");
    let lab = with_policy(lab, NO_ADMIN);
    for verb in [["hosts", "check"].as_slice(), &["doctor"]] {
        let (verb, rest) = verb.split_first().unwrap();
        let args = |vm| rest.iter().copied().chain(["--json", vm]).collect::<Vec<&str>>();
        Said::from(lab.verb(verb, args("vm01")).output().unwrap()).ends(0);
        let said = Said::from(lab.verb(verb, args("vm02")).output().unwrap());
        let document: Value = serde_json::from_slice(&said.ends(7).stdout).unwrap();
        assert_eq!(document["hosts"][0]["status"], "policy_denied");
        assert_eq!(document["hosts"][0]["error"]["code"], "policy_denied");
        denied(&lab, "session", "builtin/roles");
    }
    assert_eq!(proxy.connections(), 0);

    // A policy that cannot be used allows no look either.
    fs::write(lab.path("policy.yml"), "binaries: [").unwrap();
    Said::from(lab.verb("hosts", ["check", "vm01"]).output().unwrap()).ends(7);
    let records = records(&lab);
    let result = records.iter().rfind(|record| record["event"] == "session.result").unwrap();
    assert_eq!(result["decision"]["rule"], "builtin/policy-unusable");
    assert_eq!(result["result"]["status"], "policy_denied");
}
