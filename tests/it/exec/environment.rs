//! Directory, variables and shell of a command.

use orchestrator::exec::Ending;
use orchestrator::outcome::Phase;
use orchestrator::remote::{Command, EnvName, ExitStatus, OnDisconnect};

use super::{exited, host, run};
use crate::support::client::connect;
use crate::support::{Sshd, is_root};

fn name(name: &str) -> EnvName {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_directory_that_cannot_be_entered_stops_the_command() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let mut bad = vec!["/nonexistent", "/etc/passwd", "-dash", "caf\u{e9}\n", "~", "$HOME"];
    if is_root() {
        bad.push("/root");
    }
    for cwd in bad {
        let report = run(&*connection, &Command::shell("echo ran").current_dir(cwd)).await;
        let Ending::NotStarted { phase: Phase::Cwd, message, .. } = &report.ending else {
            panic!("{cwd}: {report:?}");
        };
        assert!(message.contains(cwd), "{message}");
        assert!(report.stdout.is_empty() && report.stderr.is_empty(), "{report:?}");
    }
}

#[tokio::test]
async fn a_relative_directory_may_begin_with_a_dash() {
    let dir = host::open_dir();
    let sshd = host::with_rc(&format!("cd {}", dir.path().display()));
    let connection = connect(&sshd).await;
    for name in ["-", "-P", "- \n"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        let command = Command::shell("pwd; printf x").current_dir(name);
        let report = run(&*connection, &command).await;
        exited(&report, 0);
        assert!(report.stdout.to_text().ends_with(&format!("/{name}\nx")), "{report:?}");
    }
}

/// As an assignment would: the last one of a name wins, in whatever way the
/// values travel.
#[tokio::test]
async fn variables_are_set_in_order() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    for last in ["plain", "not !\nplain"] {
        let command =
            Command::shell("printf %s \"$A\"").env(name("A"), "first\n").env(name("A"), last);
        let report = run(&*connection, &command).await;
        exited(&report, 0);
        assert_eq!(report.stdout.to_text(), last);
    }
}

/// Names that a wrapper might use itself, or trip over.
#[tokio::test]
async fn variables_do_not_disturb_each_other_nor_us() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let names = ["n", "p", "c", "e", "f", "o", "i", "IFS", "CDPATH", "ENV", "PS4", "HOME", "x_1"];
    for kept in [OnDisconnect::Keep, OnDisconnect::Kill] {
        for value in ["abc", "a\nb"] {
            let mut command = Command::new("/usr/bin/env").arg("-0").on_disconnect(kept);
            let mut long = Command::shell(format!("/usr/bin/env -0; : {}", "x".repeat(150_000)));
            for variable in names {
                command = command.env(name(variable), value);
                long = long.env(name(variable), value);
            }
            for command in [command.current_dir("/"), long] {
                let report = run(&*connection, &command).await;
                exited(&report, 0);
                let env = report.stdout.to_text();
                for variable in names {
                    let entry = format!("{variable}={value}");
                    assert!(env.split('\0').any(|line| line == entry), "{entry:?} in {env:?}");
                }
                let ours: Vec<_> =
                    env.split('\0').filter(|line| line.starts_with("ORCH_")).collect();
                assert_eq!(ours.len(), 1, "{ours:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_path_of_our_own_is_used_to_find_the_program() {
    let (sshd, dir) = (Sshd::start(), host::open_dir());
    std::os::unix::fs::symlink("/bin/echo", dir.path().join("my-echo")).unwrap();
    let connection = connect(&sshd).await;
    let command = Command::new("my-echo").arg("found").env(name("PATH"), dir.path());
    let report = run(&*connection, &command).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "found\n");
}

#[tokio::test]
async fn a_clean_environment_holds_what_was_given_and_little_else() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    for on_disconnect in [OnDisconnect::Keep, OnDisconnect::Kill] {
        let command = Command::new("/usr/bin/env")
            .clean_env(true)
            .on_disconnect(on_disconnect)
            .env(name("GIVEN"), "it's !");
        let report = run(&*connection, &command).await;
        exited(&report, 0);
        let text = report.stdout.to_text();
        let mut names: Vec<_> = text.lines().map(|line| line.split('=').next().unwrap()).collect();
        names.sort_unstable();
        // A shell sets PWD itself.
        names.retain(|name| !["PWD", "OLDPWD", "_", "SHLVL"].contains(name));
        let expected = ["GIVEN", "HOME", "LOGNAME", "ORCH_RUN", "PATH", "SHELL", "USER"];
        assert_eq!(names, expected, "{text}");
        assert!(text.contains("GIVEN=it's !\n"), "{text}");
    }
}

#[tokio::test]
async fn another_shell_interprets_the_string() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let command = Command::shell("a=(1 2 3); echo ${#a[@]} \"$0\"").shell_path("/bin/bash");
    let report = run(&*connection, &command).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "3 /bin/bash\n");
    let missing = Command::shell("true").shell_path("/bin/no-such-shell");
    let report = run(&*connection, &missing).await;
    assert_eq!(report.ending, Ending::Exited(ExitStatus::Code(127)), "{report:?}");
}
