//! `deploy --ask-pass`: the one place where a password is a proof.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{lines, on_terminal, world};
use crate::cli_verbs::world::{Said, World};
use crate::support::{
    Behaviour, Hostile, KeyKind, KeyPair, PASSWORD, Sshd, current_user, password_user,
};

const DEPLOY: [&str; 4] = ["keys", "deploy", "vm01", "--ask-pass"];

fn host() -> (Sshd, World) {
    let sshd = Sshd::builder()
        .account(password_user())
        .keys_at_home()
        .line("PasswordAuthentication yes")
        .start();
    let world = world(&sshd);
    world.run(&["keys", "generate", "vm01"]).is(0);
    (sshd, world)
}

/// Runs the program with this on stdin.
fn with_stdin(world: &World, args: &[&str], stdin: &str) -> Said {
    let mut command = world.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn occurs_nowhere(world: &World, secret: &str) {
    for file in crate::support::files_below(&world.path("")) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(secret), "{}", file.display());
    }
}

#[test]
fn the_first_line_of_stdin_puts_the_key_there() {
    let (sshd, world) = host();
    let args = [&DEPLOY[..], &["-vv"]].concat();
    with_stdin(&world, &args, &format!("{PASSWORD}\nrest\n")).is(0).has("deployed").lacks(PASSWORD);
    assert_eq!(lines(&sshd).len(), 2);
    assert!(sshd.log().contains("Accepted password for orchtest-password"), "{}", sshd.log());
    world.run(&["exec", "vm01", "true"]).is(0);
    let records = world.records();
    assert_eq!(records[0]["metadata"]["method"], "password");
    assert_eq!(records[1]["result"]["status"], "success");
    occurs_nowhere(&world, PASSWORD);
}

#[test]
fn it_is_typed_on_a_terminal() {
    let (sshd, world) = host();
    let said = on_terminal(&world, &DEPLOY, &[("SSH password: ", PASSWORD)]).is(0);
    said.has("deployed").lacks(PASSWORD);
    assert_eq!(lines(&sshd).len(), 2);
}

#[test]
fn a_wrong_one_is_offered_once() {
    let (sshd, world) = host();
    let said = with_stdin(&world, &DEPLOY, "wrong-quartz\n").is(4);
    said.has("refused the password").lacks("wrong-quartz");
    assert_eq!(sshd.log().matches("Failed password").count(), 1, "{}", sshd.log());
    assert_eq!(lines(&sshd).len(), 1);
    assert_eq!(world.records().pop().unwrap()["result"]["status"], "auth_failed");
    occurs_nowhere(&world, "wrong-quartz");
}

#[test]
fn no_password_and_two_ways_at_once_are_refused() {
    let (sshd, world) = host();
    with_stdin(&world, &DEPLOY, "").is(2).has("stdin has no password");
    with_stdin(&world, &[&DEPLOY[..], &["-i", "x"]].concat(), "x\n").is(2);
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
}

#[test]
fn a_server_that_takes_none_says_so() {
    let sshd = Sshd::builder().account(password_user()).keys_at_home().start();
    let world = world(&sshd);
    world.run(&["keys", "generate", "vm01"]).is(0);
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(4).has("takes no password");
    assert_eq!(lines(&sshd).len(), 1);
}

#[test]
fn a_host_that_is_not_known_or_changed_never_sees_it() {
    let (sshd, world) = host();
    world.know("");
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(5).has("is not known");
    let hostile = Hostile::start(Behaviour::AsksOneQuestion);
    let world = scripted(&hostile);
    let other = KeyPair::generate(KeyKind::Ed25519);
    let (ip, port) = (hostile.addr().ip(), hostile.addr().port());
    world.know(&format!("[{ip}]:{port} {}\n", other.public));
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(5).has("has changed");
    assert!(hostile.secrets().is_empty());
    assert_eq!(lines(&sshd).len(), 1);
}

#[test]
fn it_answers_the_one_question_of_keyboard_interactive() {
    let hostile = Hostile::start(Behaviour::AsksOneQuestion);
    let world = scripted(&hostile);
    // This server gives commands no stdin, so nothing comes of it there.
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(1);
    let password = PASSWORD.as_bytes().to_vec();
    assert_eq!(hostile.secrets(), [password.clone(), password]);
    assert_eq!(hostile.commands().len(), 1);
    occurs_nowhere(&world, PASSWORD);
}

#[test]
fn it_answers_no_other_questions_and_none_twice() {
    let hostile = Hostile::start(Behaviour::AsksTwoQuestions);
    let world = scripted(&hostile);
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(4).has("something else");
    assert_eq!(hostile.secrets().len(), 1);
    let hostile = Hostile::start(Behaviour::AsksInVain);
    let world = scripted(&hostile);
    with_stdin(&world, &DEPLOY, &format!("{PASSWORD}\n")).is(4).has("refused the password");
    assert_eq!(hostile.secrets().len(), 2);
}

fn scripted(hostile: &Hostile) -> World {
    let (ip, port, user) = (hostile.addr().ip(), hostile.addr().port(), current_user());
    let vm = format!("  vm01: {{ip: \"{ip}\", ssh_port: {port}, ssh_user: {user}}}\n");
    let world = World::new(&vm, "");
    world.know(&hostile.known_hosts());
    world.run(&["keys", "generate", "vm01"]).is(0);
    world
}
