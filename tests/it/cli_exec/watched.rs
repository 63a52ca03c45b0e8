//! What a person sees who watches a run on several hosts, and what Enter and
//! Ctrl-C do then.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::Lab;
use super::terminal::start_line;
use crate::support::{Sshd, block_until, processes_with_env};

const CTRL_C: &str = "\x03";

/// What is said after the first Ctrl-C.
const GOES_ON: &str = "it goes on; interrupt again to end it on the hosts";

/// The program on a terminal of 24 lines.
struct Watched {
    script: Child,
    keyboard: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Watched {
    /// `around` is what a shell does with `$@`, which is the program.
    fn start(lab: &Lab, around: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut script = start_line(lab, &format!("stty rows 24 cols 100; {around}"), args, env);
        let keyboard = script.stdin.take().unwrap();
        let mut screen = script.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                collected.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { script, keyboard, shown, reader }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn until(&self, text: &str) {
        block_until(text, || self.shown().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The exit code, and everything that was written to the terminal.
    fn wait(mut self) -> (i32, String) {
        let code = self.script.wait().unwrap().code().unwrap();
        self.reader.join().unwrap();
        let shown = String::from_utf8(self.shown.lock().unwrap().clone()).unwrap();
        (code, shown)
    }
}

/// What is left on a screen that is high enough, as far as the program uses it:
/// CR, LF, CUU, ED and SGR (ECMA-48).
fn screen(written: &str) -> Vec<String> {
    let (mut rows, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                let rest: String = characters.by_ref().take_while_inclusive().collect();
                let (number, what) = rest[1..].split_at(rest.len() - 2);
                match what {
                    "A" => row -= number.parse::<usize>().unwrap(),
                    "J" => {
                        let below: &mut Vec<Vec<char>> = &mut rows;
                        below.truncate(row + 1);
                        below[row].truncate(column);
                    }
                    "m" => {}
                    other => panic!("{other:?} is not known here"),
                }
            }
            other => {
                let line = &mut rows[row];
                line.resize(column.max(line.len()), ' ');
                line.truncate(column);
                line.push(other);
                column += 1;
            }
        }
        rows.resize(rows.len().max(row + 1), Vec::new());
    }
    rows.into_iter().map(|row| row.into_iter().collect()).collect()
}

trait Sequence: Iterator<Item = char> {
    /// Up to the letter that ends a control sequence.
    fn take_while_inclusive(self) -> impl Iterator<Item = char>;
}

impl<I: Iterator<Item = char>> Sequence for I {
    fn take_while_inclusive(mut self) -> impl Iterator<Item = char> {
        let mut over = false;
        std::iter::from_fn(move || {
            let next = if over { None } else { self.next() };
            over = next.is_some_and(|character| character.is_ascii_alphabetic());
            next
        })
    }
}

fn lab(sshd: &Sshd) -> Lab {
    Lab::new().vm("vm01", sshd).vm("vm02", sshd).vm("vm03", sshd)
}

/// A command that says something and waits for a file.
fn until_there(flag: &Path) -> String {
    format!("echo begun; while ! test -e {}; do sleep 0.05; done", flag.display())
}

fn all_gone(sshd: &Sshd) {
    block_until("the commands' processes are gone", || processes_with_env(sshd.mark()).is_empty());
}

/// Without a shell around it, which an interrupt would end.
const PROGRAM: &str = "exec \"$@\"";
const LINE: &str = "0/3 done · 3 running";

#[test]
fn a_line_says_how_the_run_stands_and_leaves_nothing_behind() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let flag = lab.path("flag");
    let watched = Watched::start(&lab, PROGRAM, &["all", &until_there(&flag)], &[]);
    watched.until(LINE);
    watched.until("slowest vm0");
    fs::write(flag, "").unwrap();
    let (code, shown) = watched.wait();
    assert_eq!(code, 0);
    let left = screen(&shown);
    let mut begun = left[..3].to_vec();
    begun.sort();
    assert_eq!(begun, ["vm01 │ begun", "vm02 │ begun", "vm03 │ begun"]);
    assert!(left[3].starts_with("3 ok · 3 hosts in "), "{left:?}");
    assert_eq!(left[4..], [""]);
}

#[test]
fn nobody_sees_it_who_cannot_or_does_not_want_to() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let err = lab.path("err").display().to_string();
    let slow = "sleep 1.5; echo x";
    for (around, args, env) in [
        (PROGRAM, &["-q", "all", slow][..], &[][..]),
        (PROGRAM, &["--json", "all", slow], &[]),
        (PROGRAM, &["-o", "ndjson", "all", slow], &[]),
        (PROGRAM, &["--raw", "all", slow], &[]),
        (PROGRAM, &["-v", "all", slow], &[]),
        (PROGRAM, &["vm01", slow], &[]),
        (PROGRAM, &["all", slow], &[("TERM", "dumb")]),
        ("\"$@\" | cat", &["all", slow], &[]),
        (&format!("\"$@\" 2>{err}; cat {err}"), &["all", slow], &[]),
    ] {
        let (code, shown) = Watched::start(&lab, around, args, env).wait();
        assert_eq!(code, 0, "{shown}");
        assert!(!shown.contains(" running"), "{around} {args:?}: {shown}");
    }
    // It is not the time that hides it.
    let (_, shown) = Watched::start(&lab, PROGRAM, &["-b", "all", slow], &[]).wait();
    assert!(shown.contains(LINE), "{shown}");
    let (_, shown) = Watched::start(&lab, "\"$@\" | cat", &["-b", "all", slow], &[]).wait();
    assert!(shown.contains(LINE), "nothing is written there before the end: {shown}");
}

