//! What `/proc` says about processes and about this one's resources.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// File descriptors this process has open.
pub(crate) fn fd_count() -> usize {
    let listing_itself = 1;
    fs::read_dir("/proc/self/fd").unwrap().count() - listing_itself
}

/// Resident memory of this process in KiB.
pub(crate) fn rss_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Living processes that were started with `entry` (`NAME=value`) in their
/// environment. Another user's processes are seen by root alone.
pub(crate) fn processes_with_env(entry: &str) -> Vec<u32> {
    let has_entry = |pid: &u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|e| e == entry.as_bytes()))
    };
    processes().into_keys().filter(has_entry).collect()
}

/// Living processes below `root` in the process tree, parents first.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let processes = processes();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(processes.iter().filter(|(_, p)| p.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The name of a living process, as `ps -o comm` prints it.
pub(crate) fn process_name(pid: u32) -> Option<String> {
    process(pid).map(|process| process.name)
}

/// Sends SIGKILL; a process that is gone already is no error.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

/// Sends any signal; a process that is gone already is no error.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

struct Process {
    name: String,
    parent: u32,
}

fn processes() -> BTreeMap<u32, Process> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, process(pid)?)))
        .collect()
}

/// `None` for a process that is gone and for a zombie.
fn process(pid: u32) -> Option<Process> {
    // `pid (name) state parent …`, where the name may hold blanks and parentheses.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then(|| Process { name: name.to_owned(), parent })
}
