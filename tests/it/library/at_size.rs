//! Everything at once, over one pool: transfers, a reader that is slow, a flood,
//! a host that stalls, and short commands beside them. Nothing may freeze, and
//! nothing may grow.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use orchestrator::event::EventKind;
use orchestrator::outcome::{HostResult, Status};
use orchestrator::remote::{Action, Command, Transfer};
use orchestrator::{Orchestrator, Request};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::open;
use crate::cli_exec::Lab;
use crate::support::audit_log::rounds;
use crate::support::{Direction, Fault, Proxy, Sshd, in_a_process_of_its_own, rss_kib};

const MIB: u64 = 1 << 20;
/// Longer than anything takes here that is not frozen.
const PATIENCE: Duration = Duration::from_secs(150);
/// What the process may grow by, however much is moved.
const GROWTH_MAX_KIB: u64 = 64 * 1024;
/// Where in the transfer the one host stalls, and what is sent to it.
const STALLS_AT: u64 = 4 * MIB;
const STALLING: u64 = 8 * MIB;

#[tokio::test]
async fn nothing_freezes_and_nothing_grows() {
    if !in_a_process_of_its_own("library::at_size::nothing_freezes_and_nothing_grows") {
        return;
    }
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let proxy = Proxy::start(other.addr());
    let lab = Lab::one(&sshd).vm_at("vm02", &other, proxy.addr(), "");
    // 128 MiB each way, or 20 GiB together.
    let (size, times) = (rounds(16, 512) as u64 * MIB, rounds(8, 20) as u64);
    let all = Everything {
        orchestrator: open(&lab),
        lab,
        commands: watch::Sender::new(0),
        done: CancellationToken::new(),
    };
    all.push(MIB, 1).await;
    all.pull(MIB, 1).await;
    all.short_command().await;
    let before = rss_kib();
    let moved = async {
        tokio::join!(all.push(size, times), all.pull(size, times), all.stalls(&proxy));
        all.done.cancel();
    };
    let short = all.short_commands(before);
    let (_, grown, heard, flooded) = tokio::join!(moved, short, all.slow_reader(), all.flood());
    timeout(PATIENCE, all.orchestrator.shutdown()).await.expect("it shuts down");
    let (moved, flooded, commands) =
        (2 * size * times / MIB, flooded / MIB, *all.commands.borrow());
    println!("moved: {moved} MiB; flood: {flooded} MiB; commands: {commands}");
    println!("heard slowly: {heard} bytes; grown: {grown} KiB");
}

/// What goes on at the same time, all of it by one orchestrator.
struct Everything {
    orchestrator: Orchestrator,
    lab: Lab,
    /// How many short commands have succeeded.
    commands: watch::Sender<u64>,
    /// Everything has been moved.
    done: CancellationToken,
}

impl Everything {
    fn on(&self, vm: &str, action: impl Into<Action>) -> Request {
        self.orchestrator.on(vm.parse().unwrap()).action(action)
    }

    /// The result of a request on one host, which does not freeze.
    async fn ends(&self, request: Request) -> HostResult {
        let report = timeout(PATIENCE, request.run()).await.expect("it does not freeze");
        report.unwrap().results()[0].clone()
    }

    /// Replaces a file of the host, again and again.
    async fn push(&self, size: u64, times: u64) {
        let (here, there) = (self.lab.path("push.here"), self.lab.path("push.there"));
        for round in 1..=times {
            mark(&here, size, round);
            self.moves(Transfer::upload(&here, &there), size).await;
            is_marked(&there, size, round);
        }
    }

    /// Replaces a file of ours.
    async fn pull(&self, size: u64, times: u64) {
        let (here, there) = (self.lab.path("pull.here"), self.lab.path("pull.there"));
        for round in 1..=times {
            mark(&there, size, round);
            self.moves(Transfer::download(&there, &here), size).await;
            is_marked(&here, size, round);
        }
    }

    async fn moves(&self, transfer: Transfer, size: u64) {
        let result = self.ends(self.on("vm01", transfer.stall(PATIENCE))).await;
        assert!(result.success(), "{result:?}");
        let [file] = &result.transfer.as_ref().unwrap().files[..] else { panic!("{result:?}") };
        assert!(!file.unchanged && file.bytes == size && file.verified_by.is_some(), "{file:?}");
    }

