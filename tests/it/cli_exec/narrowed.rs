//! What narrows the targets, and targets that stand elsewhere.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{Lab, Said};
use crate::support::Sshd;

/// Five VMs, one of them disabled, with tags and groups.
fn lab(sshd: &Sshd) -> Lab {
    let mut lab = Lab::new();
    for (vm, more) in [
        ("web1", ", tags: [prod, web]"),
        ("web2", ", tags: [web]"),
        ("web3", ", enabled: false, tags: [web]"),
        ("db1", ", tags: [prod]"),
        ("db2", ""),
    ] {
        lab = lab.vm_at(vm, sshd, sshd.addr(), more);
    }
    let groups = "groups: {web: 'web*', data: 'db[1-2]', both: '@web,@data!db2'}";
    lab.set("remote_execution:", &format!("{groups}\nremote_execution:"))
}

fn lines(said: &Said) -> Vec<&str> {
    said.text().lines().collect()
}

#[test]
fn expressions_select_and_flags_narrow() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    for (args, expected) in [
        (&["@both"][..], "web1 web2 db1"),
        (&["tag=prod"], "web1 db1"),
        (&["web*"], "web1 web2"),
        (&["all!@web"], "db1 db2"),
        (&["@web^tag=prod"], "web2 db1"),
        (&["web1 db1"], "web1 db1"),
        (&["all", "-x", "db2", "--exclude", "tag=web"], "db1"),
        (&["all", "--limit", "@data"], "db1 db2"),
        (&["all", "-x", "web3", "--limit", "web*"], "web1 web2"),
        (&["web3,db1", "-x", "web3"], "db1"),
    ] {
        let said = lab.exec([&["--list-hosts"], args].concat());
        assert_eq!(lines(said.ends(0)).join(" "), expected, "{args:?}");
    }
    lab.exec(["--list-hosts", "@web"]).ends(0).says(&["web3 left out: disabled or not allowed"]);
    assert_eq!(lab.exec(["--list-hosts", "@web", "-x", "web3"]).ends(0).stderr, "");
    lab.exec(["web3", "true"]).ends(2).says(&["vm_id web3 not in allowed list"]);
    lab.exec(["@wbe", "true"]).ends(2).says(&["there is no group wbe", "did you mean web?"]);
    lab.exec(["tag=prd", "true"]).ends(2).says(&["no host has the tag prd", "did you mean prod?"]);
    lab.exec(["db1", "-x", "@data", "true"])
        .ends(2)
        .says(&["\"db1\" without \"@data\" selects no host"]);
    lab.exec(["@failed", "true"]).ends(2).says(&["no run is remembered"]);
    lab.exec(["all", "--pick", "0", "true"]).ends(2);
}

#[test]
fn those_that_are_picked_are_those_that_run() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let said = lab.exec(["all", "--pick", "2", "-f", "1", "echo ran"]);
    assert_eq!(said.ends(0).text().matches("ran").count(), 2, "{said:?}");
    assert_eq!(lines(lab.exec(["all", "--pick", "9", "--list-hosts"]).ends(0)).len(), 4);
}

#[test]
fn lists_come_from_files_and_from_stdin() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    fs::write(lab.path("hosts.txt"), "# ours\nweb[1-2]  db2\n@data # both\n").unwrap();
    let file = format!("@file:{}", lab.path("hosts.txt").display());
    let said = lab.exec(["--list-hosts", &file]);
    assert_eq!(lines(said.ends(0)), ["web1", "web2", "db2", "db1"]);
    lab.exec(["--list-hosts", "@file:/none"]).ends(2).says(&["it cannot be read: No such file"]);
    fs::write(lab.path("hosts.txt"), "web1\n\nweb[\n").unwrap();
    lab.exec(["--list-hosts", &file]).ends(2).says(&["line 3, character 4", "not closed"]);

    let piped = |args: &[&str]| {
        let mut command = lab.command(args.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever refuses before reading has closed it.
        let _ = child.stdin.take().unwrap().write_all(b"db1\nweb1\n");
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(piped(&["--list-hosts", "all&-!web1"]).1, "db1\n");
    assert_eq!(piped(&["-N", "-f1", "-", "echo ran"]).1, "ran\nran\n");
    let (code, _, told) = piped(&["--stdin", "-", "-", "cat"]);
    assert!(code == 2 && told.contains("stdin has the targets"), "{told}");
    let (code, _, told) = piped(&["-", "-x", "-", "true"]);
    assert!(code == 2 && told.contains("stdin is read once"), "{told}");
    let (code, _, told) = piped(&["web[1-2] - web1", "true"]);
    assert!(code == 2 && told.contains("minus is written !"), "{told}");
}