#[test]
fn enter_shows_how_the_run_stands() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    for json in [false, true] {
        let flag = lab.path(&format!("flag{json}"));
        let command = until_there(&flag);
        let args = if json { vec!["--json", "all", &command] } else { vec!["all", &command] };
        let mut watched = Watched::start(&lab, PROGRAM, &args, &[]);
        match json {
            false => watched.until(LINE),
            // Nothing is drawn there, but whoever asks is told.
            true => block_until("all run", || processes_with_env(sshd.mark()).len() >= 3),
        }
        watched.press("\n");
        watched.until("running vm[01-03] (3)\r\n");
        fs::write(flag, "").unwrap();
        let (code, shown) = watched.wait();
        assert_eq!(code, 0, "{shown}");
        if json {
            continue;
        }
        let left = screen(&shown);
        let status = left.iter().position(|line| line.starts_with("status: 0/3 done")).unwrap();
        assert_eq!(status, 3, "neither the line nor what was typed is left: {left:?}");
        assert!(left[5..8].iter().all(|line| line.ends_with(" s  begun")), "{left:?}");
        assert!(left[8].starts_with("3 ok · 3 hosts in "), "{left:?}");
    }
}

#[test]
fn what_the_command_reads_is_not_taken_from_it() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let args = ["--stdin", "-", "vm01", "echo begun; read a; read b; echo \"got $a $b\""];
    let mut watched = Watched::start(&lab, PROGRAM, &args, &[]);
    watched.until("begun");
    watched.press("one\ntwo\n\x04");
    let (code, shown) = watched.wait();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("got one two"), "{shown}");
}

#[test]
fn the_first_interrupt_only_asks() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let flag = lab.path("flag");
    let command = format!("{}; exit 3", until_there(&flag));
    let mut watched = Watched::start(&lab, PROGRAM, &["all", &command], &[]);
    watched.until(LINE);
    watched.press(CTRL_C);
    watched.until(GOES_ON);
    let begun = watched.shown().matches(LINE).count();
    block_until("the line is back", || watched.shown().matches(LINE).count() > begun);
    fs::write(flag, "").unwrap();
    let (code, shown) = watched.wait();
    assert_eq!(code, 1, "it keeps its own exit code: {shown}");
    assert_eq!(lab.statuses(), ["failed"; 3]);
    let left = screen(&shown);
    assert!(left.iter().any(|line| line.starts_with("status: 0/3 done")), "{left:?}");
    assert!(!left.iter().any(|line| line.contains("^C") || line.starts_with("0/3")), "{left:?}");
}

