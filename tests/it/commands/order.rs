//! Which commands run, and when.

use std::io::Write;
use std::process::Stdio;

use super::{each, json, list};
use crate::cli_exec::Lab;
use crate::support::Sshd;

#[test]
fn a_host_stops_at_its_first_failure() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let text = "echo a\n\n  # a note\necho b >&2; exit 3\necho c\n";
    let (said, host) = json(&lab, text, &[]);
    said.ends(3);
    assert_eq!(each(&host, "status"), ["success", "failed", "not_started"]);
    assert_eq!(each(&host, "stdout"), ["a\n", "", ""]);
    assert_eq!(each(&host, "stderr"), ["", "b\n", ""]);
    assert_eq!(host["commands"][1]["exit_code"], 3);
    assert_eq!((&host["status"], &host["exit_code"]), (&"failed".into(), &3.into()));
    assert_eq!((&host["stdout"], &host["attempts"]), (&"".into(), &1.into()));
    let said = lab.exec(["vm01", "--commands", "list"]);
    assert_eq!(said.ends(3).text(), "a\n");
    said.says(&["vm01: command 2 of 3 failed: exit 3: echo b", "1 of 3 commands was not started"]);
    lab.exec(["vm01", "--commands", "list", "--exit-code", "table"]).ends(1);
}

#[test]
fn or_goes_on() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, host) = json(&lab, "exit 4\necho b\nexit 5\nkill -9 $$", &["--keep-going"]);
    said.ends(4);
    assert_eq!(each(&host, "status"), ["failed", "success", "failed", "failed"]);
    assert_eq!(host["commands"][3]["signal"], "KILL");
    let said = lab.exec(["--keep-going", "vm01", "--commands", "list"]);
    said.says(&["command 1 of 4 failed", "command 3 of 4", "ended by signal KILL: kill -9"]);
}

#[test]
fn several_run_at_once_and_keep_their_order() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    // Each goes on only when all three run.
    let line = |name: &str| {
        let dir = lab.path("").display().to_string();
        format!(
            "echo {name}; : >{dir}/{name}; while ! test -e {dir}/a -a -e {dir}/b -a -e {dir}/c; \
             do sleep 0.1; done\n"
        )
    };
    let text = [line("a"), line("b"), line("c"), "echo last".into()].concat();
    let (said, host) = json(&lab, &text, &["--commands-parallel", "3"]);
    said.ends(0);
    assert_eq!(each(&host, "stdout"), ["a\n", "b\n", "c\n", "last\n"]);
}

#[test]
fn commands_come_from_stdin_too() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let mut command = lab.command(["vm[01-02]", "-b", "--commands", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"echo it is here\r\necho b").unwrap();
    let said: crate::cli_exec::Said = child.wait_with_output().unwrap().into();
    let block = "vm[01-02] (2)\n---------------\n$ echo it is here\nit is here\n$ echo b\nb\n";
    assert!(said.ends(0).text().ends_with(block), "{said:?}");
}

#[test]
fn settings_are_those_of_every_command() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, host) = json(&lab, "pwd; echo $A\ncat; pwd", &["-C", "/usr", "-e", "A=b  c"]);
    said.ends(0);
    assert_eq!(each(&host, "stdout"), ["/usr\nb c\n", "/usr\n"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let refused = |text: &str, args: &[&str], says: &str| {
        list(&lab, text);
        lab.exec(args.iter().copied()).ends(2).says(&[says]);
    };
    let file = ["vm01", "--commands", "list"];
    refused("# nothing\n\n", &file, "there is no command");
    refused("true\nec\0ho\n", &file, "line 2 holds a NUL byte");
    refused(&"x\n".repeat(10_001), &file, "10001 commands are too many");
    refused(&"#".repeat(1024 * 1024 + 1), &file, "more than 1048576 bytes");
    refused("true", &["vm01", "--commands", "none"], "none: No such file");
    refused("true", &["vm01", "true", "--commands", "list"], "cannot be used with");
    refused("true", &["vm01", "--commands", "list", "--", "true"], "cannot be used with");
    refused("true", &["vm01", "--commands", "list", "--stdin", "list"], "cannot be used with");
    refused("true", &["--keep-going", "vm01", "true"], "--keep-going is for several commands");
    let both = ["--commands-parallel", "2", "--shell-session", "vm01", "--commands", "list"];
    refused("true", &both, "cannot be used with");
    assert!(!lab.audit_path().exists() || lab.attempted() == 0);
}

#[test]
fn a_dry_run_lists_them() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    list(&lab, "uname -r\n#\ndf -h");
    let said = lab.exec(["--dry-run", "vm01", "--commands", "list"]);
    let listed =
        "2 commands, one after another; a VM stops at a failure\n    1  uname -r\n    2  df -h\n";
    assert!(said.ends(0).text().starts_with(listed), "{said:?}");
}
