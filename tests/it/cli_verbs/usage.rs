use std::process::Stdio;

use super::world::World;

#[test]
fn a_reader_that_went_away_is_no_error() {
    let world = World::new("  vm01: {ip: h}\n", "");
    for args in [
        &["exec", "--list-hosts", "all"][..],
        &["exec", "--dry-run", "all", "true"],
        &["schema"],
        &["completions", "bash"],
        &["man"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let command = &mut world.command(args);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn a_command_without_quotes_is_told_how_to_quote() {
    let world = World::new("  vm01: {ip: h}\n", "");
    for args in [&["exec", "vm01", "ls", "/tmp"][..], &["exec", "vm01", "ls", "-l"]] {
        world.run(args).is(2).has("orchestrator exec vm01 -- ls -l /tmp");
    }
    world.run(&["exec", "vm01", "ls", "--timeout", "soon"]).is(2).lacks("-- ls -l /tmp");
    // `-la` would log in as the user `a`.
    world.run(&["exec", "vm01", "ls", "-la"]).is(2).has("-la after ls").has("quote the whole");
}

#[test]
fn a_caret_stands_under_what_is_wrong_with_the_targets() {
    let world = World::new("  web1: {ip: h}\n", "");
    let said = world.run(&["exec", "web1,n[5-1]", "true"]).is(2);
    assert_eq!(
        said.err,
        "error: \"5-1\" in the targets, character 8: the range ends before it begins\n  \
         web1,n[5-1]\n         ^\n"
    );
    let said = world.run(&["exec", "all!wbe1", "true"]).is(2);
    said.has("vm_id wbe1 not found").has("\n      ^\n").has("hint: did you mean web1?");
}

#[test]
fn a_secret_that_nobody_can_be_asked_for_says_where_else_it_may_come_from() {
    let world = World::new("  vm01: {ip: h}\n", "");
    let said = world.run(&["exec", "vm01", "--secret-env", "X=prompt", "true"]).is(2);
    said.has("nobody to ask: X").has("NAME=env:VAR, NAME=file:PATH");
}
