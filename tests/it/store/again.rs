//! `runs rerun`.

use std::fs;
use std::net::TcpListener;

use orchestrator::outcome::Status;
use orchestrator::store::Store;

use super::{does, json, last, path, runs};
use crate::cli_exec::Lab;
use crate::support::Sshd;

#[test]
fn only_where_it_failed() {
    let sshd = Sshd::start();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm_at("vm03", &sshd, free, "");
    let log = lab.path("ran");
    let command = format!("echo $ORCH_MARK | cut -d. -f2 >> {0}; test -e {0}.ok", log.display());
    lab.exec(["--reason", "deploy 42", "vm[01-03]", &command]).ends(4);
    let first = last(&lab);
    let ran = || fs::read_to_string(&log).unwrap().lines().count();
    assert_eq!(ran(), 2);
    runs(&lab, ["rerun", "last", "--only", "unknown,not-started"]).ends(2).says(&["ended so"]);
    let said = runs(&lab, ["rerun", "last", "--only", "unreachable"]);
    said.ends(4).says(&["again: ", " on vm03 (1)"]);
    assert_eq!(ran(), 2);
    let again = last(&lab);
    assert_ne!(again.id, first.id);
    assert_eq!(again.metadata["rerun_of"], first.id.to_string());
    assert_eq!(again.reason.as_deref(), Some("deploy 42"));
    fs::write(lab.path("ran.ok"), "").unwrap();
    let id = first.id.to_string();
    let said = runs(&lab, ["rerun", &id, "--only", "failed", "-o", "summary"]);
    said.ends(4).says(&["on vm[01-03] (3)"]);
    assert!(said.text().contains("success     vm[01-02] (2)"), "{said:?}");
    let records = lab.audit();
    assert_eq!(records.last().unwrap()["metadata"]["rerun_of"], id);
    assert_eq!(records.last().unwrap()["reason"], "deploy 42");
    // Without --only on all of them.
    runs(&lab, ["rerun", &id, "--reason", "once more"]).ends(4).says(&["on vm[01-03] (3)"]);
    assert_eq!(last(&lab).reason.as_deref(), Some("once more"));
}

#[test]
fn with_the_same_settings() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let show = "printf '<%s>' \"$@\"; pwd; echo \"$X\"; cat";
    fs::write(lab.path("home/input"), "from stdin\n").unwrap();
    let args = ["-C", "/usr", "-e", "X=a  b", "--stdin", "input", "vm01", "--"];
    let words = ["sh", "-c", show, "sh", "it's", "$HOME"];
    let said = lab.exec(args.into_iter().chain(words));
    assert_eq!(said.ends(0).text(), "<it's><$HOME>/usr\na  b\nfrom stdin\n");
    let mut elsewhere = lab.verb("runs", ["rerun", "last"]);
    let again: crate::cli_exec::Said = elsewhere.current_dir("/").output().unwrap().into();
    assert_eq!(again.ends(0).text(), said.text());
    fs::write(lab.path("home/input"), "other\n").unwrap();
    let said = runs(&lab, ["rerun", "last"]);
    said.ends(2).says(&["SHA256 mismatch", "input", "type the command again"]);
}

#[test]
fn one_host_gives_its_own_exit_code_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    lab.exec(["vm01", "exit 42"]).ends(42);
    runs(&lab, ["rerun", "last"]).ends(42);
    runs(&lab, ["rerun", "last", "--only", "failed", "--exit-code", "table"]).ends(1);
    assert_eq!(last(&lab).hosts[0].1, Status::Failed);
}

#[test]
fn a_script_that_changed_is_refused() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let script = lab.path("home/job.sh");
    fs::write(&script, "echo \"one $1\"; exit 5\n").unwrap();
    does(&lab, "script", ["vm01", "job.sh", "--", "two words"]).ends(5);
    let said = runs(&lab, ["rerun", "last", "--only", "failed"]);
    assert_eq!(said.ends(5).text(), "one two words\n");
    fs::write(&script, "echo changed\n").unwrap();
    let attempted = lab.attempted();
    runs(&lab, ["rerun", "last"]).ends(2).says(&["SHA256 mismatch", "job.sh"]);
    let said = runs(&lab, ["rerun", "last", "--json"]);
    assert_eq!(json(said.ends(2))["error"]["code"], "rerun_changed");
    fs::remove_file(&script).unwrap();
    runs(&lab, ["rerun", "last"]).ends(2).says(&["job.sh cannot be read"]);
    assert_eq!(lab.attempted(), attempted);
}

#[test]
fn files_are_moved_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    fs::write(lab.path("home/a.txt"), "one").unwrap();
    let target = lab.path("target.txt");
    let to = target.to_str().unwrap();
    does(&lab, "push", ["vm01", "a.txt", to]).ends(0);
    fs::write(&target, "spoilt").unwrap();
    let mut elsewhere = lab.verb("runs", ["rerun", "last"]);
    let again: crate::cli_exec::Said = elsewhere.current_dir("/").output().unwrap().into();
    again.ends(0);
    assert_eq!(fs::read_to_string(&target).unwrap(), "one");
    fs::write(lab.path("home/a.txt"), "two").unwrap();
    runs(&lab, ["rerun", "last"]).ends(2).says(&["SHA256 mismatch", "a.txt"]);

    // What came from several VMs goes to each one's own place again.
    does(&lab, "pull", ["vm[01-02]", to, "got/"]).ends(0);
    fs::remove_dir_all(lab.path("home/got")).unwrap();
    runs(&lab, ["rerun", "last"]).ends(0);
    assert!(lab.path("home/got/vm02/target.txt").exists());
}

#[test]
fn it_is_decided_anew() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    lab.exec(["vm[01-02]", "true"]).ends(0);
    let dry = runs(&lab, ["rerun", "last", "--dry-run"]);
    assert!(dry.ends(0).text().contains("vm02") && dry.text().contains("allowed"), "{dry:?}");
    let lab = lab.set("default_retry", "allowed_vm_ids: [vm01]\n  default_retry");
    runs(&lab, ["rerun", "last"]).ends(2).says(&["vm02 not in allowed list"]);
    assert_eq!(last(&lab).metadata.get("rerun_of"), None);
}

#[test]
fn results_are_targets() {
    let sshd = Sshd::start();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm_at("vm03", &sshd, free, "");
    lab.exec(["@failed", "true"]).ends(2).says(&["no run is remembered"]);
    let flag = lab.path("flag");
    let once = format!("mkdir {}", flag.display());
    lab.exec(["-f", "1", "vm[01-03]", &once]).ends(4);
    let first = last(&lab);
    let failed = Store::open_existing(path(&lab)).unwrap().hosts_failed("last").unwrap();
    let list = |targets: &str| lab.exec(["--list-hosts", targets]).ends(0).text().to_owned();
    let expected: String = failed.iter().map(|vm| format!("{vm}\n")).collect();
    assert_eq!(failed.len(), 2);
    assert_eq!(list("@failed"), expected);
    assert_eq!(list("@unreachable"), "vm03\n");
    assert_eq!(list("@failed!@unreachable").lines().count(), 1);
    lab.exec(["vm[01-02]", "true"]).ends(0);
    lab.exec(["--list-hosts", "@failed"]).ends(2).says(&["selects no host"]);
    let id = first.id.to_string();
    assert_eq!(list(&format!("@failed:{}", &id[24..])), expected);
    lab.exec(["--list-hosts", "@failed:ffffffff"]).ends(2).says(&["no remembered run"]);
}
