//! Limits and sandboxes, from the policy file to a real server and back.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::with_policy;
use crate::cli_exec::{Lab, Said};
use crate::exec::host;
use crate::support::{Sshd, is_root};

const SOURCE: &str = include_str!("source_system.yml");
const PROFILE: &str = "sandbox_profiles: {git-profile: {inherit: restricted, network: false}}\n";

/// As the source system has it, its profile defined.
fn source_system() -> String {
    format!("{SOURCE}{PROFILE}")
}

fn json(lab: &Lab, args: &[&str]) -> (Said, Value) {
    let (said, document) = lab.json(args.iter().copied());
    (said, document["hosts"][0].clone())
}

#[test]
fn the_source_systems_policy_runs_with_its_meaning() {
    let sshd = host::ordinary();
    let repo = repository(&sshd);
    let lab = with_policy(Lab::one(&sshd), &source_system());
    let table = ["--exit-code", "table", "-C", repo.path().to_str().unwrap(), "vm01", "--"];
    let run = |words: &[&str]| lab.exec(table.iter().chain(words).copied());
    assert!(run(&["/usr/bin/git", "status"]).ends(0).text().contains("Untracked files"));
    assert!(run(&["/usr/bin/git", "log", "--oneline"]).ends(0).text().contains("a beginning"));
    assert!(run(&["/usr/bin/ls", "-la", "/usr"]).ends(0).text().contains(" bin"));
    run(&["/usr/bin/git", "push"]).ends(7).says(&["(rule binaries[0]/git)"]);
    run(&["/usr/bin/git", "log", "--exec"]).ends(7).says(&["denied by denied_args"]);
    run(&["/usr/bin/ls", "relative"]).ends(7).says(&["(rule binaries[1]/ls)"]);
    run(&["/usr/bin/id"]).ends(7).says(&["rule builtin/default-deny"]);
    let secret = ["-e", "AWS_REGION=x", "--exit-code", "table", "vm01", "--", "/usr/bin/ls"];
    lab.exec(secret).ends(7).says(&["denied by global.denied_env"]);
    // In its sandbox /tmp holds nothing of the host.
    let shown = run(&["/usr/bin/ls", "-1", "/tmp"]).ends(0).text().to_owned();
    assert_eq!(shown, "");
    let within = lab.audit().into_iter().map(|record| record["decision"]["within"].clone());
    let within: Vec<Value> = within.filter(|within| !within.is_null()).collect();
    let ls = "cpu 30s, time 1m, memory 256Mi, open files 256, file size 100Mi, sandbox restricted";
    assert!(within.iter().any(|text| text == ls), "{within:?}");
    let git = "sandbox git-profile without network";
    assert!(within.iter().any(|text| text.as_str().unwrap().ends_with(git)), "{within:?}");
}

/// Something for git to show, where a sandbox lets it be seen.
fn repository(sshd: &Sshd) -> TempDir {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let run = |words: &[&str]| {
        let status = Command::new(words[0]).args(&words[1..]).current_dir(dir.path()).status();
        assert!(status.unwrap().success(), "{words:?}");
    };
    let who = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
    let commit = [&["git"], &who[..], &["commit", "-q", "--allow-empty", "-m", "a beginning"]];
    run(&["git", "init", "-q"]);
    run(&commit.concat());
    run(&["touch", "new"]);
    if is_root() {
        run(&["chown", "-R", sshd.user(), "."]);
    }
    dir
}

const LIMITS: &str = "
global: {default_limits: {max_wall_time: 60s}}
binaries:
- {path: /usr/bin/yes, limits: {max_output: 10KB}}
- {path: /bin/sleep, limits: {max_wall_time: 1s}}
- {path: /bin/sh, shell: true, limits: {max_cpu_time: 1s, max_open_files: 64}}
- {path: /usr/bin/env, allowed_args: []}
- {path: /bin/cat, allowed_args: [/proc/self/limits], limits: {max_open_files: 33}}
- {path: /bin/echo, sandbox: jail, sudo: true}
sandbox_profiles: {jail: {inherit: restricted}}
transfers: {upload: [/tmp/orch-bounds]}
";

