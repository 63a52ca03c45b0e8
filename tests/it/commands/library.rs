//! Lists, handles and output in the library.

use futures_util::{StreamExt, pin_mut};
use orchestrator::blocking;
use orchestrator::event::EventKind;
use orchestrator::outcome::Status;
use orchestrator::remote::{Command, CommandList, Stream};
use orchestrator::{Orchestrator, RequestError};

use crate::cli_exec::Lab;
use crate::support::{Sshd, wait_until};

fn open(lab: &Lab) -> Orchestrator {
    Orchestrator::from_config_file(lab.config()).unwrap()
}

fn greetings() -> CommandList {
    CommandList::new([
        Command::new("echo").arg("it's me"),
        Command::shell("echo bad >&2; (exit 3)"),
        Command::new("no-such-program"),
    ])
}

#[tokio::test]
async fn a_list_gives_a_result_for_each() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let orchestrator = open(&lab);
    let on = || orchestrator.on("vm[01-02]".parse().unwrap());
    let report = on().commands(greetings().keep_going(true)).run().await.unwrap();
    for host in report.results() {
        assert_eq!(host.commands[0].stdout.to_text(), "it's me\n");
        assert_eq!(host.commands[1].stderr.to_text(), "bad\n");
        assert_eq!(host.commands[2].exit.as_ref().unwrap().code(), Some(127));
        assert_eq!((host.status, host.stdout.len()), (Status::Failed, 0));
        assert!(host.ssh.is_some() && host.timing.run > std::time::Duration::ZERO);
    }
    // An array of commands is a list.
    let report = on().commands([Command::new("true"), Command::new("false")]).run().await.unwrap();
    assert_eq!(report.failed().count(), 2);
    let session = greetings().shell_session(true).keep_going(true);
    let report = on().commands(session).run().await.unwrap();
    assert_eq!(report.results()[1].commands[0].stdout.to_text(), "it's me\n");
    assert_eq!(report.results()[1].commands[2].exit.as_ref().unwrap().code(), Some(127));
    let empty = on().commands([]).run().await;
    assert!(matches!(empty, Err(RequestError::Action(_))), "{empty:?}");
}

#[tokio::test]
async fn a_run_is_waited_for_like_any_future() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let request = open(&lab).on("vm01".parse().unwrap()).commands(greetings());
    let handle = request.start().unwrap();
    wait_until("the run has ended", || handle.is_finished()).await;
    let results = handle.await;
    assert_eq!(results[0].commands[2].status, Status::NotStarted);
}

#[tokio::test]
async fn a_run_is_cancelled() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let sleeps = [Command::shell("echo a; sleep 308"), Command::new("true")];
    let request = open(&lab).on("vm01".parse().unwrap()).commands(sleeps).stream(true);
    let mut handle = request.start().unwrap();
    assert!(handle.output().next().await.is_some());
    assert!(!handle.is_finished());
    handle.cancel();
    let results = handle.wait().await;
    let statuses: Vec<Status> = results[0].commands.iter().map(|command| command.status).collect();
    assert_eq!(statuses, [Status::Cancelled, Status::NotStarted]);
}

#[tokio::test]
async fn output_and_events_are_streams() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let request = || orchestrator.on("vm01".parse().unwrap()).commands(greetings()).stream(true);
    let mut handle = request().start().unwrap();
    let output: Vec<_> = handle
        .output()
        .map(|it| (it.vm.to_string(), it.index, it.stream, it.bytes.to_vec()))
        .collect()
        .await;
    assert_eq!(
        output,
        [
            ("vm01".into(), Some(0), Stream::Stdout, b"it's me\n".to_vec()),
            ("vm01".into(), Some(1), Stream::Stderr, b"bad\n".to_vec()),
        ]
    );
    let handle = request().start().unwrap();
    pin_mut!(handle);
    let (mut finished, mut last) = (Vec::new(), None);
    while let Some(event) = handle.next().await {
        match event.kind {
            EventKind::CommandFinished { index, of, result, .. } => {
                assert_eq!((of, last.is_none()), (3, true));
                finished.push((index, result.status));
            }
            EventKind::HostFinished(result) => last = Some(result.status),
            _ => {}
        }
    }
    finished.sort_by_key(|(index, _)| *index);
    let statuses: Vec<Status> = finished.into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, [Status::Success, Status::Failed, Status::NotStarted]);
    assert_eq!(last, Some(Status::Failed));
}

#[test]
fn the_same_without_a_runtime() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = blocking::Orchestrator::from_config_file(lab.config()).unwrap();
    let on = || orchestrator.on("vm01".parse().unwrap());
    let request = on().commands(greetings()).with(|request| request.stream(true));
    let mut handle = request.start().unwrap();
    let output: Vec<u8> = handle.output().flat_map(|it| it.bytes.to_vec()).collect();
    assert_eq!(output, b"it's me\nbad\n");
    assert_eq!(handle.wait()[0].commands.len(), 3);
    let sleeps = Command::shell("echo begun; sleep 309");
    let request = on().command(sleeps).with(|request| request.stream(true));
    let mut handle = request.start().unwrap();
    assert!(handle.output().next().is_some() && !handle.is_finished());
    handle.cancel();
    assert_eq!(handle.wait()[0].status, Status::Cancelled);
    orchestrator.shutdown();
}
