//! Asking for commands.

use std::time::Duration;

use orchestrator::outcome::{Phase, Status};
use orchestrator::remote::{Command, Stdin};
use orchestrator::{Orchestrator, RequestError, RunError};

use super::open;
use crate::cli_exec::Lab;
use crate::support::{Counter, Sshd};

#[tokio::test]
async fn a_command_on_one_host() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).entry("off", sshd.addr(), ", enabled: false");
    let orchestrator = open(&lab);
    let out = orchestrator.execute_command("vm01", "echo hello; echo bad >&2").await.unwrap();
    assert!(out.success());
    assert_eq!((out.stdout.to_text(), out.stderr.to_text()), ("hello\n".into(), "bad\n".into()));
    // A command that ends non-zero is a result.
    let out = orchestrator.execute_command("vm01", "exit 3").await.unwrap();
    assert_eq!(out.exit.unwrap().code(), Some(3));
    assert_eq!(out.status, Status::Failed);

    let error = |vm| {
        let orchestrator = &orchestrator;
        async move { orchestrator.execute_command(vm, "true").await.unwrap_err().to_string() }
    };
    assert!(error("vm07").await.starts_with("vm_id vm07 not found in config"));
    assert!(error("off").await.starts_with("vm_id off not in allowed list"));
    assert!(error("vm[").await.contains("bracket"));
    lab.forget();
    let error = open(&lab).execute_command("vm01", "true").await.unwrap_err();
    let RunError::Host(host) = error else { panic!("{error:?}") };
    assert_eq!(host.0.status, Status::HostKeyRejected);
}

#[tokio::test]
async fn an_error_keeps_the_successes() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let orchestrator = open(&lab);
    let command = Command::shell(format!("mkdir {}", lab.path("once").display()));
    let request = orchestrator.on("vm[01-02]".parse().unwrap()).command(command);
    let error = request.run().await.unwrap().into_result().unwrap_err();
    assert_eq!(error.to_string(), "1 of 2 hosts did not succeed");
    let RunError::Failed(report) = error else { panic!("{error:?}") };
    assert_eq!(report.results().iter().filter(|result| result.success()).count(), 1);
    assert_eq!(report.failed().count(), 1);
    let request = orchestrator.on("vm[01-02]".parse().unwrap()).command(Command::new("true"));
    assert_eq!(request.run().await.unwrap().into_result().unwrap().results().len(), 2);
}

#[tokio::test]
async fn everything_of_a_request_reaches_the_host_or_the_record() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let command = Command::shell("pwd; echo $A; cat; sleep 300")
        .current_dir("/usr")
        .env("A".parse().unwrap(), "b c")
        .stdin(Stdin::Bytes(b"in\n".as_slice().into()));
    let report = orchestrator
        .on("vm01".parse().unwrap())
        .command(command)
        .operator("alice")
        .reason("ticket 7")
        .metadata("ticket", "42")
        .timeout(Duration::from_secs(1))
        .grace(Duration::from_secs(1))
        .run()
        .await
        .unwrap();
    let result = &report.results()[0];
    assert_eq!(result.status, Status::Timeout);
    assert_eq!(result.stdout.to_text(), "/usr\nb c\nin\n");
    orchestrator.shutdown().await;
    let records = lab.audit();
    assert_eq!(records[1]["result"]["status"], "timeout");
    for record in &records[..2] {
        assert_eq!(record["run_id"], report.run().to_string());
        assert_eq!(record["actor"]["id"], "alice");
        assert_eq!(record["reason"], "ticket 7");
        assert_eq!(record["metadata"]["ticket"], "42");
        assert_eq!(record["action"]["cwd"], "/usr");
        assert_eq!(record["action"]["env_names"], serde_json::json!(["A"]));
    }
}

#[tokio::test]
async fn what_is_not_on_record_is_no_success() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let cut = format!("rm {}", lab.audit_path().display());
    let error = open(&lab).execute_command("vm01", &cut).await.unwrap_err();
    let RunError::Host(host) = error else { panic!("{error:?}") };
    assert_eq!(host.0.failure.unwrap().phase, Phase::Audit);
    let request = open(&lab).on("vm01".parse().unwrap()).command(Command::shell(&cut));
    assert!(request.run().await.unwrap().into_result().is_err());
}

#[tokio::test]
async fn a_stdin_that_cannot_be_given_stops_everything() {
    let sshd = Sshd::start();
    let counter = Counter::new();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let orchestrator = open(&lab);
    let run = |stdin| {
        let command = Command::shell(counter.command()).stdin(stdin);
        orchestrator.on("vm[01-02]".parse().unwrap()).command(command).run()
    };
    let missing = run(Stdin::File("/no/file".into())).await;
    assert!(matches!(missing, Err(RequestError::Stdin { .. })), "{missing:?}");
    let shared = run(Stdin::Inherit).await;
    assert!(matches!(shared, Err(RequestError::StdinShared(2))), "{shared:?}");
    assert_eq!(counter.runs(), 0);
}

#[test]
fn futures_can_be_spawned() {
    fn spawned<F: Future + Send + 'static>(future: F) {
        drop(future);
    }
    let sshd = Sshd::start();
    let orchestrator: Orchestrator = open(&Lab::one(&sshd));
    let request = orchestrator.on("vm01".parse().unwrap()).command(Command::new("true"));
    spawned(request.run());
    let clone = orchestrator.clone();
    spawned(async move { clone.execute_command("vm01", "true").await.map(drop) });
    spawned(async move { orchestrator.shutdown().await });
}

#[tokio::test]
async fn hosts_are_excluded_limited_and_picked() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm("vm03", &sshd);
    let orchestrator = open(&lab);
    let on = |hosts: &str| orchestrator.on(hosts.parse().unwrap());
    let all = || on("all").exclude("vm02".parse().unwrap());
    assert_eq!(all().resolve().unwrap().fold(), "vm[01,03]");
    assert_eq!(all().limit("vm[02-03]".parse().unwrap()).resolve().unwrap().fold(), "vm03");
    let picked = on("all").pick(1);
    let drawn = picked.resolve().unwrap();
    let plan = picked.command(Command::new("true")).plan().unwrap();
    assert_eq!(plan.hosts.len(), 1);
    assert_eq!(plan.hosts[0].vm, drawn.as_slice()[0]);
    assert!(on("@file:x").resolve().is_err(), "the library reads no file for a pattern");
}
