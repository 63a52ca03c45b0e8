//! `generate` and `status`: files, no network.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use orchestrator::ssh::key_file;

use super::{files, on_terminal};
use crate::cli_verbs::world::{World, set_mode};
use crate::support::{KeyKind, KeyPair};

fn two_vms() -> World {
    World::new("  vm01: {ip: 127.0.0.1}\n  vm02: {ip: 127.0.0.1}\n", "")
}

fn encrypted(world: &World, ssh: &str) {
    let text = fs::read_to_string(world.config()).unwrap();
    let text =
        text.replace("plain_dir", "encrypted_dir").replace("ssh:\n", &format!("ssh:\n{ssh}"));
    fs::write(world.config(), text).unwrap();
}

fn keygen(args: &[&str], path: &Path) -> Option<String> {
    let output = Command::new("ssh-keygen").args(args).arg("-f").arg(path).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn pairs_are_made_as_ssh_keygen_makes_them() {
    let world = two_vms();
    fs::remove_dir(world.path("keys")).unwrap();
    let said = world.run(&["keys", "generate", "all"]).is(0);
    assert_eq!(said.err, "");
    assert_eq!(mode(&world.path("keys")), 0o700);
    assert_eq!(
        files(&world),
        ["id_ed25519_vm01", "id_ed25519_vm01.pub", "id_ed25519_vm02", "id_ed25519_vm02.pub"]
    );
    let key = world.path("keys/id_ed25519_vm01");
    assert_eq!((mode(&key), mode(&key.with_extension("pub"))), (0o600, 0o644));
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let derived = keygen(&["-y", "-P", ""], &key).unwrap();
    assert_eq!(derived, public);
    let listed = keygen(&["-l"], &key).unwrap();
    let mut words = listed.split_whitespace();
    assert_eq!(words.next(), Some("256"));
    said.has(words.next().unwrap());
    let comment = words.next().unwrap();
    let today = comment.strip_prefix("orchestrator_vm01_").unwrap();
    assert!(today.len() == 8 && today.bytes().all(|b| b.is_ascii_digit()), "{comment}");
    assert_ne!(public, fs::read_to_string(world.path("keys/id_ed25519_vm02.pub")).unwrap());
}

#[test]
fn a_key_that_is_there_is_kept_or_renamed_and_never_lost() {
    let world = two_vms();
    // One ECDSA key in 256 begins with a zero byte, and the key library reads none of those.
    let usable = |_: &u32| {
        KeyPair::generate(KeyKind::Ecdsa256).write_to(world.path("keys/id_ecdsa_vm01"));
        key_file::inspect(&world.path("keys/id_ecdsa_vm01")).is_ok()
    };
    assert!((0..9).find(usable).is_some());
    let before = fs::read(world.path("keys/id_ecdsa_vm01")).unwrap();
    world.run(&["keys", "generate", "vm01"]).is(0).has("kept");
    assert_eq!(files(&world), ["id_ecdsa_vm01", "id_ecdsa_vm01.pub"]);
    world.run(&["keys", "generate", "vm01", "--force"]).is(0).has(".backup.");
    world.run(&["keys", "generate", "vm01", "--force"]).is(0);
    let names = files(&world);
    let backups = names.iter().filter(|name| name.starts_with("id_ecdsa_vm01.backup."));
    assert_eq!(backups.clone().count(), 2, "{names:?}");
    let kept = backups.map(|name| fs::read(world.path("keys").join(name)).unwrap());
    assert!(kept.into_iter().any(|content| content == before));
    assert_eq!(
        names.iter().filter(|name| name.starts_with("id_ecdsa_vm01.pub.backup.")).count(),
        2
    );
    assert_ne!(fs::read(world.path("keys/id_ecdsa_vm01")).unwrap(), before);
    assert!(keygen(&["-y", "-P", ""], &world.path("keys/id_ecdsa_vm01")).is_some());
}

#[test]
fn an_encrypted_directory_gets_encrypted_keys() {
    let world = two_vms();
    encrypted(&world, "");
    let said = world.run(&["keys", "generate", "vm01"]).is(2);
    said.has("needs a passphrase").has("--no-passphrase");
    assert!(files(&world).is_empty());
    world.run(&["keys", "generate", "vm01", "--no-passphrase"]).is(0).has("warning: ");
    assert!(keygen(&["-y", "-P", ""], &world.path("keys/id_ed25519_vm01")).is_some());

    let world = two_vms();
    fs::write(world.path("passphrase"), "correct horse\n").unwrap();
    set_mode(&world.path("passphrase"), 0o600);
    encrypted(&world, &format!("  passphrase_file: {}\n", world.path("passphrase").display()));
    world.run(&["keys", "generate", "vm01"]).is(0).lacks("correct horse");
    let key = world.path("keys/id_ed25519_vm01");
    assert!(keygen(&["-y", "-P", ""], &key).is_none());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let derived = keygen(&["-y", "-P", "correct horse"], &key).unwrap();
    assert_eq!(derived.split(' ').nth(1), public.split(' ').nth(1).map(str::trim));
    let status = world.run(&["keys", "status", "vm01", "--json"]).is(0).json();
    assert_eq!(status["hosts"][0]["encrypted"], true);
    assert!(status["hosts"][0]["key"].as_str().unwrap().starts_with("SHA256:"));
}

#[test]
fn a_passphrase_is_typed_twice() {
    let world = two_vms();
    encrypted(&world, "");
    let generate = |again| {
        let answers = [("Passphrase for new keys: ", "one two"), ("The same again: ", again)];
        on_terminal(&world, &["keys", "generate", "vm01"], &answers)
    };
    generate("other").is(2).has("the two passphrases differ");
    assert!(files(&world).is_empty());
    generate("one two").is(0);
    assert!(keygen(&["-y", "-P", "one two"], &world.path("keys/id_ed25519_vm01")).is_some());
}

#[test]
fn status_tells_the_age_and_fails_past_the_limit() {
    let world = two_vms();
    world.run(&["keys", "generate", "all"]).is(0);
    let said = world.run(&["keys", "status"]).is(0);
    assert_eq!(said.err, "");
    said.has("0 of 90 days").has("ssh-ed25519 256");
    age(&world.path("keys/id_ed25519_vm01"), 80);
    world.run(&["keys", "status"]).is(0).has("expiring").has("orchestrator keys rotate vm01");
    age(&world.path("keys/id_ed25519_vm01"), 91);
    world.run(&["keys", "status"]).is(1).has("expired").has("91 of 90 days");
    world.run(&["keys", "status", "vm02"]).is(0);
    let status = world.run(&["keys", "status", "--json"]).is(1).json();
    assert_eq!(status["key_rotation_days"], 90);
    let first = &status["hosts"][0];
    assert_eq!((&first["state"], &first["age_days"]), (&"expired".into(), &91.into()));
    assert_eq!((&first["type"], &first["bits"]), (&"ssh-ed25519".into(), &256.into()));
    assert_eq!(first["encrypted"], false);
}

#[test]
fn status_tells_what_is_missing_and_what_cannot_be_used() {
    let world = two_vms();
    let said = world.run(&["keys", "status"]).is(1);
    said.has("missing").has("orchestrator keys generate vm02");
    let key = KeyPair::shared(KeyKind::Rsa1024).write_to(world.path("keys/id_rsa_vm01"));
    world.run(&["keys", "status", "vm01"]).is(1).has("unusable").has("1024 bits");
    KeyPair::shared(KeyKind::Rsa3072).write_to(&key);
    world.run(&["keys", "status", "vm01"]).is(0).has("ssh-rsa 3072");
    set_mode(&key, 0o644);
    let status = world.run(&["keys", "status", "vm01", "--json"]).is(1).json();
    assert_eq!(status["hosts"][0]["state"], "unusable");
    assert!(status["hosts"][0]["reason"].as_str().unwrap().contains("0644"));
    set_mode(&key, 0o600);
    fs::write(&key, "no key\n").unwrap();
    world.run(&["keys", "status", "vm01"]).is(1).has("unusable");
}

#[test]
fn hosts_that_may_not_be_used_are_refused() {
    let world = World::new("  vm01: {ip: 127.0.0.1, enabled: no}\n  vm02: {ip: 127.0.0.1}\n", "");
    for verb in ["generate", "status", "deploy", "rotate"] {
        world.run(&["keys", verb, "vm01"]).is(2).has("not in allowed list");
        world.run(&["keys", verb, "vm03"]).is(2).has("did you mean");
    }
    assert!(files(&world).is_empty());
    let denied: Vec<String> = world.events();
    assert_eq!(denied[..2], ["keys.attempt", "keys.result"]);
    assert_eq!(world.records()[1]["result"]["status"], "policy_denied");
}
