//! What a file may hold, and which files are read.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::inventory::{Group, Host};

/// The text of the source system, its profile defined.
const SEED: &str = include_str!("../../../tests/it/policy/source_system.yml");

const PROFILE: &str = "sandbox_profiles: {git-profile: {inherit: restricted}}\n";

#[test]
fn the_source_systems_policy_means_what_it_says() {
    let policy = policy(&format!("{SEED}{PROFILE}"));
    let breaker = policy.breakers().next().unwrap();
    assert_eq!((breaker.failure_threshold, breaker.success_threshold), (5, 2));
    assert_eq!((breaker.timeout.as_secs(), breaker.per_binary), (30, true));
    let asked = Asked { env: vec!["HOME"], ..Asked::default() };
    for line in [
        "/usr/bin/git status",
        "/usr/bin/git log --oneline --graph",
        "/usr/bin/git --version",
        "/usr/bin/ls",
        "/usr/bin/ls -la /tmp",
    ] {
        let decision = asked.argv(&policy, line);
        assert!(decision.allow, "{line}: {decision:?}");
        assert_eq!(decision.constraints.limits.max_memory, Some(256 << 20));
    }
    for line in [
        "/usr/bin/git push",
        "/usr/bin/git log --exec",
        "/usr/bin/git log --exec=sh",
        "/usr/bin/git -c a=b log",
        "/usr/bin/ls -R",
        "/usr/bin/ls tmp",
        "/bin/ls",
        "ls",
    ] {
        assert!(!asked.argv(&policy, line).allow, "{line}");
    }
    for env in ["AWS_REGION", "DB_PASSWORD", "LANG", "LD_PRELOAD"] {
        let asked = Asked { env: vec![env], ..Asked::default() };
        assert!(!asked.argv(&policy, "/usr/bin/ls").allow, "{env}");
    }
    let git = asked.argv(&policy, "/usr/bin/git log").constraints.sandboxes;
    assert_eq!((git[0].name.as_str(), git[0].base), ("git-profile", SandboxBase::Restricted));
}