#[test]
fn who_goes_beyond_a_limit_is_killed_and_told_which() {
    let sshd = host::ordinary();
    let lab = with_policy(Lab::one(&sshd), LIMITS);
    let cases: [(&[&str], &str); 3] = [
        (&["vm01", "--", "/usr/bin/yes"], "exceeded max_output, 10000 (rule binaries[0]/yes)"),
        (
            &["vm01", "--", "/bin/sleep", "100"],
            "exceeded max_wall_time, 1s (rule binaries[1]/sleep)",
        ),
        (&["vm01", "while :; do :; done"], "exceeded max_cpu_time, 1s (rule binaries[2]/sh)"),
    ];
    for (args, why) in cases {
        let (said, host) = json(&lab, args);
        said.ends(255);
        assert_eq!(host["status"], "killed", "{host}");
        assert_eq!(host["error"]["code"], "resource_exceeded", "{host}");
        assert_eq!(host["error"]["message"], why, "{host}");
        lab.exec(["--exit-code", "table"].iter().chain(args).copied()).ends(3).says(&[why]);
    }
    assert!(lab.statuses().iter().all(|status| status == "killed"));
}

/// Each of several commands has its own limits; in one shell all have all.
#[test]
fn several_commands_have_their_own_limits() {
    let sshd = host::ordinary();
    let lab = with_policy(Lab::one(&sshd), LIMITS);
    let list = "/bin/cat /proc/self/limits\nulimit -n && :\n/usr/bin/yes\n/bin/sleep 0\n";
    fs::write(lab.path("home/list"), list).unwrap();
    for (session, second) in [(false, "64"), (true, "33")] {
        let session = if session { &["--shell-session"][..] } else { &[] };
        let args = ["--keep-going", "vm01", "--commands", "list"];
        let args: Vec<&str> = session.iter().chain(&args).copied().collect();
        let (_, host) = json(&lab, &args);
        let commands = host["commands"].as_array().unwrap();
        let files = commands[0]["stdout"].as_str().unwrap();
        let files = files.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert!(files.contains(" 33 "), "{files}");
        assert_eq!(commands[1]["stdout"].as_str().unwrap().trim(), second, "{host}");
        assert_eq!(commands[2]["status"], "killed", "{host}");
        let message = commands[2]["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("exceeded max_output, 10000 (rule "), "{message}");
        let last = if session.is_empty() { "success" } else { "not_started" };
        assert_eq!(commands[3]["status"], last, "{host}");
    }
}

/// A shell session is in the sandbox of its commands, whole.
#[test]
fn a_shell_session_is_sandboxed() {
    let sshd = host::ordinary();
    let lab = with_policy(Lab::one(&sshd), LIMITS);
    fs::write(lab.path("home/list"), "/bin/echo one\nA=two; touch /var/tmp/x\necho $A\n").unwrap();
    let args = ["--keep-going", "--shell-session", "vm01", "--commands", "list"];
    let (_, host) = json(&lab, &args);
    let commands = host["commands"].as_array().unwrap();
    assert_eq!(commands[0]["stdout"], "one\n", "{host}");
    assert!(commands[1]["stderr"].as_str().unwrap().contains("Read-only file system"), "{host}");
    assert_eq!(commands[2]["stdout"], "two\n", "{host}");
}

#[test]
fn what_the_host_cannot_give_is_denied_there() {
    let sshd = host::with_line_edited("s#/bwrap#/no-bwrap#g");
    let lab = with_policy(Lab::one(&sshd), LIMITS);
    let (said, host) = json(&lab, &["vm01", "--", "/bin/echo", "ran"]);
    said.ends(255);
    assert_eq!(host["status"], "policy_denied", "{host}");
    assert_eq!(host["error"]["code"], "sandbox_unavailable", "{host}");
    assert_eq!(host["error"]["hint"], "install bubblewrap there, or change the rule");
    assert_eq!(host["stdout"], "", "{host}");
    // Root is not held by a sandbox, which is known before.
    let sudo = ["--exit-code", "table", "--sudo", "vm01", "--", "/bin/echo", "ran"];
    lab.exec(sudo).ends(7).says(&["the sandbox jail does not hold root (rule binaries[5]/echo)"]);
}

/// A script runs in its sandbox, wherever on the host it was put.
#[test]
fn scripts_run_in_their_sandbox() {
    use sha2::{Digest, Sha256};
    let sshd = host::ordinary();
    let script = "#!/bin/sh\nls /tmp; touch /var/tmp/orch-probe || echo held; ulimit -n\n";
    let digest: String = Sha256::digest(script).iter().map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "scripts: [{{sha256: {digest}, sandbox: restricted, interpreter: [/bin/bash]}}]\n\
         transfers: {{upload: [/tmp]}}\n"
    );
    let lab = with_policy(Lab::one(&sshd), &policy);
    fs::write(lab.path("home/job.sh"), script).unwrap();
    let place = format!("/tmp/orch-bounds-{}.sh", std::process::id());
    for more in [&[][..], &["--interpreter", "/bin/bash"], &["--at", &place]] {
        let args: Vec<&str> = more.iter().copied().chain(["vm01", "job.sh"]).collect();
        let said: Said = lab.verb("script", args).output().unwrap().into();
        let text = said.ends(0).text().to_owned();
        assert!(text.ends_with("held\n256\n"), "{text}");
    }
    fs::remove_file(&place).unwrap();
}

#[test]
fn a_transfer_has_the_time_that_everything_has() {
    let sshd = host::ordinary();
    let text = "global: {default_limits: {max_wall_time: 1s}}\ntransfers: {upload: [/tmp]}\n";
    let lab = with_policy(Lab::one(&sshd), text);
    fs::write(lab.path("home/large"), vec![b'x'; 10_000_000]).unwrap();
    let target = format!("/tmp/orch-bounds-{}", std::process::id());
    let slow = ["--json", "--bwlimit", "100K", "vm01", "large", &target];
    let said: Said = lab.verb("push", slow).output().unwrap().into();
    let document: Value = serde_json::from_slice(&said.ends(3).stdout).unwrap();
    let host = &document["hosts"][0];
    assert_eq!(host["status"], "killed", "{host}");
    assert_eq!(host["error"]["code"], "resource_exceeded", "{host}");
    assert!(!std::path::Path::new(&target).exists());
}

/// What the host's own environment says has no say under a policy, and without
/// one all of it.
#[test]
fn the_hosts_own_variables_do_not_choose_what_is_executed() {
    let sshd = Sshd::builder().line("SetEnv LD_X=1 BASH_ENV=/evil DB_SECRET=2 LESSOPEN=3").start();
    let lab = Lab::one(&sshd);
    let before = lab.exec(["vm01", "--", "/usr/bin/env"]).ends(0).text().to_owned();
    let lab = with_policy(
        lab,
        &format!("{LIMITS}\n").replace("global: {", "global: {denied_env: ['*_SECRET'], "),
    );
    let after = lab.exec(["vm01", "--", "/usr/bin/env"]).ends(0).text().to_owned();
    for name in ["LD_X=", "BASH_ENV=", "DB_SECRET=", "LESSOPEN="] {
        assert!(before.contains(name), "{before}");
        assert!(!after.contains(name), "{after}");
    }
    assert!(after.contains("\nHOME=") || after.starts_with("HOME="), "{after}");
}

#[test]
fn the_bounds_are_shown_before_anything_runs() {
    let address = "192.0.2.1:22".parse().unwrap();
    let lab = with_policy(Lab::new().entry("vm01", address, ""), LIMITS);
    let within = "time 1m, open files 33";
    let cat = ["vm01", "--", "/bin/cat", "/proc/self/limits"];
    let dry = lab.exec(["--dry-run"].iter().chain(&cat).copied());
    let line = format!("allowed by binaries[4]/cat within {within}\n");
    assert!(dry.ends(0).text().contains(&line), "{dry:?}");
    let explain = |more: &[&str]| -> Said {
        let args = ["explain"].iter().chain(more).chain(["exec"].iter()).chain(&cat).copied();
        lab.verb("policy", args).output().unwrap().into()
    };
    let said = explain(&[]);
    assert!(said.ends(0).text().contains(&format!("  within    {within}\n")), "{said:?}");
    let args = ["explain", "exec", "--json", "vm01", "--", "/bin/echo", "x"];
    let said: Said = lab.verb("policy", args).output().unwrap().into();
    let document: Value = serde_json::from_slice(&said.ends(0).stdout).unwrap();
    let decision = &document["decisions"][0];
    assert_eq!(decision["limits"]["max_wall_time"], 60.0, "{decision}");
    assert_eq!(decision["limits"]["max_memory"], 1 << 30, "{decision}");
    assert_eq!(decision["sandbox"]["name"], "jail", "{decision}");
}
