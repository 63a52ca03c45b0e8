//! What stands in the audit log of a list.

use std::collections::HashSet;

use super::{each, json, list};
use crate::cli_exec::Lab;
use crate::support::{Counter, Sshd};

#[test]
fn every_command_has_an_attempt_and_a_result() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, _) = json(&lab, "echo a\nexit 3\necho c", &["--reason", "ticket 7"]);
    said.ends(3);
    let records = lab.audit();
    let of = |event: &str| {
        records.iter().filter(|record| record["event"] == event).cloned().collect::<Vec<_>>()
    };
    let (attempts, results) = (of("exec.attempt"), of("exec.result"));
    assert_eq!((attempts.len(), results.len()), (3, 3));
    // All that will be done is on record before the first of it is.
    assert!(records[..3].iter().all(|record| record["event"] == "exec.attempt"));
    let ids: HashSet<&str> = attempts.iter().map(|it| it["op_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    for (index, (attempt, command)) in
        attempts.iter().zip(["echo a", "exit 3", "echo c"]).enumerate()
    {
        assert_eq!(attempt["action"]["index"], index);
        assert_eq!(attempt["action"]["command"], command);
        assert_eq!(attempt["reason"], "ticket 7");
        let result = results.iter().find(|it| it["op_id"] == attempt["op_id"]).unwrap();
        let expected = ["success", "failed", "not_started"][index];
        assert_eq!(result["result"]["status"], expected);
        assert_eq!(result["result"]["may_have_run"], index < 2, "{result}");
    }
}

#[test]
fn a_denied_command_keeps_all_from_running() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let counter = Counter::new();
    let text = format!("{0}\n{0}\nvi /etc/hosts\n{0}\n", counter.command());
    let (said, host) = json(&lab, &text, &["--keep-going"]);
    said.ends(255);
    let denied = ["not_started", "not_started", "policy_denied", "not_started"];
    assert_eq!(each(&host, "status"), denied);
    assert_eq!(host["status"], "policy_denied");
    let message = host["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("command 3 of 4: `vi`"), "{message}");
    let said = lab.exec(["vm[01-02]", "--commands", "list"]);
    said.ends(7).says(&["vm02: command 3 of 4: `vi`"]);
    let said = lab.exec(["--dry-run", "vm01", "--commands", "list"]);
    assert!(said.ends(7).text().contains("DENIED by builtin/interactive: command 3 of 4"));
    assert_eq!(counter.runs(), 0);
    let mut statuses = lab.statuses();
    statuses.sort();
    assert_eq!(statuses.iter().filter(|status| *status == "policy_denied").count(), 3);
    assert_eq!((statuses.len(), lab.attempted()), (12, 12));
    assert!(lab.exec(["--allow-interactive", "vm01", "--commands", "list"]).code.is_some());
    assert_eq!(counter.runs(), 2);
}

#[test]
fn without_a_log_nothing_more_is_begun() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let counter = Counter::new();
    let cut = format!("{}; rm {}", counter.command(), lab.audit_path().display());
    let text = format!("{cut}\nsleep 3; {0}\n{0}\n{0}\n", counter.command());
    list(&lab, &text);
    lab.exec(["--keep-going", "vm01", "--commands", "list"]).ends(74);
    assert!(counter.runs() <= 2, "{}", counter.runs());
}

#[test]
fn secrets_stand_nowhere() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    std::fs::write(lab.path("home/token"), "tr0ub4dor-and-3").unwrap();
    let text = "curl --password hunter2 2>/dev/null; true\necho tr0ub4dor-and-3 $TOKEN";
    let args = ["--secret-env", "TOKEN=file:token"];
    let (said, host) = json(&lab, text, &args);
    said.ends(0);
    assert_eq!(host["commands"][1]["stdout"], "tr0ub4dor-and-3 tr0ub4dor-and-3\n");
    let shown = each(&host, "command").iter().map(ToString::to_string).collect::<String>();
    let records = String::from_utf8(lab.audit_bytes()).unwrap();
    for text in [shown, records] {
        assert!(!text.contains("hunter2") && !text.contains("tr0ub4dor"), "{text}");
    }
    let store = std::fs::read(lab.path("state/runs.db")).unwrap();
    assert!(!store.windows(9).any(|bytes| bytes == b"tr0ub4dor"));
    let (said, host) = json(
        &lab,
        "test $TOKEN = tr0ub4dor-and-3 && echo same",
        &[args[0], args[1], "--shell-session"],
    );
    assert_eq!(said.ends(0).code.map(|_| &host["commands"][0]["stdout"]), Some(&"same\n".into()));
}
