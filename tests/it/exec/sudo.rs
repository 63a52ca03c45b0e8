//! Commands as another user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use orchestrator::exec::Ending;
use orchestrator::outcome::Phase;
use orchestrator::remote::{Command, EnvName, OnDisconnect, RunAs, Secret, Stdin, SudoPassword};

use super::secrets::Onlooker;
use super::{Running, all_gone, exited, host, run};
use crate::support::client::connect;
use crate::support::{Counter, Shell, Sshd, is_root, set_password, wait_until};

pub(crate) const PASSWORD: &str = "orch-correct horse";

/// What root lets two of the ordinary users do, for as long as this lives: the
/// one with dash anything, the one with ksh anything for its password.
pub(crate) struct Sudoers(PathBuf);

impl Sudoers {
    pub(crate) fn install() -> Self {
        // They are made with their servers.
        drop(Sshd::builder().login_shell(Shell::Dash).start());
        drop(Sshd::builder().login_shell(Shell::Ksh).start());
        set_password("orchtest-ksh", PASSWORD);
        // A name with a dot would be ignored.
        let path = PathBuf::from(format!("/etc/sudoers.d/orchtest-{}", uuid::Uuid::now_v7()));
        let text = "orchtest-dash ALL=(ALL:ALL) NOPASSWD: ALL\norchtest-ksh ALL=(ALL:ALL) ALL\n";
        let part = path.with_extension("part");
        fs::write(&part, text).unwrap();
        fs::set_permissions(&part, Permissions::from_mode(0o440)).unwrap();
        fs::rename(part, &path).unwrap();
        Self(path)
    }
}

impl Drop for Sudoers {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(crate) fn without_password(user: Option<&str>) -> RunAs {
    RunAs { user: user.map(str::to_owned), password: SudoPassword::NotNeeded }
}

pub(crate) fn with_password(password: &str) -> RunAs {
    RunAs { user: None, password: SudoPassword::Given(Secret::new(password.to_owned())) }
}

/// The user with dash and a user who is neither root nor that one.
fn host_without_password() -> Sshd {
    drop(Sshd::builder().login_shell(Shell::Bash).start());
    Sshd::builder().login_shell(Shell::Dash).start()
}

fn host_with_password() -> Sshd {
    Sshd::builder().login_shell(Shell::Ksh).start()
}

/// Everything that is exact without sudo is exact under it.
pub(crate) async fn arrives(sshd: &Sshd, run_as: &RunAs, user: &str) {
    let connection = connect(sshd).await;
    let name = |name: &str| name.parse::<EnvName>().unwrap();
    for (argument, on_disconnect) in [
        ("plain", OnDisconnect::Keep),
        ("it's\n!\\", OnDisconnect::Keep),
        ("x y", OnDisconnect::Kill),
    ] {
        let text = r#"id -un; printf '%s|' "$1" "$A" "$TOKEN" "$PWD"; cat; echo err >&2; exit 5"#;
        let command = Command::new("/bin/sh")
            .args(["-c", text, "sh", argument])
            .current_dir("/")
            .env(name("A"), argument)
            .secret_env(name("TOKEN"), Secret::new("a\nsecret".to_owned()))
            .stdin(Stdin::Bytes((*b"rest\n").into()))
            .on_disconnect(on_disconnect)
            .run_as(run_as.clone());
        let report = run(&*connection, &command).await;
        exited(&report, 5);
        let expected = format!("{user}\n{argument}|{argument}|a\nsecret|/|rest\n");
        assert_eq!(report.stdout.to_text(), expected);
        assert_eq!(report.stderr.to_text(), "err\n");
    }
    let simple = Command::shell("echo \"$HOME\"; cat").run_as(run_as.clone()).clean_env(true);
    exited(&run(&*connection, &simple).await, 0);
}

/// TERM-proof trees are gone, whoever owns them now.
pub(crate) async fn ends(sshd: &Sshd, run_as: &RunAs) {
    let connection = connect(sshd).await;
    let tree = "trap '' TERM; setsid sleep 300 & sleep 300; sleep 300";
    let running = Running::start(&connection, Command::shell(tree).run_as(run_as.clone()));
    running.wait_for_processes(3).await;
    let mark = running.mark.clone();
    let report = running.cancel().await;
    assert_eq!(report.ending, Ending::Cancelled);
    // And sudo itself.
    let ended = report.kill.as_ref().unwrap().ended.unwrap();
    assert!((4..=5).contains(&ended), "{report:?}");
    all_gone(&report, &mark, ended);
}

pub(crate) async fn ends_with_its_connection(sshd: &Sshd, run_as: &RunAs) {
    let connection = connect(sshd).await;
    let tree = "trap '' TERM; setsid sleep 300 & sleep 300; sleep 300";
    let command = Command::shell(tree).run_as(run_as.clone()).on_disconnect(OnDisconnect::Kill);
    let running = Running::start(&connection, command);
    wait_until("the tree runs", || running.processes().len() >= 3).await;
    connection.abort();
    wait_until("the tree is gone", || running.processes().is_empty()).await;
    assert!(matches!(running.report.await.unwrap().ending, Ending::Lost { .. }));
}

pub(crate) async fn wrong_password_stops_it(sshd: &Sshd) {
    let (connection, counter) = (connect(sshd).await, Counter::new());
    // What follows must not be taken for a password, nor run.
    let stdin = Stdin::Bytes(format!("{PASSWORD}\n{PASSWORD}\n").into_bytes().into());
    let command = Command::shell(counter.command())
        .stdin(stdin)
        .secret_env("TOKEN".parse().unwrap(), Secret::new("x".to_owned()))
        .run_as(with_password("orch-wrong"));
    let report = run(&*connection, &command).await;
    let Ending::NotStarted { phase: Phase::Sudo, message, .. } = &report.ending else {
        panic!("{report:?}");
    };
    assert!(message.contains("password"), "{message}");
    assert_eq!(counter.runs(), 0);
    assert!(report.kill.is_none());
    assert!(!format!("{report:?}").contains("orch-"), "{report:?}");
}

#[tokio::test]
async fn sudo_without_a_password() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_without_password());
    arrives(&sshd, &without_password(None), "root").await;
    arrives(&sshd, &without_password(Some("orchtest-bash")), "orchtest-bash").await;
}

