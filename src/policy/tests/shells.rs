//! Text for a shell, and scripts.

use super::*;

const STDIN: &str = "
binaries:
- {path: /usr/bin/cat}
- {path: /bin/sh, allowed_args: [-s, /opt/x]}
- {path: /usr/bin/python3.11, allowed_args: [/opt/x.py], stdin: true}
- {path: /usr/bin/xargs, allowed_args: [/usr/bin/cat]}
- {path: /opt/quiet, stdin: false}
- {path: /bin/bash, shell: true}
allowed_commands: [/usr/bin/perl /opt/x.pl]
";

/// Who may give a program its stdin may give an interpreter any program.
#[test]
fn a_stdin_that_may_hold_commands_is_a_right_of_its_own() {
    let policy = policy(STDIN);
    let without = Asked { allow_interactive: true, ..Asked::default() };
    let with = Asked { stdin: true, allow_interactive: true, ..Asked::default() };
    for (line, rule) in [
        ("/bin/sh -s", "binaries[1]/sh"),
        ("/bin/sh /opt/x", "binaries[1]/sh"),
        ("/usr/bin/xargs /usr/bin/cat", "binaries[3]/xargs"),
        ("/opt/quiet", "binaries[4]/quiet"),
        ("/usr/bin/perl /opt/x.pl", "allowed_commands[0]/perl"),
    ] {
        allows(without.argv(&policy, line), rule);
        denies(with.argv(&policy, line), rule, "is given a stdin");
        allows(without.shell(&policy, line), rule);
        denies(without.shell(&policy, &format!("/usr/bin/cat x | {line}")), rule, "given a stdin");
        // Which of them reads it, nobody knows.
        denies(with.shell(&policy, &format!("/usr/bin/cat x; {line}")), rule, "given a stdin");
        let before = without.shell(&policy, &format!("{line} | /usr/bin/cat"));
        assert!(before.allow, "{before:?}");
    }
    for line in ["/usr/bin/cat", "/usr/bin/python3.11 /opt/x.py", "/bin/bash", "/bin/bash -c x"] {
        assert!(with.argv(&policy, line).allow, "{line}");
        assert!(without.shell(&policy, &format!("/usr/bin/cat x | {line}")).allow, "{line}");
    }
}

/// A shell that a rule gives any text takes the permission for that, however it is
/// asked for.
#[test]
fn a_shell_by_its_path_is_no_way_around_the_permission() {
    let policy = policy(
        "roles: {a: {permissions: exec, operators: alice}, b: {permissions: [exec, shell], \
         operators: bob}}\nbinaries: [{path: /bin/sh, shell: true}]",
    );
    let asked = |user| Asked { os_user: Some(user), allow_interactive: true, ..Asked::default() };
    for line in ["/bin/sh -c x", "/bin/sh /tmp/x", "/bin/sh"] {
        denies(asked("alice").argv(&policy, line), "builtin/roles", "has shell here");
        denies(asked("alice").shell(&policy, line), "builtin/roles", "has shell here");
        allows(asked("bob").argv(&policy, line), "binaries[0]/sh");
    }
}

/// What a scan finds is run only where the policy lets somebody.
#[test]
fn dangerous_scripts_are_for_whoever_may_change_what_is_trusted() {
    let sha256 = format!("{:0<64}", "aa");
    let rule = format!("scripts: [{{sha256: {sha256}, name: x}}]");
    let decide = |text: &str, user, allow_threat| {
        let asked = Asked { os_user: Some(user), allow_threat, ..Asked::default() };
        let sha256 = Some(sha256.as_str());
        let view = ActionView::Script { sha256, path: None, interpreter: &[], args: &[] };
        asked.decide(&policy(&format!("{text}\n{rule}")), view)
    };
    let none = "version: 1";
    allows(decide(none, "alice", false), "scripts[0]/x");
    denies(decide(none, "alice", true), "builtin/allow-threat", "lets nobody");
    allows(decide("global: {allow_threat: true}", "alice", true), "scripts[0]/x");
    let roles = "roles: {a: {permissions: script, operators: alice}, \
                 b: {permissions: [script, admin], operators: bob}}";
    allows(decide(roles, "alice", false), "scripts[0]/x");
    denies(decide(roles, "alice", true), "builtin/roles", "has admin here");
    allows(decide(roles, "bob", true), "scripts[0]/x");
}

