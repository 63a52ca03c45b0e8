use std::fs;

use super::world::{World, address};
use crate::support::{CertificateAuthority, KeyKind, KeyPair, Sshd};

fn known(world: &World) -> String {
    fs::read_to_string(world.path("known_hosts")).unwrap_or_default()
}

#[test]
fn a_pipe_needs_a_fingerprint_and_is_told_which() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let fingerprint = sshd.host_keys()[0].fingerprint();
    let said = world.run(&["hosts", "trust", "vm01"]).is(2);
    assert_eq!(said.out, "");
    said.has(&format!("orchestrator hosts trust vm01 --fingerprint {fingerprint}"));
    assert_eq!(known(&world), "");
    assert_eq!(world.events(), ["session.attempt", "session.result"]);

    let said = world.run(&["hosts", "trust", "vm01", "--fingerprint", &fingerprint]).is(0);
    assert!(said.out.contains(&format!("ssh-ed25519 {fingerprint} at ")), "{said:?}");
    assert_eq!(known(&world), sshd.known_hosts());
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn what_was_trusted_is_on_record_before_and_after() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let fingerprint = sshd.host_keys()[0].fingerprint();
    let args = ["hosts", "trust", "vm01", "--operator", "alice", "--fingerprint", &fingerprint];
    world.run(&args).is(0);
    let events = ["session.attempt", "session.result", "hostkey.attempt", "hostkey.result"];
    assert_eq!(world.events(), events);
    let records = world.records();
    for record in &records[1..] {
        assert_eq!(record["target"]["hostkey"], fingerprint.as_str(), "{record}");
        assert_eq!(record["actor"]["id"], "alice");
        assert_eq!(record["target"]["host"], "vm01");
    }
    assert_eq!(records[2]["action"]["kind"], "trust");
    assert_eq!(records[2]["op_id"], records[3]["op_id"]);
    assert_eq!(records[3]["result"]["status"], "success");
    let at = format!("{}:1", world.path("known_hosts").display());
    assert_eq!(records[3]["metadata"]["known_hosts"], at.as_str());
    world.run(&["audit", "verify"]).is(0);
}

#[test]
fn nobody_logs_in_and_no_private_key_is_needed() {
    let sshd = Sshd::start();
    let world = World::new(&format!("  vm01: {}\n", address(&sshd)), "");
    let fingerprint = sshd.host_keys()[0].fingerprint();
    world.run(&["hosts", "trust", "vm01", "--fingerprint", &fingerprint]).is(0);
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
    assert_eq!(known(&world), sshd.known_hosts());
}

#[test]
fn a_person_says_yes() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let said = world.on_terminal("hosts trust vm01", "yes\n").is(0);
    let key = &sshd.host_keys()[0];
    let said = said.has(&format!("shows this host key:\n  ssh-ed25519 {}", key.fingerprint()));
    said.has(&format!("writes it to {}", world.path("known_hosts").display()));
    assert_eq!(known(&world), sshd.known_hosts());
}

#[test]
fn a_person_says_anything_else() {
    let sshd = Sshd::start();
    for answer in ["no\n", "y\n", "\n"] {
        let world = World::of(&sshd);
        world.on_terminal("hosts trust vm01", answer).is(5).has("not trusted, as you said");
        assert_eq!(known(&world), "");
        let records = world.records();
        assert_eq!(records[3]["event"], "hostkey.result");
        assert_eq!(records[3]["result"]["status"], "cancelled");
    }
}

#[test]
fn another_fingerprint_is_refused_with_both() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let other = KeyPair::generate(KeyKind::Ed25519).fingerprint();
    let wrong = ["hosts", "trust", "vm01", "--fingerprint", &other];
    let said = world.run(&wrong).is(5);
    said.has(&other).has(&sshd.host_keys()[0].fingerprint());
    assert_eq!(known(&world), "");
    assert_eq!(world.records()[3]["result"]["status"], "host_key_rejected");
    // Nor is it passed over when the key is known.
    world.know(&sshd.known_hosts());
    world.run(&wrong).is(5).has(&other);
}

#[test]
fn a_trusted_key_is_left_alone() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    let at = format!("{}:1", world.path("known_hosts").display());
    world.run(&["hosts", "trust", "vm01"]).is(0).has("trusted already").has(&at);
    assert_eq!(known(&world), sshd.known_hosts());
    assert_eq!(world.events(), ["session.attempt", "session.result"]);
}

