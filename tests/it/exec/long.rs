//! Commands beyond what one argument can hold.

use orchestrator::exec::{Ending, Limits};
use orchestrator::remote::{Command, EnvName};

use super::{exited, run, run_within};
use crate::support::Sshd;
use crate::support::client::connect;

const SIZES: [usize; 5] = [100_000, 131_071, 131_072, 300_000, 1_000_000];

#[tokio::test]
async fn check_19_a_shell_string_of_any_length_runs() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    for size in SIZES {
        let (head, tail) = ("x='", "'; set -- a b; printf '%s' \"$x$#\"; exit 3");
        let text = "it is \\ \"long\" !\n".repeat(size / 17 + 1);
        let text = &text[..size - head.len() - tail.len()];
        let command = Command::shell(format!("{head}{text}{tail}"));
        let report = run(&*connection, &command).await;
        exited(&report, 3);
        assert!(report.stdout.to_bytes() == format!("{text}2").into_bytes(), "{size}");
        assert!(report.stderr.is_empty(), "{}", report.stderr.to_text());
    }
}

#[tokio::test]
async fn check_19_an_argument_list_of_any_length_runs() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    for size in SIZES {
        let argument = "it's !".repeat(100);
        let count = size / argument.len();
        let command = Command::new("printf").arg("%s").args(vec![&argument; count]);
        let report = run(&*connection, &command).await;
        exited(&report, 0);
        assert!(report.stdout.to_bytes() == argument.repeat(count).into_bytes(), "{size}");
    }
}

#[tokio::test]
async fn check_19_the_longest_argument_and_variable_linux_takes() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let text = "x".repeat(131_072);
    let name: EnvName = "LONG".parse().unwrap();
    let command = Command::new("/bin/sh")
        .args(["-c", "echo ${#1} ${#LONG}", "sh", &text[1..]])
        .env(name, &text[6..]);
    let report = run(&*connection, &command).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "131071 131066\n");
    let too_long = run(&*connection, &Command::new("echo").arg(&text)).await;
    let Ending::NotStarted { message, .. } = too_long.ending else { panic!("{too_long:?}") };
    assert!(message.contains("131072 bytes"), "{message}");
}

#[tokio::test]
async fn a_long_command_still_has_its_own_stdin() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let input = orchestrator::remote::Stdin::Bytes((*b"line 1\nline 2\n").into());
    let command = Command::shell(format!("cat; : {}", "x".repeat(200_000))).stdin(input);
    let report = run_within(&*connection, &command, Limits::default()).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "line 1\nline 2\n");
}
