//! What the command reads.

use std::io::Write;
use std::process::Stdio;

use sha2::{Digest, Sha256};

use super::{Lab, Running};
use crate::support::{Counter, Sshd};

#[test]
fn stdin_is_empty_unless_given() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let mut command = lab.command(["vm01", "cat; echo end"]);
    // Ours is open and says nothing.
    let running = Running::start({
        command.stdin(Stdio::piped());
        command
    });
    assert_eq!(running.wait().ends(0).text(), "end\n");
    std::fs::write(lab.path("home/words"), "a\0b\n").unwrap();
    let said = lab.exec(["vm01", "--stdin", "words", "cat"]);
    assert_eq!(said.ends(0).text(), "a\0b\n");
}

#[test]
fn a_pipe_is_read_byte_for_byte() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let mut command = lab.command(["vm01", "--stdin", "-", "sha256sum"]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut stdin = running.0.stdin.take().unwrap();
    let mut hash = Sha256::new();
    let mut chunk = vec![0_u8; 1 << 20];
    for index in 0..100_u8 {
        for (at, byte) in chunk.iter_mut().enumerate() {
            *byte = (at as u8).wrapping_mul(31).wrapping_add(index);
        }
        hash.update(&chunk);
        stdin.write_all(&chunk).unwrap();
    }
    drop(stdin);
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(running.wait().ends(0).text(), format!("{digest}  -\n"));
}

#[test]
fn a_command_that_stops_reading_ends_all_the_same() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let mut command = lab.command(["vm01", "--stdin", "-", "head -c 3; exit 4"]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    // Stays open, as a pipe from a program that goes on would.
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"abcdef").unwrap();
    assert_eq!(running.wait().ends(4).text(), "abc");
}

#[test]
fn a_file_that_cannot_be_read_stops_everything() {
    let sshd = Sshd::start();
    let counter = Counter::new();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    for (file, why) in [("nowhere", "No such file"), (".", "directory")] {
        let said = lab.exec(["vm[01-02]", "--stdin", file, &counter.command()]);
        said.ends(2).says(&["stdin", file, why]);
    }
    assert_eq!(counter.runs(), 0);
}

#[test]
fn our_own_stdin_is_for_one_host() {
    let sshd = Sshd::start();
    let counter = Counter::new();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let said = lab.exec(["vm[01-02]", "--stdin", "-", &counter.command()]);
    said.ends(2).says(&["stdin", "2 VMs"]);
    assert_eq!(counter.runs(), 0);
}
