//! When and by which process a line was written, and whether it still runs.

use std::fmt::Write as _;
use std::fs;
use std::io;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Nanoseconds in a kernel clock tick, which `/proc` counts in hundredths.
const TICK_NS: u64 = 10_000_000;

/// What is the same in every line of one process.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    boot: String,
    node: String,
    pid: u32,
}

impl Stamp {
    /// The stamp of the calling process; an error when the system does not
    /// tell which boot this is.
    pub(super) fn of_this_process() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self { boot, node, pid: std::process::id() })
    }

    /// This machine's name.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Appends the members `ts` to `node`, each followed by a comma.
    pub(super) fn write(&self, line: &mut String) {
        let (boot, node) = (Value::from(self.boot.as_str()), Value::from(self.node.as_str()));
        let _ = write!(
            line,
            r#""ts":"{}","mono_ns":{},"boot":{boot},"pid":{},"node":{node},"#,
            time(Timestamp::now()),
            since_boot(),
            self.pid,
        );
    }

    /// Whether the process that wrote at `mono_ns` in `boot` under `pid` runs.
    /// A process that began later only has the number.
    pub(super) fn is_running(&self, boot: &str, pid: u32, mono_ns: u64) -> bool {
        boot == self.boot && started(pid).is_some_and(|start| start <= mono_ns)
    }
}

/// A time as the log writes it, always in UTC and of one length, so that the
/// order of the texts is the order of the times.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Nanoseconds since boot, sleep included; the clock that `/proc` uses for the
/// start of a process.
fn since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}

/// When `pid` started, in nanoseconds since boot; `None` when it is gone.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything, even a parenthesis.
    let fields = stat.rsplit_once(')')?.1;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(ticks * TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_its_namesakes_do_not() {
        let stamp = Stamp::of_this_process().unwrap();
        let pid = std::process::id();
        assert!(stamp.is_running(&stamp.boot, pid, since_boot()));
        assert!(!stamp.is_running(&stamp.boot, pid, 0), "began after the record");
        assert!(!stamp.is_running("another boot", pid, since_boot()));
        assert!(!stamp.is_running(&stamp.boot, u32::MAX, since_boot()));
    }

    #[test]
    fn times_have_one_length() {
        for text in ["2026-11-21T02:40:00Z", "2026-11-21T02:40:00.123456789Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(time(at).len(), "2026-11-21T02:40:00.123456Z".len());
        }
    }
}
