use std::fs;

use super::world::{World, set_mode};
use crate::support::{KeyKind, KeyPair};

#[test]
fn a_good_configuration() {
    let world = World::new("  vm01: {ip: h}\n  vm02: {ip: h, enabled: no}\n", "");
    world.give_key("vm01");
    let key = KeyPair::shared(KeyKind::Ed25519);
    world.know(&format!("h {}\n", key.public));
    let said = world.run(&["config", "check"]).is(0);
    assert_eq!(said.err, "");
    let said = said.has(&world.config().display().to_string()).has("2, 1 of them allowed");
    said.has("known hosts  1 key\n").has("found        0 errors, 0 warnings");
    assert!(!world.log().exists());
}

#[test]
fn keys_are_looked_at() {
    let world = World::new("  vm01: {ip: h}\n  vm02: {ip: h}\n", "");
    world.give_key("vm01");
    let said = world.run(&["config", "check"]).is(2);
    said.has("No private key found for vm_id=vm02").lacks("vm_id=vm01");

    let key = world.path("keys").join("id_ed25519_vm02");
    KeyPair::shared(KeyKind::Ed25519).write_to(key.clone());
    world.run(&["config", "check"]).is(0);
    set_mode(&key, 0o644);
    world.run(&["config", "check"]).is(2).has("can be read by others (mode 0644)").has("chmod 600");
    fs::write(&key, "nonsense").unwrap();
    set_mode(&key, 0o600);
    world.run(&["config", "check"]).is(2).has("is no private key");
}

#[test]
fn one_mistake_on_every_vm_is_told_once() {
    let world = World::new("  vm01: {ip: h}\n  vm02: {ip: h}\n", "");
    fs::remove_dir_all(world.path("keys")).unwrap();
    let said = world.run(&["config", "check"]).is(2).has("found        1 error, 0 warnings");
    assert_eq!(said.err.matches("is not a directory").count(), 1, "{}", said.err);
}

#[test]
fn plain_keys_are_pointed_out_where_encrypted_ones_are_promised() {
    let world = World::new("  vm01: {ip: h}\n", "");
    world.give_key("vm01");
    let text = fs::read_to_string(world.config()).unwrap().replace("plain_dir", "encrypted_dir");
    fs::write(world.config(), text).unwrap();
    let said = world.run(&["config", "check"]).is(0);
    said.has("warning: the private key").has("is not encrypted").has("ssh-keygen -p -f");
    assert_eq!(world.run(&["-q", "config", "check"]).is(0).err, "");
    let key = KeyPair::encrypted(KeyKind::Ed25519, "secret");
    key.write_to(world.path("keys").join("id_ed25519_vm01"));
    assert_eq!(world.run(&["config", "check"]).is(0).err, "");
}

#[test]
fn known_hosts_and_algorithms_are_looked_at() {
    let world = World::new("  vm01: {ip: h}\n", "");
    world.give_key("vm01");
    world.know("h nonsense\n");
    let place = format!("warning: {}:1: line ignored", world.path("known_hosts").display());
    world.run(&["config", "check"]).is(0).has(&place);
    fs::remove_file(world.path("known_hosts")).unwrap();
    fs::create_dir(world.path("known_hosts")).unwrap();
    world.run(&["config", "check"]).is(2).has("could not be read");
    fs::remove_dir(world.path("known_hosts")).unwrap();

    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), text.replace("ssh:\n", "ssh:\n  ciphers: [3des-cbc]\n")).unwrap();
    let place = format!("{}:7:13: ciphers: ", world.config().display());
    world.run(&["config", "check"]).is(2).has(&place).has("3des-cbc");
}

#[test]
fn a_file_that_cannot_be_used() {
    let world = World::new("  vm01: {ip: h, ssh_port: many}\n", "");
    let place = format!("{}:2:27: ssh_port: expected", world.config().display());
    world.run(&["config", "check"]).is(2).has(&place);
    world.configure("  vm01: {ip: h\n", "");
    world.run(&["config", "check"]).is(2).has(&format!("{}:", world.config().display()));
    set_mode(&world.config(), 0o666);
    world.run(&["config", "check"]).is(2).has("can be written by others");
    world.run(&["config", "check", "--config", "no/such.yml"]).is(2).has("Config not found: ");
    fs::remove_file(world.config()).unwrap();
    fs::create_dir(world.config()).unwrap();
    world.run(&["config", "check"]).is(2).has("cannot be read: not a regular file");
}

#[test]
fn the_same_mistake_everywhere_is_not_told_everywhere() {
    let vms: String = (0..100).map(|number| format!("  vm{number}: {{ip: h}}\n")).collect();
    let world = World::new(&vms, "");
    let said = world.run(&["config", "check"]).is(2);
    assert_eq!(said.err.matches("No private key found").count(), 20, "{said:?}");
    said.has("80 more").has("100 errors");
}
