//! The stages up to the login.

use std::time::{Duration, Instant};

use super::{Examined, examine};
use crate::cli_verbs::world::{World, address};
use crate::support::{
    Behaviour, CertificateAuthority, Direction, Fault, Hostile, KeyKind, KeyPair, Proxy, Sshd,
};

fn doctor(world: &World) -> Examined {
    Examined::of(&world.run(&["doctor", "vm01", "--json"]))
}

#[test]
fn a_host_key_says_how_it_was_verified() {
    let sshd = Sshd::start();
    let (fingerprint, world) = (sshd.host_keys()[0].fingerprint(), World::of(&sshd));
    world.know(&format!("# a comment\n{}", sshd.known_hosts()));
    let by_line = format!("ssh-ed25519 {fingerprint}, known by ");
    let found = doctor(&world).ends(0).finds("host_key", "ok", &by_line);
    found.finds("host_key", "ok", "known_hosts:2");

    let vm = address(&sshd).replace('}', &format!(", host_key: \"{fingerprint}\"}}"));
    world.configure(&format!("  vm01: {vm}\n"), "");
    doctor(&world).ends(0).finds("host_key", "ok", "pinned in the inventory");
}

#[test]
fn a_certificate_names_its_authority() {
    let authority = CertificateAuthority::new(KeyKind::Ed25519);
    let key = KeyPair::shared(KeyKind::Ed25519);
    let certificate = authority.host_certificate(&key, "127.0.0.1");
    let sshd = Sshd::builder().host_key(key).certificate(certificate).start();
    let world = World::of(&sshd);
    let line = format!("@cert-authority [127.0.0.1]:{} {}\n", sshd.port(), authority.key.public);
    world.know(&line);
    doctor(&world).ends(0).finds("host_key", "ok", "certified by the authority at ");
}

#[test]
fn an_unknown_a_changed_and_a_revoked_host_key() {
    let mut sshd = Sshd::start();
    let world = World::of(&sshd);
    let found = doctor(&world).ends(5).ends_at("host_key").notes("host_key", "host_key_unknown");
    found.hints("host_key", "orchestrator hosts trust vm01 --fingerprint SHA256:");

    world.know(&format!("@revoked * {}\n", sshd.host_keys()[0].public));
    doctor(&world).ends(5).ends_at("host_key").notes("host_key", "host_key_revoked");

    world.know(&sshd.known_hosts());
    sshd.restart_with_other_host_key();
    let found = doctor(&world).ends(5).ends_at("host_key").notes("host_key", "host_key_changed");
    found.hints("host_key", "ssh-keygen -f ").finds("algorithms", "ok", "curve25519-sha256");
}

#[test]
fn a_wrong_key_and_no_key() {
    let sshd = Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    let key = world.path("keys").join("id_ed25519_vm01");
    KeyPair::generate(KeyKind::Ed25519).write_to(&key);
    doctor(&world).ends(4).ends_at("auth").notes("auth", "auth_refused");

    std::fs::write(&key, "no key").unwrap();
    doctor(&world).ends(4).ends_at("auth").notes("auth", "key_unusable");

    std::fs::remove_file(key).unwrap();
    let found = doctor(&world).ends(4).ends_at("auth").notes("auth", "key_not_found");
    found.finds("auth", "fail", "No private key found for vm_id=vm01").hints("auth", "id_ed25519");
}

#[test]
fn other_types_of_host_key() {
    for (kind, name) in [(KeyKind::Ecdsa256, "ecdsa-sha2-nistp256"), (KeyKind::Rsa3072, "ssh-rsa")]
    {
        let sshd = Sshd::builder().host_keys(&[kind]).start();
        examine(&sshd).ends(0).finds("host_key", "ok", name);
    }
    let short = Sshd::builder().host_keys(&[KeyKind::Rsa1024]).line("RequiredRSASize 1024").start();
    examine(&short).ends(4).ends_at("host_key").finds("host_key", "fail", "1024 bits");
}

