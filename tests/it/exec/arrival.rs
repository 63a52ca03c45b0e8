//! What was given arrives byte for byte.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use futures_util::future::join_all;
use orchestrator::remote::{Command, EnvName};
use orchestrator::transport::Connection;
use tempfile::TempDir;

use super::{exited, host, run, soak};
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root};

/// Prints arguments, variables and directory, each with a NUL behind it. `x`
/// keeps the newlines at the end of the directory's name.
const ECHO: &str = r#"for a; do printf '%s\0' "$a"; done
printf '%s\0' "$V0" "$V1" "$V2" "$(pwd -P; printf x)""#;

const NASTIES: [&[u8]; 48] = [
    b"'",
    b"\"",
    b"`",
    b"!",
    b"!!",
    b"a!b",
    b"\\",
    b"\\\\",
    b"\\n",
    b"\\'",
    b"a\\",
    b"\n",
    b"a\n",
    b"\nb",
    b"\n\n",
    b"\\\n",
    b"!\n",
    b"\t",
    b"\r",
    b"\r\n",
    b"\x1b[31m",
    b"\x07",
    b"\x01",
    b"\x7f",
    b"~",
    b"~root",
    b"$",
    b"$HOME",
    b"${x}",
    b"$(id)",
    b"`id`",
    b"-",
    b"--",
    b"-n",
    b"",
    b" ",
    b" a ",
    b"%",
    b"%s%n",
    b"=",
    b"a=b",
    b"*",
    b"{a,b}",
    b"#c",
    "h\u{e9}llo \u{1f980}".as_bytes(),
    b"caf\xe9",
    b"\xff\xfe\x80",
    b";&|<>()^?[]@:,",
];

#[derive(Clone, Debug)]
struct Triple {
    argv: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
    dir: Vec<u8>,
}

/// xorshift64*: any spread of bytes will do, as long as a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    }

    /// Half of them are printable ASCII, as most words are.
    fn word(&mut self) -> Vec<u8> {
        let printable = self.roll(2) == 0;
        let length = self.roll(24);
        let byte = |dice: &mut Self| {
            if printable { b' ' + dice.roll(95) as u8 } else { 1 + dice.roll(255) as u8 }
        };
        (0..length).map(|_| byte(self)).collect()
    }

    fn triple(&mut self) -> Triple {
        Triple {
            argv: (0..self.roll(5)).map(|_| self.word()).collect(),
            env: (0..3).map(|_| self.word()).collect(),
            dir: self.word(),
        }
    }
}

fn nasty_triples() -> Vec<Triple> {
    let next = |i: usize| NASTIES[i % NASTIES.len()].to_vec();
    let triple = |i| Triple {
        argv: vec![next(i), next(i + 1), next(i)],
        env: vec![next(i), next(i + 2), next(i + 3)],
        dir: next(i),
    };
    (0..NASTIES.len()).map(triple).collect()
}

fn random_triples(seed: u64) -> Vec<Triple> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
    let count = if soak() { 170 } else { 25 };
    (0..count).map(|_| dice.triple()).collect()
}

/// A directory of that name, as far as a file system has such names.
fn directory(base: &Path, name: &[u8]) -> std::path::PathBuf {
    let name: Vec<u8> = name.iter().map(|b| if *b == b'/' { b'_' } else { *b }).collect();
    let path = base.join(OsStr::from_bytes(&name));
    fs::create_dir_all(&path).unwrap();
    fs::canonicalize(path).unwrap()
}

async fn arrives(connection: &dyn Connection, base: &TempDir, triple: &Triple, whose: &str) {
    let dir = directory(base.path(), &triple.dir);
    let mut command = Command::new("/bin/sh").args(["-c", ECHO, "sh"]).current_dir(&dir);
    for arg in &triple.argv {
        command = command.arg(OsStr::from_bytes(arg));
    }
    for (i, value) in triple.env.iter().enumerate() {
        let name: EnvName = format!("V{i}").parse().unwrap();
        command = command.env(name, OsStr::from_bytes(value));
    }
    let mut expected = Vec::new();
    for word in triple.argv.iter().chain(&triple.env) {
        expected.extend_from_slice(word);
        expected.push(0);
    }
    expected.extend_from_slice(dir.as_os_str().as_bytes());
    expected.extend_from_slice(b"\nx\0");
    let report = run(connection, &command).await;
    exited(&report, 0);
    let stdout = report.stdout.to_bytes();
    assert!(stdout == expected, "{whose}: {triple:?}\n{}", report.stdout.to_text());
    assert!(report.stderr.is_empty(), "{whose}: {triple:?}\n{}", report.stderr.to_text());
}

async fn everything_arrives(sshd: &Sshd, seed: u64, whose: &str) {
    let base = host::open_dir();
    let connection = connect(sshd).await;
    for triple in nasty_triples().iter().chain(&random_triples(seed)) {
        arrives(&*connection, &base, triple, whose).await;
    }
}

#[tokio::test]
async fn check_17_argv_env_cwd_arrive_byte_for_byte_under_every_login_shell() {
    if !is_root() {
        return everything_arrives(&Sshd::start(), 0, "the current user's shell").await;
    }
    join_all(Shell::WORKING.iter().enumerate().map(async |(i, shell)| {
        let sshd = Sshd::builder().login_shell(*shell).start();
        everything_arrives(&sshd, i as u64, &format!("{shell:?}")).await;
    }))
    .await;
}

#[tokio::test]
async fn check_17_argv_env_cwd_arrive_whatever_bin_sh_is() {
    join_all(["/bin/busybox", "/bin/bash", "/bin/ksh"].map(async |program| {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        everything_arrives(&sshd, 99, program).await;
    }))
    .await;
}
