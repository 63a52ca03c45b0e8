//! More output and input than anybody keeps.

use std::time::Duration;

use orchestrator::exec::Limits;
use orchestrator::remote::{Command, Stdin};
use sha2::{Digest, Sha256};

use super::{PATIENCE, Running, all_gone, exited, run, run_within, soak};
use crate::support::client::connect;
use crate::support::{Sshd, in_a_process_of_its_own, rss_kib};

const MIB: usize = 1024 * 1024;

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Memory is the process's, so no other test may run beside it.
#[tokio::test]
async fn check_20_a_flood_is_counted_and_hashed_in_bounded_memory() {
    if !in_a_process_of_its_own(
        "exec::flood::check_20_a_flood_is_counted_and_hashed_in_bounded_memory",
    ) {
        return;
    }
    let size = if soak() { 10 * 1024 * MIB } else { 500 * MIB };
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    exited(&run(&*connection, &Command::new("true")).await, 0);
    let before = rss_kib();
    let limits = Limits { timeout: None, output_max: 10 * MIB, ..PATIENCE };
    let command = Command::shell(format!("yes | head -c {size}"));
    let report = run_within(&*connection, &command, limits).await;
    let grown = rss_kib().saturating_sub(before);
    exited(&report, 0);
    assert!(grown <= 64 * 1024, "{grown} KiB more");
    assert!(report.stdout.truncated());
    assert_eq!(report.stdout.len(), size as u64);
    let mut hash = Sha256::new();
    let block = b"y\n".repeat(MIB / 2);
    (0..size / MIB).for_each(|_| hash.update(&block));
    assert_eq!(report.stdout.sha256(), hex(hash));
}

#[tokio::test]
async fn check_20_an_endless_flood_ends_on_demand() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let running = Running::start(&connection, Command::shell("yes & yes >&2"));
    running.wait_for_processes(3).await;
    let mark = running.mark.clone();
    all_gone(&running.cancel().await, &mark, 3);
}

#[tokio::test]
async fn check_21_both_streams_drain_together() {
    let count = if soak() { 100 } else { 20 };
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let command = Command::shell(format!(
        "i=0; while [ $i -lt {count} ]; do head -c {MIB} /dev/zero; head -c {MIB} /dev/zero >&2; \
         i=$((i + 1)); done"
    ));
    let report = run_within(&*connection, &command, Limits { output_max: 0, ..PATIENCE }).await;
    exited(&report, 0);
    assert_eq!(report.stdout.len(), (count * MIB) as u64);
    assert_eq!(report.stderr.len(), (count * MIB) as u64);
    assert_eq!(report.stdout.sha256(), report.stderr.sha256());
}

#[tokio::test]
async fn check_21_a_large_stdin_arrives() {
    let size = if soak() { 100 * MIB } else { 20 * MIB };
    let bytes: Vec<u8> = (0_u32..).flat_map(u32::to_le_bytes).take(size).collect();
    let expected = format!("{}  -\n", hex(Sha256::new_with_prefix(&bytes)));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    for stdin in [Stdin::Bytes(bytes.into()), Stdin::File(file.path().into())] {
        let report = run(&*connection, &Command::new("sha256sum").stdin(stdin)).await;
        exited(&report, 0);
        assert_eq!(report.stdout.to_text(), expected);
    }
}

#[tokio::test]
async fn check_21_input_and_output_at_once() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let stdin = Stdin::Bytes(vec![b'x'; 20 * MIB].into());
    let limits = Limits { timeout: Some(Duration::from_secs(300)), ..PATIENCE };
    let report = run_within(&*connection, &Command::new("cat").stdin(stdin), limits).await;
    exited(&report, 0);
    assert_eq!(report.stdout.len(), 20 * MIB as u64);
}
