//! A server process that cannot outlive the test process.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::observe;
use super::wait::block_until;

/// Ends the daemon and what carries its mark when stdin closes, as it does when
/// the test process is killed and drops nothing.
const SUPERVISOR: &str = r#"
log=$1 mark=$2
shift 2
env "$mark" "$@" </dev/null >"$log" 2>&1 &
echo $!
read -r _
kill $!
# Over a while: a login under way shows no mark yet.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    for environ in $(grep -lszx -- "$mark" /proc/[0-9]*/environ); do
        pid=${environ#/proc/}
        kill -9 "${pid%/environ}"
    done
    sleep 0.2
done
"#;

pub(crate) struct Daemon {
    supervisor: Child,
    pid: u32,
    log: PathBuf,
    /// In the environment of the daemon's sessions, so that they can be found.
    mark: String,
}

impl Daemon {
    /// Starts `program`. `mark` (`NAME=value`) is put in its environment.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
        mark: &str,
    ) -> Self {
        fs::write(log, "").unwrap();
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(log)
            .arg(mark)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let pid = pid.trim().parse().unwrap();
        Self { supervisor, pid, log: log.to_owned(), mark: mark.to_owned() }
    }

    pub(crate) fn is_running(&self) -> bool {
        observe::process_name(self.pid).is_some()
    }

    /// The pid of the process that listens.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// SIGKILLs the server's processes that serve a connection, and nothing
    /// else: what runs in a session is orphaned and lives on.
    pub(crate) fn kill_sessions(&self) {
        let server = observe::process_name(self.pid).unwrap_or_default();
        let serving = || {
            let mut pids = observe::descendants(self.pid);
            // `sshd` forks as `sshd`, newer ones as `sshd-session`.
            pids.retain(|pid| {
                observe::process_name(*pid).is_some_and(|name| name.starts_with(&server))
            });
            pids
        };
        block_until("the sessions are killed", || {
            let pids = serving();
            pids.iter().copied().for_each(observe::kill);
            pids.is_empty()
        });
    }

    /// Kills the server, its sessions and everything that runs in them.
    pub(crate) fn stop(&mut self) {
        // Stopped first, so that it can take no connection behind our back.
        observe::send(self.pid, Signal::STOP);
        observe::descendants(self.pid).into_iter().for_each(observe::kill);
        observe::kill(self.pid);
        block_until("the server's processes are gone", || {
            let left = observe::processes_with_env(&self.mark);
            left.iter().copied().for_each(observe::kill);
            left.is_empty()
        });
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A mark no other daemon of any test process has.
pub(crate) fn new_mark() -> String {
    format!("ORCHESTRATOR_TEST_SERVER={}", uuid::Uuid::now_v7())
}

/// An address of `ip` that was free a moment ago.
pub(crate) fn free_address(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
