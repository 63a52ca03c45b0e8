//! Lists remembered, and done again.

use orchestrator::store::{LAST, Store};

use super::{each, list};
use crate::cli_exec::{Lab, Said};
use crate::support::Sshd;

fn runs<'a>(lab: &Lab, args: impl IntoIterator<Item = &'a str>) -> Said {
    lab.verb("runs", args).output().unwrap().into()
}

#[test]
fn a_list_is_remembered_and_done_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    list(&lab, "cd /usr; A=1\npwd; echo $A >&2\nexit 3\necho never\n");
    let args = ["--shell-session", "-e", "B=2", "vm01", "--commands", "list"];
    lab.exec(args).ends(3);
    std::fs::remove_file(lab.path("home/list")).unwrap();
    let shown = runs(&lab, ["show", "last"]);
    let block = "$ cd /usr; A=1\n$ pwd; echo $A >&2\n/usr\n$ exit 3\n";
    assert!(shown.ends(0).text().ends_with(block), "{shown:?}");
    assert!(shown.text().contains("commands 4 commands: cd /usr; A=1; pwd"), "{shown:?}");
    shown.says(&["vm01 │ 1", "vm01: command 3 of 4 failed: exit 3: exit 3"]);
    assert_eq!(runs(&lab, ["show", "last", "vm01", "--stdout"]).ends(0).text(), "/usr\n");
    let document = |args: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&runs(&lab, args.iter().copied()).stdout).unwrap()
    };
    let then = document(&["show", "last", "--json"]);
    let host = &then["hosts"][0];
    assert_eq!(each(host, "status"), ["success", "success", "failed", "not_started"]);
    assert_eq!(each(host, "exit_code")[2], 3);
    let again = document(&["rerun", "last", "--json"]);
    let again = &again["hosts"][0];
    for field in ["command", "stdout", "stderr", "status", "exit_code", "attempts"] {
        assert_eq!(each(host, field), each(again, field), "{field}");
    }
    runs(&lab, ["rerun", "last", "--only", "failed"]).ends(3);
    let diff = runs(&lab, ["show", "--diff", "last", "last"]);
    assert_eq!(diff.ends(0).text(), "same: vm01 (1)\n");
}

#[test]
fn one_with_a_secret_must_be_typed_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    list(&lab, "true\ntrue --password hunter2\n");
    lab.exec(["vm01", "--commands", "list"]).ends(0);
    runs(&lab, ["rerun", "last"]).ends(2).says(&["looks like a secret"]);
    let store = Store::open_existing(lab.path("state/runs.db")).unwrap();
    assert!(store.run(LAST).unwrap().recipe.is_err());
}
