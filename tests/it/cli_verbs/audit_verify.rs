use std::fs;

use super::world::World;

#[test]
fn an_intact_log() {
    let world = World::with_log(3);
    let total = world.lines().len();
    let said = world.run(&["audit", "verify"]).is(0);
    assert!(said.out.starts_with(&format!("intact: {total} records in ")), "{said:?}");
    let document = world.run(&["audit", "verify", "--json"]).is(0).json();
    assert_eq!(document["intact"], true);
    assert_eq!(document["records"], total);
    assert_eq!(document["first_bad"], serde_json::Value::Null);
}

#[test]
fn a_changed_a_removed_and_a_swapped_record() {
    let world = World::with_log(3);
    let good = world.lines();
    let at = world.second_of_alice();
    let mut changed = good.clone();
    changed[at] = changed[at].replacen("alice", "mallo", 1);
    let mut removed = good.clone();
    removed.remove(at);
    let mut swapped = good.clone();
    swapped.swap(at, at + 1);
    for bad in [changed, removed, swapped] {
        world.write_lines(&bad);
        let said = world.run(&["audit", "verify"]).is(6);
        assert!(said.out.starts_with(&format!("broken at record {} of ", at + 1)), "{said:?}");
        said.has("hint: ");
        let document = world.run(&["audit", "verify", "--json"]).is(6).json();
        assert_eq!(document["first_bad"]["seq"], at + 1);
        assert_eq!(document["intact"], false);
    }
}

#[test]
fn a_torn_tail_is_recovered_by_the_next_run() {
    let world = World::with_log(2);
    let text = fs::read_to_string(world.log()).unwrap();
    fs::write(world.log(), format!("{text}{{\"v\":1,\"seq\":")).unwrap();
    let said = world.run(&["audit", "verify"]).is(6);
    said.has("torn: ").has("the next run recovers it");
    world.run(&["exec", "vm01", "true"]).is(2);
    world.run(&["audit", "verify"]).is(0);
}

#[test]
fn a_log_that_was_cut_shows_against_a_kept_checkpoint() {
    let sshd = crate::support::Sshd::start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    world.run(&["exec", "vm01", "true"]).is(0);
    let kept = world.path("kept");
    let checkpoints = world.path("state/audit.jsonl.checkpoints");
    fs::copy(&checkpoints, &kept).unwrap();
    let kept = kept.display().to_string();
    world.run(&["audit", "verify", "--checkpoint", &kept]).is(0);
    // Whoever cuts the log also takes the checkpoints beside it away.
    world.write_lines(&world.lines()[..1]);
    fs::write(&checkpoints, "").unwrap();
    world.run(&["audit", "verify"]).is(0);
    world.run(&["audit", "verify", "--checkpoint", &kept]).is(6);
    world.run(&["audit", "verify", "--checkpoint", "no/such"]).is(2).has("cannot be read");
}

#[test]
fn a_copy_elsewhere_needs_no_configuration() {
    let world = World::with_log(1);
    let copy = world.path("copy.jsonl");
    fs::copy(world.log(), &copy).unwrap();
    fs::remove_file(world.config()).unwrap();
    world.run(&["audit", "verify"]).is(2).has("Config not found");
    world.run(&["audit", "verify", "--log", &copy.display().to_string()]).is(0);
}
