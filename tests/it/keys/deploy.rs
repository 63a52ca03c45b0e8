//! `deploy` by a key that is there.

use std::fs;

use super::{authorized_keys, blob, deployed, host, lines, world};
use crate::cli_verbs::world::address;
use crate::support::{KeyKind, KeyPair, Sshd};

#[test]
fn a_key_is_put_there_by_another_and_logs_in() {
    let (sshd, world) = host();
    world.run(&["keys", "generate", "vm01"]).is(0);
    let existing = sshd.client_key();
    let args = ["keys", "deploy", "vm01", "-i", existing.to_str().unwrap(), "--operator", "alice"];
    world.run(&args).is(0).has("deployed");
    let public = fs::read_to_string(world.path("keys/id_ed25519_vm01.pub")).unwrap();
    assert_eq!(lines(&sshd).last().unwrap(), public.trim());
    assert_eq!(lines(&sshd).len(), 2);
    world.run(&["exec", "vm01", "true"]).is(0);

    let records = world.records();
    let events = ["keys.attempt", "keys.result", "session.attempt", "session.result"];
    let seen: Vec<&str> = records[..4].iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(seen, events);
    for record in &records[..2] {
        assert_eq!(record["action"]["kind"], "keys");
        assert_eq!(record["actor"]["id"], "alice");
        assert_eq!(record["metadata"]["change"], "add");
        assert_eq!(record["metadata"]["method"], "key");
        assert!(record["metadata"]["key"].as_str().unwrap().starts_with("SHA256:"));
    }
    assert_eq!(records[1]["metadata"]["did"], "added");
    assert_eq!(records[1]["target"]["hostkey"], sshd.host_keys()[0].fingerprint().as_str());
    assert_eq!(records[1]["result"]["status"], "success");
    let blob = blob(&world.path("keys/id_ed25519_vm01.pub"));
    assert!(!fs::read_to_string(world.log()).unwrap().contains(&blob));
    world.run(&["audit", "verify"]).is(0);

    let said = world.run(&["keys", "deploy", "vm01", "--json"]).is(0).json();
    assert_eq!(said["hosts"][0]["did"], "already_there");
    assert_eq!(lines(&sshd).len(), 2);
}

#[test]
fn without_a_way_in_it_says_which_there_are() {
    let (sshd, world) = host();
    world.run(&["keys", "deploy", "vm01"]).is(1).has("orchestrator keys generate vm01");
    assert!(!world.log().exists() || world.records().is_empty());
    world.run(&["keys", "generate", "vm01"]).is(0);
    let said = world.run(&["keys", "deploy", "vm01"]).is(4);
    said.has("auth_failed").has("-i FILE").has("--ask-pass");
    assert_eq!(lines(&sshd).len(), 1);
    let result = world.records().pop().unwrap();
    assert_eq!(
        (&result["event"], &result["result"]["status"]),
        (&"keys.result".into(), &"auth_failed".into())
    );
}

#[test]
fn what_is_deployed_is_the_private_keys_own_half() {
    let (sshd, world) = host();
    world.run(&["keys", "generate", "vm01"]).is(0);
    let own = blob(&world.path("keys/id_ed25519_vm01.pub"));
    let foreign = KeyPair::generate(KeyKind::Ed25519);
    fs::write(world.path("keys/id_ed25519_vm01.pub"), format!("{}\n", foreign.public)).unwrap();
    let existing = sshd.client_key();
    world.run(&["keys", "deploy", "vm01", "-i", existing.to_str().unwrap()]).is(0);
    let text = lines(&sshd).join("\n");
    assert!(text.contains(&own) && !text.contains(&foreign.public), "{text}");
}

#[test]
fn a_host_with_another_host_key_gets_nothing() {
    let mut sshd =
        Sshd::builder().host_key(KeyPair::generate(KeyKind::Ed25519)).keys_at_home().start();
    let world = world(&sshd);
    world.run(&["keys", "generate", "vm01"]).is(0);
    sshd.restart_with_other_host_key();
    let existing = sshd.client_key();
    let said = world.run(&["keys", "deploy", "vm01", "-i", existing.to_str().unwrap()]).is(5);
    said.has("has changed");
    assert_eq!(lines(&sshd).len(), 1);
    assert!(!sshd.log().contains("Accepted") && !sshd.log().contains("Failed"), "{}", sshd.log());
    world.run(&["keys", "rotate", "vm01"]).is(5).has("step add");
    world.know("");
    world.run(&["keys", "deploy", "vm01", "-i", existing.to_str().unwrap()]).is(5);
    assert_eq!(lines(&sshd).len(), 1);
}

#[test]
fn a_server_that_reads_another_file_is_told_by_the_test() {
    // Keys are read beside home, not at home.
    let sshd = Sshd::start();
    let world = world(&sshd);
    world.run(&["keys", "generate", "vm01"]).is(0);
    let existing = sshd.client_key();
    let said = world.run(&["keys", "deploy", "vm01", "-i", existing.to_str().unwrap()]).is(4);
    said.has("does not log in").has("AuthorizedKeysFile");
    assert_eq!(lines(&sshd).len(), 1);
}

#[test]
fn every_vm_is_tried_and_the_worst_is_told() {
    let (sshd, world, _key) = deployed();
    let vm = address(&sshd);
    let gone = "{ip: 127.0.0.1, ssh_port: 1}";
    world.configure(&format!("  vm01: {gone}\n  vm02: {vm}\n  vm03: {vm}\n"), "");
    world.run(&["keys", "generate", "all"]).is(0);
    KeyPair::shared(KeyKind::Ed25519).write_to(world.path("existing"));
    let shared = KeyPair::shared(KeyKind::Ed25519).public;
    fs::write(authorized_keys(&sshd), format!("{shared}\n")).unwrap();
    let existing = world.path("existing");
    let args = ["keys", "deploy", "all", "--json", "-i", existing.to_str().unwrap()];
    let said = world.run(&args).is(4).json();
    let states: Vec<&str> =
        said["hosts"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["unreachable", "success", "success"]);
    assert_eq!(said["hosts"][0]["error"]["code"], "connect_failed");
    // Both share one home, and neither line is lost.
    assert_eq!(lines(&sshd).len(), 3);
}
