//! What people see, what is on record, and how the program ends.

use std::process::{Command, Stdio};

use crate::cli_verbs::world::{World, address};
use crate::support::{Behaviour, Hostile, Sshd, block_until};

#[test]
fn one_host_is_shown_in_full() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let said = world.run(&["doctor", "vm01"]).is(5).has("hosts trust vm01");
    assert!(said.out.contains("\n  host key    fail "), "{}", said.out);
    assert!(said.out.contains("\n  auth        skipped            not reached\n"), "{}", said.out);
    world.know(&sshd.known_hosts());
    let said = world.run(&["doctor", "vm01"]).is(0);
    assert!(said.out.starts_with("vm01  ok       14 stages, "), "{}", said.out);
    assert_eq!(said.out.lines().count(), 15, "{}", said.out);
}

#[test]
fn several_hosts_are_shown_in_order_with_what_they_have_in_common() {
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
    let said = world.run(&["doctor"]).is(4);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("vm01  ok       14 stages, "), "{said:?}");
    assert!(lines[0].ends_with("  pq no, sha256sum, sudo"), "{said:?}");
    assert!(lines[1].starts_with("vm02  fail     3 stages, "), "{said:?}");
    assert!(lines[2].starts_with("  tcp         fail "), "{said:?}");
    assert!(lines[4].starts_with("vm03  ok "), "{said:?}");
    assert_eq!(lines[6], "fail     vm02: connect failed", "{said:?}");
    assert!(lines.contains(&"ok       vm[01,03]: no post-quantum key exchange"), "{said:?}");

    world.run(&["doctor", "vm01,vm03"]).is(0);
    world.run(&["doctor", "vm04"]).is(2).has("not in allowed list");
    assert_eq!(world.records().pop().unwrap()["result"]["status"], "policy_denied");
    let document = world.run(&["doctor", "vm05", "--json"]).is(2).json();
    assert_eq!(document["error"]["code"], "targets_invalid");
}

#[test]
fn it_is_on_record_before_and_after() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    world.run(&["doctor", "--operator", "alice"]).is(0);
    let records = world.records();
    assert_eq!(world.events(), ["session.attempt", "session.result"]);
    assert_eq!(records[0]["action"]["kind"], "check");
    assert_eq!(records[0]["metadata"]["check"], "doctor");
    assert_eq!(records[0]["actor"]["id"], "alice");
    assert_eq!(records[1]["result"]["status"], "success");
    assert_eq!(records[1]["metadata"]["verdict"], "ok");

    std::fs::remove_dir_all(world.path("state")).unwrap();
    std::fs::write(world.path("state"), "in the way").unwrap();
    let before = sshd.log().matches("Connection from").count();
    world.run(&["doctor"]).is(74);
    assert_eq!(sshd.log().matches("Connection from").count(), before);
}

#[test]
fn an_interrupted_examination_is_on_record() {
    let silent = Hostile::start(Behaviour::Silent);
    let addr = silent.addr();
    let vm = format!("{{ip: {}, ssh_port: {}}}", addr.ip(), addr.port());
    let world = World::new(&format!("  vm01: {vm}\n"), "");
    world.give_key("vm01");
    let mut child = world.command(&["doctor", "-q"]).stdout(Stdio::null()).spawn().unwrap();
    block_until("it waits for the server", || silent.connections() == 1);
    let int = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(int.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(world.records()[1]["result"]["status"], "cancelled");
}
