//! As whom, where and with what a command runs.

use std::process::Stdio;

use super::{Lab, Running, answering};
use crate::support::{KeyKind, KeyPair, Proxy, Shell, Sshd, is_root, processes_with_env};

#[test]
fn a_directory() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    assert_eq!(lab.exec(["-C", "/usr/lib", "vm01", "pwd"]).ends(0).text(), "/usr/lib\n");
    let said = lab.exec(["-C", "/no/where", "vm01", "echo ran"]);
    assert_eq!(said.ends(255).text(), "");
    said.says(&["cannot change to the directory /no/where", "phase cwd"]);
    let (_, document) = lab.json(["-C", "/no/where", "vm01", "true"]);
    let host = &document["hosts"][0];
    assert_eq!((&host["status"], &host["error"]["phase"]), (&"failed".into(), &"cwd".into()));
    assert!(host["exit_code"].is_null());
}

#[test]
fn variables() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let said =
        lab.exec(["-e", "A=x ' \"$B\n y", "-e", "B=", "vm01", "printf '%s|%s' \"$A\" \"$B\""]);
    assert_eq!(said.ends(0).text(), "x ' \"$B\n y|");
    lab.exec(["-e", "A", "vm01", "true"]).ends(2).says(&["there is no =", "NAME=VALUE"]);
    lab.exec(["-e", "1A=x", "vm01", "true"]).ends(2).says(&["1A"]);
    let said = lab.exec(["--clean-env", "-e", "ONLY=1", "vm01", "env"]);
    assert!(said.ends(0).text().contains("ONLY=1"), "{said:?}");
    assert!(!said.text().contains("SSH_CONNECTION"), "{said:?}");
}

#[test]
fn secrets_reach_the_command_and_nothing_else() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    std::fs::write(lab.path("home/token"), "file-secret-77\n").unwrap();
    let args = [
        "--secret-env",
        "ONE=env:HERE",
        "--secret-env",
        "TWO=file:token",
        "vm01",
        "printf '%s %s' \"$ONE\" \"$TWO\"; cat; cat /proc/$$/cmdline /proc/$PPID/cmdline >&2",
    ];
    let mut command = lab.command(args);
    command.env("HERE", "env-secret-77").stdin(Stdio::null());
    let said = Running::start(command).wait();
    assert_eq!(said.ends(0).text(), "env-secret-77 file-secret-77");
    assert!(!said.stderr.contains("secret-77"), "{said:?}");
    let log = lab.audit_bytes();
    assert!(!String::from_utf8_lossy(&log).contains("secret-77"));
    let names = &lab.audit()[0]["action"]["env_names"];
    assert_eq!(names, &serde_json::json!(["ONE", "TWO"]));
}

#[test]
fn a_secret_that_cannot_be_had() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let given = |source: &str| lab.exec(["--secret-env", source, "vm01", "true"]);
    given("A=env:NOT_SET").ends(2).says(&["NOT_SET is not set"]);
    given("A=file:nowhere").ends(2).says(&["nowhere"]);
    given("A=prompt").ends(2).says(&["A"]);
    let said = given("A=hunter2-typed-here");
    said.ends(2).says(&["NAME=env:VAR"]);
    assert!(!said.stderr.contains("hunter2"), "{said:?}");
}

#[test]
fn a_secret_is_asked_for_on_a_terminal_without_echo() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let args = ["--secret-env", "A=prompt", "vm01", "printf \"$A\" | rev"];
    let shown = answering(&lab, &args, "A: ", "typed-77");
    assert!(shown.contains("77-depyt") && !shown.contains("typed-77"), "{shown:?}");
}

#[test]
fn another_shell() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let said = lab.exec(["--shell", "/bin/bash", "vm01", "echo ${BASH_VERSION:+bash}"]);
    assert_eq!(said.ends(0).text(), "bash\n");
    assert_eq!(lab.exec(["vm01", "echo ${BASH_VERSION:+bash}"]).ends(0).text(), "\n");
    lab.exec(["--shell", "bash", "vm01", "true"]).ends(2).says(&["absolute path"]);
    lab.exec(["--shell", "/no/shell", "vm01", "true"]).ends(127);
}

