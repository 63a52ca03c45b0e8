//! The whole way, on a real server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::{World, write};
use crate::cli_exec::Said;

fn digest(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_needs_an_approval_runs_with_one_and_once() {
    let world = World::new();
    let direct = world.lab.exec(["--exit-code", "table", "vm01", "--", "/bin/echo", "hello"]);
    direct.ends(7).says(&["this needs an approval", "orchestrator approve FILE"]);
    let (_, document) = world.lab.json(["vm01", "--", "/bin/echo", "hello"]);
    assert_eq!(document["hosts"][0]["status"], "policy_denied");
    assert_eq!(document["hosts"][0]["error"]["code"], "approval_required");
    let dry = world.lab.exec(["--dry-run", "vm01", "--", "/bin/echo", "hello"]);
    assert!(dry.ends(7).text().contains("ALLOWED, with an approval"), "{dry:?}");

    let path = world.plan(&["exec", "vm01", "--label", "ticket=42", "--", "/bin/echo", "hello"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let sha256 = digest(fs::read(&path).unwrap());
    let approved = world.approve(&[]);
    let shown = approved.ends(0).text();
    for part in ["/bin/echo hello", "vm01", "alice@x", &sha256, "expires"] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    let tried = world.apply(&["--dry-run"]);
    assert!(tried.ends(0).text().contains("approved by  bob@x (SHA256:"), "{tried:?}");
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
    world.refuses("plan_spent", &["it was applied already: at 20", "make a new plan"]);

    let applied = &world.records("plan.applied")[0];
    assert_eq!(applied["plan"]["sha256"], sha256);
    assert_eq!(applied["plan"]["approvers"][0]["principal"], "bob@x");
    let (created, signed) = (world.records("plan.created"), world.records("plan.approved"));
    assert_eq!(created[0]["plan"]["nonce"], applied["plan"]["nonce"]);
    assert_eq!(signed[0]["plan"]["approvers"][0]["key"], applied["plan"]["approvers"][0]["key"]);
    let attempt = world.records("exec.attempt").pop().unwrap();
    assert_eq!(attempt["plan"], applied["plan"]);
    assert_eq!(attempt["metadata"]["ticket"], "42");
    assert_eq!(attempt["run_id"], applied["run_id"]);
    assert_eq!(attempt["decision"]["allow"], true);
}

#[test]
fn a_plan_that_needs_no_approval_is_exact_and_once_too() {
    let world = World::new();
    world.plan(&["exec", "vm01", "-e", "COLOR=a b", "--", "/usr/bin/printenv", "COLOR"]);
    assert_eq!(world.apply(&[]).ends(0).text(), "a b\n");
    world.refuses("plan_spent", &[]);
    // What is given must count all the same.
    world.plan(&["exec", "vm01", "/bin/true"]);
    world.approve(&["--identity", world.alice.to_str().unwrap()]).ends(0);
    world.refuses("approval_by_self", &["alice@x asked for it and approved it"]);
}

#[test]
fn of_two_at_once_one_runs() {
    let world = World::new();
    world.approved();
    let run = || world.apply(&[]);
    let said: Vec<Said> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ran = said.iter().filter(|said| said.text() == "hello\n").count();
    assert_eq!(ran, 1, "{said:?}");
    assert!(said.iter().filter(|said| said.code == Some(7)).count() == 3, "{said:?}");
    assert_eq!(world.records("exec.result").len(), 1);
}

#[test]
fn a_script_is_in_the_plan() {
    let world = World::new();
    let script = world.lab.path("home/job.sh");
    fs::write(&script, "echo \"$1\" from the plan\n").unwrap();
    let policy = fs::read_to_string(world.lab.path("policy.yml")).unwrap();
    let sha256 = digest(fs::read(&script).unwrap());
    let rule = format!("scripts: [{{sha256: {sha256}, require_approval: true}}]\n");
    let world = world.policy(&(policy + &rule));
    world.plan(&["script", "vm01", "job.sh", "--", "hello"]);
    world.approve(&[]).ends(0);
    fs::write(&script, "echo another\n").unwrap();
    assert_eq!(world.apply(&[]).ends(0).text(), "hello from the plan\n");
}

#[test]
fn files_are_sent_as_they_were_planned() {
    let world = World::new();
    let tree = world.lab.path("home/tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("a"), "first").unwrap();
    fs::write(tree.join("sub/b"), "second").unwrap();
    std::os::unix::fs::symlink("a", tree.join("link")).unwrap();
    let target = world.lab.path("target");
    let args = ["push", "vm01", "-r", "tree", target.to_str().unwrap()];
    world.plan(&args);
    world.approve(&[]).ends(0);
    let changes: [&dyn Fn(); 4] = [
        &|| fs::write(tree.join("a"), "FIRST").unwrap(),
        &|| fs::write(tree.join("new"), "x").unwrap(),
        &|| fs::remove_file(tree.join("sub/b")).unwrap(),
        &|| {
            fs::remove_file(tree.join("link")).unwrap();
            std::os::unix::fs::symlink("sub", tree.join("link")).unwrap();
        },
    ];
    for change in changes {
        let kept = world.lab.path("kept");
        let copy = |from: &std::path::Path, to: &std::path::Path| {
            let _ = fs::remove_dir_all(to);
            let cp = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
            assert!(cp.unwrap().success());
        };
        copy(&tree, &kept);
        change();
        let said = world.apply(&[]);
        said.ends(6).says(&["is not what the plan was made of"]);
        copy(&kept, &tree);
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    world.apply(&[]).ends(0);
    assert_eq!(fs::read_to_string(target.join("tree/sub/b")).unwrap(), "second");
}

#[test]
fn secrets_are_asked_for_when_they_are_needed() {
    let world = World::new();
    let secret = world.lab.path("secret");
    write(&secret, "swordfish-31\n");
    let source = format!("TOKEN=file:{}", secret.display());
    let args = ["exec", "vm01", "--secret-env", &source, "--", "/usr/bin/printenv", "TOKEN"];
    let path = world.plan(&args);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("file:{}", secret.display())), "{text}");
    assert!(!text.contains("swordfish"), "{text}");
    write(&secret, "swordfish-32\n");
    assert_eq!(world.apply(&[]).ends(0).text(), "swordfish-32\n");
    assert!(!String::from_utf8_lossy(&world.lab.audit_bytes()).contains("swordfish"));
    // What looks like a secret in the open is not written down.
    let mut plan =
        world.lab.verb("plan", ["exec", "vm01", "--", "/bin/echo", "--password=x1y2z3w4"]);
    let said = Said::from(plan.output().unwrap());
    said.ends(2).says(&["holds what looks like a secret", "--secret-env"]);
}

#[test]
fn an_input_is_what_it_was() {
    let world = World::new();
    let input = world.lab.path("home/input");
    fs::write(&input, "line\n").unwrap();
    world.plan(&["exec", "vm01", "--stdin", "input", "--", "/bin/cat"]);
    world.approve(&[]).ends(0);
    fs::write(&input, "other\n").unwrap();
    world.apply(&[]).ends(6).says(&["is not what the plan was made of"]);
    fs::write(&input, "line\n").unwrap();
    assert_eq!(world.apply(&[]).ends(0).text(), "line\n");
    let mut plan = world.lab.verb("plan", ["exec", "vm01", "--stdin", "-", "--", "/bin/cat"]);
    Said::from(plan.output().unwrap()).ends(2).says(&["our own stdin cannot be part of a plan"]);
}

#[test]
fn steps_are_part_of_the_plan() {
    let world = World::new();
    world.plan(&[
        "exec",
        "vm01",
        "--canary",
        "--gate",
        "rc",
        "--gate",
        "probe:/bin/true",
        "--max-fail",
        "10%",
        "--retries",
        "3",
        "--timeout",
        "7s",
        "--",
        "/bin/echo",
        "hello",
    ]);
    let shown = world.approve(&[]);
    for part in ["1 first", "stops above 10% failures", "probe", "/bin/true", "7s"] {
        assert!(shown.ends(0).text().contains(part), "{part}: {shown:?}");
    }
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}
