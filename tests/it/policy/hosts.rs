//! From the policy file to a real server, or not as far as that.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::with_policy;
use crate::cli_exec::Lab;
use crate::support::{Proxy, Sshd};

const POLICY: &str = "
binaries:
- {path: /bin/echo, allowed_args: ['[a-z]+'], denied_args: [secret]}
transfers: {upload: [/nowhere]}
";

#[test]
fn what_is_allowed_runs_and_what_is_denied_never_reaches_the_host() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = with_policy(Lab::new().vm_at("vm01", &sshd, proxy.addr(), ""), POLICY);
    let table = ["--exit-code", "table", "vm01"];
    let denied = |args: &[&str]| lab.exec(table.iter().chain(args).copied());
    let rule = "position 0 is matched by no allowed_args (rule binaries[0]/echo)";
    denied(&["--", "/bin/echo", "A1"]).ends(7).says(&[rule, "there it may be `[a-z]+`"]);
    denied(&["/bin/echo secret"]).ends(7).says(&["denied by denied_args"]);
    denied(&["echo hello"]).ends(7).says(&["rule builtin/program-name"]);
    denied(&["/bin/echo $HOME"]).ends(7).says(&["rule builtin/shell"]);
    denied(&["-e", "LD_PRELOAD=/x", "/bin/echo hello"]).ends(7).says(&["builtin/environment"]);
    lab.exec(["vm01", "--", "/bin/cat"]).ends(255).says(&["rule builtin/default-deny"]);
    fs::write(lab.path("home/file"), "x").unwrap();
    let push = lab.verb("push", ["vm01", "file", "/tmp/never"]).output().unwrap();
    crate::cli_exec::Said::from(push).ends(7).says(&["no rule allows the upload of this path"]);
    assert_eq!(proxy.connections(), 0);

    assert_eq!(lab.exec(["vm01", "--", "/bin/echo", "hello"]).ends(0).text(), "hello\n");
    assert_eq!(
        lab.exec(["vm01", "/bin/echo hello; /bin/echo 'you'"]).ends(0).text(),
        "hello\nyou\n"
    );
    assert_eq!(proxy.connections(), 2);

    let digest = Sha256::digest(POLICY);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let records = lab.audit();
    assert_eq!(lab.statuses(), [["policy_denied"; 6].as_slice(), &["success"; 2]].concat());
    for record in &records {
        assert_eq!(record["decision"]["policy_sha256"], sha256, "{record}");
    }
    assert_eq!(records[0]["decision"]["allow"], false);
    assert_eq!(records[0]["decision"]["rule"], "binaries[0]/echo");
    assert_eq!(records.last().unwrap()["decision"]["allow"], true);
}

/// Nothing that could be decided on is wrong usage, whatever the policy says.
#[test]
fn an_empty_command_is_wrong_usage() {
    let lab = with_policy(Lab::new().entry("vm01", "127.0.0.1:1".parse().unwrap(), ""), POLICY);
    for args in [["vm01", ""].as_slice(), &["vm01", " \n"], &["vm01", "--", ""]] {
        lab.exec(args.iter().copied()).ends(2).says(&["the command is empty"]);
    }
    assert!(!lab.audit_path().exists());
}

/// What a bare name stands for is decided by the policy, not by the host.
#[test]
fn a_name_is_looked_for_where_the_policy_says() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let program = lab.path("bin/greet");
    fs::create_dir(lab.path("bin")).unwrap();
    fs::write(&program, "#!/bin/sh\nPATH=/usr/bin:/bin\necho hello\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = lab.path("bin");
    let text = format!("global: {{path: {}}}\nbinaries: [{{path: greet}}]\n", path.display());
    let lab = with_policy(lab, &text);
    assert_eq!(lab.exec(["vm01", "--", "greet"]).ends(0).text(), "hello\n");
    assert_eq!(lab.exec(["vm01", "greet && greet"]).ends(0).text(), "hello\nhello\n");
    let elsewhere = ["vm01", "-e", "PATH=/bin", "--", "greet"];
    lab.exec(elsewhere).ends(255).says(&["rule builtin/program-name"]);
}

/// Everything is denied, on record, and said to be.
#[test]
fn a_policy_that_cannot_be_used_denies() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let lab = with_policy(lab, "binaries: [{path: /bin/true}]\n");
    let path = lab.path("policy.yml");
    let denied = |why: &str| {
        let said = lab.exec(["--exit-code", "table", "vm01", "/bin/true"]);
        said.ends(7).says(&["rule builtin/policy-unusable", why]);
    };
    lab.exec(["vm01", "/bin/true"]).ends(0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    denied("can be written by others (mode 0666)");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "binaries: [{path: /bin/true}").unwrap();
    denied("not valid YAML");
    // Half-written: still YAML, and more than half a rule.
    fs::write(&path, "binaries: [{path: /bin/true}, {path").unwrap();
    denied("not valid YAML");
    fs::write(&path, "binaries:\n- path: /bin/true\n- pat").unwrap();
    denied("binaries");
    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    denied("policy.yml");
    for empty in ["", "\n", "# nothing\n", "---\n", "{}", "[]", "null"] {
        fs::write(&path, empty).unwrap();
        let said = lab.exec(["--exit-code", "table", "vm01", "/bin/true"]);
        assert_eq!(said.code, Some(7), "{empty:?}: {said:?}");
    }
    fs::write(&path, "").unwrap();
    denied("the policy is empty");
    fs::write(&path, "binaries: [{path: /bin/true, hosts: '@wbe'}]").unwrap();
    denied("there is no group wbe");
    fs::remove_file(&path).unwrap();
    denied("does not exist");
    assert_eq!(proxy.connections(), 1);
    // A directory, and a link that leads nowhere.
    fs::create_dir(&path).unwrap();
    denied("policy.yml");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere", &path).unwrap();
    denied("policy.yml");
    assert_eq!(proxy.connections(), 1);
    let statuses = lab.statuses();
    assert_eq!(statuses.len(), 18);
    assert!(statuses[1..].iter().all(|status| status == "policy_denied"), "{statuses:?}");
}
