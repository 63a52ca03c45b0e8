//! What shellcheck says of a script, where it is installed.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long it may take for one script.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of its answer that are read.
const ANSWER_MAX: u64 = 1 << 20;

/// What came of asking it.
pub(super) enum Checked {
    /// `LINE:COLUMN: LEVEL: TEXT [SC…]`.
    Lines(Vec<String>),
    /// It is not on this machine.
    Missing,
    /// The script is for no shell that it knows.
    NotForIt,
}

pub(super) fn check(bytes: &[u8]) -> Checked {
    let Some(shell) = shell(bytes) else { return Checked::NotForIt };
    let child = Command::new("shellcheck")
        .args(["-f", "gcc", "-s", shell, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else { return Checked::Missing };
    let answer = ask(child, bytes.to_vec());
    let lines = answer.lines().map(|line| {
        let line = line.strip_prefix("-:").unwrap_or(line);
        format!("{line} (shellcheck)")
    });
    Checked::Lines(lines.collect())
}

/// The dialect, by the first line; a script without one is read by `/bin/sh`.
fn shell(bytes: &[u8]) -> Option<&'static str> {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let Some(line) = line.strip_prefix("#!") else { return Some("sh") };
    let mut words = line.split_ascii_whitespace().map(|word| word.rsplit('/').next());
    let program = words.find(|word| !matches!(word, Some("env")))??;
    ["sh", "bash", "dash", "ksh"].into_iter().find(|shell| *shell == program)
}

/// Writes on one thread and reads on another, and ends it when it takes too long.
fn ask(mut child: Child, bytes: Vec<u8>) -> String {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&bytes)));
    let (answered, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(ANSWER_MAX).read_to_end(&mut text);
        }
        let _ = answered.send(text);
    });
    let text = answer.recv_timeout(PATIENCE).unwrap_or_default();
    let _ = child.kill();
    let _ = child.wait();
    String::from_utf8_lossy(&text).into_owned()
}
