//! `runs list` and `runs show`.

use std::fs;
use std::net::TcpListener;

use super::{does, json, last, path, runs};
use crate::cli_exec::Lab;
use crate::support::Sshd;

/// An address that nobody listens at.
fn nowhere() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn runs_are_listed_newest_first() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm_at("vm02", &sshd, nowhere(), "");
    assert!(runs(&lab, ["list"]).ends(0).says(&["no such run"]).text().is_empty());
    lab.exec(["vm01", "echo first"]).ends(0);
    lab.exec(["--operator", "bob", "--reason", "why not", "vm[01-02]", "echo second"]).ends(4);
    let listed = runs(&lab, ["list"]);
    let lines: Vec<&str> = listed.ends(0).text().lines().collect();
    assert_eq!(lines.len(), 3, "{listed:?}");
    assert!(lines[0].starts_with("RUN "), "{listed:?}");
    for text in ["bob", "echo second", "vm[01-02]", "1 ok, 1 unreachable"] {
        assert!(lines[1].contains(text), "{text}: {listed:?}");
    }
    assert!(lines[2].contains("echo first") && lines[2].contains("1 ok"), "{listed:?}");
    let one = |args: &[&str], text: &str| {
        let said = runs(&lab, ["list"].iter().chain(args).copied());
        assert_eq!(said.ends(0).text().lines().count(), 2, "{said:?}");
        assert!(said.text().contains(text), "{said:?}");
    };
    one(&["-n", "1"], "second");
    one(&["--failed"], "second");
    one(&["--operator", "bob"], "second");
    let none = runs(&lab, ["list", "--since", "2999-01-01"]);
    assert_eq!(none.ends(0).text(), "");
    let document = json(runs(&lab, ["list", "--json"]).ends(0));
    assert_eq!(document["runs"][0]["reason"], "why not");
    assert_eq!(document["runs"][0]["hosts"]["vm02"], "unreachable");
    assert_eq!(document["runs"][0]["type_again"], serde_json::Value::Null);
    assert_eq!(document["runs"][1]["operator"], lab_operator(&lab));
}

fn lab_operator(lab: &Lab) -> String {
    lab.audit()[0]["actor"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_is_shown_as_it_was() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm_at("vm03", &sshd, nowhere(), "");
    // The default shows lines as they come, and keeps none of them in results.
    let command = "echo out; echo err >&2; exit 3";
    lab.exec(["vm[01-03]", command]).ends(4);
    let id = last(&lab).id.to_string();
    let said = runs(&lab, ["show", &id[24..]]);
    let text = said.ends(0).text();
    for part in [&id, command, "vm[01-03] (3)", "vm[01-02] (2), exit 3\n---------------\nout\n"] {
        assert!(text.contains(part), "{part}: {said:?}");
    }
    said.says(&["vm01 │ err", "connection refused", "0 ok, 2 failed, 1 unreachable"]);
    let one = runs(&lab, ["show", "last", "vm02"]);
    assert!(one.ends(0).text().contains("vm02 (1), exit 3"), "{one:?}");
    assert!(!one.stderr.contains("vm01"), "{one:?}");
    let both = runs(&lab, ["show", "last", "vm02", "vm03", "--json"]);
    assert_eq!(json(both.ends(0))["hosts"].as_array().unwrap().len(), 2);
    let out = runs(&lab, ["show", "last", "vm02", "--stdout"]);
    assert_eq!(out.ends(0).text(), "out\n");
    let err = runs(&lab, ["show", "last", "vm02", "--stderr"]);
    assert_eq!(err.ends(0).text(), "err\n");
    runs(&lab, ["show", "last", "--stdout"]).ends(2).says(&["one VM"]);
    runs(&lab, ["show", "last", "vm09"]).ends(2).says(&["vm09 names no VM"]);
}

#[test]
fn the_document_is_the_one_that_exec_gave() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, mut document) = lab.json(["vm01", "printf 'a\\377b'; echo e >&2; exit 2"]);
    said.ends(2);
    let mut shown = json(runs(&lab, ["show", "last", "--json"]).ends(0));
    // Kept to the microsecond.
    for document in [&mut document, &mut shown] {
        document["hosts"][0]["execution_time"].take();
    }
    assert_eq!(shown, document);
}

