//! Scripts of the library on real sshds: what arrives, and what never does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::cli_exec::{Lab, Said};
use crate::support::{Proxy, Sshd};

/// Shows byte for byte what it was given.
const SHOW: &str = "#!/bin/sh
# ---
# id: show
# title: Show what arrives
# interpreter: /bin/sh
# os: [linux]
# parameters:
#   - {name: text, required: true}
#   - {name: word, pattern: '(?s).*', default: none, pass: argv}
#   - {name: key, secret: true}
#   - {name: count, type: int, default: 1}
# ---
printf '%s' \"$PARAM_TEXT\"
printf '|%s|%s|%s' \"$1\" \"${PARAM_KEY-unset}\" \"$PARAM_COUNT\"
";

const BAD: &str = "# ---\n# id: bad\n# ---\nrm -rf /\n";

/// A lab whose configuration has this library, beside it.
fn with_library(lab: Lab, files: &[(&str, &str)], more: &str) -> Lab {
    fs::create_dir(lab.path("lib")).unwrap();
    fs::set_permissions(lab.path("lib"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        let path = lab.path("lib").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    // Relative to the configuration, not to where the program is run.
    lab.set("runs: {", &format!("scripts: {{ path: lib/{more} }}\nruns: {{"))
}

fn script(lab: &Lab, args: &[&str]) -> Said {
    lab.verb("script", args.iter().copied()).output().unwrap().into()
}

fn scripts(lab: &Lab, args: &[&str]) -> Said {
    lab.verb("scripts", args.iter().copied()).output().unwrap().into()
}

fn document(said: &Said) -> Value {
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[test]
fn parameters_arrive_byte_for_byte() {
    let sshd = Sshd::start();
    let lab = with_library(Lab::one(&sshd), &[("show.sh", SHOW)], "");
    for text in ["it's \"quoted\"", "a\nb\n\n", "$(id) `id` ${HOME} \\", "é\t; rm x & # *", ""] {
        let (named, word) = (format!("text={text}"), format!("word={text}"));
        let args = ["vm01", "lib:show", "--param", &named, "--param", &word];
        let said = script(&lab, &args);
        assert_eq!(said.ends(0).text(), format!("{text}|{text}|unset|1"), "{text:?}");
    }
    let secret = "s3cr3t 'value' $(x)";
    let mut command = lab.verb("script", ["vm01", "lib:show", "--param", "text=t"]);
    command.env("THE_KEY", secret).args(["--param", "key=env:THE_KEY", "--param", "count=-7"]);
    let said: Said = command.output().unwrap().into();
    assert_eq!(said.ends(0).text(), format!("t|none|{secret}|-7"));

    let records = lab.audit();
    let last = records.last().unwrap();
    assert_eq!(last["action"]["script_id"], "show");
    assert_eq!(last["action"]["kind"], "script");
    let names = ["PARAM_TEXT", "PARAM_COUNT", "PARAM_KEY"];
    assert_eq!(last["action"]["env_names"], serde_json::json!(names));
    let log = lab.audit_bytes();
    let log = String::from_utf8_lossy(&log);
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn what_does_not_fit_runs_nowhere() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let lab = with_library(lab, &[("show.sh", SHOW), ("half.sh", "# ---\n# id: half\n")], "");
    for (args, says) in [
        (&["lib:show"][..], "the script show needs the parameter text"),
        (&["lib:show", "--param", "txet=a"], "has no parameter txet; did you mean text?"),
        (&["lib:show", "--param", "text=a", "--param", "count=x"], "expected a whole number"),
        (&["lib:show", "--param", "text=a", "--param", "text=b"], "is given twice"),
        (&["lib:show", "--param", "text"], "there is no ="),
        (&["lib:show", "--param", "text=a", "--param", "key=hunter2"], "does not say where from"),
        (&["lib:show", "--param", "text=a", "--", "more"], "takes parameters only"),
        (&["lib:shwo", "--param", "text=a"], "there is no script shwo"),
        (&["lib:half"], "the script half cannot be used"),
        (&["show.sh", "--param", "text=a"], "--param is for scripts of the library"),
    ] {
        let said = script(&lab, &[&["vm01"], args].concat());
        said.ends(2).says(&[says]);
        assert!(!said.stderr.contains("hunter2"), "{said:?}");
    }
    let error = script(&lab, &["vm01", "--json", "lib:show", "--param", "count=x"]);
    assert_eq!(document(error.ends(2))["error"]["code"], "script_parameter");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn another_system_is_refused_and_on_record() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), ", os: macos");
    let lab = with_library(lab, &[("show.sh", SHOW)], "");
    let said = script(&lab, &["--json", "vm01", "lib:show", "--param", "text=t"]);
    let host = &document(&said)["hosts"][0];
    let message = "Script not supported on target environment: macos";
    assert_eq!((&host["status"], &host["error"]["message"]), (&"failed".into(), &message.into()));
    assert_eq!(host["script"], serde_json::json!({"status": "failed", "message": message}));
    assert_eq!((lab.statuses(), proxy.connections()), (vec!["failed".to_owned()], 0));
}

#[test]
fn a_dangerous_script_never_reaches_the_host() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    // What is blocked would do no harm if it did arrive.
    let bad = "# ---\n# id: bad\n# ---\nfalse && rm -rf /\necho ran\n";
    let lab = with_library(lab, &[("bad.sh", bad)], "");
    let plain = lab.path("plain.sh");
    fs::write(&plain, bad.replace("id: bad", "id: no")).unwrap();
    let plain = plain.to_str().unwrap();
    let table = ["--exit-code", "table", "vm01"];
    let run = |args: &[&str]| script(&lab, &[&table[..], args].concat());

    let said = run(&["--json", "lib:bad"]);
    let host = &document(said.ends(7))["hosts"][0];
    assert_eq!((&host["status"], &host["script_id"]), (&"policy_denied".into(), &"bad".into()));
    assert_eq!(host["error"]["code"], "script_security_threat");
    assert_eq!(host["script"]["status"], "blocked");
    let threat = "Security scan detected potential threat: line 4: rm -r of / (critical)";
    run(&["lib:bad"]).ends(7).says(&[threat, "rule scan/rm-root", "--allow-threat rm-root"]);
    run(&["--dry-run", "lib:bad"]).ends(7);
    run(&[plain, "--scan"]).ends(7).says(&[threat]);
    run(&["lib:bad", "--allow-threat", "rm-root"]).ends(2).says(&["--reason"]);
    run(&["lib:bad", "--allow-threat", "rm-rot"]).ends(2).says(&["did you mean rm-root?"]);
    run(&["lib:bad", "--allow-threat", "mkfs", "--reason", "x"]).ends(7);
    assert_eq!(proxy.connections(), 0);
    let records = lab.audit();
    assert_eq!(records[0]["decision"]["rule"], "scan/rm-root");
    assert_eq!(records[1]["result"]["error_class"], "script_security_threat");
    assert_eq!(lab.statuses(), ["policy_denied"; 4]);

    let read = ["lib:bad", "--allow-threat", "rm-root", "--reason", "I have read it"];
    assert_eq!(run(&read).ends(0).text(), "ran\n");
    // A file that is in no library is its author's business.
    assert_eq!(run(&[plain]).ends(0).text(), "ran\n");
    let records = lab.audit();
    let overridden = &records[records.len() - 4];
    let rule = "allow-all; scan/rm-root (overridden): line 4";
    assert_eq!(
        (&overridden["decision"]["rule"], &overridden["reason"]),
        (&rule.into(), &"I have read it".into())
    );

    let export = lab.verb("audit", ["export", "--format", "scripts"]).output().unwrap();
    let export = String::from_utf8(export.stdout).unwrap();
    let lines: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let attempt = "script_execution_attempt";
    assert_eq!(events[..2], [attempt, "script_security_threat"]);
    assert_eq!(events[events.len() - 2..], [attempt, "script_executed"]);
    assert_eq!((&lines[1]["scriptId"], &lines[1]["status"]), (&"bad".into(), &"blocked".into()));
    assert!(lines[1]["threatDetails"].as_str().unwrap().starts_with(threat));
    assert_eq!(lines.last().unwrap()["message"], "Script executed successfully");
}

