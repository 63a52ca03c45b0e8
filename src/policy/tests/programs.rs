//! Programs, arguments, variables, directories, users.

use super::*;

const GIT: &str = r#"
global:
  allowed_env: [LANG, "LC_*", PATH]
  denied_env: ["*_SECRET*", LC_BAD]
binaries:
  - path: /usr/bin/git
    allowed_args:
      - {pattern: "^(status|log)$", position: 0, description: read only}
      - pattern: "^--.*$"
    denied_args:
      - {pattern: "^--exec$", description: no arbitrary execution}
  - path: /usr/bin/ls
    allowed_env: [LS_COLORS]
    denied_env: [LANG]
    allowed_workdirs: [/srv/app, /tmp]
    run_as: [deploy]
  - {path: /usr/bin/off, enabled: false}
  - {path: /usr/bin/off}
  - {path: /usr/bin/here, hosts: "@web!vm02"}
  - {path: /usr/bin/tagged, hosts: {tags: [test], ids: [vm02]}}
  - {path: /usr/bin/none, allowed_args: []}
  - path: /usr/bin/need
    allowed_args:
      - {pattern: "-f", position: 1, required: true, description: a flag}
      - {pattern: "[a-z]+", required: true}
"#;

#[test]
fn arguments() {
    let (policy, asked) = (policy(GIT), Asked::default());
    for line in [
        "/usr/bin/git",
        "/usr/bin/git status",
        "/usr/bin/git log --oneline",
        "/usr/bin/git --version",
        "/usr/bin/none",
        "/usr/bin/need a -f",
    ] {
        assert!(asked.argv(&policy, line).allow, "{line}");
    }
    for (line, reason, index) in [
        ("/usr/bin/git push", "position 0 is matched by no allowed_args", 1),
        ("/usr/bin/git status x", "position 1 is matched by no allowed_args", 2),
        ("/usr/bin/git status status", "position 1 is matched by no", 2),
        ("/usr/bin/git log -p", "position 1 is matched by no allowed_args", 2),
        ("/usr/bin/git log --exec", "position 1 is denied by denied_args", 2),
        ("/usr/bin/git log --exec=sh", "position 1 is denied by denied_args", 2),
    ] {
        let decision = asked.argv(&policy, line);
        let token = decision.token.clone().unwrap();
        assert_eq!((token.kind, token.index), (TokenKind::Word, index), "{line}");
        assert_eq!(token.text, line.split(' ').nth(index).unwrap());
        denies(decision, "binaries[0]/git", reason);
    }
    denies(asked.argv(&policy, "/usr/bin/none x"), "binaries[6]/none", "position 0");
    let missing = "an argument that is required is missing";
    denies(asked.argv(&policy, "/usr/bin/need a"), "binaries[7]/need", missing);
    denies(asked.argv(&policy, "/usr/bin/need"), "binaries[7]/need", missing);
    denies(asked.argv(&policy, "/usr/bin/need -f a"), "binaries[7]/need", "position 0");
}

#[test]
fn the_place_and_the_way_out_are_told() {
    let decision = Asked::default().argv(&policy(GIT), "/usr/bin/git push");
    assert_eq!(decision.place.unwrap().to_string(), "p.yml:6:5");
    let hint = "there it may be `^(status|log)$` at position 0 (read only) or `^--.*$`";
    assert_eq!(decision.hint.unwrap(), hint);
    let decision = Asked::default().argv(&policy(GIT), "/usr/bin/git log --exec=hunter2");
    assert_eq!(decision.place.unwrap().to_string(), "p.yml:11:9");
    // An argument may be a secret, and a reason stands in records.
    assert!(!decision.reason.unwrap().contains("hunter2"));
    assert!(!decision.hint.unwrap().contains("hunter2"));
}

