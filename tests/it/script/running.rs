//! What runs is what was meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{file, json, left, nothing_left, script, script_on};
use crate::cli_exec::Lab;
use crate::exec::host::with_sh;
use crate::support::{Shell, Sshd, is_root};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

const SHOW: &str = "for a; do printf '<%s>' \"$a\"; done; echo; pwd; cat; echo err >&2; exit 7";

#[test]
fn a_script_its_arguments_and_its_end() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let check = file(&lab, "check it!.sh", SHOW);
    let args = ["", "two words", "it's $HOME `id` \"\\", "-n", "ü\n*"];
    let said = script(&lab, ["vm01", &check, "--"].into_iter().chain(args));
    let shown: String = args.iter().map(|arg| format!("<{arg}>")).collect();
    assert_eq!(said.ends(7).text(), format!("{shown}\n{}\n", login_directory(&lab)));
    assert_eq!(said.stderr.lines().next(), Some("err"));
    nothing_left(&sshd);
    let records = &lab.audit()[..2];
    for record in records {
        assert_eq!(record["action"]["kind"], "script");
        assert_eq!(record["action"]["script_sha256"], digest(SHOW.as_bytes()));
    }
    assert_eq!(records[1]["result"]["exit"], 7);
}

fn login_directory(lab: &Lab) -> String {
    lab.exec(["vm01", "pwd"]).ends(0).text().trim().to_owned()
}

#[test]
fn what_reads_it() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let run = |name: &str, text: &[u8], more: &[&str]| {
        let path = file(&lab, name, text);
        let said = script(&lab, more.iter().copied().chain(["vm01", &path]));
        said.ends(0).text().to_owned()
    };
    assert_eq!(run("plain", b"echo \"$0\" | sed 's#.*/##'", &[]), "plain\n");
    assert_eq!(run("awk", b"#!/usr/bin/awk -f\nBEGIN { print 6 * 7 }", &[]), "42\n");
    assert_eq!(run("bash", b"#!/usr/bin/env bash\necho ${BASH_VERSION:+bash}", &[]), "bash\n");
    assert_eq!(
        run("py", b"import sys; print(len(sys.argv))", &["--interpreter", "python3 -u"]),
        "1\n"
    );
    assert_eq!(
        run("no.sh", b"#!/bin/false\necho", &["--interpreter", "wc -l"]).trim().split(' ').next(),
        Some("1")
    );
    let program = fs::read("/usr/bin/true").unwrap();
    assert_eq!(run("true", &program, &[]), "");
    nothing_left(&sshd);
}

#[test]
fn stdin_settings_and_a_script_from_stdin() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let cat = file(&lab, "cat.sh", "cat; echo \"$A\"; pwd");
    let said =
        script_on(&lab, b"in\n", ["--stdin", "-", "-e", "A=b c", "-C", "/usr", "vm01", &cat]);
    assert_eq!(said.ends(0).text(), "in\nb c\n/usr\n");
    let said = script_on(&lab, b"echo \"$1\"; exit 3", ["vm01", "-", "--", "x"]);
    assert_eq!(said.ends(3).text(), "x\n");
    script_on(&lab, b"true", ["--stdin", "-", "vm01", "-"]).ends(2).says(&["both"]);
    nothing_left(&sshd);
}

#[test]
fn a_script_that_is_there_already() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let text = "#!/bin/sh\necho \"here $1\"\n";
    let there = sshd.home().join("it.sh");
    fs::write(&there, text).unwrap();
    let home = sshd.home().to_str().unwrap().to_owned();
    // It is not made executable: it is run as it is.
    let args = ["--remote", "-C", &home, "vm01", "it.sh", "--", "x"];
    script(&lab, args).ends(126);
    fs::set_permissions(&there, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(script(&lab, args).ends(0).text(), "here x\n");
    let records = lab.audit();
    assert_eq!(records[3]["action"]["script_sha256"], digest(text.as_bytes()));
    assert_eq!(records[2]["action"]["script_sha256"], serde_json::Value::Null);
    script(&lab, ["--remote", "vm01", "/nonexistent"]).ends(127);
    assert!(left(&sshd).is_empty());
}

#[test]
fn a_large_one_arrives_and_many_at_once_do_not_meet() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm("vm03", &sshd).vm("vm04", &sshd);
    let text = format!("#!/bin/sh\necho done\nexit 0\n{}", "# padding\n".repeat(110_000));
    let large = file(&lab, "large.sh", &text);
    let said = script(&lab, ["-o", "gather", "vm[01-04]", &large]);
    assert!(said.ends(0).text().contains("done"), "{said:?}");
    nothing_left(&sshd);
    let host = json(&lab, ["vm01", &large]);
    assert_eq!(host["status"], "success");
    assert_eq!(lab.audit().last().unwrap()["action"]["script_sha256"], digest(text.as_bytes()));
}

#[test]
fn under_every_login_shell() {
    if !is_root() {
        return;
    }
    for shell in Shell::WORKING {
        let sshd = Sshd::builder().login_shell(shell).start();
        let lab = Lab::one(&sshd);
        let check = file(&lab, "check.sh", "echo \"$1\" \"$0\"; ls -ld \"${0%/*}\" \"$0\"");
        let said = script(&lab, ["vm01", &check, "--", "a'b"]);
        let text = said.ends(0).text().to_owned();
        let path = Path::new(text.lines().next().unwrap().strip_prefix("a'b ").unwrap());
        assert!(text.contains("\ndrwx------"), "{text}");
        assert!(text.contains("\n-rwx------"), "{text}");
        assert!(!path.parent().unwrap().exists(), "{text}");
    }
}

#[test]
fn whatever_bin_sh_is() {
    let shells = ["/bin/dash", "/bin/bash", "/bin/ksh", "/bin/mksh", "/bin/busybox"];
    for shell in shells.map(Path::new) {
        assert!(shell.exists(), "{} is not installed", shell.display());
        let (sshd, _dir) = with_sh(shell);
        let lab = Lab::one(&sshd);
        let check = file(&lab, "check.sh", "#!/bin/sh\necho \"$1\" \"$0\"");
        let said = script(&lab, ["vm01", &check, "--", "x"]);
        let path = said.ends(0).text().strip_prefix("x ").unwrap().trim().to_owned();
        assert!(!Path::new(&path).parent().unwrap().exists(), "{path}");
    }
}