#[test]
fn the_configuration_says_what_is_searched() {
    let sshd = Sshd::start();
    let bad = "# ---\n# id: bad\n# ---\nfalse && rm -rf /\necho ran\n";
    let all = with_library(Lab::one(&sshd), &[("bad.sh", bad)], ", scan: all");
    let file = all.path("lib/bad.sh");
    script(&all, &["vm01", file.to_str().unwrap()]).ends(255).says(&["rule scan/rm-root"]);
    let off = with_library(Lab::one(&sshd), &[("bad.sh", bad)], ", scan: off");
    assert_eq!(script(&off, &["vm01", "lib:bad"]).ends(0).text(), "ran\n");
    assert_eq!(off.audit()[0]["decision"]["rule"], "allow-all; scan/off: not searched");
    script(&off, &["vm01", "lib:bad", "--scan"]).ends(255);
}

#[test]
fn what_a_script_says_of_itself_is_how_it_runs() {
    let sshd = Sshd::start();
    let slow = "# ---\n# id: slow\n# timeout: 1s\n# ---\nsleep 60\n";
    let awk =
        "# ---\n# id: awk\n# interpreter: [/usr/bin/env, awk, -f]\n# ---\nBEGIN { print 6*7 }\n";
    let root = "# ---\n# id: root\n# run_as: root\n# ---\ntrue\n";
    let files = [("slow.sh", slow), ("awk.awk", awk), ("root.sh", root)];
    let lab = with_library(Lab::one(&sshd), &files, "");
    assert_eq!(script(&lab, &["vm01", "lib:awk"]).ends(0).text(), "42\n");
    script(&lab, &["vm01", "lib:slow"]).ends(255).says(&["timed out after 1 s"]);
    script(&lab, &["vm01", "lib:awk", "--interpreter", "cat"]).ends(2);
    let said = script(&lab, &["vm01", "lib:root", "--sudo=nobody"]);
    said.ends(2).says(&["the script root runs as root, not as nobody", "write --sudo=root"]);
    let said = script(&lab, &["--dry-run", "vm01", "lib:root"]);
    assert!(said.ends(0).text().contains("allowed"), "{said:?}");
}