const TEXT: &str = "
global: {path: /usr/bin, allowed_env: [LANG]}
binaries:
- {path: ls}
- {path: /usr/bin/git, allowed_args: [status, log]}
- {path: /usr/bin/echo, denied_args: [--exec]}
- {path: cd}
- {path: /bin/sh, shell: true, hosts: '@lab', run_as: deploy}
- {path: /bin/bash, shell: true}
";

#[test]
fn every_command_must_be_allowed() {
    let (policy, asked) = (policy(TEXT), Asked::default());
    allows(asked.shell(&policy, "ls -l /tmp"), "binaries[0]/ls");
    allows(asked.shell(&policy, "/usr/bin/git 'status'"), "binaries[1]/git");
    let several = "ls; /usr/bin/git log && /usr/bin/echo 'a;b'";
    allows(asked.shell(&policy, several), "binaries[0]/ls, binaries[1]/git, binaries[2]/echo");
    let decision = asked.shell(&policy, "ls; /usr/bin/git push");
    assert_eq!(decision.token.as_ref().unwrap().text, "push");
    denies(decision, "binaries[1]/git", "position 0 is matched by no allowed_args");
    denies(asked.shell(&policy, "ls | /bin/rm x"), "builtin/default-deny", "no rule names /bin/rm");
    denies(asked.shell(&policy, "ls\n/bin/rm x"), "builtin/default-deny", "no rule names /bin/rm");
}

#[test]
fn what_is_not_known_by_itself_needs_a_grant() {
    let (policy, asked) = (policy(TEXT), Asked::default());
    for text in ["ls $HOME", "ls `id`", "ls > x", "ls *", "ls &", "A=b ls", "(ls)", "ls ~"] {
        let decision = asked.shell(&policy, text);
        assert_eq!(decision.token.as_ref().unwrap().kind, TokenKind::Byte);
        denies(decision, "builtin/shell", "does not say by itself what runs");
    }
    denies(asked.shell(&policy, "  "), "builtin/shell", "holds no command");
    let lab = Asked { groups: vec!["lab".into()], ..Asked::default() };
    allows(lab.shell(&policy, "ls $HOME"), "binaries[4]/sh");
    allows(lab.shell(&policy, "/bin/rm x"), "binaries[4]/sh");
    // A grant is no way around what a rule denies, or a variable that none may set.
    for text in ["/usr/bin/echo --exec", "/bin/rm x; ls; /usr/bin/echo --exec"] {
        denies(lab.shell(&policy, text), "binaries[2]/echo", "denied_args");
    }
    let env = Asked { env: vec!["LD_PRELOAD"], groups: vec!["lab".into()], ..Asked::default() };
    denies(env.shell(&policy, "ls $HOME"), "builtin/environment", "LD_PRELOAD");
    let env = Asked { env: vec!["FOO"], groups: vec!["lab".into()], ..Asked::default() };
    denies(env.shell(&policy, "ls $HOME"), "binaries[4]/sh", "FOO is in no allowed_env");
    let sudo = Asked { run_as: Some("root"), groups: vec!["lab".into()], ..Asked::default() };
    denies(sudo.shell(&policy, "ls $HOME"), "binaries[4]/sh", "sudo to root");
}

