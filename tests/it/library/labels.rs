//! What whoever asks puts into the records.

use orchestrator::plan::InvalidLabel;
use orchestrator::remote::Command;
use orchestrator::{Orchestrator, RequestError};

use super::open;
use crate::cli_exec::{Lab, Said};
use crate::support::Sshd;

#[test]
fn labels_are_recorded_and_remembered() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let labels = ["--label", "ticket=CHG-7", "--label", "note=a=b c", "vm01", "true"];
    lab.exec(labels).ends(0);
    let mut command = lab.command(["vm01", "true"]);
    command.env("ORCHESTRATOR_LABEL", "ticket=CHG-8");
    Said::from(command.output().unwrap()).ends(0);
    let secret = "password=hunter2-hunter2";
    lab.exec(["--label", &format!("note={secret}"), "vm01", "true"]).ends(0);
    lab.exec(["vm07", "--label", "ticket=CHG-9", "true"]).ends(2);
    let records = lab.audit();
    let label = |index: usize, name: &str| records[2 * index + 1]["metadata"][name].clone();
    assert_eq!((label(0, "ticket"), label(0, "note")), ("CHG-7".into(), "a=b c".into()));
    assert_eq!((label(1, "ticket"), label(1, "note")), ("CHG-8".into(), serde_json::Value::Null));
    assert_eq!(label(3, "ticket"), "CHG-9");
    assert!(!String::from_utf8(lab.audit_bytes()).unwrap().contains("hunter2"));
    let show = |run: &str| Said::from(lab.verb("runs", ["show", run]).output().unwrap());
    let list = Said::from(lab.verb("runs", ["list", "--json"]).output().unwrap());
    let list: serde_json::Value = serde_json::from_slice(&list.ends(0).stdout).unwrap();
    let runs = list["runs"].as_array().unwrap();
    let first = runs.iter().find(|run| run["metadata"]["ticket"] == "CHG-7").unwrap();
    let shown = show(first["run"].as_str().unwrap());
    assert!(shown.ends(0).text().contains("ticket=CHG-7"), "{shown:?}");

    // What is done again keeps them, but for those that are given anew.
    let id = first["run"].as_str().unwrap();
    Said::from(lab.verb("runs", ["rerun", id, "--label", "note=x"]).output().unwrap()).ends(0);
    let again = lab.audit().pop().unwrap();
    assert_eq!(again["metadata"]["ticket"], "CHG-7");
    assert_eq!(again["metadata"]["note"], "x");
    assert_eq!(again["metadata"]["rerun_of"], id);

    // A check is recorded, and has its labels.
    let check = lab.verb("hosts", ["check", "vm01", "--label", "ticket=CHG-10"]).output().unwrap();
    Said::from(check).ends(0);
    let log = String::from_utf8(lab.audit_bytes()).unwrap();
    assert!(log.contains(r#""ticket":"CHG-10""#));
}

#[test]
fn what_cannot_be_a_label_is_wrong_usage() {
    let lab = Lab::new();
    for (label, why) in [
        ("ticket", "`ticket` is no label: write NAME=VALUE"),
        ("Ticket=7", "`Ticket` cannot be the name of a label"),
        ("rerun_of=x", "the program itself records `rerun_of`"),
        ("a=\n", "holds a control character"),
    ] {
        lab.exec(["--label", label, "vm01", "true"]).ends(2).says(&[why]);
    }
}

#[tokio::test]
async fn the_library_refuses_them_before_anything_runs() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let request = |name: &str| {
        let on = orchestrator.on("vm01".parse().unwrap());
        on.command(Command::new("true")).metadata(name, "7")
    };
    let error = request("did").run().await.unwrap_err();
    let RequestError::Label(InvalidLabel::Reserved(name)) = error else { panic!("{error:?}") };
    assert_eq!(name, "did");
    assert!(matches!(request("").plan(), Err(RequestError::Label(InvalidLabel::Name(_)))));
    let many = (0..33).fold(request("a"), |request, n| request.metadata(format!("n{n}"), ""));
    assert!(matches!(many.plan(), Err(RequestError::Label(InvalidLabel::TooMany))));
    assert_eq!(request("ticket").plan().unwrap().metadata["ticket"], "7");
    assert!(lab.audit_bytes().is_empty() || lab.attempted() == 0);

    let config = orchestrator::config::Config::default();
    let builder = Orchestrator::builder(config).known_hosts(Default::default());
    let builder = builder.policy(orchestrator::policy::Policy::allow_all()).without_audit();
    assert!(builder.metadata("no name", "").build().is_err());
}