#[test]
fn programs_are_named_in_one_way() {
    let (policy, asked) = (policy(GIT), Asked::default());
    for name in [
        "./ls",
        "bin/ls",
        "../usr/bin/git",
        "/usr/bin/../bin/git",
        "//usr/bin/git",
        "/usr//bin/git",
        "/usr/bin/git/",
        "/usr/bin/./git",
        "/usr/bin/git\n",
        "~/git",
    ] {
        let decision = asked.argv(&policy, name);
        assert_eq!(decision.token.as_ref().unwrap().index, 0);
        denies(decision, "builtin/program-name", "the path");
    }
    for name in ["git", "", "ls", "GIT"] {
        denies(asked.argv(&policy, name), "builtin/program-name", "without its path");
    }
    let hint = asked.argv(&policy, "git").hint.unwrap();
    assert!(hint.contains("such as /usr/bin/git"), "{hint}");
    for name in ["/usr/bin/gi", "/bin/git", "/usr/bin/git ", "/usr/bin/GIT", "/usr/bin/git\u{2003}"]
    {
        let decision = asked.decide(&policy, ActionView::Argv(&[name.into()]));
        denies(decision, "builtin/default-deny", "no rule names");
    }
}

#[test]
fn words_that_no_rule_can_speak_of() {
    use std::os::unix::ffi::OsStringExt;
    let (policy, asked) = (policy(GIT), Asked::default());
    let word = OsString::from_vec(vec![b'-', 0xff]);
    let decision = asked.decide(&policy, ActionView::Argv(&["/usr/bin/ls".into(), word]));
    denies(decision, "builtin/default-deny", "word 1 is not UTF-8");
    let decision = asked.decide(&policy, ActionView::Argv(&["/usr/bin/ls".into(), "a\0b".into()]));
    denies(decision, "builtin/default-deny", "word 1 is not");
    let decision = asked.decide(&policy, ActionView::Argv(&[]));
    denies(decision, "builtin/default-deny", "there is no program");
}

#[test]
fn a_rule_that_is_switched_off_denies() {
    let (policy, asked) = (policy(GIT), Asked::default());
    denies(asked.argv(&policy, "/usr/bin/off"), "binaries[2]/off", "switched off");
}

#[test]
fn rules_for_some_hosts() {
    let policy = policy(GIT);
    let on = |host: &str, tag: &str| {
        let (host, tags) = (host.parse().unwrap(), vec![tag.to_owned()]);
        Asked { host, tags, ..Asked::default() }
    };
    allows(on("vm01", "prod").argv(&policy, "/usr/bin/here"), "binaries[4]/here");
    let elsewhere = "no rule allows /usr/bin/here on this host";
    denies(on("vm02", "x").argv(&policy, "/usr/bin/here"), "builtin/default-deny", elsewhere);
    allows(on("vm02", "x").argv(&policy, "/usr/bin/tagged"), "binaries[5]/tagged");
    allows(on("vm09", "test").argv(&policy, "/usr/bin/tagged"), "binaries[5]/tagged");
    assert!(!on("vm09", "prod").argv(&policy, "/usr/bin/tagged").allow);
}

#[test]
fn variables() {
    let policy = policy(GIT);
    let with = |env: &'static str, line: &str| {
        let asked = Asked { env: vec![env], cwd: Some("/tmp"), ..Asked::default() };
        asked.argv(&policy, line)
    };
    let (git, ls) = ("/usr/bin/git status", "/usr/bin/ls");
    for (env, line) in [("LANG", git), ("LC_ALL", git), ("PATH", git), ("LS_COLORS", ls)] {
        assert!(with(env, line).allow, "{env}");
    }
    for env in ["FOO", "LS_COLORS", "lang", "PYTHONPATH"] {
        let decision = with(env, git);
        assert_eq!(decision.token.as_ref().unwrap().text, env);
        denies(decision, "binaries[0]/git", "is in no allowed_env");
    }
    denies(with("MY_SECRET_1", git), "global/denied_env", "MY_SECRET_1 is denied");
    denies(with("LC_BAD", git), "global/denied_env", "LC_BAD is denied");
    denies(with("LANG", ls), "binaries[1]/ls", "LANG is denied by denied_env");
    for env in ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "IFS", "PS4", "GCONV_PATH"] {
        denies(with(env, git), "builtin/environment", "chooses what is executed");
    }
}