    /// A host that says nothing more in the middle of a file, until it is told
    /// to go on.
    async fn stalls(&self, proxy: &Proxy) {
        let (here, there) = (self.lab.path("stalls.here"), self.lab.path("stalls.there"));
        mark(&here, STALLING, 1);
        proxy.set_fault(Direction::ToServer, STALLS_AT, Fault::Stall);
        let push = Transfer::upload(&here, &there).stall(Duration::from_secs(10));
        let result = self.ends(self.on("vm02", push)).await;
        let failure = result.failure.as_ref().unwrap_or_else(|| panic!("{result:?}"));
        assert_eq!((result.status, failure.code), (Status::Timeout, "transfer_stalled"));
        assert!(proxy.bytes(Direction::ToServer) >= STALLS_AT && !there.exists());
        proxy.clear_fault(Direction::ToServer);
        assert!(self.ends(self.on("vm02", Command::new("true"))).await.success());
    }

    /// Runs short commands until everything was moved; gives the KiB by which
    /// the process had grown at most.
    async fn short_commands(&self, before: u64) -> u64 {
        let mut most = 0;
        while !self.done.is_cancelled() {
            self.short_command().await;
            self.commands.send_modify(|commands| *commands += 1);
            let grown = rss_kib().saturating_sub(before);
            assert!(grown < GROWTH_MAX_KIB, "{grown} KiB more");
            most = most.max(grown);
        }
        most
    }

    async fn short_command(&self) {
        let request = self.on("vm01", Command::shell("echo $((6 * 7))")).timeout(PATIENCE / 2);
        let result = self.ends(request).await;
        assert!(result.success() && result.stdout.to_text() == "42\n", "{result:?}");
    }

    /// Listens to an endless command, and takes nothing more before another
    /// command has succeeded: whom this reader holds up, it waits for in vain.
    async fn slow_reader(&self) -> usize {
        let lines = b"0123456\n";
        let request = self.on("vm01", Command::new("yes").arg("0123456"));
        let mut handle = request.timeout(Duration::ZERO).stream(true).start().unwrap();
        let mut commands = self.commands.subscribe();
        let mut heard = 0;
        while let Some(event) = timeout(PATIENCE, handle.next_event()).await.expect("there is more")
        {
            let EventKind::Output { bytes, .. } = event.kind else { continue };
            for byte in &*bytes {
                assert_eq!(*byte, lines[heard % lines.len()], "byte {heard}");
                heard += 1;
            }
            drop(bytes);
            tokio::select! {
                more = commands.changed() => more.unwrap(),
                () = self.done.cancelled() => handle.cancel(),
            }
        }
        ended(&handle.wait().await[0]);
        heard
    }

    /// An endless command whose output is only collected. It shares its
    /// connection with the short ones.
    async fn flood(&self) -> u64 {
        let request = self.on("vm01", Command::new("yes")).timeout(Duration::ZERO);
        let handle = request.output_max(MIB as usize).start().unwrap();
        self.done.cancelled().await;
        assert!(!handle.is_finished());
        handle.cancel();
        let result = timeout(PATIENCE, handle.wait()).await.expect("it ends").remove(0);
        ended(&result);
        assert!(result.stdout.truncated());
        result.stdout.len()
    }
}

/// It was cancelled, and nothing of it is left on the host.
#[track_caller]
fn ended(result: &HostResult) {
    assert_eq!(result.status, Status::Cancelled, "{result:?}");
    assert_eq!(result.kill.as_ref().unwrap().survivors, Some(vec![]), "{result:?}");
}

/// A file of holes that is another in each round.
fn mark(path: &Path, size: u64, round: u64) {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    file.set_len(size).unwrap();
    for at in marks(size) {
        file.write_all_at(&round.to_le_bytes(), at).unwrap();
    }
}

/// Fails unless the file in place is that of this round.
#[track_caller]
fn is_marked(path: &Path, size: u64, round: u64) {
    let file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    for at in marks(size) {
        let mut mark = [0; 8];
        file.read_exact_at(&mut mark, at).unwrap();
        assert_eq!(u64::from_le_bytes(mark), round, "at {at}");
    }
}

fn marks(size: u64) -> [u64; 3] {
    [0, size / 2, size - 8]
}
