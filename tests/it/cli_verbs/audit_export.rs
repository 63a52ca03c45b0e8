use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::world::World;

#[test]
fn every_format_has_one_line_a_record() {
    let world = World::with_log(2);
    let raw = fs::read_to_string(world.log()).unwrap();
    let export = |format: &str| world.run(&["audit", "export", "--format", format]).is(0).out;
    for format in ["jsonl", "text", "ecs", "ocsf", "cef"] {
        assert_eq!(export(format).lines().count(), raw.lines().count(), "{format}");
    }
    assert_eq!(export("jsonl"), raw);
    for format in ["ecs", "ocsf"] {
        for line in export(format).lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
    assert!(export("cef").lines().all(|line| line.starts_with("CEF:0|")));
    assert!(export("text").contains(" | user_id=alice | "));
    world
        .run(&["audit", "export", "--format", "xml"])
        .is(2)
        .has("jsonl, text, ecs, ocsf, cef or scripts");
}

#[test]
fn a_file_is_replaced_whole_and_private() {
    let world = World::with_log(1);
    let file = world.path("export.cef");
    fs::write(&file, "old").unwrap();
    let args = ["audit", "export", "--format", "cef", "-o", file.to_str().unwrap()];
    assert_eq!(world.run(&args).is(0).out, "");
    assert!(fs::read_to_string(&file).unwrap().starts_with("CEF:0|"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(world.log()).unwrap();
    fs::write(&file, "old").unwrap();
    world.run(&args).is(2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    world.run(&["audit", "export", "-o", "no/such/dir/file", "--log", "x"]).is(1);
}

#[test]
fn a_period() {
    let world = World::with_log(1);
    let count =
        |args: &[&str]| world.run(&[&["audit", "export"], args].concat()).is(0).out.lines().count();
    assert_eq!(count(&["--until", "2020-01-01"]), 0);
    assert_eq!(count(&["--since", "1h"]), count(&[]));
}
