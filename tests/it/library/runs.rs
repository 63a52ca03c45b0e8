//! Following, stopping and waiting for runs.

use std::fs;

use futures_util::FutureExt;
use orchestrator::RequestError;
use orchestrator::audit::{VerifyOptions, verify};
use orchestrator::event::EventKind;
use orchestrator::outcome::Status;
use orchestrator::remote::Command;

use super::open;
use crate::cli_exec::Lab;
use crate::support::{Sshd, processes_with_env, wait_until};

#[tokio::test]
async fn a_run_is_followed_and_cancelled() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let command = Command::shell("echo begun; sleep 300 & sleep 300; wait");
    let request = orchestrator.on("vm01".parse().unwrap()).command(command).stream(true);
    let mut handle = request.start().unwrap();
    let cancel = handle.canceller();
    let mut kinds = Vec::new();
    let mut expected = 0;
    while let Some(event) = handle.next_event().await {
        assert_eq!((event.seq, event.run), (expected, handle.id()));
        expected += 1;
        kinds.push(match event.kind {
            EventKind::RunStarted { .. } => "run_started",
            EventKind::HostStarted { .. } => "host_started",
            EventKind::Output { bytes, .. } => {
                assert_eq!(&*bytes, b"begun\n");
                cancel.cancel();
                "output"
            }
            EventKind::CommandFinished { .. } => "command_finished",
            EventKind::HostFinished(_) => "host_finished",
            EventKind::Progress { .. } => "progress",
            EventKind::BatchFinished { .. } => "batch_finished",
            EventKind::RunFinished { .. } => "run_finished",
        });
    }
    let all = ["run_started", "host_started", "output", "host_finished", "run_finished"];
    assert_eq!(kinds, all);
    let result = handle.wait().await.remove(0);
    assert_eq!(result.status, Status::Cancelled);
    assert_eq!(result.kill.unwrap().survivors, Some(vec![]));
    // The connection is kept; the command is not.
    let sleeping = || {
        let of_session = processes_with_env(sshd.mark()).into_iter();
        of_session.filter_map(crate::support::process_name).any(|name| name == "sleep")
    };
    wait_until("the command is gone", || !sleeping()).await;
}

#[tokio::test]
async fn a_run_goes_on_without_its_handle() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let done = lab.path("done");
    let command = Command::shell(format!(": > {}", done.display()));
    drop(orchestrator.on("vm01".parse().unwrap()).command(command).start().unwrap());
    wait_until("the command ran", || done.exists()).await;
    orchestrator.shutdown().await;
    assert_eq!(lab.statuses(), ["success"]);
}

#[tokio::test]
async fn shutdown_refuses_what_is_new_and_waits_for_the_rest() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let (flag, gate) = (lab.path("flag"), lab.path("gate"));
    let wait = format!(
        ": > {}; while ! test -e {}; do sleep 0.01; done; echo ended",
        flag.display(),
        gate.display()
    );
    let request = || orchestrator.on("vm01".parse().unwrap()).command(Command::shell(&wait));
    let handle = request().start().unwrap();
    wait_until("the command runs", || flag.exists()).await;
    let mut shutdown = Box::pin(orchestrator.shutdown());
    assert!(shutdown.as_mut().now_or_never().is_none(), "it does not wait");
    assert!(matches!(request().start(), Err(RequestError::Closing)));
    fs::write(gate, "").unwrap();
    shutdown.await;
    assert_eq!(handle.wait().await[0].stdout.to_text(), "ended\n");
    assert_eq!(lab.statuses(), ["success"]);
    let verified = verify(lab.audit_path(), &VerifyOptions::default()).unwrap();
    assert!(verified.covered_seq + 1 >= verified.last_seq, "{verified:?}");
}
