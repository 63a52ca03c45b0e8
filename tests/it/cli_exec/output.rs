//! What stands on stdout and stderr.

use serde_json::Value;

use super::{Lab, on_terminal};
use crate::support::Sshd;

#[test]
fn bytes_are_exact_on_both_streams() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let all = (0..256).map(|byte| format!("\\{byte:03o}")).collect::<String>();
    let said = lab.exec(["vm01", &format!("printf '{all}'; printf 'no end' >&2")]);
    said.ends(0);
    assert_eq!(said.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(said.stderr, "no end");
    let said = lab.exec(["vm01", "--", "printf", "%s", "a  b'\"$HOME\n"]);
    assert_eq!(said.ends(0).text(), "a  b'\"$HOME\n");
}

#[test]
fn a_document_has_the_fields_of_the_source_system() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, document) = lab.json(["vm01", "printf 'ü\\377'; echo e >&2; exit 3"]);
    said.ends(3);
    assert_eq!(said.stderr, "");
    let host = &document["hosts"][0];
    assert_eq!(host["vm_id"], "vm01");
    assert_eq!(host["command"], "printf 'ü\\377'; echo e >&2; exit 3");
    assert_eq!(host["stdout"], "ü\u{fffd}");
    assert_eq!(host["stdout_base64"], "w7z/");
    assert_eq!(host["stderr"], "e\n");
    assert_eq!(host["exit_code"], 3);
    assert_eq!(host["success"], false);
    assert_eq!(host["status"], "failed");
    assert!(host["execution_time"].as_f64().unwrap() > 0.0);
    let timestamp = host["timestamp"].as_str().unwrap();
    assert!(timestamp.parse::<jiff::Timestamp>().is_ok() && timestamp.ends_with('Z'));
    assert_eq!(document["summary"]["failed"], 1);
}

#[test]
fn events_are_numbered_without_gaps_and_the_last_is_the_end() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let said = lab.exec(["vm[01-02]", "-o", "ndjson", "for i in 1 2 3; do echo $i; done"]);
    let events: Vec<Value> =
        said.ends(0).text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (expected, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], expected, "{event}");
        assert_eq!(event["run"], events[0]["run"]);
    }
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(events[0]["type"], "run_started");
    assert_eq!(count("host_started"), 2);
    assert_eq!(count("host_finished"), 2);
    assert!(count("output") >= 2);
    assert_eq!(events.last().unwrap()["type"], "run_finished");
}

#[test]
fn a_document_stands_for_errors_before_the_run_too() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, document) = lab.json(["vm09", "true"]);
    said.ends(2).says(&["vm_id vm09 not found in config"]);
    assert_eq!(document["hosts"], Value::Array(vec![]));
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("vm_id vm09 not found in config"), "{message}");

    std::fs::remove_file(lab.config()).unwrap();
    let mut command = lab.command(["--json", "vm01", "true"]);
    command.env("ORCHESTRATOR_CONFIG", lab.path("nowhere.yml"));
    let said: super::Said = command.output().unwrap().into();
    said.ends(2).says(&["Config not found: ", "nowhere.yml"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(document["error"]["code"], "config_not_found");

    let said: super::Said = lab.command(["--json", "--nonsense", "vm01"]).output().unwrap().into();
    said.ends(2).says(&["--nonsense", "words after --"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(document["error"]["code"], "usage");
}

#[test]
fn several_hosts_are_labelled() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let said = lab.exec(["vm01,vm02", "printf 'one\\ntwo'; echo three >&2"]);
    let mut lines: Vec<&str> = said.ends(0).text().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["vm01 │ one", "vm01 │ two", "vm02 │ one", "vm02 │ two"]);
    let labelled =
        |vm| said.stderr.lines().any(|line| line.starts_with(vm) && line.ends_with(" three"));
    assert!(labelled("vm01") && labelled("vm02"), "{said:?}");
    let bare = lab.exec(["vm01,vm02", "-N", "echo same"]);
    assert_eq!(bare.ends(0).text(), "same\nsame\n");
}

#[test]
fn gathered_output_is_shown_once() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    for flag in ["-b", "--output=gather"] {
        let said = lab.exec(["vm[01-02]", flag, "echo same"]);
        assert_eq!(said.ends(0).text().matches("same").count(), 1, "{said:?}");
        assert!(said.text().contains("vm[01-02]"), "{said:?}");
    }
}

#[test]
fn only_the_end_or_only_counts() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let said = lab.exec(["vm[01-02]", "-o", "none", "echo out; exit 1"]);
    assert_eq!(said.ends(1).text(), "");
    let said = lab.exec(["vm[01-02]", "-o", "summary", "echo out; exit 1"]);
    assert!(!said.ends(1).text().contains("out\n"), "{said:?}");
    assert!(said.text().contains("2 failed"), "{said:?}");
}

#[test]
fn quiet_says_results_and_errors_only() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let said = lab.exec(["-q", "vm[01-02]", "-N", "echo out"]);
    said.ends(0);
    assert_eq!((said.text(), said.stderr.as_str()), ("out\nout\n", ""));
    let said = lab.exec(["-q", "vm01", "vi x"]);
    assert_eq!(said.ends(255).stderr.lines().count(), 1, "{said:?}");
}

#[test]
fn a_terminal_is_shielded_and_a_pipe_is_not() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let attack = "printf '\\033]0;x\\007\\302\\233m'";
    assert_eq!(lab.exec(["vm01", attack]).stdout, b"\x1b]0;x\x07\xc2\x9bm");
    let shown = on_terminal(&lab, &["vm01", attack], &[]);
    assert!(shown.contains("\\x1b]0;x\\x07"), "{shown:?}");
    assert!(!shown.contains('\x1b') && !shown.contains('\u{9b}'), "{shown:?}");
    let raw = on_terminal(&lab, &["vm01", "--raw", attack], &[]);
    assert!(raw.contains("\x1b]0;x\x07"), "{raw:?}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let args = ["vm01,vm02", "echo out"];
    assert!(on_terminal(&lab, &args, &[("TERM", "xterm")]).contains("\x1b["));
    let plain = on_terminal(&lab, &args, &[("TERM", "xterm"), ("NO_COLOR", "1")]);
    assert!(!plain.contains('\x1b'), "{plain:?}");
    let always = lab.exec(["--color", "always", "vm01,vm02", "echo out"]);
    assert!(always.text().contains("\x1b["), "{always:?}");
}

#[test]
fn differences_from_what_most_wrote() {
    let sshd = Sshd::start();
    let lab = Lab::new().vm("vm01", &sshd).vm("vm02", &sshd).vm("vm03", &sshd);
    let odd =
        "case $ORCH_RUN in *.vm01.*) printf 'a\\nb\\033\\n'; exit 3;; *) printf 'a\\nc\\n';; esac";
    let said = lab.exec(["--diff", "all", odd]);
    let rule = "---------------";
    assert_eq!(
        said.ends(1).text(),
        format!(
            "{rule}\nvm[02-03] (2)\n{rule}\na\nc\n{rule}\nvm01 (1), exit 3\n{rule}\n\
             --- vm[02-03]\n+++ vm01\n@@ -1,2 +1,2 @@\n a\n-c\n+b\\x1b\n"
        )
    );
    lab.exec(["--diff", "-b", "all", "true"]).ends(0);
    lab.exec(["--diff", "-o", "gather", "all", "true"]).ends(0);
    lab.exec(["--diff", "-o", "summary", "all", "true"]).ends(2).says(&["--diff gathers"]);
    lab.exec(["--diff", "--json", "all", "true"]).ends(2);
}
