//! Runs of a library user.

use orchestrator::Orchestrator;
use orchestrator::outcome::Status;
use orchestrator::policy::Policy;
use orchestrator::remote::Command;
use orchestrator::store::{LAST, Store};

use super::path;
use crate::cli_exec::Lab;
use crate::support::Sshd;

#[tokio::test]
async fn runs_are_remembered_and_done_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let on = || orchestrator.on("vm01".parse().unwrap());
    let report = on().command(Command::new("echo").arg("hello")).run().await.unwrap();
    orchestrator.shutdown().await;
    assert_eq!(orchestrator.not_remembered(), None);
    let store = Store::open_existing(path(&lab)).unwrap();
    let run = store.run(LAST).unwrap();
    assert_eq!(run.id, report.run());
    assert_eq!(store.hosts_with(LAST, &[Status::Success]).unwrap()[0].as_str(), "vm01");

    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let request = orchestrator.on("vm01".parse().unwrap()).again(&run).unwrap();
    let report = request.run().await.unwrap();
    assert_eq!(report.results()[0].stdout.to_text(), "hello\n");
    orchestrator.shutdown().await;
    assert_eq!(store.run(LAST).unwrap().metadata["rerun_of"], run.id.to_string());
}

#[tokio::test]
async fn a_program_can_do_without() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let config = orchestrator::config::Config::load(lab.config()).unwrap();
    let known = orchestrator::ssh::known_hosts::KnownHosts::load(&config.ssh.known_hosts).unwrap();
    let orchestrator = Orchestrator::builder(config)
        .known_hosts(known)
        .policy(Policy::allow_all())
        .without_audit()
        .without_store()
        .build()
        .unwrap();
    orchestrator.execute_command("vm01", "true").await.unwrap();
    orchestrator.shutdown().await;
    assert!(!path(&lab).exists());
}