#[test]
fn a_changed_key_is_never_fixed() {
    let mut sshd = Sshd::builder().host_key(KeyPair::generate(KeyKind::Ed25519)).start();
    let world = World::of(&sshd);
    let before = sshd.known_hosts();
    world.know(&before);
    sshd.restart_with_other_host_key();
    let new = sshd.host_keys()[0].fingerprint();
    for args in
        [&["hosts", "trust", "vm01"][..], &["hosts", "trust", "vm01", "--fingerprint", &new]]
    {
        let said = world.run(args).is(5);
        said.has("has changed").has(&new).has("ssh-keygen -f");
        assert_eq!(known(&world), before);
    }
    world.on_terminal("hosts trust vm01", "yes\n").is(5).has("has changed");
    assert_eq!(known(&world), before);
    let last = world.records().pop().unwrap();
    assert_eq!(last["result"]["error_class"], "host_key_refused");
}

#[test]
fn a_revoked_key_and_another_than_the_pinned_one_are_refused() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let fingerprint = sshd.host_keys()[0].fingerprint();
    let args = ["hosts", "trust", "vm01", "--fingerprint", &fingerprint];
    let revoked = format!("@revoked * {}\n", sshd.host_keys()[0].public);
    world.know(&revoked);
    world.run(&args).is(5).has("revoked");
    assert_eq!(known(&world), revoked);

    world.know("");
    let pin = KeyPair::generate(KeyKind::Ed25519).fingerprint();
    let pinned = address(&sshd).replace('}', &format!(", host_key: \"{pin}\"}}"));
    world.configure(&format!("  vm01: {pinned}\n"), "");
    world.run(&args).is(5).has(&pin);
    assert_eq!(known(&world), "");
}

#[test]
fn an_alias_is_what_the_key_is_recorded_under() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    let alias = address(&sshd).replace('}', ", host_key_alias: web1}");
    world.configure(&format!("  vm01: {alias}\n"), "");
    let fingerprint = sshd.host_keys()[0].fingerprint();
    world.run(&["hosts", "trust", "vm01", "--fingerprint", &fingerprint]).is(0);
    assert!(known(&world).starts_with("web1 ssh-ed25519 "), "{}", known(&world));
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn a_jump_host_has_to_be_trusted_first() {
    let (jump, target) = (Sshd::start(), Sshd::start());
    let vms = format!(
        "  vm01: {}\n  vm04: {}\n",
        address(&target).replace('}', ", proxy_jump: vm04}"),
        address(&jump)
    );
    let world = World::new(&vms, "");
    world.give_key("vm04");
    let fingerprint = target.host_keys()[0].fingerprint();
    let args = ["hosts", "trust", "vm01", "--fingerprint", &fingerprint];
    world.run(&args).is(5).has("jump host vm04");
    world.know(&jump.known_hosts());
    world.run(&args).is(0);
    assert_eq!(known(&world), jump.known_hosts() + &target.known_hosts());
}

#[test]
fn a_bad_certificate_does_not_keep_its_key_from_being_trusted() {
    let (key, authority) =
        (KeyPair::generate(KeyKind::Ed25519), CertificateAuthority::new(KeyKind::Ed25519));
    let fingerprint = key.fingerprint();
    let certificate = authority.host_certificate(&key, "somebody.else");
    let sshd = Sshd::builder().host_key(key).certificate(certificate).start();
    let world = World::of(&sshd);
    world.know(&format!("@cert-authority * {}\n", authority.key.public));
    world.run(&["hosts", "trust", "vm01", "--fingerprint", &fingerprint]).is(0);
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn wrong_usage_and_hosts_that_are_not_there() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.run(&["hosts", "trust"]).is(2);
    world.run(&["hosts", "trust", "vm1"]).is(2).has("did you mean vm01?");
    world.run(&["hosts", "trust", "vm 1"]).is(2);
    world.run(&["hosts", "trust", "vm01", "--fingerprint", "SHA256:abc"]).is(2).has("SHA256");
    world.configure(&format!("  vm01: {}\n", address(&sshd).replace('}', ", enabled: no}")), "");
    world.run(&["hosts", "trust", "vm01"]).is(2).has("not in allowed list");
    assert_eq!(world.records().pop().unwrap()["result"]["status"], "policy_denied");
    world.configure(&format!("  vm01: {}\n", address(&sshd)), "");
    drop(sshd);
    world.run(&["hosts", "trust", "vm01"]).is(4).has("connection refused").has("hint: ");
    assert_eq!(world.records().pop().unwrap()["result"]["status"], "unreachable");
}
