use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use proptest::prelude::*;

use super::super::fixture::{at, file, finished, moved, output, result, started, vm};
use super::super::{Labelled, Palette, Style};
use super::*;
use crate::event;
use crate::outcome::Status;
use crate::remote::Stream;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn event(millis: i64, kind: EventKind) -> Event {
    let at = at() + SignedDuration::from_millis(millis);
    Event { seq: 0, at, run: RunId::new(), kind }
}

fn progress(id: &str, bytes: u64, bytes_total: u64, files: u64, files_total: u64) -> EventKind {
    let progress = event::Progress { bytes, bytes_total, files, files_total };
    EventKind::Progress { vm: vm(id), progress }
}

fn bars(blocks: bool, events: Vec<(i64, EventKind)>) -> (Bars, Timestamp) {
    let mut bars = Bars::new(blocks);
    let mut now = at();
    for (millis, kind) in events {
        let event = event(millis, kind);
        now = event.at;
        bars.note(&event);
    }
    (bars, now)
}

fn draw(events: Vec<(i64, EventKind)>, width: u16, height: u16) -> Vec<String> {
    let (bars, now) = bars(true, events);
    bars.draw(Size { width, height }, now)
}

/// 1.2 of 2 GiB, at 410 MiB/s.
fn half_way(files: u64) -> Vec<(i64, EventKind)> {
    let bytes = 1229 * MIB;
    vec![
        (0, started(&["vm01"])),
        (0, progress("vm01", bytes - 820 * MIB, 2 * GIB, 0, files)),
        (2000, progress("vm01", bytes, 2 * GIB, files / 3, files)),
    ]
}

#[test]
fn one_host() {
    assert_eq!(
        draw(half_way(1), 80, 24),
        ["vm01  ███████░░░░░░   60%  1.2 GiB of 2.0 GiB  410 MiB/s  2 s left"]
    );
    assert_eq!(
        draw(half_way(128), 100, 24),
        [
            "vm01  █████████░░░░░░░   60%  1.2 GiB of 2.0 GiB  410 MiB/s  2 s left  (42 of 128 files)"
        ]
    );
}

#[test]
fn a_narrow_terminal_has_less() {
    let check = |width, expected: &str| assert_eq!(draw(half_way(128), width, 24), [expected]);
    check(60, "vm01  ██████░░░░   60%  1.2 GiB of 2.0 GiB  410 MiB/s");
    check(45, "vm01   60%  1.2 GiB of 2.0 GiB  410 MiB/s");
    check(20, "vm01   60%");
    check(8, "vm01   ");
    check(0, "");
}

#[test]
fn without_blocks() {
    let (bars, now) = bars(false, half_way(1));
    let lines = bars.draw(Size { width: 60, height: 24 }, now);
    assert_eq!(lines, ["vm01  ######----   60%  1.2 GiB of 2.0 GiB  410 MiB/s"]);
}

#[test]
fn nothing_is_drawn_where_nothing_is_moved() {
    assert!(draw(vec![(0, started(&["vm01"]))], 80, 24).is_empty());
    let mut over = half_way(1);
    over.push((2100, finished(moved("vm01", vec![file("/a")]))));
    assert!(draw(over, 80, 24).is_empty());
    assert!(draw(half_way(1), 80, 3).is_empty());
}

