//! `policy replay`: what is on record, decided anew.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::with_policy;
use crate::cli_exec::{Lab, Said};
use crate::support::Sshd;

const OLD: &str = "
binaries:
- {path: /bin/echo}
- {path: /bin/sh, shell: true}
- {path: /usr/bin/uptime, hosts: '@web'}
transfers: {upload: [/tmp], download: [/tmp]}
";

fn lab() -> Lab {
    let address = "192.0.2.1:22".parse().unwrap();
    let lab = Lab::new().entry("vm01", address, ", tags: [prod]").entry("vm02", address, "");
    with_policy(lab, OLD).set("runs: {", "groups: { web: vm01 }\nruns: {")
}

fn replay(lab: &Lab, new: &str, more: &[&str]) -> Said {
    let path = lab.path("new.yml");
    fs::write(&path, new).unwrap();
    let args = [&["replay", path.to_str().unwrap()], more].concat();
    lab.verb("policy", args.iter().copied()).output().unwrap().into()
}

fn document(said: &Said) -> Value {
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// A log as it would have been written, without its chain, which `audit verify`
/// looks at and this does not.
struct Log(String, u64);

impl Log {
    fn add(&mut self, ts: &str, event: &str, host: &str, action: &Value, allow: bool, rule: &str) {
        let Self(text, seq) = self;
        *seq += 1;
        let record = json!({
            "v": 1, "seq": *seq, "ts": ts, "event": event,
            "actor": {"id": "alice", "os_user": "alice"}, "target": {"host": host},
            "action": action, "decision": {"allow": allow, "rule": rule},
        });
        writeln!(text, "{record}").unwrap();
    }

    fn write(&self, lab: &Lab) -> String {
        let path = lab.path("old.jsonl");
        fs::write(&path, &self.0).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn digest(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn argv(words: &[&str]) -> Value {
    let all: String = words.iter().map(|word| format!("{word}\0")).collect();
    json!({"kind": "argv", "argv": words, "sha256": digest(all)})
}

const DAY: &str = "2026-11-20T10:00:00.000000Z";

#[test]
fn ten_thousand_records() {
    let lab = lab();
    let mut log = Log(String::new(), 0);
    for nth in 0..10_000_u32 {
        let host = if nth % 2 == 0 { "vm01" } else { "vm02" };
        let word = format!("w{}", nth % 100);
        match nth % 10 {
            0 => log.add(DAY, "exec.attempt", host, &argv(&["/bin/cat", &word]), true, "x"),
            1 => log.add(DAY, "exec.result", host, &argv(&["/bin/echo", &word]), false, "y"),
            _ => log.add(DAY, "exec.attempt", host, &argv(&["/bin/echo", &word]), true, "x"),
        }
    }
    let path = log.write(&lab);
    let said = replay(&lab, OLD, &["--json", "--log", &path]);
    let told = document(said.ends(1));
    assert_eq!(told["records"], 10_000);
    assert_eq!(told["distinct"], 100);
    assert_eq!(told["undecidable"]["count"], 0);
    assert_eq!(told["newly_denied"]["count"], 1000);
    let group = &told["newly_denied"]["groups"][0];
    assert_eq!(group["rule"], "builtin/default-deny");
    assert_eq!((&group["host"], &group["count"]), (&json!("vm01"), &json!(1000)));
    assert_eq!((&group["example"], &group["seq"]), (&json!("/bin/cat w0"), &json!(1)));
    assert_eq!(told["newly_allowed"]["count"], 1000);
    assert_eq!(told["newly_allowed"]["groups"][0]["rule"], "y");
    let said = replay(&lab, OLD, &["--log", &path]);
    let text = said.ends(1).text();
    for part in [
        "replayed       10000, 100 of them distinct\n",
        "newly denied   1000\n   1000  vm01  builtin/default-deny: no rule names /bin/cat\n",
        "         such as record 1: /bin/cat w0\n",
        "undecidable    0\n",
        "present inventory",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    // By the same policy on both sides nothing differs.
    let old = lab.path("policy.yml");
    replay(&lab, OLD, &["--log", &path, "--as-of", old.to_str().unwrap()]).ends(0);
    replay(&lab, OLD, &["--log", &path, "--since", "2026-11-21"]).ends(0);
    replay(&lab, OLD, &["--log", &path, "--until", "2026-11-21"]).ends(1);
}

#[test]
fn what_cannot_be_decided_is_counted_apart() {
    let lab = lab();
    let mut log = Log(String::new(), 0);
    let mut add = |event: &str, host: &str, action: Value, allow: bool, rule: &str| {
        log.add(DAY, event, host, &action, allow, rule);
    };
    let shell = |text: &str| json!({"kind": "shell", "command": text, "sha256": digest(text)});
    add("exec.attempt", "vm01", json!({"kind": "shell", "command": "x [redacted]#1"}), true, "x");
    add(
        "exec.attempt",
        "vm01",
        json!({"kind": "argv", "argv": ["/bin/echo", "…"], "sha256": digest("")}),
        true,
        "x",
    );
    add("exec.attempt", "vm09", argv(&["/bin/echo"]), true, "x");
    add(
        "file.attempt",
        "vm01",
        json!({"kind": "upload", "local": "a", "remote": "/tmp/a"}),
        true,
        "x",
    );
    add(
        "exec.attempt",
        "vm01",
        json!({"kind": "script", "argv": ["./a"], "script_sha256": digest("")}),
        true,
        "x",
    );
    let mut second = argv(&["/bin/echo"]);
    second["index"] = json!(1);
    add("exec.result", "vm01", second, false, "z");
    // What no policy decides is not asked about; what is told twice, once.
    add("exec.result", "vm01", argv(&["/bin/echo"]), true, "x");
    add("exec.result", "vm01", shell("/bin/echo"), false, "scan/rm-root");
    add("exec.result", "vm01", argv(&["/bin/echo"]), false, "builtin/allowed-vms");
    add("session.attempt", "vm01", json!({"kind": "check"}), true, "x");
    // What can be: as it was.
    add("exec.attempt", "vm01", shell("/bin/echo a; /bin/echo b"), true, "x");
    add("exec.attempt", "vm01", argv(&["/usr/bin/uptime"]), true, "x");
    let moved = |kind: &str, path: &str, recursive: bool| json!({"kind": kind, "remote": path, "sources": [path], "recursive": recursive});
    add("file.attempt", "vm01", moved("upload", "/tmp/a", false), true, "x");
    add("file.attempt", "vm01", moved("download", "/tmp/a", true), true, "x");
    let path = log.write(&lab);
    let said = replay(&lab, OLD, &["--json", "--log", &path]);
    let told = document(said.ends(0));
    assert_eq!(told["records"], 10, "{told}");
    let why = told["undecidable"]["why"].as_object().unwrap();
    let counts: Vec<(&str, u64)> =
        why.iter().map(|(why, count)| (why.as_str(), count.as_u64().unwrap())).collect();
    assert_eq!(
        counts,
        [
            ("a secret was taken out of it", 1),
            ("it is one of several commands that were denied together", 1),
            ("it was too long to be recorded whole, or is not UTF-8 text", 1),
            ("it was written by a version that did not record all that decides", 2),
            ("its host is not in the inventory any more", 1),
        ]
    );
    // On the other host, without the group, it would have been another matter.
    let narrower = OLD.replace("'@web'", "vm02").replace("download: [/tmp]", "download: [/opt]");
    let told = document(replay(&lab, &narrower, &["--json", "--log", &path]).ends(1));
    assert_eq!(told["newly_denied"]["count"], 2, "{told}");
    assert_eq!(told["newly_allowed"]["count"], 0);
}

/// What this version records is all that it needs.
#[test]
fn what_was_done_is_decided_as_it_was() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (script, stays) = (lab.path("s.sh"), lab.path("stays.sh"));
    fs::write(&script, "#!/bin/sh\necho \"$1\"\n").unwrap();
    let sha256 = digest(fs::read(&script).unwrap());
    let policy = format!(
        "global: {{allowed_env: [LANG], path: [/usr/bin, /bin]}}\n\
         binaries:\n- {{path: echo, allowed_args: ['[a-z]+'], allowed_workdirs: [/tmp]}}\n\
         - {{path: /bin/sh, shell: true}}\n\
         scripts: [{{sha256: {sha256}, allowed_args: [one], interpreter: [/bin/sh, -e]}}]\n\
         transfers: {{upload: [{0}], download: [{0}]}}\n",
        lab.path("").display().to_string().trim_end_matches('/')
    );
    let lab = with_policy(lab, &policy);
    let run = |verb: &str, args: &[&str]| {
        Said::from(lab.verb(verb, args.iter().copied()).output().unwrap())
    };
    run("exec", &["-C", "/tmp", "-e", "LANG=C", "vm01", "--", "echo", "abc"]).ends(0);
    run("exec", &["-e", "OTHER=1", "vm01", "--", "/bin/echo", "abc"]).ends(255);
    run("exec", &["vm01", "echo $HOME"]).ends(0);
    let script = script.to_str().unwrap();
    run("script", &["vm01", script, "--", "one"]).ends(0);
    run("script", &["--interpreter", "/bin/sh -e", "vm01", script, "--", "one"]).ends(0);
    run("script", &["vm01", script, "--", "two"]).ends(255);
    run("script", &["--at", stays.to_str().unwrap(), "vm01", script, "--", "one"]).ends(0);
    let there = lab.path("there");
    let there = there.to_str().unwrap();
    run("push", &["vm01", script, there]).ends(0);
    run("pull", &["vm01", there, lab.path("back").to_str().unwrap()]).ends(0);
    run("pull", &["vm01", "/etc/hostname", lab.path("no").to_str().unwrap()]).ends(7);

    let told = document(replay(&lab, &policy, &["--json"]).ends(0));
    assert_eq!(told["records"], 10, "{told}");
    assert_eq!(told["undecidable"]["count"], 0, "{told}");
    // And by one that allows nothing, each of them is found again.
    let nothing = "binaries: [{path: /bin/true}]\n";
    let told = document(replay(&lab, nothing, &["--json", "--since", "1h"]).ends(1));
    assert_eq!(told["newly_denied"]["count"], 7, "{told}");
}
