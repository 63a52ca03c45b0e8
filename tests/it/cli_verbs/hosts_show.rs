use super::world::{World, address};
use crate::support::Sshd;

#[test]
fn every_setting_and_where_it_comes_from() {
    let sshd = Sshd::start();
    let jump = "{ip: 10.0.0.13, ssh_user: hop}";
    let vms =
        format!("  vm01: {}\n  vm04: {jump}\n", address(&sshd).replace('}', ", proxy_jump: vm04}"));
    let world = World::new(&vms, "");
    world.give_key("vm01");
    world.give_key("vm04");
    world.know(&sshd.known_hosts());
    let said = world.run(&["hosts", "show", "vm01"]).is(0);
    let (config, user) = (world.config(), sshd.user());
    let said = said.has(&format!("{}:2:", config.display())).has("enabled").has("default");
    let said = said.has(&format!("hop@10.0.0.13:22 -> {user}@127.0.0.1:{}", sshd.port()));
    let said = said.has(&world.path("keys").join("id_ed25519_vm01").display().to_string());
    let known = format!(
        "ssh-ed25519 {}  {}:1",
        sshd.host_keys()[0].fingerprint(),
        world.path("known_hosts").display()
    );
    said.has(&known);
    assert!(!world.log().exists(), "looking records nothing");

    let document = world.run(&["hosts", "show", "vm01", "--json"]).is(0).json();
    assert_eq!(document["vm_id"], "vm01");
    assert_eq!(document["settings"]["ip"]["value"], "127.0.0.1");
    assert_eq!(document["settings"]["enabled"]["origin"], "default");
    assert_eq!(document["known_as"], format!("[127.0.0.1]:{}", sshd.port()));
    assert_eq!(document["host_keys"][0]["marker"], "host key");
    assert_eq!(document["host_keys"][0]["fingerprint"], sshd.host_keys()[0].fingerprint().as_str());
}

#[test]
fn what_is_missing_is_said() {
    let world = World::new("  vm01: {ip: h, enabled: no}\n", "");
    let said = world.run(&["hosts", "show", "vm01"]).is(0);
    let said = said.has("No private key found for vm_id=vm01").has("disabled");
    said.has("orchestrator hosts trust vm01");
    world.run(&["hosts", "show", "vm1"]).is(2).has("did you mean vm01?");
    let document = world.run(&["hosts", "show", "vm1", "--json"]).is(2).json();
    assert_eq!(document["error"]["code"], "host_not_usable");
}
