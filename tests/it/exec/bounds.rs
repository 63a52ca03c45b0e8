//! What policy holds commands to, on real servers and in the shells that may be
//! `/bin/sh` there.

use std::path::Path;
use std::time::Duration;

use orchestrator::exec::{self, Bounds, Ending, Limits, Output, Report};
use orchestrator::policy::{self, Constraints};
use orchestrator::remote::Command;
use orchestrator::transport::Connection;
use tokio_util::sync::CancellationToken;

use super::{Never, PATIENCE, all_gone, exited, host, new_mark};
use crate::support::client::connect;
use crate::support::{Sshd, is_root};

/// What `/bin/sh` is on one system or another.
pub(super) const SHELLS: [&str; 6] =
    ["/bin/dash", "/bin/bash", "/bin/ksh93", "/bin/mksh", "/bin/busybox", "/bin/zsh"];

const KIB: u64 = 1024;

fn of(limits: policy::Limits) -> Constraints {
    Constraints { limits, ..Constraints::default() }
}

pub(super) async fn held(
    connection: &dyn Connection,
    command: &Command,
    constraints: &Constraints,
) -> Report {
    let bounds = Bounds::of("binaries[0]/x", constraints);
    run_held(connection, (command, &bounds), PATIENCE).await
}

pub(super) async fn run_held(
    connection: &dyn Connection,
    held: (&Command, &Bounds),
    limits: Limits,
) -> Report {
    let (cancel, output) = (CancellationToken::new(), Output::default());
    exec::run_into(connection, held, &new_mark(), limits, output, &Never, &cancel).await
}

fn exceeded(report: &Report, field: &str) {
    let Ending::Exceeded { message, .. } = &report.ending else { panic!("{report:?}") };
    assert!(message.starts_with(&format!("exceeded {field}, ")), "{message}");
    assert!(message.ends_with("(rule binaries[0]/x)"), "{message}");
}

pub(super) fn refused(report: &Report, code: &str, why: &str) {
    let Ending::NotConfined { code: own, message, .. } = &report.ending else {
        panic!("{report:?}");
    };
    assert_eq!(*own, code, "{message}");
    assert!(message.contains(why), "{message}");
    assert!(report.stdout.is_empty(), "{report:?}");
}

