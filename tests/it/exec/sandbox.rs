//! Commands in a sandbox on real servers, and environments from which variables
//! are taken.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use orchestrator::exec::{self, Bounds, Ending, Output};
use orchestrator::policy::{Constraints, Limits, Sandbox, SandboxBase};
use orchestrator::remote::{Command, EnvName, OnDisconnect};
use tokio_util::sync::CancellationToken;

use super::bounds::{SHELLS, held, refused, run_held};
use super::sudo::{Sudoers, without_password};
use super::{Never, PATIENCE, exited, host, new_mark};
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root, ordinary_user, processes_with_env};

fn sandboxed(base: SandboxBase, network: Option<bool>) -> Constraints {
    let limits = Limits::default();
    let sandbox = Sandbox { name: "jail".into(), base, limits, network };
    Constraints { sandboxes: vec![sandbox], ..Constraints::default() }
}

fn restricted() -> Constraints {
    sandboxed(SandboxBase::Restricted, None)
}

/// Tries what it must not be able to do, a word for each thing that it could.
const PROBE: &str = "
    for dir in / \"$HOME\" /var/tmp /run /dev/shm /etc /usr /proc/sys/kernel /sys; do
        (touch \"$dir/orch-probe\") 2>/dev/null && echo \"wrote:$dir\"
    done
    echo ok >/tmp/orch-probe && cat /tmp/orch-probe
    (echo 4 >/proc/sys/kernel/printk) 2>/dev/null && echo wrote:printk
    ls /tmp /run
    grep -x 'NoNewPrivs:.1' /proc/self/status
    grep -x 'CapEff:.0*' /proc/self/status
    kill -0 \"$OUTSIDE\" 2>/dev/null && echo signal
    exit 0";

#[tokio::test]
async fn restricted_is_its_own_tmp_and_nothing_else() {
    for program in SHELLS {
        let (sshd, dir) = host::with_sh(Path::new(program));
        let connection = connect(&sshd).await;
        let outside = std::process::id().to_string();
        let probe = Command::shell(PROBE)
            .current_dir("/usr")
            .env("OUTSIDE".parse::<EnvName>().unwrap(), outside);
        // The /bin/sh of this host lies in /tmp.
        let bounds = Bounds::of("binaries[0]/x", &restricted());
        let bounds = bounds.seeing(dir.path().join("sh").as_os_str());
        let report = run_held(&*connection, (&probe, &bounds), PATIENCE).await;
        exited(&report, 0);
        let text = report.stdout.to_text();
        let said: Vec<&str> = text.split_whitespace().collect();
        let expected =
            ["wrote:/run", "wrote:/dev/shm", "ok", "/run:", "orch-probe", "/tmp:", "orch-probe"];
        assert_eq!(said[..7], expected, "{program}: {text}");
        assert_eq!(said[7..], ["NoNewPrivs:", "1", "CapEff:", "0000000000000000"], "{program}");
        for dir in ["/tmp", "/dev/shm", "/var/tmp"] {
            assert!(!Path::new(dir).join("orch-probe").exists(), "{dir}");
        }
    }
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    // How it ends is told as always, and so is a directory that is not there.
    let report = held(&*connection, &Command::shell("echo out; exit 7"), &restricted()).await;
    exited(&report, 7);
    for (program, code) in [("/nowhere/x", 127), ("/etc/passwd", 126), ("eval", 127)] {
        exited(&held(&*connection, &Command::new(program), &restricted()).await, code);
    }
    let there = Command::shell("pwd").current_dir("/usr/bin");
    assert_eq!(held(&*connection, &there, &restricted()).await.stdout.to_text(), "/usr/bin\n");
    let hidden = host::open_dir();
    let there = Command::shell("pwd").current_dir(hidden.path());
    refused(&held(&*connection, &there, &restricted()).await, "sandbox_unavailable", "chdir");
}

#[tokio::test]
async fn without_a_network_there_is_none() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let show = Command::new("/bin/cat").arg("/proc/net/dev");
    for base in [SandboxBase::Minimal, SandboxBase::Restricted] {
        for (network, lines) in [(Some(false), Some(3)), (Some(true), None), (None, None)] {
            let report = held(&*connection, &show, &sandboxed(base, network)).await;
            exited(&report, 0);
            let count = report.stdout.to_text().lines().count();
            let all = std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
            assert_eq!(count, lines.unwrap_or(all), "{base:?} {network:?}");
        }
    }
}

