//! Commands whose time is over, and lists that are cancelled.

use std::time::Duration;

use orchestrator::Orchestrator;
use orchestrator::outcome::Status;
use orchestrator::remote::{Command, CommandList};

use super::{each, json};
use crate::cli_exec::{Lab, Running, waits};
use crate::support::{Sshd, block_until, process_name, processes_with_env, wait_until};

fn sleeping(sshd: &Sshd) -> bool {
    let of_session = processes_with_env(sshd.mark()).into_iter();
    of_session.filter_map(process_name).any(|name| name == "sleep")
}

#[tokio::test]
async fn a_timeout_ends_the_right_command() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let gate = lab.path("gate");
    let gate = gate.display();
    let list = CommandList::new([
        Command::shell("sleep 306; true").timeout(Duration::from_secs(1)),
        Command::shell(format!("while ! test -e {gate}; do sleep 0.1; done; echo alive")),
        Command::shell(format!(": >{gate}")),
    ]);
    let list = list.parallel(2.try_into().unwrap()).keep_going(true);
    let report = orchestrator.on("vm01".parse().unwrap()).commands(list).run().await.unwrap();
    let commands = &report.results()[0].commands;
    let statuses: Vec<Status> = commands.iter().map(|command| command.status).collect();
    assert_eq!(statuses, [Status::Timeout, Status::Success, Status::Success]);
    assert_eq!(commands[0].kill.as_ref().unwrap().survivors, Some(vec![]));
    assert_eq!(commands[1].stdout.to_text(), "alive\n");
    assert_eq!(report.results()[0].status, Status::Timeout);
    wait_until("the command is gone", || !sleeping(&sshd)).await;
}

#[test]
fn a_timeout_ends_the_session_of_its_command() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let args = ["--shell-session", "--keep-going", "--timeout", "5s", "--exit-code", "table"];
    let (said, host) = json(&lab, "echo a\nsleep 307 & sleep 307\necho b", &args);
    said.ends(3);
    assert_eq!(each(&host, "status"), ["success", "timeout", "not_started"]);
    assert_eq!(host["commands"][1]["kill"]["survivors"], serde_json::json!([]));
    assert_eq!(host["commands"][2]["error"]["code"], "session_ended");
    assert!(!sleeping(&sshd));
}

#[test]
fn an_interrupt_ends_what_runs_and_starts_nothing_more() {
    for session in [None, Some("--shell-session")] {
        let sshd = Sshd::start();
        let lab = Lab::one(&sshd);
        let flag = lab.path("flag");
        super::list(&lab, &format!("true\n{}\necho never\n", waits(&flag)));
        let args = ["--keep-going", "--json", "vm01", "--commands", "list"];
        let running = Running::start(lab.command(session.into_iter().chain(args)));
        block_until("the second command runs", || {
            std::fs::read_to_string(&flag).is_ok_and(|text| text.ends_with('\n'))
        });
        running.signal(rustix::process::Signal::INT);
        let said = running.wait();
        let document: serde_json::Value = serde_json::from_slice(&said.ends(130).stdout).unwrap();
        let host = &document["hosts"][0];
        assert_eq!(each(host, "status"), ["success", "cancelled", "not_started"], "{host}");
        assert_eq!(host["commands"][1]["stdout"], "begun\n");
        assert_eq!(host["commands"][1]["kill"]["survivors"], serde_json::json!([]));
        assert!(!sleeping(&sshd));
    }
}
