use super::world::{World, address};
use crate::support::{KeyKind, KeyPair, Sshd};

#[test]
fn every_host_has_its_line_and_nothing_is_run() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let gone = Sshd::start();
    let vms = format!(
        "  vm01: {}\n  vm02: {}\n  vm03: {}\n  vm04: {{ip: 127.0.0.1, enabled: no}}\n",
        address(&one),
        address(&gone),
        address(&two)
    );
    let world = World::new(&vms, "");
    for vm in ["vm01", "vm02", "vm03"] {
        world.give_key(vm);
    }
    world.know(&(one.known_hosts() + &two.known_hosts()));
    drop(gone);

    let said = world.run(&["hosts", "check"]).is(4);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("vm01  ok  ") && lines[0].contains("ms  "), "{said:?}");
    assert!(lines[1].starts_with("vm02  unreachable  cannot connect to"), "{said:?}");
    assert!(lines[2].trim_start().starts_with("hint: "), "{said:?}");
    assert!(lines[3].starts_with("vm03  ok  "), "{said:?}");
    assert!(said.err.starts_with("note: vm04 left out: disabled"), "{said:?}");
    assert!(said.err.contains("\n2 ok, 1 unreachable · 3 hosts in "), "{said:?}");
    assert!(!one.log().contains("Starting session"), "{}", one.log());

    world.run(&["hosts", "check", "vm01,vm03"]).is(0);
    world.run(&["hosts", "check", "vm04"]).is(2).has("not in allowed list");
    let refused = world.records().pop().unwrap();
    assert_eq!(refused["event"], "session.result");
    assert_eq!(refused["target"]["host"], "vm04");
    assert_eq!(refused["result"]["status"], "policy_denied");
    world.run(&["hosts", "check", "vm05"]).is(2).has("not found in config");
}

#[test]
fn the_document_says_what_was_negotiated() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    let document = world.run(&["hosts", "check", "--json"]).is(0).json();
    assert_eq!(document["summary"]["success"], 1);
    let host = &document["hosts"][0];
    assert_eq!((&host["vm_id"], &host["status"]), (&"vm01".into(), &"success".into()));
    assert_eq!(host["ssh"]["host_key"], sshd.host_keys()[0].fingerprint().as_str());
    assert_eq!(host["ssh"]["cipher"], "aes256-gcm@openssh.com");
    assert_eq!(host["ssh"]["pq"], false);
    assert_eq!(document["run"], world.records()[0]["run_id"]);

    let document = world.run(&["hosts", "check", "nobody", "--json"]).is(2).json();
    assert_eq!(document["error"]["code"], "targets_invalid");
}

#[test]
fn each_kind_of_refusal_has_its_code() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.run(&["hosts", "check"]).is(5).has("host_key_rejected").has("hosts trust vm01");
    world.know(&sshd.known_hosts());
    let stranger = KeyPair::generate(KeyKind::Ed25519);
    stranger.write_to(world.path("keys").join("id_ed25519_vm01"));
    world.run(&["hosts", "check"]).is(4).has("auth_failed");
    std::fs::remove_file(world.path("keys").join("id_ed25519_vm01")).unwrap();
    world.run(&["hosts", "check"]).is(4).has("No private key found for vm_id=vm01");
}

#[test]
fn a_check_is_on_record_before_and_after() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    world.run(&["hosts", "check", "--operator", "alice"]).is(0);
    let records = world.records();
    assert_eq!(world.events(), ["session.attempt", "session.result"]);
    assert_eq!(records[0]["action"]["kind"], "check");
    assert_eq!(records[0]["actor"]["id"], "alice");
    assert_eq!(records[1]["op_id"], records[0]["op_id"]);
    assert_eq!(records[1]["result"]["status"], "success");
    assert_eq!(records[1]["result"]["may_have_run"], false);
    assert_eq!(records[1]["target"]["ssh"]["cipher"], "aes256-gcm@openssh.com");
}

#[test]
fn without_a_record_nothing_is_connected_to() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    std::fs::write(world.path("state"), "in the way").unwrap();
    world.run(&["hosts", "check"]).is(74);
    world.run(&["hosts", "trust", "vm01"]).is(74);
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}