/// A tree in namespaces of its own is ended like any other.
#[tokio::test]
async fn a_sandboxed_tree_is_ended_and_counted() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let mut constraints = restricted();
    constraints.limits.max_wall_time = Some(Duration::from_secs(2));
    let tree = "trap '' TERM; setsid sleep 300 & sleep 301 & echo on; sleep 302; sleep 303";
    for on_disconnect in [OnDisconnect::Keep, OnDisconnect::Kill] {
        let command = Command::shell(tree).on_disconnect(on_disconnect);
        let (mark, cancel) = (new_mark(), CancellationToken::new());
        let bounds = Bounds::of("binaries[0]/x", &constraints);
        let (held, output) = ((&command, &bounds), Output::default());
        let report =
            exec::run_into(&*connection, held, &mark, PATIENCE, output, &Never, &cancel).await;
        assert!(matches!(report.ending, Ending::Exceeded { .. }), "{report:?}");
        assert_eq!(report.stdout.to_text(), "on\n");
        let kill = report.kill.unwrap();
        assert_eq!(kill.survivors.as_deref(), Some(&[][..]), "{kill:?}");
        assert!(kill.ended >= Some(5), "{kill:?}");
        assert_eq!(processes_with_env(&format!("ORCH_RUN={mark}")), Vec::<u32>::new());
    }
}

/// The host says what it lacks, and nothing is run.
#[tokio::test]
async fn a_host_that_gives_no_sandbox_runs_nothing() {
    let ran = Command::shell("echo ran");
    let sshd = host::with_line_edited("s#/bwrap#/no-bwrap#g");
    let connection = connect(&sshd).await;
    let report = held(&*connection, &ran, &restricted()).await;
    refused(
        &report,
        "sandbox_unavailable",
        "the sandbox jail: it has no bwrap (rule binaries[0]/x)",
    );
    let sshd = host::with_line_edited("s#--unshare-ipc#--no-such-option#g");
    let connection = connect(&sshd).await;
    let report = held(&*connection, &ran, &restricted()).await;
    refused(&report, "sandbox_unavailable", "its bwrap does not work for this login: bwrap: ");
    // Another program of that name is not taken for it.
    let sshd = host::with_line_edited("s#/usr/bin/bwrap#/bin/false#g");
    let connection = connect(&sshd).await;
    let report = held(&*connection, &ran, &restricted()).await;
    refused(&report, "sandbox_unavailable", "its bwrap does not work");
    if is_root() {
        let sshd = Sshd::start();
        let connection = connect(&sshd).await;
        let report = held(&*connection, &ran, &restricted()).await;
        refused(&report, "sandbox_unavailable", "it does not hold root");
    }
}

#[tokio::test]
async fn minimal_is_a_clean_environment_without_any_tool() {
    let sshd = host::with_line_edited("s#/bwrap#/no-bwrap#g");
    let connection = connect(&sshd).await;
    let limits = Limits { max_open_files: Some(77), ..Limits::default() };
    let mut constraints = sandboxed(SandboxBase::Minimal, None);
    constraints.sandboxes[0].limits = limits;
    let report = held(&*connection, &Command::shell("ulimit -n"), &constraints).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "77\n");
}