#[test]
fn directories() {
    let policy = policy(GIT);
    let asked = |cwd| Asked { cwd, ..Asked::default() };
    for cwd in ["/srv/app", "/srv/app/x", "/tmp"] {
        assert!(asked(Some(cwd)).argv(&policy, "/usr/bin/ls").allow, "{cwd}");
    }
    for cwd in ["/srv", "/srv/apple", "/", "/tm"] {
        let decision = asked(Some(cwd)).argv(&policy, "/usr/bin/ls");
        denies(decision, "binaries[1]/ls", "not among allowed_workdirs");
    }
    for cwd in ["/srv/app/../x", "/srv//app", "srv", "/srv/app/", "~", "/srv/app/."] {
        let decision = asked(Some(cwd)).argv(&policy, "/usr/bin/ls");
        denies(decision, "builtin/path", "the working directory is refused");
    }
    denies(asked(None).argv(&policy, "/usr/bin/ls"), "binaries[1]/ls", "no working directory");
    assert!(asked(Some("/anywhere")).argv(&policy, "/usr/bin/git").allow);
}

#[test]
fn users() {
    let policy = policy(GIT);
    let asked = |run_as| Asked { run_as: Some(run_as), cwd: Some("/tmp"), ..Asked::default() };
    assert!(asked("deploy").argv(&policy, "/usr/bin/ls").allow);
    denies(asked("root").argv(&policy, "/usr/bin/ls"), "binaries[1]/ls", "sudo to root");
    denies(asked("root").argv(&policy, "/usr/bin/git"), "binaries[0]/git", "sudo to root");
    let sudo = super::policy("binaries: [{path: /bin/x, sudo: true, run_as: bob}]");
    for user in ["root", "bob"] {
        assert!(asked(user).argv(&sudo, "/bin/x").allow);
    }
    assert!(!asked("eve").argv(&sudo, "/bin/x").allow);
}

/// Each of two rules allows what the other does not; what one denies, neither
/// allows.
#[test]
fn several_rules_for_one_program() {
    let policy = policy(
        "binaries:\n\
         - {path: /bin/x, allowed_args: [a]}\n\
         - {path: /bin/x, allowed_args: [b], allowed_env: [B]}\n\
         - {path: /bin/x, denied_args: [c], allowed_args: [d]}\n",
    );
    let asked = Asked::default();
    allows(asked.argv(&policy, "/bin/x a"), "binaries[0]/x");
    allows(asked.argv(&policy, "/bin/x b"), "binaries[1]/x");
    assert!(!asked.argv(&policy, "/bin/x a b").allow);
    denies(asked.argv(&policy, "/bin/x c"), "binaries[2]/x", "denied by denied_args");
    // Of those that do not allow it, the one that came closest tells why.
    let asked = Asked { env: vec!["C"], ..Asked::default() };
    denies(asked.argv(&policy, "/bin/x b"), "binaries[1]/x", "C is in no allowed_env");
}

#[test]
fn names_without_a_path() {
    let policy = policy(
        "global: {path: [/usr/bin, /bin], allowed_env: [PATH]}\n\
         binaries:\n- {path: ls}\n- {path: /usr/bin/df}\n- {path: /bin/df}\n\
         - {path: /usr/bin/du}\n",
    );
    let asked = Asked::default();
    let decision = asked.argv(&policy, "ls -l");
    assert_eq!(decision.constraints.path, Some(vec!["/usr/bin".into(), "/bin".into()]));
    allows(decision, "binaries[0]/ls");
    allows(asked.argv(&policy, "/bin/ls"), "binaries[0]/ls");
    allows(asked.argv(&policy, "df"), "binaries[1]/df, binaries[2]/df");
    assert_eq!(asked.argv(&policy, "/bin/df").constraints.path, None);
    let decision = asked.argv(&policy, "du");
    assert!(decision.hint.as_ref().unwrap().contains("`du` could be /bin/du"), "{decision:?}");
    assert_eq!(decision.token.as_ref().unwrap().text, "du");
    denies(decision, "builtin/default-deny", "no rule names /bin/du");
    let sudo = Asked { run_as: Some("root"), ..Asked::default() };
    denies(sudo.argv(&policy, "ls"), "builtin/program-name", "under sudo");
    let path = Asked { env: vec!["PATH"], ..Asked::default() };
    denies(path.argv(&policy, "ls"), "builtin/program-name", "PATH is set");
    allows(path.argv(&policy, "/bin/ls"), "binaries[0]/ls");
}