#[test]
fn several_hosts_and_all_of_them() {
    let events = vec![
        (0, started(&["vm1", "vm02", "vm03"])),
        (0, progress("vm02", 0, 100 * MIB, 0, 1)),
        (0, progress("vm1", 0, 100 * MIB, 0, 1)),
        (1000, progress("vm1", 50 * MIB, 100 * MIB, 0, 1)),
        (1000, progress("vm02", 100 * MIB, 100 * MIB, 1, 1)),
        (1000, finished(moved("vm02", vec![file("/a")]))),
    ];
    assert_eq!(
        draw(events.clone(), 80, 24),
        [
            "vm1           ██████░░░░░░░   50%  50.0 MiB of 100 MiB  50.0 MiB/s  1 s left",
            "1 of 3 hosts  ██████░░░░░░░   50%  150 MiB  150 MiB/s",
        ]
    );
    let failed = vec![(1000, finished(result("vm1", Status::Failed)))];
    let rest = vec![(1000, progress("vm03", 0, 100 * MIB, 0, 1))];
    assert_eq!(
        draw([events.clone(), failed, rest].concat(), 80, 24)[1],
        "2 of 3 hosts  ████████░░░░░   66%  150 MiB of 250 MiB  150 MiB/s  1 s left",
        "what will not be moved any more is not waited for"
    );
    let known = [events, vec![(1000, progress("vm03", 0, 100 * MIB, 0, 1))]].concat();
    assert_eq!(
        draw(known, 80, 24)[2],
        "1 of 3 hosts  ██████░░░░░░░   50%  150 MiB of 300 MiB  150 MiB/s  1 s left"
    );
}

