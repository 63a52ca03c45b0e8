//! Text for a shell, and scripts.

use super::*;

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
