//! `keys`: made here, put on real servers, replaced there.

mod authorized_keys;
mod deploy;
mod local;
mod password;
mod rotate;
mod setup;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use crate::cli_verbs::world::{Said, World, address};
use crate::support::{KeyKind, KeyPair, Sshd};

/// A server that reads the keys at its home, and a world that knows it as vm01;
/// vm01 has no key yet.
fn host() -> (Sshd, World) {
    let sshd = Sshd::builder().keys_at_home().start();
    let world = world(&sshd);
    (sshd, world)
}

fn world(sshd: &Sshd) -> World {
    let world = World::new(&format!("  vm01: {}\n", address(sshd)), "");
    world.know(&sshd.known_hosts());
    world
}

/// A server and a world that logs in there with a key of its own kind, the only
/// one that is let in.
fn deployed() -> (Sshd, World, KeyPair) {
    let (sshd, world) = host();
    let key = KeyPair::generate(KeyKind::Ed25519);
    key.write_to(world.path("keys/id_ed25519_vm01"));
    fs::write(authorized_keys(&sshd), format!("{}\n", key.public)).unwrap();
    world.run(&["exec", "vm01", "true"]).is(0);
    (sshd, world, key)
}

fn authorized_keys(sshd: &Sshd) -> std::path::PathBuf {
    sshd.home().join(".ssh/authorized_keys")
}

fn lines(sshd: &Sshd) -> Vec<String> {
    fs::read_to_string(authorized_keys(sshd)).unwrap().lines().map(str::to_owned).collect()
}

/// The base64 part of a public key file.
fn blob(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split(' ').nth(1).unwrap().trim().to_owned()
}

/// The names in the directory of keys, in order.
fn files(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.path("keys")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What the program says on a terminal where each question gets its answer as
/// soon as it stands there.
fn on_terminal(world: &World, args: &[&str], answers: &[(&str, &str)]) -> Said {
    let program = format!("{} {}", crate::cli_verbs::world::PROGRAM, args.join(" "));
    let mut script = world.shell("script".as_ref());
    script.args(["-qec", &program, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    // Held open: its end would be typed too.
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    for (question, answer) in answers {
        let mut byte = [0];
        while !shown.ends_with(question.as_bytes()) {
            let read = screen.read(&mut byte).unwrap();
            assert_eq!(read, 1, "{:?}: {question} was not asked", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        writeln!(keyboard, "{answer}").unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    Said { code, out: String::from_utf8(shown).unwrap(), err: String::new() }
}
