//! What is not applied, and why.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{World, write};
use crate::cli_exec::Said;

#[test]
fn without_a_signature() {
    let world = World::new();
    world.plan(&["exec", "vm01", "--", "/bin/echo", "hello"]);
    world.refuses("approval_required", &["there is no signature", "orchestrator approve FILE"]);
    assert_eq!(world.lab.attempted(), 0);
    world.approve(&[]).ends(0);
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}

#[test]
fn a_byte_that_was_changed() {
    let world = World::new();
    world.approved();
    world.edit("hello", "hullo");
    world.refuses("approval_invalid", &["is not a signature of these bytes"]);
    world.edit("hullo", "hello");
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}

#[test]
fn a_plan_that_expired() {
    let world = World::new();
    world.plan(&["--expires", "1s", "exec", "vm01", "--", "/bin/echo", "hello"]);
    crate::support::block_until("the plan expires", || {
        world.apply(&["--dry-run"]).stderr.contains("it expired at")
    });
    world.refuses("plan_expired", &["it expired at 20", "make a new plan"]);
    world.approve(&[]).ends(7).says(&["it expired at"]);
    let mut long = world.lab.verb("plan", ["--expires", "25h", "exec", "vm01", "/bin/true"]);
    Said::from(long.output().unwrap()).ends(2).says(&["up to 1d"]);
    // Nor does it help to say otherwise in the file.
    world.plan(&["exec", "vm01", "--", "/bin/true"]);
    world.edit("\"expires\": \"20", "\"expires\": \"30");
    world.refuses("plan_expires", &["good for longer than"]);
}

#[test]
fn a_host_that_is_another() {
    let world = World::new();
    world.approved();
    let path = world.lab.config();
    let config = fs::read_to_string(&path).unwrap();
    let apply = |text: &str| {
        let other = world.lab.path("other.yml");
        fs::write(&other, text).unwrap();
        let mut command = world.lab.verb("apply", ["--config"]);
        command.arg(other).arg(world.lab.path("plan.json"));
        Said::from(command.output().unwrap())
    };
    let port = world.sshd.addr().port();
    let why = ["vm01 is not the host that the plan was made for", "127.0.0.1 and is 127.0.0.2"];
    apply(&config.replace("127.0.0.1", "127.0.0.2")).ends(7).says(&why);
    let elsewhere = config.replace(&format!("ssh_port: {port}"), "ssh_port: 2222");
    apply(&elsewhere).ends(7).says(&["its port was"]);
    let pinned = config.replace("ssh_port:", "host_key_alias: x, ssh_port:");
    apply(&pinned).ends(7).says(&["another host key is accepted there now"]);
    let shell = config.replace("ssh_port:", "shell: /bin/bash, ssh_port:");
    apply(&shell).ends(7).says(&["its shell is another one now"]);
    apply(&config.replace("ssh_port:", "enabled: false, ssh_port:")).ends(2);
    assert_eq!(apply(&config).ends(0).text(), "hello\n");
}

#[test]
fn another_policy() {
    let world = World::new();
    world.approved();
    let path = world.lab.path("policy.yml");
    let policy = fs::read_to_string(&path).unwrap();
    write(&path, &format!("{policy}# a comment\n"));
    world.refuses("plan_policy_changed", &["the policy is not the one", "make a new plan"]);
    write(&path, &policy);
    assert_eq!(world.apply(&[]).ends(0).text(), "hello\n");
}

#[test]
fn another_place_where_it_would_be_written_down() {
    let world = World::new();
    world.approved();
    let mut elsewhere = world.lab.verb("apply", [world.lab.path("plan.json").to_str().unwrap()]);
    elsewhere.env("XDG_STATE_HOME", world.lab.path("elsewhere"));
    let said = Said::from(elsewhere.output().unwrap());
    said.ends(7).says(&["this plan is to be applied on", "approvals.spent_plans"]);
    world.edit("\"node\": \"", "\"node\": \"x");
    world.refuses("plan_elsewhere", &[]);
}

