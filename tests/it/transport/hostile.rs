//! Servers that misbehave after key exchange.

use std::time::Duration;

use orchestrator::exec::Ending;
use orchestrator::remote::{Command, ExitStatus};
use orchestrator::transport::{
    ChannelError, ChannelEvent, ConnectErrorKind, ConnectPhase, Connection, ExecRequest,
};
use tokio::time::timeout;

use super::{
    GROWTH_MAX_KIB, PATIENCE, Said, Target, exec, nothing_is_left, output_of, tasks, works,
};
use crate::support::{Behaviour, Hostile, client, rss_kib, wait_until};

const MIB: usize = 1024 * 1024;

/// Runs a command as the engine does, wrapper and all.
async fn ending(connection: &dyn Connection, command: &str) -> Ending {
    crate::exec::run(connection, &Command::shell(command)).await.ending
}

#[tokio::test]
async fn check_24_forged_messages_are_never_a_result() {
    for behaviour in [Behaviour::ForgesData, Behaviour::ForgesExitStatus, Behaviour::ForgesClose] {
        let server = Hostile::start(behaviour);
        let connection = Target::hostile(&server).connect().await;
        // An error, or the truth.
        if let Ok(said) = output_of(&*connection, "echo real; exit 3").await {
            assert_eq!(said, Said::exited("real\n", 3), "{behaviour:?}");
        }
    }
}

#[tokio::test]
async fn check_24_data_beyond_the_window_waits_in_the_network() {
    let server = Hostile::start(Behaviour::DataBeyondWindow);
    let connection = Target::hostile(&server).connect().await;
    let before = rss_kib();
    let mut channel = exec(&*connection, "true").await.unwrap();
    // Unread: the server cannot make us keep more than our bounds.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let growth = rss_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
    let mut bytes = 0;
    while let Some(event) = channel.output.next().await {
        if let ChannelEvent::Stdout(chunk) = event {
            bytes += chunk.len();
        }
    }
    assert!(bytes <= 16 * MIB, "{bytes}");
    let growth = rss_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
}

#[tokio::test]
async fn check_24_a_flood_is_read_in_bounded_memory_and_can_be_left() {
    let server = Hostile::start(Behaviour::FloodsStderr);
    let tasks_before = tasks();
    let connection = Target::hostile(&server).connect().await;
    let mut channel = exec(&*connection, "true").await.unwrap();
    let before = rss_kib();
    let mut bytes = 0;
    while bytes < 128 * MIB {
        match channel.output.next().await.unwrap() {
            ChannelEvent::Stderr(chunk) => bytes += chunk.len(),
            ChannelEvent::Accepted => {}
            other => panic!("{other:?}"),
        }
    }
    drop(channel);
    // The server sees the close, ends the channel and takes the next command;
    // what it is asked before, it does not hear.
    let request = || ExecRequest { command: "true".into(), pty: None };
    let again = async {
        loop {
            let opening = timeout(Duration::from_millis(200), connection.exec(request()));
            if let Ok(opened) = opening.await {
                return opened.unwrap();
            }
        }
    };
    let mut next = timeout(PATIENCE, again).await.expect("it takes another command");
    assert_eq!(next.output.next().await, Some(ChannelEvent::Accepted));
    let growth = rss_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
    drop((next, connection));
    nothing_is_left(tasks_before, server.addr()).await;
}

#[tokio::test]
async fn channels_we_did_not_ask_for_are_refused() {
    let server = Hostile::start(Behaviour::OpensChannels);
    let connection = Target::hostile(&server).connect().await;
    works(&*connection).await;
    assert_eq!(server.channel_answers(), [92; 5]);
}

#[tokio::test]
async fn global_requests_are_answered_in_bounded_memory() {
    let server = Hostile::start(Behaviour::FloodsGlobalRequests);
    let connection = Target::hostile(&server).connect().await;
    let before = rss_kib();
    works(&*connection).await;
    let growth = rss_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
}