#[test]
fn commands_of_the_shells_own() {
    let (policy, asked) = (policy(TEXT), Asked::default());
    for text in ["cd /tmp; ls", "eval ls", "exec ls", ". x", "export A", "command ls", "if ls"] {
        let decision = asked.shell(&policy, text);
        denies(decision, "builtin/shell", "does not say by itself what runs");
    }
    let hint = asked.shell(&policy, "cd /tmp; ls").hint.unwrap();
    assert!(hint.contains("with -C"), "{hint}");
    // As words they are programs, and /usr/bin/cd may well be one.
    allows(asked.argv(&policy, "cd"), "binaries[3]/cd");
}

#[test]
fn another_shell_is_another_right() {
    let policy = policy(TEXT);
    let bash = Asked { shell: Some("/bin/bash"), ..Asked::default() };
    allows(bash.shell(&policy, "ls"), "binaries[5]/bash");
    let other = Asked { shell: Some("/bin/zsh"), ..Asked::default() };
    denies(other.shell(&policy, "ls"), "builtin/shell", "what /bin/zsh makes of a text");
}

const SCRIPTS: &str = "
scripts:
- sha256: AA00000000000000000000000000000000000000000000000000000000000000
  name: check
  interpreter: [/usr/bin/python3, -u]
  allowed_args: [--all]
  run_as: root
- {sha256: bb00000000000000000000000000000000000000000000000000000000000000, hosts: vm02}
binaries:
- {path: /opt/job, allowed_args: [x]}
transfers: {upload: [/opt/bin]}
";

fn script(asked: &Asked, first: &str, path: Option<&str>, reader: &str, args: &str) -> Decision {
    let sha256 = format!("{first:0<64}");
    let list = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
    let view = ActionView::Script {
        sha256: (!first.is_empty()).then_some(sha256.as_str()),
        path: path.map(OsStr::new),
        interpreter: &list(reader),
        args: &list(args),
    };
    asked.decide(&policy(SCRIPTS), view)
}

#[test]
fn scripts_by_content() {
    let asked = Asked::default();
    allows(script(&asked, "aa", None, "", "--all"), "scripts[0]/check");
    allows(script(&asked, "aa", None, "/usr/bin/python3 -u", ""), "scripts[0]/check");
    let python = script(&asked, "aa", None, "/usr/bin/python3", "");
    denies(python, "scripts[0]/check", "does not allow this interpreter");
    denies(script(&asked, "aa", None, "", "-x"), "scripts[0]/check", "position 0");
    let unknown = script(&asked, "ab", None, "", "");
    assert!(unknown.hint.as_ref().unwrap().contains("add sha256: ab000"), "{unknown:?}");
    denies(unknown, "builtin/default-deny", "no rule names the SHA-256");
    let elsewhere = script(&asked, "bb", None, "", "");
    denies(elsewhere, "builtin/default-deny", "no rule allows this script on this host");
    let root = Asked { run_as: Some("root"), ..Asked::default() };
    allows(script(&root, "aa", None, "", ""), "scripts[0]/check");
    let bob = Asked { run_as: Some("bob"), ..Asked::default() };
    denies(script(&bob, "aa", None, "", ""), "scripts[0]/check", "sudo to bob");
}

#[test]
fn a_script_that_stays_is_an_upload_too() {
    let asked = Asked::default();
    let placed = script(&asked, "aa", Some("/opt/bin/check"), "", "");
    allows(placed, "scripts[0]/check, transfers.upload[0]");
    let placed = script(&asked, "aa", Some("/etc/cron.d/check"), "", "");
    denies(placed, "builtin/default-deny", "no rule allows the upload");
}

#[test]
fn a_script_on_the_host_is_a_program() {
    let asked = Asked::default();
    allows(script(&asked, "", Some("/opt/job"), "", "x"), "binaries[0]/job");
    denies(script(&asked, "", Some("/opt/job"), "", "y"), "binaries[0]/job", "position 0");
    let read = script(&asked, "", Some("/opt/job"), "/bin/sh", "x");
    denies(read, "builtin/default-deny", "no rule names /bin/sh");
    let relative = script(&asked, "", Some("job/x"), "", "");
    denies(relative, "builtin/program-name", "relative");
}
