//! Hosts that run no commands, or not this one.

use orchestrator::exec::{Ending, Report};
use orchestrator::outcome::Phase;
use orchestrator::remote::{Command, Stdin};

use super::run;
use crate::support::client::connect;
use crate::support::{Counter, Shell, Sshd, SshdBuilder, is_root};

async fn refusal(builder: SshdBuilder) -> String {
    let (sshd, counter) = (builder.start(), Counter::new());
    let connection = connect(&sshd).await;
    let report = run(&*connection, &Command::shell(counter.command())).await;
    assert_eq!(counter.runs(), 0);
    let Ending::NotStarted { phase: Phase::Shell, message, hint: Some(_), .. } = report.ending
    else {
        panic!("{report:?}");
    };
    message
}

#[tokio::test]
async fn check_18_a_login_without_commands_is_told_apart() {
    let mut refusals = vec![
        (refusal(Sshd::builder().line("ForceCommand echo not today")).await, "not today"),
        (refusal(Sshd::builder().line("ForceCommand true")).await, "did not say"),
    ];
    if is_root() {
        let user = |shell| Sshd::builder().login_shell(shell);
        // Root owns it and all above it, as sshd demands.
        let chroot = user(Shell::Dash).line("ChrootDirectory /run/sshd");
        let sftp_only = chroot.clone().line("ForceCommand internal-sftp");
        refusals.extend([
            (refusal(user(Shell::Rbash)).await, "restricted"),
            (refusal(user(Shell::Nologin)).await, "not available"),
            (refusal(chroot).await, "No such file"),
            (refusal(sftp_only).await, "sftp connections only"),
        ]);
    }
    for (message, reason) in &refusals {
        assert!(message.contains(reason), "{message}");
        assert_eq!(refusals.iter().filter(|(other, _)| other == message).count(), 1, "{message}");
    }
}

/// Nothing is heard of the start, and so nothing claimed.
#[tokio::test]
async fn a_host_that_drops_stderr_is_not_taken_for_one_that_ran_nothing() {
    let line = r#"ForceCommand /bin/sh -c "$SSH_ORIGINAL_COMMAND" 2>/dev/null"#;
    let (sshd, counter) = (Sshd::builder().line(line).start(), Counter::new());
    let report = run(&*connect(&sshd).await, &Command::shell(counter.command())).await;
    assert_eq!(counter.runs(), 1);
    assert!(matches!(report.ending, Ending::NotStarted { certain: false, .. }), "{report:?}");
}

fn never_sent(report: &Report, reason: &str) {
    let Ending::NotStarted { phase: Phase::Exec, message, .. } = &report.ending else {
        panic!("{report:?}");
    };
    assert!(message.contains(reason), "{message}");
}

#[tokio::test]
async fn what_cannot_arrive_is_refused_here_and_the_connection_survives() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let nul = Command::new("echo").arg("a\0b");
    never_sent(&run(&*connection, &nul).await, "NUL");
    never_sent(&run(&*connection, &Command::shell("echo a\0b")).await, "NUL");
    never_sent(&run(&*connection, &Command::new("true").current_dir("")).await, "empty");
    never_sent(&run(&*connection, &Command::new("-a").arg("id")).await, "dash");
    let missing = Stdin::File("/nonexistent/input".into());
    let report = run(&*connection, &Command::new("cat").stdin(missing)).await;
    never_sent(&report, "/nonexistent/input: No such file");
    let directory = Stdin::File("/".into());
    never_sent(&run(&*connection, &Command::new("cat").stdin(directory)).await, "directory");
    super::exited(&run(&*connection, &Command::new("true")).await, 0);
}