#[test]
fn bytes_are_exact() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let all: Vec<u8> = (0..=255).collect();
    fs::write(lab.path("all"), &all).unwrap();
    let file = lab.path("all");
    let said = lab.exec(["vm01", &format!("cat {}", file.display())]);
    assert_eq!(said.ends(0).stdout, all);
    let shown = runs(&lab, ["show", "last", "vm01", "--stdout"]);
    assert_eq!(shown.ends(0).stdout, all);
}

#[test]
fn two_runs_are_compared() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm("vm03", &sshd);
    let fact = lab.path("fact");
    let command = format!("case $ORCH_HOST in x) ;; esac; cat {}", fact.display());
    fs::write(&fact, "same\nold\n").unwrap();
    lab.exec(["vm[01-02]", &command]).ends(0);
    let first = last(&lab).id.to_string();
    lab.exec(["vm[01-03]", &command]).ends(0);
    let second = last(&lab).id.to_string();
    fs::write(&fact, "same\nnew\x1b[2J\n").unwrap();
    lab.exec(["vm[01,03]", &command]).ends(0);
    let said = runs(&lab, ["show", "--diff", &first, &second]);
    let only = format!("only in {}: vm03 (1)\n", &second[28..]);
    assert_eq!(said.ends(0).text(), format!("same: vm[01-02] (2)\n{only}"));
    let said = runs(&lab, ["show", "--diff", &second, "last"]);
    let text = said.ends(0).text();
    assert!(text.contains("vm[01,03] (2)\n"), "{said:?}");
    assert!(text.contains(" same\n-old\n+new\\x1b[2J\n"), "{said:?}");
    assert!(text.contains("only in ") && text.contains(": vm02 (1)"), "{said:?}");
    let said = runs(&lab, ["show", "--diff", &second, "last", "vm03"]);
    assert!(said.ends(0).text().contains("vm03 (1)\n"), "{said:?}");
    lab.exec(["vm01", "false"]).ends(1);
    let said = runs(&lab, ["show", "--diff", &first, "last", "vm01"]);
    assert!(said.ends(0).text().contains("vm01 (1): ok, then failed (exit 1)"), "{said:?}");
}

#[test]
fn an_unknown_run_is_wrong_usage() {
    let lab = Lab::new();
    runs(&lab, ["show", "last"]).ends(2).says(&["no run is remembered"]);
    assert!(!path(&lab).exists());
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    lab.exec(["vm01", "true"]).ends(0);
    lab.exec(["vm01", "true"]).ends(0);
    runs(&lab, ["show", "ffffffffffff"]).ends(2).says(&["no remembered run", "runs list"]);
    runs(&lab, ["show", "-"]).ends(2).says(&["part of 2 run ids"]);
    runs(&lab, ["show"]).ends(2).says(&["last"]);
    let said = runs(&lab, ["show", "xyz", "--json"]);
    assert_eq!(json(said.ends(2))["error"]["code"], "run_unknown");
}

#[test]
fn files_that_were_moved_are_shown() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    fs::write(lab.path("a.txt"), "content").unwrap();
    let (from, to) = (lab.path("a.txt"), lab.path("b.txt"));
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let pushed = json(does(&lab, "push", ["--json", "vm01", from, to]).ends(0));
    let shown = json(runs(&lab, ["show", "last", "--json"]).ends(0));
    assert_eq!(shown["hosts"][0]["files"], pushed["hosts"][0]["files"]);
    let said = runs(&lab, ["show", "last"]);
    assert!(said.ends(0).text().contains("upload   upload: "), "{said:?}");
    assert!(said.text().contains("verified by"), "{said:?}");
}