#[test]
fn sudo_that_is_refused() {
    assert!(is_root(), "this test needs a user whom sudo refuses: run it as root");
    let sshd = Sshd::builder().login_shell(Shell::Dash).start();
    let lab = Lab::one(&sshd);
    let said = lab.exec(["--sudo", "vm01", "id -u"]);
    assert_eq!(said.ends(255).text(), "");
    said.says(&["sudo refuses to run as root", "phase sudo", "-K"]);
    lab.exec(["--sudo", "-K", "vm01", "true"]).ends(2).says(&["sudo password"]);
    lab.exec(["-K", "vm01", "true"]).ends(2).says(&["--sudo"]);
    assert_eq!(lab.statuses(), ["failed"]);
}

#[test]
fn a_wrong_sudo_password_is_offered_once_and_recorded_nowhere() {
    assert!(is_root(), "this test needs a user whom sudo refuses: run it as root");
    let sshd = Sshd::builder().login_shell(Shell::Dash).start();
    let lab = Lab::one(&sshd);
    let shown =
        answering(&lab, &["--sudo", "-K", "vm01", "id -u"], "sudo password: ", "wrong-pass-77");
    assert!(shown.contains("sudo") && shown.contains("phase sudo"), "{shown:?}");
    assert!(!String::from_utf8_lossy(&lab.audit_bytes()).contains("wrong-pass-77"));
}

#[test]
fn root_may_become_somebody_else() {
    assert!(is_root(), "this test becomes another user: run it as root");
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    assert_eq!(lab.exec(["--sudo=nobody", "vm01", "id -un"]).ends(0).text(), "nobody\n");
    let records = lab.audit();
    assert_eq!(records[0]["action"]["run_as"], "nobody");
}

#[test]
fn user_key_and_port_of_the_command_line() {
    let key = KeyPair::generate(KeyKind::Ed25519);
    let sshd = Sshd::builder().client_key(key.clone()).start();
    let wrong = Proxy::start(([127, 0, 0, 1], 1).into());
    let lab = Lab::new().entry("vm01", wrong.addr(), ", ssh_user: nobody-here");
    lab.trust(sshd.addr(), &sshd.host_keys()[0]);
    let key = key.write_to(lab.path("other"));
    let (port, key) = (sshd.port().to_string(), key.to_str().unwrap());
    let said = lab.exec(["-l", sshd.user(), "-p", &port, "-i", key, "vm01", "echo in"]);
    assert_eq!(said.ends(0).text(), "in\n");
    assert_eq!(wrong.connections(), 0);
    lab.exec(["-p", "0", "vm01", "true"]).ends(2);
    lab.exec(["-i", "/no/key", "vm01", "true"]).ends(255).says(&["/no/key"]);
}

#[test]
fn through_another_host() {
    let jump = Sshd::start();
    let target = Sshd::start();
    let lab = Lab::one(&target).vm("gate", &jump);
    let mark = format!("ps -o pid= | grep -c . ; echo {}", "through");
    let said = lab.exec(["-J", "gate", "vm01", &mark]);
    assert!(said.ends(0).text().ends_with("through\n"), "{said:?}");
    assert!(jump.log().contains("Accepted publickey"), "{}", jump.log());
    let address = format!("{}@127.0.0.1:{}", jump.user(), jump.port());
    lab.exec(["-J", &address, "vm01", "true"]).ends(0);
    lab.exec(["-J", "nowhere", "vm01", "true"]).ends(255).says(&["nowhere"]);
    lab.exec(["-J", "a@@:b", "vm01", "true"]).ends(2);
    assert!(processes_with_env(jump.mark()).is_empty());
}
