//! `rotate`, and what becomes of one that stops halfway.

use std::fs;
use std::os::unix::fs::symlink;

use super::{authorized_keys, blob, deployed, files, lines, world};
use crate::cli_verbs::world::{Said, World, address, set_mode};
use crate::support::{KeyKind, KeyPair, Sshd, password_user};

const NAME: &str = "keys/id_ed25519_vm01";

fn rotate(world: &World) -> Said {
    world.run(&["keys", "rotate", "vm01"])
}

/// The end of every rotation: one new key, here and there; nothing under way.
#[track_caller]
fn rotated(sshd: &Sshd, world: &World, old: &KeyPair) {
    let public = fs::read_to_string(world.path("keys/id_ed25519_vm01.pub")).unwrap();
    assert!(!public.contains(&old.public));
    assert_eq!(lines(sshd), [public.trim()]);
    world.run(&["exec", "vm01", "true"]).is(0);
    let names = files(world);
    assert!(!names.iter().any(|it| it.contains(".new") || it.contains(".retired")), "{names:?}");
    let backup = names.iter().find(|it| it.starts_with("id_ed25519_vm01.backup.")).unwrap();
    assert_eq!(fs::read_to_string(world.path("keys").join(backup)).unwrap(), old.private);
}

/// The old key is in its place, and logs in.
#[track_caller]
fn as_before(sshd: &Sshd, world: &World, old: &KeyPair) {
    assert_eq!(fs::read_to_string(world.path(NAME)).unwrap(), old.private);
    assert!(lines(sshd).iter().any(|line| line.contains(&old.public)));
}

#[test]
fn a_new_key_takes_the_old_ones_place() {
    let (sshd, world, old) = deployed();
    let said = world.run(&["keys", "rotate", "vm01", "--json"]).is(0).json();
    assert_eq!(said["hosts"][0]["did"], "rotated");
    rotated(&sshd, &world, &old);
    let records = world.records();
    let keys: Vec<_> = records.iter().filter(|it| it["event"] == "keys.result").collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0]["metadata"]["change"], &keys[0]["metadata"]["did"]),
        (&"add".into(), &"added".into())
    );
    assert_eq!(
        (&keys[1]["metadata"]["change"], &keys[1]["metadata"]["did"]),
        (&"remove".into(), &"removed".into())
    );
    assert_eq!(keys[1]["metadata"]["key"], old.fingerprint().as_str());
    assert_eq!(keys[0]["metadata"]["key"], said["hosts"][0]["key"]);
    world.run(&["audit", "verify"]).is(0);
}

