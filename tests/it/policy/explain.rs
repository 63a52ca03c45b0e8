//! `policy check` and `policy explain`, as whoever has to mend a rule reads
//! them.

use std::fs;

use super::with_policy;
use crate::cli_exec::{Lab, Said};

const POLICY: &str = "\
operators: {alice: alice@example.org}
roles:
  ops:  {permissions: [exec, upload], hosts: 'vm[01-02]', operators: [alice@example.org]}
binaries:
- path: /usr/bin/git
  allowed_args:
  - {pattern: status|log, position: 0, description: reading}
- {path: /bin/echo, hosts: vm02}
transfers: {upload: [/opt/app]}
";

fn lab() -> Lab {
    let address = "192.0.2.1:22".parse().unwrap();
    let lab = Lab::new().entry("vm01", address, "").entry("vm02", address, "");
    with_policy(lab.entry("vm03", address, ", enabled: false"), POLICY)
}

fn policy(lab: &Lab, args: &[&str]) -> Said {
    lab.verb("policy", args.iter().copied()).output().unwrap().into()
}

/// As alice.
fn explain(lab: &Lab, args: &[&str]) -> Said {
    policy(lab, &[&["explain", "--as", "alice"], args].concat())
}

#[test]
fn explained_line_by_line() {
    let lab = lab();
    let file = lab.path("policy.yml");
    let file = file.display();
    let said = explain(&lab, &["exec", "vm[01-02]", "--", "/usr/bin/git", "push", "--force"]);
    let sha256 = said.text().rsplit(' ').next().unwrap().trim().to_owned();
    assert_eq!(
        said.ends(7).text(),
        format!(
            "vm[01-02]: DENIED by binaries[0]/git\n  \
             at        {file}:5:3\n  \
             asked by  alice, by the role ops\n  \
             asked for /usr/bin/git push --force\n  \
             fault     the argument at position 0, `push`\n  \
             because   the argument at position 0 is matched by no allowed_args\n  \
             to do     there it may be `status|log` at position 0 (reading)\n  \
             policy    sha256 {sha256}\n"
        )
    );
    assert_eq!(sha256.len(), 64);
}

#[test]
fn each_kind_of_fault() {
    let lab = lab();
    let whole = |args: &[&str], code: i32| explain(&lab, args).ends(code).text().to_owned();
    let holds = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing: {text}");
        }
    };
    let text = whole(&["exec", "vm01,vm02", "/bin/echo hi"], 7);
    holds(text, &["vm01: DENIED by builtin/default-deny", "vm02: allowed by binaries[1]/echo"]);
    let text = whole(&["exec", "vm01", "/usr/bin/git log > x"], 7);
    holds(text, &["DENIED by builtin/shell", "at byte 17 of the string", "shell: true"]);
    let text = whole(&["exec", "vm01", "-e", "IFS=x", "/usr/bin/git log"], 7);
    holds(text, &["DENIED by builtin/environment", "the variable IFS"]);
    let text = whole(&["exec", "vm03", "/bin/echo hi"], 7);
    holds(text, &["DENIED by builtin/allowed-vms"]);
    let text = whole(&["exec", "vm02", "--sudo", "/bin/echo hi"], 7);
    holds(text, &["DENIED by builtin/roles", "has sudo here"]);
    let text = whole(&["pull", "vm01", "/opt/app/x", "y"], 7);
    holds(text, &["DENIED by builtin/roles", "has download here"]);
    let text = whole(&["push", "vm01", "x", "/opt/x"], 7);
    holds(text, &["upload is allowed at or below /opt/app", "`/opt/x`"]);
    let text = whole(&["push", "vm01", "x", "/opt/app/x"], 0);
    holds(text, &["vm01: allowed by transfers.upload[0]"]);
    fs::write(lab.path("home/job.sh"), "echo").unwrap();
    let text = whole(&["script", "vm01", "job.sh"], 7);
    holds(text, &["DENIED by builtin/roles", "has script here"]);
    let said = policy(&lab, &["explain", "--as", "bob", "exec", "vm02", "/bin/echo hi"]);
    holds(said.ends(7).text().into(), &["bob has no role, so no permission exec"]);
    // Nothing of this is a request, so nothing is on record.
    assert!(!lab.audit_path().exists());
}

#[test]
fn as_a_document() {
    let lab = lab();
    let said = explain(&lab, &["exec", "vm01", "--json", "--", "/usr/bin/git", "push"]);
    let document: serde_json::Value = serde_json::from_slice(&said.ends(7).stdout).unwrap();
    let decision = &document["decisions"][0];
    assert_eq!(document["operator"], "alice");
    assert_eq!(decision["hosts"], serde_json::json!(["vm01"]));
    assert_eq!(decision["rule"], "binaries[0]/git");
    assert_eq!(decision["token"]["text"], "push");
    assert_eq!(decision["token"]["index"], 1);
}

#[test]
fn by_another_policy() {
    let lab = lab();
    let other = lab.path("other.yml");
    fs::write(&other, "binaries: [{path: /usr/bin/git, allowed_args: [push]}]").unwrap();
    let other = other.to_str().unwrap();
    let said = policy(&lab, &["explain", "--policy", other, "exec", "vm01", "/usr/bin/git push"]);
    assert!(said.ends(0).text().starts_with("vm01: allowed by binaries[0]/git\n"));
    fs::write(other, "binaries: [{pth: x}]").unwrap();
    let said = policy(&lab, &["explain", "--policy", other, "exec", "vm01", "/usr/bin/git push"]);
    said.ends(2).says(&["other.yml:1:12: binaries: path is missing"]);
}

#[test]
fn checked() {
    let lab = lab();
    let said = policy(&lab, &["check"]);
    let holds = "holds   2 programs, 0 scripts, 1 upload, 0 downloads, 1 role\n";
    assert!(said.ends(0).text().contains(holds), "{said:?}");
    let bad = lab.path("bad.yml");
    fs::write(&bad, "binaries:\n- {path: x}\n- {path: /y, hosts: '@nobody', limits: {}}\n")
        .unwrap();
    let bad = bad.to_str().unwrap();
    policy(&lab, &["check", bad])
        .ends(2)
        .says(&["bad.yml:2:10: path: `x` is a name without a path"]);
    fs::write(bad, "binaries:\n- {path: /y, hosts: '@nobody'}\n").unwrap();
    policy(&lab, &["check", bad]).ends(2).says(&["bad.yml:2:21: hosts: there is no group nobody"]);
    policy(&lab, &["check", "nowhere.yml"]).ends(2).says(&["nowhere.yml does not exist"]);
}