#[test]
fn the_library_is_listed_shown_and_checked() {
    let broken = "# ---\n# id: broken\n# titel: x\n# ---\n";
    let files =
        [("show.sh", SHOW), ("bad.sh", BAD), ("broken.sh", broken), ("README", "no script\n")];
    let lab = with_library(Lab::new(), &files, "");
    let said = scripts(&lab, &["list"]);
    assert!(
        said.ends(0).text().contains("show  linux  text, word, key, count  Show what"),
        "{said:?}"
    );
    said.says(&["1 cannot be used"]);
    let listed = document(&scripts(&lab, &["list", "--json"]));
    assert_eq!(listed["scripts"][1]["parameters"][2]["variable"], "PARAM_KEY");
    let shown = scripts(&lab, &["show", "lib:bad"]);
    assert!(shown.ends(0).text().contains("line 4: rm -r of / (critical, rm-root)"), "{shown:?}");
    scripts(&lab, &["show", "bda"]).ends(2).says(&["did you mean bad?"]);

    let linted = scripts(&lab, &["lint"]);
    let text = linted.ends(1).text();
    assert!(text.contains("broken.sh:3:3: unknown key `titel`"), "{text}");
    assert!(
        text.contains("bad.sh:4: critical: rm -r of /: nothing of the system is left [rm-root]"),
        "{text}"
    );
    linted.says(&["README: no front matter: not in the library"]);
    let good = lab.path("lib/show.sh");
    scripts(&lab, &["lint", good.to_str().unwrap()]).ends(0);
    Lab::new()
        .verb("scripts", ["list"])
        .output()
        .map(Said::from)
        .unwrap()
        .ends(2)
        .says(&["there is no script library"]);
}

/// What shellcheck says is told, and is advice.
#[test]
fn shellcheck_is_asked_where_it_is() {
    let lab = with_library(Lab::new(), &[("show.sh", SHOW)], "");
    let bin = lab.path("bin");
    fs::create_dir(&bin).unwrap();
    let fake = bin.join("shellcheck");
    fs::write(&fake, "#!/bin/sh\nwc -c | sed 's/^/-:7:1: warning: /'\necho \"$@\"\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output = lab.verb("scripts", ["lint"]).env("PATH", path).output().unwrap();
    let said = Said::from(output);
    let text = said.ends(0).text();
    assert!(text.contains(&format!("show.sh:7:1: warning: {} (shellcheck)", SHOW.len())), "{text}");
    assert!(text.contains("-f gcc -s sh - (shellcheck)"), "{text}");
    let none = lab.verb("scripts", ["lint"]).env("PATH", lab.path("home")).output().unwrap();
    Said::from(none).ends(0).says(&["shellcheck is not on this machine"]);
}

#[test]
fn what_others_can_write_is_not_used() {
    let lab = with_library(Lab::new(), &[("show.sh", SHOW)], "");
    fs::set_permissions(lab.path("lib"), fs::Permissions::from_mode(0o777)).unwrap();
    scripts(&lab, &["list"]).ends(2).says(&["can be written by others (mode 0777)", "chmod go-w"]);
}

/// The examples load, are found harmless, and do what they say.
#[test]
fn the_examples_work() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/scripts");
    let files: Vec<(String, String)> = fs::read_dir(&examples)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    assert!(files.len() >= 2);
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let sshd = Sshd::start();
    let lab = with_library(Lab::one(&sshd), &files, "");
    let linted = scripts(&lab, &["lint"]);
    let text = linted.ends(0).text();
    assert!(!text.lines().any(|line| line.ends_with(']')), "{text}");
    let report = ["vm01", "lib:disk-report", "--param", "limit=99", "--param", "format=json"];
    let said = script(&lab, &report);
    assert_eq!(document(&said)["limit"], 99);
    let denied = ["vm01", "lib:restart-service", "--param", "service=x; reboot"];
    script(&lab, &denied).ends(2).says(&["the whole of it to match"]);
}