/// Inside sudo, as whom sudo was asked for.
#[tokio::test]
async fn under_sudo_it_holds_whom_it_runs_as() {
    assert!(is_root(), "this test writes sudoers, which only root can: run it as root");
    let _sudoers = Sudoers::install();
    drop(Sshd::builder().login_shell(Shell::Bash).start());
    let sshd = Sshd::builder().login_shell(Shell::Dash).start();
    let connection = connect(&sshd).await;
    let command = Command::shell("id -un; touch /var/tmp/orch-probe || ulimit -n");
    let mut constraints = restricted();
    constraints.limits.max_open_files = Some(66);
    let other = command.clone().run_as(without_password(Some("orchtest-bash")));
    let report = held(&*connection, &other, &constraints).await;
    exited(&report, 0);
    assert_eq!(report.stdout.to_text(), "orchtest-bash\n66\n");
    let root = command.run_as(without_password(None));
    let report = held(&*connection, &root, &constraints).await;
    refused(&report, "sandbox_unavailable", "it does not hold root");
    constraints.sandboxes.clear();
    let report = held(
        &*connection,
        &Command::shell("id -u; ulimit -n").run_as(without_password(None)),
        &constraints,
    )
    .await;
    assert_eq!(report.stdout.to_text(), "0\n66\n");
}

