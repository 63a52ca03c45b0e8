use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::world::{PROGRAM, World, set_mode};
use crate::support::is_root;

#[test]
fn tail_shows_the_latest_in_the_familiar_line() {
    let world = World::with_log(3);
    assert_eq!(world.run(&["audit", "tail", "-n", "3"]).is(0).out.lines().count(), 3);
    let said = world.run(&["audit", "tail"]).is(0);
    let result = said.out.lines().rfind(|line| line.contains("status=error")).unwrap();
    let expected =
        " | remote_executor.audit | INFO | user_id=alice | vm_id=vm01 | operation=echo 2 | ";
    assert!(result.contains(expected), "{said:?}");
    assert_eq!(world.run(&["audit", "tail", "-n", "0"]).is(0).out, "");
    let all = world.run(&["audit", "tail", "-n", "1000", "--json"]).is(0).out;
    assert_eq!(all, fs::read_to_string(world.log()).unwrap());
}

#[test]
fn tail_follows_a_log_that_others_write() {
    let world = World::with_log(1);
    let mut follower =
        world.command(&["audit", "tail", "-n", "0", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // It may not look before this is written; then nothing would come of it.
    std::thread::scope(|scope| {
        let (sender, seen) = std::sync::mpsc::channel::<()>();
        let world = &world;
        scope.spawn(move || {
            while seen.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                world.run(&["exec", "vm01", "echo followed"]);
            }
        });
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("vm_id=vm01") || line.contains("operation=audit."), "{line}");
        sender.send(()).unwrap();
    });
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn search_finds_what_has_everything() {
    let world = World::with_log(2);
    // Refused: the host is disabled.
    world.run(&["exec", "vm01", "uptime", "--operator", "bob"]).is(2);
    let count = |args: &[&str]| {
        let said = world.run(&[&["audit", "search"], args].concat()).is(0);
        said.out.lines().count()
    };
    assert_eq!(count(&["echo"]), 4);
    assert_eq!(count(&["echo 1", "--event", "exec.result"]), 1);
    assert_eq!(count(&["--operator", "bob"]), 2);
    assert_eq!(count(&["--operator", "bob", "echo"]), 0);
    assert_eq!(count(&["--status", "policy_denied"]), 3);
    assert_eq!(count(&["--host", "vm01", "--event", "exec"]), 6);
    assert_eq!(count(&["--since", "1h", "--event", "exec"]), 6);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--since", "2020-01-01T00:00:00Z", "--until", "2020-02-01"]), 0);
    assert_eq!(count(&["--run", "no such run"]), 0);
    let said = world.run(&["audit", "search", "--operator", "bob", "--json"]).is(0);
    for line in said.out.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["actor"]["id"], "bob");
    }
    world.run(&["audit", "search", "--since", "yesterday"]).is(2).has("how long ago");
}

#[test]
fn who_searches_does_not_narrow_the_search() {
    let world = World::with_log(1);
    let output = world
        .command(&["audit", "search", "--host", "vm01"])
        .env("ORCHESTRATOR_OPERATOR", "carol")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

#[test]
fn a_line_that_is_no_record_is_told_and_the_others_are_found() {
    let world = World::with_log(2);
    let (mut lines, at) = (world.lines(), world.second_of_alice());
    lines[at] = "nonsense".into();
    world.write_lines(&lines);
    let said = world.run(&["audit", "search", "echo"]).is(6);
    assert_eq!(said.out.lines().count(), 3, "{said:?}");
    said.has(&format!("record {}", at + 1));
    world.run(&["audit", "export"]).is(6);
}

#[test]
fn reading_writes_nothing() {
    let world = World::new("  vm01: {ip: h}\n", "");
    for verb in ["tail", "search", "verify", "export"] {
        world.run(&["audit", verb]).is(2).has("there is no audit log at");
    }
    assert!(!world.path("state").exists());

    let world = World::with_log(1);
    let directory = world.path("state");
    let before: Vec<_> = files(&directory);
    for (name, _) in &before {
        set_mode(&directory.join(name), 0o400);
    }
    set_mode(&directory, 0o500);
    for verb in ["tail", "search", "verify", "export"] {
        let mut command = unprivileged(&world);
        let output = command.args(["audit", verb]).output().unwrap();
        assert!(output.status.success(), "{verb}: {output:?}");
    }
    set_mode(&directory, 0o700);
    assert_eq!(files(&directory), before);
}

/// The program, without root's right to write what it may only read.
fn unprivileged(world: &World) -> Command {
    if !is_root() {
        return world.command(&[]);
    }
    let mut command = world.shell("setpriv".as_ref());
    command.args(["--bounding-set=-dac_override", "--", PROGRAM]);
    command
}

/// Names and contents.
fn files(directory: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let world = World::with_log(1);
    // More than a pipe holds.
    let line = fs::read_to_string(world.log()).unwrap().lines().next().unwrap().to_owned() + "\n";
    fs::write(world.path("long.jsonl"), line.repeat(1000)).unwrap();
    let long = world.path("long.jsonl").display().to_string();
    for args in [
        &["audit", "tail", "-n", "1000", "--log", &long][..],
        &["audit", "search", "--log", &long],
        &["audit", "export", "--log", &long],
    ] {
        let mut child =
            world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}