#[test]
fn an_older_type_of_key_is_replaced_by_an_ed25519_one() {
    let (sshd, world, _old) = deployed();
    fs::remove_file(world.path(NAME)).unwrap();
    fs::remove_file(world.path("keys/id_ed25519_vm01.pub")).unwrap();
    let rsa = KeyPair::shared(KeyKind::Rsa3072);
    rsa.write_to(world.path("keys/id_rsa_vm01"));
    fs::write(authorized_keys(&sshd), format!("{}\n", rsa.public)).unwrap();
    rotate(&world).is(0);
    assert_eq!(lines(&sshd).len(), 1);
    assert!(lines(&sshd)[0].contains(&blob(&world.path("keys/id_ed25519_vm01.pub"))));
    let names = files(&world);
    assert!(!names.contains(&"id_rsa_vm01".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("id_rsa_vm01.backup.")), "{names:?}");
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn stopped_after_the_new_key_was_made() {
    let (sshd, world, old) = deployed();
    set_mode(&authorized_keys(&sshd), 0o000);
    let file = authorized_keys(&sshd);
    let aside = sshd.home().join("aside");
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    // Nothing lets us in now: the new key is made, and not added.
    rotate(&world).is(4).has("stopped at step add");
    fs::remove_dir(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    set_mode(&file, 0o600);
    as_before(&sshd, &world, &old);
    let new = blob(&world.path("keys/id_ed25519_vm01.new.pub"));
    rotate(&world).is(0).has("rotated");
    rotated(&sshd, &world, &old);
    assert_eq!(blob(&world.path("keys/id_ed25519_vm01.pub")), new, "the new key was taken up");
}

#[test]
fn stopped_because_the_new_key_could_not_be_added() {
    let sshd = Sshd::builder().account(password_user()).keys_at_home().start();
    let world = world(&sshd);
    let old = KeyPair::shared(KeyKind::Ed25519);
    old.write_to(world.path(NAME));
    set_mode(&authorized_keys(&sshd), 0o400);
    rotate(&world).is(1).has("stopped at step add").has("read-only");
    as_before(&sshd, &world, &old);
    world.run(&["exec", "vm01", "true"]).is(0);
    set_mode(&authorized_keys(&sshd), 0o600);
    rotate(&world).is(0);
    rotated(&sshd, &world, &old);
}

#[test]
fn stopped_because_the_new_key_does_not_log_in() {
    // sshd reads a file that is not at home.
    let sshd = Sshd::start();
    let world = world(&sshd);
    let old = KeyPair::shared(KeyKind::Ed25519);
    old.write_to(world.path(NAME));
    rotate(&world).is(4).has("stopped at step test").has("AuthorizedKeysFile");
    assert_eq!(fs::read_to_string(world.path(NAME)).unwrap(), old.private);
    world.run(&["exec", "vm01", "true"]).is(0);
    // Then it does read it, and what was added is not added twice.
    let beside = sshd.home().parent().unwrap().join("authorized_keys");
    let text = fs::read_to_string(&beside).unwrap() + "\n" + &lines(&sshd).join("\n") + "\n";
    fs::write(authorized_keys(&sshd), &text).unwrap();
    fs::remove_file(&beside).unwrap();
    symlink(authorized_keys(&sshd), &beside).unwrap();
    rotate(&world).is(0);
    rotated(&sshd, &world, &old);
}

#[test]
fn stopped_because_the_new_key_could_not_be_put_in_place() {
    let (sshd, world, old) = deployed();
    fs::create_dir(world.path("keys/id_ed25519_vm01.retired.pub")).unwrap();
    // It is looked at first.
    rotate(&world).is(1).has("stopped at step generate");
    fs::remove_dir(world.path("keys/id_ed25519_vm01.retired.pub")).unwrap();
    as_before(&sshd, &world, &old);
    world.run(&["keys", "generate", "vm01"]).is(0).has("kept");
    // With a new key there, it is found when it is to be written.
    let new = KeyPair::generate(KeyKind::Ed25519);
    new.write_to(world.path("keys/id_ed25519_vm01.new"));
    fs::create_dir(world.path("keys/id_ed25519_vm01.retired.pub")).unwrap();
    rotate(&world).is(1).has("stopped at step swap");
    as_before(&sshd, &world, &old);
    world.run(&["exec", "vm01", "true"]).is(0);
    fs::remove_dir(world.path("keys/id_ed25519_vm01.retired.pub")).unwrap();
    rotate(&world).is(0);
    rotated(&sshd, &world, &old);
}

/// As a program that was killed right after the swap leaves it.
#[test]
fn stopped_before_the_old_key_was_removed() {
    let (sshd, world, old) = deployed();
    let new = KeyPair::generate(KeyKind::Ed25519);
    let backup = world.path("keys/id_ed25519_vm01.backup.20260101_000000");
    fs::copy(world.path(NAME), backup).unwrap();
    fs::write(authorized_keys(&sshd), format!("{}\n{}\n", old.public, new.public)).unwrap();
    let public_new = world.path("keys/id_ed25519_vm01.new.pub");
    fs::write(&public_new, format!("{}\n", new.public)).unwrap();
    fs::write(world.path("keys/id_ed25519_vm01.retired.pub"), format!("{}\n", old.public)).unwrap();
    fs::write(world.path(NAME), &new.private).unwrap();
    rotate(&world).is(0).has("finished");
    rotated(&sshd, &world, &old);
    // The next one begins anew.
    rotate(&world).is(0).has("rotated");
    assert_eq!(lines(&sshd).len(), 1);
    assert!(!lines(&sshd)[0].contains(&new.public));
}

/// Somebody put the old files back: the only key that logs in must stay.
#[test]
fn the_key_in_place_is_never_removed() {
    let (sshd, world, old) = deployed();
    fs::write(world.path("keys/id_ed25519_vm01.retired.pub"), format!("{}\n", old.public)).unwrap();
    rotate(&world).is(0);
    as_before(&sshd, &world, &old);
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn a_new_key_that_cannot_be_used_is_not_thrown_away() {
    let (sshd, world, old) = deployed();
    fs::write(world.path("keys/id_ed25519_vm01.new"), "half\n").unwrap();
    set_mode(&world.path("keys/id_ed25519_vm01.new"), 0o600);
    rotate(&world).is(1).has("stopped at step add").has("id_ed25519_vm01.new");
    as_before(&sshd, &world, &old);
    assert_eq!(fs::read_to_string(world.path("keys/id_ed25519_vm01.new")).unwrap(), "half\n");
}

#[test]
fn a_key_that_others_use_too_is_not_rotated() {
    let (sshd, world, old) = deployed();
    let shared = world.path("shared");
    old.write_to(&shared);
    let vm = address(&sshd).replace('}', &format!(", identity_file: {}}}", shared.display()));
    world.configure(&format!("  vm01: {vm}\n  vm02: {vm}\n"), "");
    rotate(&world).is(1).has("also the key of vm02");
    assert_eq!(lines(&sshd), [old.public.as_str()]);
    world.configure(&format!("  vm01: {vm}\n"), "");
    rotate(&world).is(0);
    assert_eq!(lines(&sshd).len(), 1);
    world.run(&["exec", "vm01", "true"]).is(0);
}

#[test]
fn an_encrypted_key_is_replaced_by_an_encrypted_one() {
    let (sshd, world, _old) = deployed();
    let old = KeyPair::encrypted(KeyKind::Ed25519, "one two");
    old.write_to(world.path(NAME));
    fs::write(authorized_keys(&sshd), format!("{}\n", old.public)).unwrap();
    fs::write(world.path("passphrase"), "one two\n").unwrap();
    set_mode(&world.path("passphrase"), 0o600);
    let text = fs::read_to_string(world.config()).unwrap().replace("plain_dir", "encrypted_dir");
    let line = format!("ssh:\n  passphrase_file: {}\n", world.path("passphrase").display());
    fs::write(world.config(), text.replace("ssh:\n", &line)).unwrap();
    rotate(&world).is(0);
    rotated(&sshd, &world, &old);
    let status = world.run(&["keys", "status", "--json"]).is(0).json();
    assert_eq!(status["hosts"][0]["encrypted"], true);
}