#[test]
fn only_an_undefined_profile_keeps_the_source_systems_policy_from_loading() {
    assert!(Policy::from_yaml_str(&format!("{SEED}{PROFILE}"), "p.yml").is_ok());
    let missing = problems(SEED);
    let undefined = "34:14: sandbox: the sandbox `git-profile` is not defined";
    assert!(missing.iter().any(|problem| problem.starts_with(undefined)), "{missing:#?}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("", "1:1: the policy is empty"),
        ("# nothing\n", "1:1: the policy is empty"),
        ("binaries: [", "1:11: not valid YAML"),
        ("just text", "1:1: expected settings"),
        ("binarys: []", "1:1: unknown key `binarys`; did you mean `binaries`?"),
        ("version: 2", "1:10: version: expected version 1.0"),
        ("binaries: {}", "1:11: binaries: expected a list"),
        ("binaries: [{}]", "1:12: binaries: path is missing"),
        ("binaries: [{path: ls}]", "1:19: path: `ls` is a name without a path"),
        ("binaries: [{path: bin/ls}]", "1:19: path: the path is relative"),
        ("binaries: [{path: /bin/../ls}]", "1:19: path: the path holds `..`"),
        ("binaries: [{path: /bin/}]", "1:19: path: the path is not in its shortest form"),
        ("binaries: [{path: /bin/*}]", "1:19: path: a program is named by its whole path"),
        ("binaries: [{path: /x, pth: 1}]", "1:23: unknown key `pth`"),
        ("binaries: [{path: /x, enabled: maybe}]", "1:32: enabled: expected true or false"),
        ("binaries: [{path: /usr/bin/find}]", "1:19: path: `find` reaches further"),
        ("binaries: [{path: /x, allowed_args: ['(']}]", "1:38: allowed_args: `(`: unclosed group"),
        ("binaries: [{path: /x, allowed_args: [{position: 0}]}]", "1:38: allowed_args: pattern is"),
        ("binaries: [{path: /x, allowed_args: [{pattern: a, position: -1}]}]", "1:61: position: "),
        ("binaries: [{path: /x, denied_args: [{pattern: a, required: true}]}]", "1:60: required: "),
        ("binaries: [{path: /x, hosts: 'vm['}]", "1:30: hosts: "),
        ("binaries: [{path: /x, hosts: '@failed'}]", "1:30: hosts: a policy names hosts by id"),
        ("binaries: [{path: /x, hosts: {}}]", "1:30: hosts: names no host"),
        ("binaries: [{path: /x, allowed_env: [LD_PRELOAD]}]", "1:37: allowed_env: whoever sets it"),
        ("binaries: [{path: /x, allowed_env: ['A-B']}]", "1:37: allowed_env: a variable's name"),
        ("binaries: [{path: /x, allowed_workdirs: [x]}]", "1:42: allowed_workdirs: the path is"),
        ("binaries: [{path: /x, run_as: '-x'}]", "1:31: run_as: not the name of a user"),
        ("binaries: [{path: /x, max_instances: 0}]", "1:38: max_instances: "),
        ("binaries: [{path: /x, limits: {max_memory: lots}}]", "1:44: "),
        ("binaries: [{path: /x, max_instances: 0}]", "1:38: max_instances: "),
        ("binaries: [{path: /x, sandbox: jail}]", "1:32: sandbox: "),
        ("global: {path: 'bin'}", "1:16: path: the path is relative"),
        ("global: {allowed_env: [BASH_ENV]}", "1:24: allowed_env: whoever sets it"),
        ("audit: {enabled: false}", "1:18: enabled: actions are always recorded"),
        ("audit: {log_level: failures}", "1:20: log_level: everything is recorded"),
        ("audit: {include_output: true}", "1:25: include_output: output is never recorded"),
        ("audit: {destinations: []}", "1:23: destinations: the configuration says"),
        ("audit: {max_output_logged: 5}", "1:28: max_output_logged: output is never"),
        ("alerts: {}", "1:1: unknown key `alerts`"),
        ("sandbox_profiles: {minimal: {}}", "1:20: the sandbox `minimal` is built in"),
        ("sandbox_profiles: {a: {inherit: b}}", "1:20: `a` inherits `b`, which is not defined"),
        ("sandbox_profiles: {a: {seccomp: x}}", "1:33: seccomp: nothing is installed"),
        ("scripts: [{}]", "1:11: scripts: sha256 is missing"),
        ("scripts: [{sha256: abc}]", "1:20: sha256: expected a SHA-256"),
        ("transfers: {upload: [{}]}", "1:22: upload: path is missing"),
        ("transfers: {upload: [x]}", "1:22: upload: the path is relative"),
        ("transfers: {sideways: []}", "1:13: unknown key `sideways`"),
        ("binaries: [{path: /x, require_audit: false}]", "1:38: require_audit: actions are always"),
        (
            "binaries: [{path: /bin/find, denied_args: [-exec]}]",
            "1:19: path: `find` reaches further",
        ),
        ("binaries: [{path: /x, stdin: maybe}]", "1:30: stdin: "),
        ("global: {allow_threat: maybe}", "1:24: allow_threat: "),
        ("roles: {a: {permissions: [exce]}}", "1:27: permissions: expected one of"),
        ("operators: {a: {roles: [x]}}", "1:25: roles: there is no role `x`"),
        ("allowed_commands: [ls]", "1:20: allowed_commands: `ls` is a name without a path"),
        ("- find\n", "1:3: `find` reaches further"),
        ("- ls | rm\n", "1:3: a line here is words with blanks between them"),
        ("circuit_breaker: {failure_threshold: 0}", "1:38: failure_threshold: "),
        ("global: {rate_limit: {burst: 2}}", "1:22: rate_limit: requests_per_second is missing"),
        ("global: {rate_limit: {requests_per_second: 0}}", "1:44: requests_per_second: expected a"),
        (
            "binaries: [{path: /x, rate_limit: {requests_per_second: 1, when_exceeded: queue}}]",
            "1:75: when_exceeded: expected one of",
        ),
    ] {
        let found = problems(text);
        if !found[0].starts_with(expected) {
            wrong.push(format!("{text}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_are_told() {
    let found =
        problems("version: 3\nbinaries:\n- {path: x}\n- {pth: /y}\n- {path: /z, hots: a}\n");
    let lines: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["1", "3", "4", "5"]);
}

#[test]
fn names_that_the_inventory_does_not_have() {
    let mut host = Host::new("vm01".parse().unwrap(), "10.0.0.1");
    host.tags = vec!["prod".into()];
    let groups = [("web", "vm01"), ("none", "vm01!vm01")].map(|(name, expression)| Group {
        name: name.into(),
        expression: expression.into(),
        location: None,
    });
    let inventory = Inventory::new(vec![host], groups.into()).unwrap();
    for good in ["vm01", "@web", "@none", "tag=prod", "all!@web", "vm*", "x*"] {
        let policy = policy(&format!("binaries: [{{path: /x, hosts: '{good}'}}]"));
        assert!(policy.check_hosts(&inventory).is_ok(), "{good}");
    }
    for (bad, expected) in [
        ("vm02", "hosts: vm_id vm02 not found in config"),
        ("all!@wbe", "hosts: there is no group wbe"),
        ("tag=prd", "hosts: no host has the tag prd"),
    ] {
        let policy = policy(&format!("transfers: {{upload: [{{path: /x, hosts: '{bad}'}}]}}"));
        let error = policy.check_hosts(&inventory).unwrap_err().to_string();
        assert!(error.starts_with("p.yml:1:40: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn which_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    let load = || Policy::load(&path).map_err(|error| error.to_string());
    assert!(load().unwrap_err().contains("does not exist"));
    fs::write(&path, "binaries: [{path: /x}]").unwrap();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for bad in [0o664, 0o646, 0o666] {
        mode(bad);
        let error = load().unwrap_err();
        assert!(error.contains("can be written by others"), "{error}");
    }
    mode(0o644);
    let policy = load().unwrap();
    allows(Asked::default().argv(&policy, "/x"), "binaries[0]/x");
    assert_eq!(policy.sha256().unwrap().len(), 64);
    let before = policy.sha256();
    fs::write(&path, "binaries: [{path: /x}]\n").unwrap();
    assert_ne!(load().unwrap().sha256(), before);
    fs::write(&path, "").unwrap();
    assert!(load().unwrap_err().contains("the policy is empty"));
    fs::write(&path, "binaries: [{path: /x").unwrap();
    assert!(load().unwrap_err().contains("not valid YAML"));
    fs::write(&path, b"a: \xff").unwrap();
    assert!(load().unwrap_err().contains("not UTF-8"));
    fs::write(&path, vec![b'#'; (8 << 20) + 1]).unwrap();
    assert!(load().unwrap_err().contains("larger than"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(load().unwrap_err().contains("cannot be read"));
}
