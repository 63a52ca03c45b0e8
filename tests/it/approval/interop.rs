//! OpenSSH's own ssh-keygen judges our signatures, and makes some for us.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::World;
use crate::cli_exec::{Running, Said};
use crate::support::{KeyKind, KeyPair};

const NAMESPACE: &str = "orchestrator-plan";

fn verified(world: &World, principal: &str) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", principal, "-n", NAMESPACE, "-f"]);
    command.arg(world.lab.path("signers")).arg("-s").arg(world.signature());
    let plan = fs::File::open(world.lab.path("plan.json")).unwrap();
    command.stdin(Stdio::from(plan)).output().unwrap().status.success()
}

fn sign(world: &World, key: &Path, namespace: &str, hash: &str) {
    let _ = fs::remove_file(world.signature());
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", namespace, "-O", hash, "-f"]).arg(key);
    let output = command.arg(world.lab.path("plan.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const KINDS: [KeyKind; 4] =
    [KeyKind::Ed25519, KeyKind::Ecdsa256, KeyKind::Ecdsa384, KeyKind::Rsa3072];

#[test]
fn openssh_takes_ours() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    for kind in KINDS {
        let key = KeyPair::shared(kind);
        let path = key.write_to(world.lab.path("key"));
        world.sign_by(&format!("bob@x namespaces=\"{NAMESPACE}\" {}\n", key.public));
        let _ = fs::remove_file(world.signature());
        world.approve(&["--identity", path.to_str().unwrap()]).ends(0);
        assert!(verified(&world, "bob@x"), "{kind:?}");
        world.apply(&["--dry-run"]).ends(0);
    }
    world.edit("hello", "hullo");
    assert!(!verified(&world, "bob@x"));
}

#[test]
fn ours_takes_opensshs() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    for kind in KINDS {
        let key = KeyPair::shared(kind);
        let path = key.write_to(world.lab.path("key"));
        world.sign_by(&format!("bob@x {}\n", key.public));
        for hash in ["hashalg=sha256", "hashalg=sha512"] {
            sign(&world, &path, NAMESPACE, hash);
            let said = world.apply(&["--dry-run"]);
            assert!(said.ends(0).text().contains(&key.fingerprint()), "{kind:?} {hash}: {said:?}");
        }
        sign(&world, &path, "file", "hashalg=sha512");
        world.refuses("approval_invalid", &["made for the namespace \"file\""]);
    }
    sign(&world, &world.bob, NAMESPACE, "hashalg=sha512");
    world.sign_by(&format!("bob@x {}\n", world.public("bob")));
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}

#[test]
fn weak_keys_approve_nothing() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    let key = KeyPair::shared(KeyKind::Rsa2048);
    let path = key.write_to(world.lab.path("key"));
    world.sign_by(&format!("bob@x {}\n", key.public));
    let said = world.approve(&["--identity", path.to_str().unwrap()]);
    said.ends(2).says(&["an RSA key of 2048 bits is weak"]);
    sign(&world, &path, NAMESPACE, "hashalg=sha512");
    world.refuses("approval_invalid", &["an RSA key of 2048 bits is weak"]);
}

#[test]
fn a_key_of_the_agent() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    let rsa = KeyPair::shared(KeyKind::Rsa3072);
    let other = rsa.write_to(world.lab.path("rsa"));
    let socket = world.lab.path("agent");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    let _agent = Running::start(agent);
    crate::support::block_until("the agent listens", || socket.exists());
    let mut add = Command::new("ssh-add");
    add.arg("-q").arg(&world.bob).arg(&other).env("SSH_AUTH_SOCK", &socket);
    assert!(add.status().unwrap().success());
    let approve = |more: &[&str]| {
        let _ = fs::remove_file(world.signature());
        let mut command = world.lab.verb("approve", ["--yes"]);
        command.arg(world.lab.path("plan.json")).args(more).env("SSH_AUTH_SOCK", &socket);
        Said::from(command.output().unwrap())
    };
    approve(&["--agent"]).ends(0);
    assert!(verified(&world, "bob@x"));
    world.sign_by(&format!("bob@x {}\n", rsa.public));
    approve(&["--identity", &format!("{}.pub", other.display())]).ends(0);
    assert!(verified(&world, "bob@x"));
    world.apply(&["--dry-run"]).ends(0);
    world.sign_by("");
    approve(&["--agent"]).ends(2).says(&["no key of the ssh-agent may approve"]);
}