/// Soft and hard limit of a process, as the kernel has them.
fn limit(report: &Report, name: &str) -> (String, String) {
    let text = report.stdout.to_text();
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {report:?}"));
    let mut words = line[name.len()..].split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn all() -> policy::Limits {
    policy::Limits {
        max_cpu_time: Some(Duration::from_millis(6500)),
        max_memory: Some(256 * KIB * KIB + 5),
        max_processes: Some(1500),
        max_open_files: Some(99),
        max_file_size: Some(64 * KIB + 511),
        ..policy::Limits::default()
    }
}

/// Whatever `/bin/sh` is there, the kernel gets what the policy says, rounded to
/// what is not more (to whole seconds of processor time up).
#[tokio::test]
async fn limits_are_set_by_every_shell() {
    let show = Command::new("/bin/cat").arg("/proc/self/limits");
    for program in SHELLS {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        let connection = connect(&sshd).await;
        let mut limits = all();
        if is_root() && sshd.user() == "root" {
            limits.max_processes = None;
        }
        let report = held(&*connection, &show, &of(limits)).await;
        exited(&report, 0);
        let same = |name, value: &str| {
            assert_eq!(limit(&report, name), (value.into(), value.into()), "{program} {name}");
        };
        assert_eq!(limit(&report, "Max cpu time"), ("7".into(), "8".into()), "{program}");
        same("Max address space", "268435456");
        same("Max open files", "99");
        same("Max file size", "65536");
        if limits.max_processes.is_some() {
            same("Max processes", "1500");
        }
        assert!(report.stderr.is_empty(), "{program}: {report:?}");
    }
}

/// What the host has for itself stays where it is narrower.
#[tokio::test]
async fn a_limit_widens_nothing() {
    for program in SHELLS {
        let rc = "ulimit -S -n 50; ulimit -H -n 80; ulimit -S -f 10";
        let (sshd, _dir) = host::with_sh_after(Path::new(program), rc);
        let connection = connect(&sshd).await;
        let show = Command::new("/bin/cat").arg("/proc/self/limits");
        let one = |limits| of(policy::Limits { max_cpu_time: None, ..limits });
        for (files, expected) in [(200, ("50", "80")), (60, ("50", "60")), (40, ("40", "40"))] {
            let limits = policy::Limits {
                max_open_files: Some(files),
                max_file_size: Some(1024 * KIB),
                ..policy::Limits::default()
            };
            let report = held(&*connection, &show, &one(limits)).await;
            exited(&report, 0);
            let (soft, hard) = limit(&report, "Max open files");
            assert_eq!((&*soft, &*hard), expected, "{program} {files}");
            let (soft, hard) = limit(&report, "Max file size");
            assert_eq!((&*soft, &*hard), ("5120", "1048576"), "{program}");
        }
    }
}

/// A shell that cannot set it does not start the command.
#[tokio::test]
async fn a_limit_that_cannot_be_set_stops_the_command() {
    // As on a shell that was built without it: it knows no such option.
    let sshd = host::with_line_edited("s/max_memory \\([0-9 ]*\\) v/max_memory \\1 Z/");
    let connection = connect(&sshd).await;
    let report = held(&*connection, &Command::shell("echo ran"), &of(all())).await;
    refused(&report, "limit_unavailable", "cannot set max_memory (rule binaries[0]/x)");
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let long = Command::shell(format!(": {}; echo ran", "x".repeat(150_000)));
    let report = held(&*connection, &long, &of(all())).await;
    refused(&report, "limit_unavailable", "a shell string this long");
    if is_root() {
        let sshd = Sshd::start();
        let connection = connect(&sshd).await;
        let report = held(&*connection, &Command::shell("echo ran"), &of(all())).await;
        refused(&report, "limit_unavailable", "max_processes does not hold root");
    }
}

/// The kernel says by a signal that there was too much of it; which shell or
/// program tells us so does not matter.
#[tokio::test]
async fn what_the_kernel_ends_is_told_from_what_ends_by_itself() {
    let cpu = of(policy::Limits {
        max_cpu_time: Some(Duration::from_secs(1)),
        ..policy::Limits::default()
    });
    let file = of(policy::Limits { max_file_size: Some(64 * KIB), ..policy::Limits::default() });
    let spin = Command::new("/usr/bin/env").args(["sh", "-c", "echo on; while :; do :; done"]);
    let write = "exec dd if=/dev/zero of=$(mktemp) bs=64k count=2 2>/dev/null";
    for program in SHELLS {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        let connection = connect(&sshd).await;
        let report = held(&*connection, &spin, &cpu).await;
        exceeded(&report, "max_cpu_time");
        assert_eq!(report.stdout.to_text(), "on\n", "{program}");
        let report = held(&*connection, &Command::shell(write), &file).await;
        exceeded(&report, "max_file_size");
        for code in [0, 3, 137] {
            let report = held(&*connection, &Command::shell(format!("exit {code}")), &file).await;
            exited(&report, code);
        }
        let report = held(&*connection, &Command::shell("kill -s TERM $$"), &cpu).await;
        exited(&report, 143);
    }
}

/// A name is a program, also where our shell stays to see how it ends.
#[tokio::test]
async fn nothing_of_the_shell_is_run_in_place_of_a_program() {
    let cpu = of(policy::Limits {
        max_cpu_time: Some(Duration::from_secs(9)),
        ..policy::Limits::default()
    });
    for program in SHELLS {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        let connection = connect(&sshd).await;
        for name in ["eval", "orch_fail", "exit"] {
            let command = Command::new(name).arg("echo ran");
            let report = held(&*connection, &command, &cpu).await;
            exited(&report, 127);
            assert!(report.stdout.is_empty(), "{program} {name}: {report:?}");
        }
        let report = held(&*connection, &Command::new("/etc/passwd"), &cpu).await;
        exited(&report, 126);
    }
}

#[tokio::test]
async fn time_that_policy_gives_is_no_longer_than_what_was_asked_for() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let wall = |seconds| {
        of(policy::Limits {
            max_wall_time: Some(Duration::from_secs(seconds)),
            ..policy::Limits::default()
        })
    };
    let command = Command::shell("echo on; sleep 100 & sleep 101");
    let (bounds, mark) = (Bounds::of("binaries[0]/x", &wall(1)), new_mark());
    let (cancel, output) = (CancellationToken::new(), Output::default());
    let held = (&command, &bounds);
    let report = exec::run_into(&*connection, held, &mark, PATIENCE, output, &Never, &cancel).await;
    exceeded(&report, "max_wall_time");
    all_gone(&report, &mark, 3);
    assert_eq!(report.stdout.to_text(), "on\n");
    let bounds = Bounds::of("binaries[0]/x", &wall(100));
    let soon = Limits { timeout: Some(Duration::from_secs(1)), ..PATIENCE };
    let report = run_held(&*connection, (&command, &bounds), soon).await;
    assert_eq!(report.ending, Ending::TimedOut);
}

#[tokio::test]
async fn who_writes_too_much_is_ended_and_what_came_is_kept() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let output =
        |bytes| of(policy::Limits { max_output: Some(bytes), ..policy::Limits::default() });
    let report = held(&*connection, &Command::new("/usr/bin/yes"), &output(100_000)).await;
    exceeded(&report, "max_output");
    assert!(report.stdout.to_text().len() >= 100_000, "{report:?}");
    assert!(report.kill.as_ref().is_some_and(|kill| kill.ended == Some(1)), "{report:?}");
    let both = Command::shell("printf 123; sleep 1; printf 456 >&2");
    exited(&held(&*connection, &both, &output(6)).await, 0);
    exceeded(&held(&*connection, &both, &output(5)).await, "max_output");
}