#[test]
fn many_hosts_have_a_few_lines() {
    let ids: Vec<String> = (1..=40).map(|number| format!("vm{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut events = vec![(0, started(&ids))];
    events.extend(ids.iter().map(|id| (0, progress(id, 1, 2, 0, 1))));
    assert_eq!(draw(events.clone(), 80, 24).len(), 9);
    let low = draw(events, 80, 7);
    assert_eq!(low.len(), 4);
    assert!(low[0].starts_with("vm01 ") && low[3].starts_with("0 of 40 hosts "), "{low:?}");
}

#[test]
fn empty_files_are_counted() {
    let events = vec![(0, started(&["vm01"])), (0, progress("vm01", 0, 0, 1, 4))];
    assert_eq!(draw(events, 60, 24), ["vm01  ██░░░░░░░░   25%  0 B of 0 B  (1 of 4 files)"]);
}

#[test]
fn what_stands_still_has_no_end_in_sight() {
    let (bars, now) = bars(true, half_way(1));
    let later = now + SignedDuration::from_secs(20);
    let lines = bars.draw(Size { width: 80, height: 24 }, later);
    assert_eq!(lines, ["vm01  ███████░░░░░░   60%  1.2 GiB of 2.0 GiB  0 B/s"]);
}

proptest! {
    #[test]
    fn no_line_is_as_wide_as_the_terminal(
        bytes: u64, total: u64, files: u64, width in 1..300_u16, height: u16, millis in 0..90_000_i64,
    ) {
        let events = vec![
            (0, started(&["vm01", "vm02"])),
            (0, progress("vm01", 0, total, 0, files)),
            (millis, progress("vm01", bytes, total, files, files)),
            (millis, progress("vm02", bytes, total, files, files)),
        ];
        for line in draw(events, width, height) {
            prop_assert!(line.chars().count() < usize::from(width), "{line}");
        }
    }
}

/// A terminal of which only stderr is watched.
struct Screen {
    view: Progress,
    width: Arc<AtomicU16>,
    height: Arc<AtomicU16>,
}

impl Screen {
    fn new() -> Self {
        let (width, height) = (Arc::new(AtomicU16::new(60)), Arc::new(AtomicU16::new(24)));
        let measured = (Arc::clone(&width), Arc::clone(&height));
        let measure = move || match measured.0.load(Ordering::Relaxed) {
            0 => None,
            width => Some(Size { width, height: measured.1.load(Ordering::Relaxed) }),
        };
        let view = Box::new(Labelled::new(Style::default()));
        let view = Progress::new(view, Palette::PLAIN, false, Box::new(measure));
        Self { view, width, height }
    }

    fn tick(&mut self, millis: i64) -> String {
        self.err(|view, to| view.tick(at() + SignedDuration::from_millis(millis), to))
    }

    /// What is written to stderr, and nothing to stdout.
    fn err(
        &mut self,
        show: impl FnOnce(&mut Progress, &mut Streams<'_>) -> io::Result<()>,
    ) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        show(&mut self.view, &mut Streams { out: &mut out, err: &mut err }).unwrap();
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    fn show(&mut self, millis: i64, kind: EventKind) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut to = Streams { out: &mut out, err: &mut err };
        self.view.event(&event(millis, kind), &mut to).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }
}

#[test]
fn the_bars_give_way_to_every_other_line() {
    let mut screen = Screen::new();
    assert_eq!(screen.show(0, started(&["vm01"])), Default::default());
    let (out, err) = screen.show(200, progress("vm01", 0, 10, 0, 1));
    assert_eq!((out.as_str(), err.as_str()), ("", "vm01  ----------    0%  0 B of 10 B\n"));
    let (_, err) = screen.show(350, progress("vm01", 1, 10, 0, 1));
    assert_eq!(err, "", "five times a second");
    let (_, err) = screen.show(400, progress("vm01", 1, 10, 0, 1));
    assert_eq!(err, "\r\x1b[1A\x1b[Jvm01  #---------   10%  1 B of 10 B\n");
    let (out, err) = screen.show(410, finished(moved("vm01", vec![file("/a")])));
    assert!(out.starts_with("vm01 │ /a  12.3 MiB"), "{out}");
    assert_eq!(err, "\r\x1b[1A\x1b[J");
    let (_, err) = screen.show(420, finished(result("vm01", Status::Unknown)));
    assert_eq!(err, "vm01: unknown\n", "erased once");
}

#[test]
fn the_line_stands_below_what_hosts_write() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01", "vm02"]));
    let begun = |id| EventKind::HostStarted { vm: vm(id) };
    assert_eq!(screen.show(10, begun("vm01")), Default::default());
    assert_eq!(screen.tick(300), "", "a run that is over at once needs no line");
    let line = "0/2 done · 1 running · 0:00\n";
    assert_eq!(screen.tick(500), line);
    assert_eq!(screen.tick(700), "", "the same again is not written");
    // What is not whole is not shown yet, and the line stays.
    assert_eq!(screen.show(800, output("vm01", Stream::Stdout, b"a")).1, "");
    let (out, err) = screen.show(810, output("vm01", Stream::Stdout, b"b\n"));
    assert_eq!((out.as_str(), err), ("vm01 │ ab\n", format!("\r\x1b[1A\x1b[J{line}")));
    let (out, err) = screen.show(820, output("vm01", Stream::Stderr, b"oh\n"));
    assert_eq!((out.as_str(), err.as_str()), ("", "\r\x1b[1A\x1b[Jvm01 │ oh\n"));
    assert_eq!(screen.show(830, output("vm01", Stream::Stderr, b"no\n")).1, "vm01 │ no\n");
    assert_eq!(screen.tick(1020), "0/2 done · 1 running · slowest vm01 1 s · 0:01\n");
    screen.show(1100, finished(result("vm01", Status::Success)));
    screen.show(1100, begun("vm02"));
    screen.show(1100, finished(result("vm02", Status::Success)));
    assert_eq!(screen.tick(1300), "\r\x1b[1A\x1b[J", "there is nothing to wait for");
}

#[test]
fn bars_and_the_line_of_several_hosts() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01", "vm02"]));
    screen.show(0, EventKind::HostStarted { vm: vm("vm01") });
    let (_, err) = screen.show(700, progress("vm01", 5, 10, 0, 1));
    assert_eq!(
        err,
        "vm01          #####-----   50%  5 B of 10 B\n\
         0 of 2 hosts  ##--------   25%  5 B\n\
         0/2 done · 1 running · 0:00\n"
    );
    screen.height.store(4, Ordering::Relaxed);
    assert_eq!(
        screen.tick(1000),
        "\r\x1b[3A\x1b[J0/2 done · 1 running · slowest vm01 1 s · 0:01\n"
    );
    screen.height.store(3, Ordering::Relaxed);
    assert_eq!(
        screen.tick(2000),
        "\r\x1b[1A\x1b[J0/2 done · 1 running · slowest vm01 2 s · 0:02\n"
    );
    screen.height.store(2, Ordering::Relaxed);
    assert_eq!(screen.tick(3000), "\r\x1b[1A\x1b[J");
}

