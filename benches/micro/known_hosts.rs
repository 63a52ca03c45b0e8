//! A known_hosts file of ten thousand lines.

use std::fmt::Write;
use std::fs;
use std::time::SystemTime;

use divan::{Bencher, black_box};
use orchestrator::ssh::known_hosts::{HostName, KnownHosts, Offered};
use russh::keys::PublicKey;
use tempfile::TempDir;

const LINES: usize = 10_000;
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILT6RyzQxKYCAvDcYNzQwxwJdLHPWKRqHGdWUZgUPVDs";
/// What OpenSSH writes with HashKnownHosts for some name.
const HASHED: &str = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";

fn written(lines: impl Iterator<Item = String>) -> (TempDir, KnownHosts) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line} {KEY}").unwrap();
    }
    fs::write(&file, text).unwrap();
    (dir, KnownHosts::strict(&file).unwrap())
}

fn plain() -> impl Iterator<Item = String> {
    (0..LINES).map(|number| format!("[vm{number:05}.example.net]:2222"))
}

fn decide(bencher: Bencher<'_, '_>, lines: impl Iterator<Item = String>) {
    let (_dir, known) = written(lines);
    let name = HostName::new("vm05000.example.net", 2222).unwrap();
    let offered = Offered::Key(PublicKey::from_openssh(KEY).unwrap());
    let now = SystemTime::now();
    bencher.bench(|| known.decide(black_box(&name), &offered, now, &[]).unwrap());
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let (dir, _) = written(plain());
    let file = dir.path().join("known_hosts");
    bencher.bench(|| KnownHosts::strict(black_box(&file)).unwrap());
}

#[divan::bench]
fn decide_by_name(bencher: Bencher<'_, '_>) {
    decide(bencher, plain());
}

/// Each hashed line has to be tried.
#[divan::bench]
fn decide_among_hashed(bencher: Bencher<'_, '_>) {
    decide(bencher, (1..LINES).map(|_| HASHED.to_owned()).chain(plain()));
}