fn without(names: &[&'static str]) -> Constraints {
    let unset_env = names.iter().map(|name| Cow::Borrowed(*name)).collect();
    Constraints { unset_env, ..Constraints::default() }
}

/// Whatever `/bin/sh` is, and whatever the values hold, these names are gone and
/// no others.
#[tokio::test]
async fn variables_of_the_host_are_taken_out() {
    let names = ["LD_*", "BASH_ENV", "BASH_FUNC_*", "SHELLOPTS", "*_SECRET*", "ENV", "IFS", "A?"];
    let rc = "export A=one ABC=kept; export LD_EVIL=1 DB_SECRET_2=2 AX=3 ENV=/x BASH_ENV=/y; \
              export LINES_=\"$(printf 'a\\nLD_FAKE=1\\nHOME=2\\n\\n\\\\c LD_')\" B='\\\\c'; \
              set -- \"exec /usr/bin/env 'BASH_FUNC_x%%=() { echo x; }' 'LD_\\cx=1' ${1#exec }\"";
    for program in SHELLS {
        let (sshd, _dir) = host::with_sh_after(Path::new(program), rc);
        let connection = connect(&sshd).await;
        let command = Command::new("/usr/bin/env").arg("-0");
        let report = held(&*connection, &command, &without(&names)).await;
        exited(&report, 0);
        assert!(report.stderr.is_empty(), "{program}: {report:?}");
        let text = report.stdout.to_text();
        let mut left: Vec<&str> =
            text.split('\0').map(|it| it.split('=').next().unwrap()).collect();
        left.sort_unstable();
        for gone in ["LD_EVIL", "LD_\\cx", "DB_SECRET_2", "AX", "ENV", "BASH_ENV", "BASH_FUNC_x%%"]
        {
            assert!(!left.contains(&gone), "{program} {gone}: {left:?}");
        }
        for kept in ["A", "ABC", "B", "HOME", "LINES_", "ORCH_RUN", "PATH", "USER"] {
            assert!(left.contains(&kept), "{program} {kept}: {left:?}");
        }
        assert!(text.contains("LINES_=a\nLD_FAKE=1\nHOME=2\n"), "{text}");
        // What is given is set all the same.
        let given = command.env("LD_EVIL".parse::<EnvName>().unwrap(), "given");
        let report = held(&*connection, &given, &without(&names)).await;
        assert!(report.stdout.to_text().contains("LD_EVIL=given\0"), "{program}");
        let long = Command::shell(format!("echo $0 * >/dev/null; : {}", "x".repeat(150_000)));
        exited(&held(&*connection, &long, &without(&names)).await, 0);
    }
}

/// By each way in which sshd lets variables in.
#[tokio::test]
async fn variables_that_sshd_sets_are_taken_out() {
    let account = ordinary_user(Shell::Dash);
    let ssh = account.home.join(".ssh");
    std::fs::create_dir_all(&ssh).unwrap();
    std::fs::write(ssh.join("environment"), "LD_TWO=2\nAWS_KEY=3\nALSO=yes\n").unwrap();
    let sshd = Sshd::builder()
        .line("SetEnv LD_ONE=1 PYTHONPATH=/evil KEPT=yes")
        .line("PermitUserEnvironment yes")
        .account(account)
        .start();
    let connection = connect(&sshd).await;
    let show = Command::new("/usr/bin/env");
    let before = held(&*connection, &show, &Constraints::default()).await.stdout.to_text();
    let after = held(&*connection, &show, &without(&["LD_*", "PYTHON*", "AWS_*"])).await;
    exited(&after, 0);
    let after = after.stdout.to_text();
    for name in ["LD_ONE=", "PYTHONPATH=", "LD_TWO=", "AWS_KEY="] {
        assert!(before.contains(name), "{before}");
        assert!(!after.contains(name), "{after}");
    }
    assert!(after.contains("KEPT=yes\n") && after.contains("ALSO=yes\n"), "{after}");
}

/// bash takes the end of a line for part of a broken character, unless it reads
/// bytes.
#[tokio::test]
async fn a_broken_character_hides_no_variable() {
    let rc =
        "export LC_ALL=C.UTF-8 AAA=$(printf 'x\\342') LD_ONE=1 BBB=$(printf '\\360\\237') LD_TWO=2";
    let (sshd, _dir) = host::with_sh_after(Path::new("/bin/bash"), rc);
    let connection = connect(&sshd).await;
    let show = Command::new("/usr/bin/env");
    let before = held(&*connection, &show, &Constraints::default()).await.stdout.to_text();
    assert!(before.contains("LD_ONE=1") && before.contains("LD_TWO=2"), "{before}");
    let after = held(&*connection, &show, &without(&["LD_*"])).await;
    exited(&after, 0);
    let after = after.stdout.to_text();
    assert!(!after.contains("LD_ONE=") && !after.contains("LD_TWO="), "{after}");
    assert!(after.contains("LC_ALL=C.UTF-8"), "{after}");
}

/// Who cannot be asked has no say.
#[tokio::test]
async fn a_host_that_cannot_tell_its_variables_runs_nothing() {
    let sshd = host::with_line_edited("s#/usr/bin/env#/usr/bin/no-env#g");
    let connection = connect(&sshd).await;
    let report = held(&*connection, &Command::shell("echo ran"), &without(&["LD_*"])).await;
    refused(&report, "environment_unsafe", "cannot tell what its variables are");
}

/// All of it at once gets through every login shell, csh and fish among them.
#[tokio::test]
async fn every_login_shell_lets_it_through() {
    for shell in Shell::WORKING {
        let sshd = Sshd::builder().login_shell(shell).line("SetEnv LD_ONE=1").start();
        let connection = connect(&sshd).await;
        let mut constraints = without(&["LD_*", "*_SECRET?"]);
        let limits = Limits {
            max_cpu_time: Some(Duration::from_secs(20)),
            max_memory: Some(1 << 30),
            max_open_files: Some(77),
            ..Limits::default()
        };
        constraints.limits = limits;
        let command = Command::shell("ulimit -n; echo \"${LD_ONE-gone}\"; touch /tmp/orch-login");
        let report = held(&*connection, &command, &constraints).await;
        exited(&report, 0);
        assert_eq!(report.stdout.to_text(), "77\ngone\n", "{shell:?}");
        std::fs::remove_file("/tmp/orch-login").unwrap();
        constraints.sandboxes = restricted().sandboxes;
        let report = held(&*connection, &command, &constraints).await;
        exited(&report, 0);
        assert_eq!(report.stdout.to_text(), "77\ngone\n", "{shell:?}");
        assert!(!Path::new("/tmp/orch-login").exists(), "{shell:?}");
    }
}
