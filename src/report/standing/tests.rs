use proptest::prelude::*;

use super::super::fixture::{at, finished, output, result, started, vm};
use super::*;
use crate::ids::RunId;
use crate::remote::Stream;

fn standing(events: Vec<(i64, EventKind)>) -> Standing {
    let mut standing = Standing::default();
    for (millis, kind) in events {
        let at = after(millis);
        standing.note(&Event { seq: 0, at, run: RunId::new(), kind });
    }
    standing
}

fn after(millis: i64) -> Timestamp {
    at() + SignedDuration::from_millis(millis)
}

fn begun(id: &str) -> EventKind {
    EventKind::HostStarted { vm: vm(id) }
}

/// 40 hosts: 12 are done, 2 of them badly, and 8 at work, two of them for long.
fn forty() -> Standing {
    let ids: Vec<String> = (1..=40).map(|number| format!("vm{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut events = vec![(0, started(&ids)), (22_000, begun("vm07")), (25_000, begun("vm19"))];
    for id in ids.iter().filter(|id| !["vm07", "vm19"].contains(id)).take(12) {
        let status = match *id {
            "vm02" => Status::Failed,
            "vm05" => Status::Unreachable,
            _ => Status::Success,
        };
        events.push((26_000, begun(id)));
        events.push((26_000, finished(result(id, status))));
    }
    events.extend(["vm20", "vm21", "vm22", "vm23", "vm30", "vm32"].map(|id| (33_500, begun(id))));
    events.push((33_600, output("vm07", Stream::Stdout, b"Unpacking \x1b[2Jlinux\tbase\n\n")));
    standing(events)
}

fn line(standing: &Standing, width: usize, millis: i64) -> Option<String> {
    standing.line(width, after(millis), Palette::PLAIN)
}

#[test]
fn the_line_says_what_fits() {
    let standing = forty();
    let check = |width, expected: &str| {
        assert_eq!(line(&standing, width, 34_000).as_deref(), Some(expected), "{width}");
    };
    let full = "12/40 done · 2 failed · 8 running · slowest vm07 12 s, vm19 9 s · 0:34";
    check(80, full);
    check(71, full);
    check(70, "12/40 done · 2 failed · 8 running · slowest vm07 12 s · 0:34");
    check(60, "12/40 done · 2 failed · 8 running · 0:34");
    check(40, "12/40 done · 2 failed · 8 running");
    check(30, "12/40 done · 2 failed");
    check(20, "12/40 done");
    check(5, "12/4");
    check(0, "");
}

#[test]
fn what_failed_is_red() {
    let line = forty().line(80, after(34_000), Palette::ANSI).unwrap();
    assert!(line.starts_with("12/40 done · \x1b[31m2 failed\x1b[0m · 8"), "{line:?}");
}

#[test]
fn there_is_no_line_without_anything_to_wait_for() {
    assert_eq!(line(&Standing::default(), 80, 9000), None);
    let one = standing(vec![(0, started(&["vm01"])), (0, begun("vm01"))]);
    assert_eq!(line(&one, 80, 9000), None);
    let mut events = vec![(0, started(&["vm01", "vm02"]))];
    let two = standing(events.clone());
    assert_eq!(line(&two, 80, 499), None);
    assert_eq!(line(&two, 80, 500).as_deref(), Some("0/2 done · 0 running · 0:00"));
    events.push((500, finished(result("vm01", Status::PolicyDenied))));
    let half = standing(events.clone());
    assert_eq!(line(&half, 80, 600).as_deref(), Some("1/2 done · 1 failed · 0 running · 0:00"));
    events.push((700, finished(result("vm02", Status::Success))));
    assert_eq!(line(&standing(events), 80, 800), None);
}

#[test]
fn the_block_tells_who_and_what() {
    assert_eq!(
        forty().block(80, after(34_000), Palette::PLAIN),
        "status: 12/40 done · 10 ok · 1 failed · 1 unreachable · 8 running · 20 waiting · 0:34\n\
         failed vm02 (1)\n\
         unreachable vm05 (1)\n\
         running vm[07,19-23,30,32] (8)\n\
         \x20 vm07  12 s  Unpacking \\x1b[2Jlinux base\n\
         \x20 vm19   9 s\n  vm20   0 s\n  vm21   0 s\n  vm22   0 s\n  vm23   0 s\n  vm30   0 s\n\
         \x20 vm32   0 s\n"
    );
    let narrow = forty().block(30, after(34_000), Palette::PLAIN);
    assert!(narrow.contains("\n  vm07  12 s  Unpacking \\x1b…\n"), "{narrow}");
}

#[test]
fn of_many_the_slowest_are_told() {
    let ids: Vec<String> = (1..=30).map(|number| format!("vm{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut events = vec![(0, started(&ids))];
    events.extend(ids.iter().rev().enumerate().map(|(n, id)| (n as i64, begun(id))));
    let block = standing(events).block(80, after(5000), Palette::PLAIN);
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(lines[0], "status: 0/30 done · 30 running · 0:05");
    assert_eq!(lines[1], "running vm[01-30] (30)");
    assert_eq!((lines[2], lines[10]), ("  vm30  5 s", "  and 22 more"));
    assert_eq!(lines.len(), 11);
}

#[test]
fn what_is_moved_is_told_by_its_size() {
    let progress = Progress { bytes: 1 << 20, bytes_total: 4 << 20, files: 0, files_total: 1 };
    let moving = standing(vec![
        (0, started(&["vm01", "vm02"])),
        (0, begun("vm01")),
        (0, EventKind::Progress { vm: vm("vm01"), progress }),
    ]);
    let block = moving.block(80, after(1000), Palette::PLAIN);
    assert!(block.ends_with("\n  vm01  1 s  1.0 MiB of 4.0 MiB\n"), "{block}");
}

proptest! {
    #[test]
    fn no_line_is_as_wide_as_the_terminal(width in 1..200_usize, millis in 34_000..9_000_000_i64) {
        let line = line(&forty(), width, millis).unwrap();
        prop_assert!(line.chars().count() < width, "{line}");
    }
}