#[test]
fn the_second_interrupt_kills_with_proof() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let command = "sleep 301 & sleep 302; wait";
    let mut watched = Watched::start(&lab, PROGRAM, &["-q", "all", command], &[]);
    block_until("all run", || processes_with_env(sshd.mark()).len() >= 9);
    watched.press(CTRL_C);
    watched.until(GOES_ON);
    assert!(processes_with_env(sshd.mark()).len() >= 9, "nothing was ended");
    watched.press(CTRL_C);
    let (code, shown) = watched.wait();
    assert_eq!(code, 130, "{shown}");
    assert_eq!(shown.matches("3 processes ended, 0 survivors").count(), 3, "{shown}");
    all_gone(&sshd);
    assert_eq!(lab.statuses(), ["cancelled"; 3]);
}

#[test]
fn the_third_interrupt_leaves_at_once() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let stubborn = "trap '' TERM; echo begun; while :; do sleep 1; done";
    let mut watched = Watched::start(&lab, PROGRAM, &["--grace", "10m", "all", stubborn], &[]);
    block_until("all run", || watched.shown().matches(" begun\r\n").count() == 3);
    watched.press(CTRL_C);
    watched.until(GOES_ON);
    watched.press(CTRL_C);
    watched.until("interrupted: ending it on the hosts; interrupt again to leave at once");
    watched.press(CTRL_C);
    let (code, shown) = watched.wait();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("interrupted: left at once"), "{shown}");
}

#[test]
fn the_first_interrupt_kills_where_nobody_watches_several_hosts() {
    let sshd = Sshd::start();
    let lab = lab(&sshd);
    let err = lab.path("err").display().to_string();
    let to_file = format!("\"$@\" 2>{err}; code=$?; cat {err}; exit $code");
    for (around, targets) in [("\"$@\" </dev/null", "all"), (&*to_file, "all"), ("\"$@\"", "vm01")]
    {
        let begun = "echo begun; sleep 301 & sleep 302; wait";
        // The shell around it must outlive the interrupt.
        let around = format!("trap : INT; {around}");
        let mut watched = Watched::start(&lab, &around, &[targets, begun], &[]);
        let hosts = if targets == "all" { 3 } else { 1 };
        block_until("all run", || watched.shown().matches("begun").count() == hosts);
        watched.press(CTRL_C);
        let (code, shown) = watched.wait();
        assert_eq!(code, 130, "{around}: {shown}");
        assert_eq!(shown.matches("3 processes ended, 0 survivors").count(), hosts, "{shown}");
        assert!(!shown.contains(GOES_ON), "{shown}");
        all_gone(&sshd);
    }
}

#[test]
fn other_signals_kill_at_once() {
    let sshd = Sshd::start();
    for signal in [Signal::TERM, Signal::HUP] {
        let lab = lab(&sshd);
        let pid = lab.path("pid");
        let around = format!("echo $$ > {}; exec \"$@\"", pid.display());
        let watched = Watched::start(&lab, &around, &["all", "echo begun; sleep 301"], &[]);
        block_until("all run", || watched.shown().matches(" begun\r\n").count() == 3);
        let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let (code, shown) = watched.wait();
        assert_eq!(code, 143, "{shown}");
        assert_eq!(lab.statuses(), ["cancelled"; 3]);
        all_gone(&sshd);
    }
}

#[test]
fn a_screen_is_read_as_a_terminal_shows_it() {
    assert_eq!(screen("a\r\nb\r\n"), ["a", "b", ""]);
    assert_eq!(screen("a\r\nbcd\r\n\r\x1b[1A\x1b[Jx\x1b[31my\x1b[0m\r\n"), ["a", "xy", ""]);
}