#[test]
fn weak_algorithms_are_noted_and_nothing_else_is_refused_with_both_lists() {
    let sshd = Sshd::start();
    let found = examine(&sshd).notes("algorithms", "weak_algorithms_offered");
    let found = found.finds("algorithms", "ok", "not post-quantum, although the server offers");
    found
        .finds("algorithms", "ok", "also offers the weak ")
        .notes("algorithms", "no_post_quantum_key_exchange");

    let weak = Sshd::builder()
        .line("KexAlgorithms diffie-hellman-group14-sha1")
        .line("Ciphers aes128-cbc,3des-cbc")
        .start();
    let found = examine(&weak).ends(4).ends_at("algorithms");
    let found = found.notes("algorithms", "algorithm_mismatch").hints("algorithms", "sshd_config");
    let found = found.finds("algorithms", "fail", "We offer mlkem768x25519-sha256, ");
    found.finds("algorithms", "fail", "The server offers diffie-hellman-group14-sha1");

    let plain = Sshd::builder().line("Ciphers aes256-ctr").line("MACs hmac-sha2-256").start();
    let found = examine(&plain).ends(0);
    found.finds("algorithms", "ok", "curve25519-sha256, aes256-ctr, hmac-sha2-256, ");
}

/// A world with one VM at this address.
fn world_at(addr: std::net::SocketAddr, known_hosts: &str) -> World {
    let vm = format!("{{ip: {}, ssh_port: {}, ssh_user: ops}}", addr.ip(), addr.port());
    let world = World::new(&format!("  vm01: {vm}\n"), "");
    world.give_key("vm01");
    world.know(known_hosts);
    world
}

#[test]
fn a_server_without_strict_key_exchange_is_noted() {
    for behaviour in [Behaviour::NotStrict, Behaviour::NotStrictChacha] {
        let server = Hostile::start(behaviour);
        let found = doctor(&world_at(server.addr(), &server.known_hosts()));
        if behaviour == Behaviour::NotStrict {
            found.finds("host_key", "ok", "known by").notes("algorithms", "no_strict_key_exchange");
        } else {
            found.ends(4).ends_at("algorithms");
        }
    }
}

#[test]
fn what_hangs_ends_in_time_at_its_stage() {
    let sshd = Sshd::start();
    for (stage, at, words) in [("banner", 0, "banner"), ("algorithms", 60, "key exchange")] {
        let proxy = Proxy::start(sshd.addr());
        proxy.set_fault(Direction::ToClient, at, Fault::Stall);
        let world = world_at(proxy.addr(), "");
        let began = Instant::now();
        let said = world.run(&["doctor", "vm01", "--json", "--connect-timeout", "1s"]);
        assert!(began.elapsed() < Duration::from_secs(10), "{said:?}");
        let found = Examined::of(&said).ends(4).ends_at(stage).notes(stage, "connect_timeout");
        assert!(found.stage(stage)["ms"].as_u64().unwrap() >= 900, "{found:?}");
        found.finds(stage, "fail", words);
    }
    let silent = Hostile::start(Behaviour::NeverAnswersAuth);
    let world = world_at(silent.addr(), &silent.known_hosts());
    let said = world.run(&["doctor", "vm01", "--json", "--connect-timeout", "1s"]);
    Examined::of(&said).ends(4).ends_at("auth").notes("auth", "connect_timeout");
}

#[test]
fn what_is_not_there_and_what_is_no_sshd() {
    let gone = Sshd::start();
    let world = World::of(&gone);
    drop(gone);
    doctor(&world).ends(4).ends_at("tcp").hints("tcp", "sshd runs there");

    let nameless = World::new("  vm01: {ip: no-such-host.invalid}\n", "");
    doctor(&nameless).ends(4).ends_at("name").finds("name", "fail", "cannot resolve");

    let web = Hostile::start(Behaviour::SpeaksHttp);
    let world = world_at(web.addr(), "");
    doctor(&world).ends(4).ends_at("banner").finds("banner", "fail", "HTTP/1.1 400");
}

#[test]
fn through_a_jump_host() {
    let jump = Sshd::start();
    let target = Sshd::builder().host_key(KeyPair::generate(KeyKind::Ed25519)).start();
    let behind = address(&target).replace('}', ", proxy_jump: vm02}");
    let vms = format!("  vm01: {behind}\n  vm02: {}\n", address(&jump));
    let world = World::new(&vms, "");
    world.give_key("vm01");
    world.give_key("vm02");
    world.know(&(jump.known_hosts() + &target.known_hosts()));
    let found = doctor(&world).ends(0).finds("inventory", "ok", "through vm02");
    let found = found.finds("name", "skipped", "vm02 resolves it");
    found.finds("tcp", "ok", "through vm02").finds("disk", "ok", "free of");

    // What is wrong with the jump host is wrong with the way.
    world.know(&target.known_hosts());
    let found = doctor(&world).ends(5).finds("tcp", "fail", "jump host vm02: ");
    found.hints("tcp", "hosts trust vm02").finds("banner", "skipped", "not reached");
}