#[tokio::test]
async fn check_22_no_exit_status_is_no_result() {
    let server = Hostile::start(Behaviour::NoExitStatus);
    let connection = Target::hostile(&server).connect().await;
    let said = output_of(&*connection, "echo done").await.unwrap();
    assert_eq!((said.stdout.as_slice(), said.exit), (&b"done\n"[..], None));
    let lost = ending(&*connection, "true").await;
    assert!(matches!(lost, Ending::Lost { started: true, .. }), "{lost:?}");
}

#[tokio::test]
async fn check_22_a_signal_is_told_from_a_code() {
    let server = Hostile::start(Behaviour::ExitSignal);
    let connection = Target::hostile(&server).connect().await;
    assert_eq!(
        ending(&*connection, "true").await,
        Ending::Exited(ExitStatus::Signal("KILL".into()))
    );
}

#[tokio::test]
async fn a_connection_that_ends_mid_command_leaves_its_result_open() {
    for (behaviour, why) in [
        (Behaviour::DisconnectsMidCommand, "bye"),
        (Behaviour::ClosesMidCommand, "the server closed the connection"),
    ] {
        let server = Hostile::start(behaviour);
        let connection = Target::hostile(&server).connect().await;
        match ending(&*connection, "true").await {
            Ending::Lost { reason: Some(reason), .. } => {
                assert!(reason.contains(why), "{behaviour:?}: {reason}");
            }
            other => panic!("{behaviour:?}: {other:?}"),
        }
        assert!(!connection.is_open());
        assert_eq!(server.commands().len(), 1);
    }
}

#[tokio::test]
async fn authentication_that_is_never_answered_has_its_own_deadline() {
    let server = Hostile::start(Behaviour::NeverAnswersAuth);
    let tasks_before = tasks();
    let mut settings = client::settings(&server.known_hosts());
    settings.auth_timeout = Duration::from_secs(1);
    let error = Target::with(server.addr(), settings).refusal().await;
    assert_eq!((error.phase, error.kind), (ConnectPhase::Auth, ConnectErrorKind::Deadline));
    assert!(error.message.contains("authentication"), "{error}");
    assert_eq!(server.unanswered(), 1);
    nothing_is_left(tasks_before, server.addr()).await;
}

#[tokio::test]
async fn requests_that_are_never_answered_end_with_the_connection() {
    for behaviour in [Behaviour::NeverAnswersChannelOpen, Behaviour::NeverAnswersExec] {
        let server = Hostile::start(behaviour);
        let tasks_before = tasks();
        let connection = Target::hostile(&server).connect().await;
        let unanswered = async { output_of(&*connection, "true").await };
        let abort = async {
            wait_until("the server has the request", || server.unanswered() == 1).await;
            connection.abort();
        };
        let (said, ()) =
            timeout(PATIENCE, async { tokio::join!(unanswered, abort) }).await.unwrap();
        assert!(said.is_err() || said.is_ok_and(|said| said == Said::default()), "{behaviour:?}");
        drop(connection);
        nothing_is_left(tasks_before, server.addr()).await;
    }
}

#[tokio::test]
async fn requests_that_are_refused_were_not_sent() {
    let server = Hostile::start(Behaviour::RefusesChannelOpen);
    let connection = Target::hostile(&server).connect().await;
    let error = output_of(&*connection, "true").await.unwrap_err();
    assert!(matches!(error, ChannelError::Refused { .. }), "{error}");
    assert!(matches!(ending(&*connection, "true").await, Ending::NotSent { .. }));

    let server = Hostile::start(Behaviour::RefusesExec);
    let connection = Target::hostile(&server).connect().await;
    let mut channel = exec(&*connection, "true").await.unwrap();
    assert_eq!(channel.output.next().await, Some(ChannelEvent::Refused));
    drop(channel);
    assert!(server.commands().is_empty());
}

/// A NUL would make sshd drop the connection with every other channel on it.
#[tokio::test]
async fn sshd_drops_a_connection_that_is_sent_a_nul() {
    let sshd = crate::support::Sshd::start();
    let connection = client::connect(&sshd).await;
    let said = output_of(&*connection, "echo a\0b").await;
    assert!(said.is_err() || said.unwrap().exit.is_none());
    timeout(PATIENCE, connection.closed()).await.unwrap();
}