#[test]
fn accounts_can_share_where_it_is_written_down() {
    let world = World::new();
    fs::create_dir(world.lab.path("spent")).unwrap();
    let policy = fs::read_to_string(world.lab.path("policy.yml")).unwrap();
    let shared = "approvals: {spent_plans: spent, ";
    let world = world.policy(&policy.replace("approvals: {", shared));
    world.approved();
    let apply = |state: &str| {
        let mut command = world.lab.verb("apply", [world.lab.path("plan.json").to_str().unwrap()]);
        Said::from(command.env("XDG_STATE_HOME", world.lab.path(state)).output().unwrap())
    };
    fs::set_permissions(world.lab.path("spent"), fs::Permissions::from_mode(0o777)).unwrap();
    apply("one").ends(7).says(&["others can take entries out", "chmod +t"]);
    fs::set_permissions(world.lab.path("spent"), fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(apply("one").ends(0).text(), "hello\n");
    apply("two").ends(7).says(&["it was applied already"]);
}

#[test]
fn what_is_no_plan() {
    let world = World::new();
    for (text, why) in [
        ("", "EOF"),
        ("{}", "missing field"),
        ("[1", "invalid type"),
        ("{\"format\": \"orchestrator-plan/v1\", \"more\": 1}", "unknown field"),
    ] {
        fs::write(world.lab.path("plan.json"), text).unwrap();
        let said = world.apply(&[]);
        said.ends(2).says(&["is no plan file of the form orchestrator-plan/v1", why]);
    }
    let path = world.plan(&["exec", "vm01", "--", "/bin/true"]);
    let plan = fs::read_to_string(&path).unwrap();
    for (from, to, why) in [
        ("orchestrator-plan/v1", "orchestrator-plan/v2", "its format"),
        ("\"nonce\": \"", "\"nonce\": \"../", "its nonce"),
        ("\"reason\": null", "\"reason\": null, \"reason\": null", "duplicate field"),
        ("\"sudo\": null", "\"sudo\": null, \"and\": 1", "unknown field"),
    ] {
        assert!(plan.contains(from), "{from}: {plan}");
        fs::write(&path, plan.replace(from, to)).unwrap();
        world.apply(&[]).ends(2).says(&[why]);
    }
    let form = "not written as `plan` writes it";
    for other in [format!("{plan} "), plan.replace("/bin/true", "/bin\\u002ftrue")] {
        fs::write(&path, other).unwrap();
        world.apply(&[]).ends(2).says(&[form]);
    }
    fs::write(&path, "x".repeat((32 << 20) + 1)).unwrap();
    world.apply(&[]).ends(2).says(&["cannot be read"]);
    assert!(!world.lab.path("home/.local/state/orchestrator/plans").exists());
}

#[test]
fn what_is_denied_is_not_written_down() {
    let world = World::new();
    let out = world.lab.path("plan.json");
    let mut plan = world.lab.verb("plan", ["exec", "vm01", "--", "/bin/ls", "--out"]);
    // Behind the dashes it is a word like any other.
    let said = Said::from(plan.arg(&out).output().unwrap());
    assert!(said.ends(7).text().contains("DENIED by builtin/default-deny"), "{said:?}");
    assert!(!out.exists());
    world.plan(&["exec", "vm01", "--", "/bin/true"]);
    let mut again = world.lab.verb("plan", ["exec", "vm01", "/bin/true", "--out"]);
    let said = Said::from(again.arg(&out).output().unwrap());
    said.ends(2).says(&["is there already, and is not replaced"]);
    let shown = Said::from(world.lab.verb("plan", ["exec", "vm01", "/bin/true"]).output().unwrap());
    assert!(shown.ends(0).text().contains("argv: /bin/sh -c /bin/true"), "{shown:?}");
    assert_eq!(world.records("plan.created").len(), 1);
}

#[test]
fn a_policy_by_which_nobody_could_approve() {
    let world = World::new();
    let world = world.policy("binaries: [{path: /bin/echo, require_approval: true}]\n");
    let said = world.lab.exec(["--exit-code", "table", "vm01", "/bin/echo hello"]);
    said.ends(7).says(&["nobody can approve it"]);
    for (section, why) in [
        ("{}", "allowed_signers is missing"),
        ("{allowed_signers: s, expires_max: 8d}", "expires_max"),
        ("{allowed_signers: s, more: 1}", "more"),
    ] {
        let world =
            World::new().policy(&format!("approvals: {section}\nbinaries: [{{path: /a}}]\n"));
        let said = world.lab.exec(["--exit-code", "table", "vm01", "/bin/true"]);
        said.ends(7).says(&[why]);
    }
}