#[tokio::test]
async fn check_25_sudo_without_a_password_leaves_no_survivor() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_without_password());
    ends(&sshd, &without_password(None)).await;
    ends(&sshd, &without_password(Some("orchtest-bash"))).await;
}

#[tokio::test]
async fn check_27_sudo_without_a_password_and_the_connection_gone() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_without_password());
    ends_with_its_connection(&sshd, &without_password(None)).await;
    ends_with_its_connection(&sshd, &without_password(Some("orchtest-bash"))).await;
}

#[tokio::test]
async fn sudo_with_a_password() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_with_password());
    arrives(&sshd, &with_password(PASSWORD), "root").await;
    ends(&sshd, &with_password(PASSWORD)).await;
    ends_with_its_connection(&sshd, &with_password(PASSWORD)).await;
}

#[tokio::test]
async fn sudo_with_a_wrong_password_is_sent_nothing_else() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_with_password());
    wrong_password_stops_it(&sshd).await;
}

#[tokio::test]
async fn check_26_the_password_is_in_no_argument_list() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), host_with_password());
    let connection = connect(&sshd).await;
    let onlooker = Onlooker::start(PASSWORD);
    let command = Command::shell("sleep 300; true").run_as(with_password(PASSWORD));
    let running = Running::start(&connection, command);
    running.wait_for_processes(2).await;
    let looks = onlooker.looks();
    wait_until("it looked often", || onlooker.looks() > looks + 50).await;
    let report = running.cancel().await;
    assert!(!format!("{report:?}").contains("horse"));
    assert_eq!(report.kill.unwrap().survivors, Some(vec![]));
    assert_eq!(onlooker.seen(), 0);
}

#[tokio::test]
async fn sudo_that_refuses_or_is_missing_starts_nothing() {
    if !is_root() {
        return;
    }
    let (_sudoers, counter) = (Sudoers::install(), Counter::new());
    let command = || Command::shell(counter.command());
    let unprivileged = Sshd::builder().login_shell(Shell::Zsh).start();
    let missing = host::with_rc("PATH=/nonexistent");
    let cases = [
        (&host_with_password(), without_password(None), "password is required"),
        (&unprivileged, without_password(None), "password is required"),
        (&missing, without_password(None), "not found"),
        (&host_without_password(), without_password(Some("nobody-here")), "unknown user"),
    ];
    for (sshd, run_as, reason) in cases {
        let connection = connect(sshd).await;
        let report = run(&*connection, &command().run_as(run_as)).await;
        let Ending::NotStarted { phase: Phase::Sudo, message, hint: Some(_), .. } = &report.ending
        else {
            panic!("{report:?}");
        };
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(counter.runs(), 0);
}