#[test]
fn whoever_asks_gets_a_block_that_stays() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01", "vm02"]));
    screen.show(0, EventKind::HostStarted { vm: vm("vm01") });
    assert_ne!(screen.tick(600), "");
    screen.view.typed(1);
    let block = "status: 0/2 done · 1 running · 1 waiting · 0:00\nrunning vm01 (1)\n  vm01  0 s\n";
    let err = screen.err(|view, to| view.status(at() + SignedDuration::from_millis(700), to));
    assert_eq!(err, format!("\r\x1b[2A\x1b[J{block}"), "the line and what was typed below it go");
    let err = screen.err(|view, to| view.interject("it goes on", to));
    assert_eq!(err, "it goes on\n");
    assert_eq!(screen.tick(900), "0/2 done · 1 running · 0:00\n");
    let err = screen.err(|view, to| view.interject("again", to));
    assert_eq!(err, "\r\x1b[1A\x1b[Jagain\n");
    // Where nothing is drawn, typing moves nothing.
    screen.view.typed(3);
    assert_eq!(screen.tick(1200), "0/2 done · 1 running · slowest vm01 1 s · 0:01\n");
    screen.width.store(0, Ordering::Relaxed);
    let err = screen.err(|view, to| view.status(at() + SignedDuration::from_millis(1300), to));
    assert!(err.starts_with("status: 0/2 done"), "{err:?}");
}

#[test]
fn a_resized_window_loses_nothing() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01"]));
    screen.show(0, progress("vm01", 1, 10, 0, 1));
    assert_eq!(screen.view.drawn.lines, 1);
    screen.width.store(30, Ordering::Relaxed);
    let (_, err) = screen.show(200, progress("vm01", 2, 10, 0, 1));
    assert_eq!(err, "vm01   20%  2 B of 10 B\n", "no row is taken that may be another's");
    let (_, err) = screen.show(400, progress("vm01", 3, 10, 0, 1));
    assert!(err.starts_with("\r\x1b[1A\x1b[J"), "{err:?}");
}

#[test]
fn a_tick_redraws_what_stands_still_and_nothing_else() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01"]));
    assert_eq!(screen.tick(1000), "");
    screen.show(2000, progress("vm01", 1, 10, 0, 1));
    assert_eq!(screen.tick(9000), "\r\x1b[1A\x1b[Jvm01  #---------   10%  1 B of 10 B  0 B/s\n");
}

#[test]
fn a_line_of_another_is_not_drawn_over() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01"]));
    screen.show(0, progress("vm01", 1, 10, 0, 1));
    screen.width.store(0, Ordering::Relaxed);
    for millis in [200, 400] {
        let (_, err) = screen.show(millis, progress("vm01", 2, 10, 0, 1));
        assert_eq!(err, "");
    }
    let (_, err) = screen.show(500, finished(result("vm01", Status::Unknown)));
    assert_eq!(err, "vm01: unknown\n");
}

#[test]
fn the_end_leaves_no_bar() {
    let mut screen = Screen::new();
    screen.show(0, started(&["vm01", "vm02"]));
    screen.show(0, progress("vm01", 1, 10, 0, 1));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut to = Streams { out: &mut out, err: &mut err };
    screen.view.finish(RunId::new(), &[result("vm01", Status::Success)], &mut to).unwrap();
    assert_eq!(String::from_utf8(err).unwrap(), "\r\x1b[2A\x1b[J");
}