#[test]
fn constraints_of_a_rule_and_of_the_file() {
    let policy = policy(
        "global:\n  default_limits: {max_memory: 256Mi, max_cpu_time: 30s}\n  \
         default_sandbox: minimal\n  rate_limit: {requests_per_second: 0.5, burst: 3}\n\
         sandbox_profiles: {jail: {inherit: restricted, network: false, limits: {max_processes: 9}}}\n\
         binaries:\n\
         - {path: /bin/a, limits: {max_memory: 1Gi, max_output: 10KB}, max_instances: 2,\n   \
            rate_limit: {requests_per_second: 4, when_exceeded: wait},\n   \
            sandbox: jail, require_approval: true, require_audit: true}\n\
         - {path: /bin/b}\napprovals: {allowed_signers: s}\n",
    );
    let decision = Asked::default().argv(&policy, "/bin/a");
    assert!(decision.requires_approval);
    let bounds = decision.constraints;
    assert_eq!(bounds.limits.max_memory, Some(1 << 30));
    assert_eq!(bounds.limits.max_cpu_time.unwrap().as_secs(), 30);
    assert_eq!(bounds.limits.max_output, Some(10_000));
    assert_eq!(bounds.instances[0].max, 2);
    assert_eq!(bounds.instances[0].scope.rule.as_deref(), Some("binaries[0]/a"));
    let rates: Vec<_> = bounds
        .rates
        .iter()
        .map(|rate| (rate.interval.as_millis(), rate.burst, rate.when_exceeded, &rate.scope))
        .collect();
    let of = |rule: Option<&str>| Scope { file: "p.yml".into(), rule: rule.map(Into::into) };
    let (rule, all) = (of(Some("binaries[0]/a")), of(None));
    assert_eq!(rates, [(250, 1, WhenExceeded::Wait, &rule), (2000, 3, WhenExceeded::Refuse, &all)]);
    let jail = &bounds.sandboxes[0];
    assert_eq!((jail.name.as_str(), jail.base), ("jail", SandboxBase::Restricted));
    assert_eq!((jail.network, jail.limits.max_processes), (Some(false), Some(9)));
    let decision = Asked::default().argv(&policy, "/bin/b");
    assert!(!decision.requires_approval);
    assert_eq!(decision.constraints.limits.max_memory, Some(256 << 20));
    assert_eq!(decision.constraints.sandboxes[0].name, "minimal");
}

#[test]
fn a_list_of_commands() {
    let asked = Asked::default();
    for text in [
        "- ls\n- systemctl status\n- /opt/x\n",
        "global: {path: /usr/bin:/bin:/usr/sbin:/sbin}\n\
         allowed_commands: [ls, systemctl status, /opt/x]\n",
    ] {
        let policy = policy(text);
        allows(asked.argv(&policy, "ls -la /home"), "allowed_commands[0]/ls");
        allows(asked.argv(&policy, "/bin/ls"), "allowed_commands[0]/ls");
        allows(asked.shell(&policy, "ls -la"), "allowed_commands[0]/ls");
        allows(asked.argv(&policy, "systemctl status"), "allowed_commands[1]/systemctl");
        allows(asked.argv(&policy, "/opt/x a b"), "allowed_commands[2]/x");
        for line in ["systemctl", "systemctl stop", "systemctl status nginx", "rm", "/tmp/ls"] {
            assert!(!asked.argv(&policy, line).allow, "{line}");
        }
    }
}
