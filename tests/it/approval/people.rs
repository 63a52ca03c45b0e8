//! Two people: whose signature counts, and that nobody plays both.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::World;
use crate::support::{KeyKind, KeyPair, current_user};

/// Of the plan that alice asked for.
fn judged(lines: impl Fn(&World) -> String, code: &str, texts: &[&str]) {
    let world = World::new();
    world.approved();
    world.sign_by(&lines(&world));
    world.refuses(code, texts);
}

#[test]
fn keys_that_do_not_count() {
    let bob = |world: &World| world.public("bob");
    let code = "approval_not_allowed";
    judged(|world| format!("alice@x {}", world.public("alice")), code, &["is not in", "signers"]);
    judged(|world| format!("eve@x {}", bob(world)), code, &["eve@x", "no account here stands"]);
    judged(|world| format!("bob@x namespaces=\"git\" {}", bob(world)), code, &["may not sign for"]);
    let before = "valid-before=\"20200101Z\"";
    judged(|world| format!("bob@x {before} {}", bob(world)), code, &["no longer valid by"]);
    let after = "valid-after=\"29990101Z\"";
    judged(|world| format!("bob@x {after} {}", bob(world)), code, &["not valid yet by"]);
    // A line by which the key may be the requester's is no other person's.
    judged(|world| format!("*@x {}", bob(world)), "approval_by_self", &["asked for it"]);
    let code = "approval_unconfigured";
    judged(|world| format!("bob@x cert-authority {}", bob(world)), code, &["cert-authority"]);
}

#[test]
fn a_file_that_others_could_write() {
    let world = World::new();
    world.approved();
    let signers = world.lab.path("signers");
    fs::set_permissions(&signers, fs::Permissions::from_mode(0o666)).unwrap();
    world.refuses("approval_unconfigured", &["can be written by others", "chmod go-w"]);
    fs::remove_file(&signers).unwrap();
    world.refuses("approval_unconfigured", &["cannot be read"]);
}

#[test]
fn whoever_asks_does_not_approve() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    world.approve(&["--identity", world.alice.to_str().unwrap()]).ends(0);
    world.refuses("approval_by_self", &["alice@x asked for it and approved it"]);
}

/// The file is its author's word: saying in it that bob asked helps nobody.
#[test]
fn whoever_applies_does_not_approve() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    let me = format!("\"os_user\": \"{}\",\n    \"principal\": \"alice@x\"", current_user());
    world.edit(&me, "\"os_user\": \"somebody\",\n    \"principal\": \"bob@x\"");
    world.approve(&["--identity", world.alice.to_str().unwrap()]).ends(0);
    world.refuses("approval_by_self", &["alice@x approved it and applies it"]);
    world.edit("\"principal\": \"bob@x\"", "\"principal\": \"alice@x\"");
    fs::remove_file(world.signature()).unwrap();
    world.approve(&[]).ends(0);
    world.refuses("approval_unmapped", &["somebody stands for somebody else"]);
}

/// One person with two accounts is one person.
#[test]
fn two_accounts_of_one_person() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/true"]);
    let policy = fs::read_to_string(world.lab.path("policy.yml")).unwrap();
    let world = world.policy(&policy.replace("somebody: bob@x", "somebody: alice@x"));
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    world.sign_by(&format!("alice@x {}", world.public("bob")));
    world.approve(&[]).ends(0);
    world.refuses("approval_by_self", &[]);
}

#[test]
fn an_account_that_is_nobody() {
    let world = World::new();
    let policy = fs::read_to_string(world.lab.path("policy.yml")).unwrap();
    let me = format!("{}: alice@x", current_user());
    let world = world.policy(&policy.replace(&me, "nobody: alice@x"));
    world.approved();
    world.refuses("approval_unmapped", &["operators in", "does not say for whom it stands"]);
}

#[test]
fn several_signatures_must_all_count() {
    let world = World::new();
    world.approved();
    let carol = KeyPair::generate(KeyKind::Ed25519);
    let key = carol.write_to(world.lab.path("carol"));
    let more = world.lab.path("more.sig");
    let more = more.to_str().unwrap();
    let warned = world.approve(&["--identity", key.to_str().unwrap(), "--out", more]);
    warned.ends(0).says(&["`apply` will refuse it"]);
    let both = world.signature();
    let said = world.apply(&["--signature", both.to_str().unwrap(), "--signature", more]);
    said.ends(7).says(&["is not in"]);
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}

#[test]
fn approving_asks_first() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    let plan = world.lab.path("plan.json");
    let approve = |more: &[&str]| {
        let mut command = world.lab.verb("approve", more.iter().copied());
        crate::cli_exec::Said::from(command.arg(&plan).output().unwrap())
    };
    let key = world.bob.to_str().unwrap();
    approve(&["--identity", key]).ends(2).says(&["nobody to ask", "--yes"]);
    approve(&["--yes"]).ends(2).says(&["there is no key to sign with"]);
    approve(&["--yes", "--agent"]).ends(2).says(&["there is no ssh-agent"]);
    assert!(!world.signature().exists());
    approve(&["--yes", "--identity", key]).ends(0);
    approve(&["--yes", "--identity", key]).ends(2).says(&["is there already"]);
}
