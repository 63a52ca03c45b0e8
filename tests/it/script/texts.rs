//! What we have a host's `/bin/sh` do, done by every shell that may be one.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::exec::host::open_dir;
use crate::support::block_until;

/// Program and first argument of each.
const SHELLS: [&[&str]; 5] =
    [&["/bin/dash"], &["/bin/bash"], &["/bin/busybox", "ash"], &["/bin/ksh"], &["/bin/mksh"]];

/// Of `ok` and a newline.
const OK_SHA256: &str = "dc51b8c96c2d745df3bd5590d990230a482fd247123599548e0632fdbf97fc22";

const BYTES: &[u8] = b"#!/bin/sh\necho ran\n";

fn text(names: &[&str]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/script");
    names.iter().map(|name| fs::read_to_string(dir.join(name)).unwrap()).collect()
}

fn run(shell: &[&str], home: &Path, text: &str, args: &[&str], stdin: &[u8]) -> String {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", text, "sh"]).args(args).env("HOME", home);
    command.env_remove("TMPDIR").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shell_receives_runs_and_removes() {
    let receive = text(&["../../transfer/tool.sh", "bases.sh", "receive.sh"]);
    let remove = text(&["bases.sh", "remove.sh"]);
    for shell in SHELLS {
        let home = open_dir();
        let random = uuid::Uuid::now_v7().simple().to_string();
        let size = BYTES.len().to_string();
        let args = ["ok", OK_SHA256, &random, "my.sh", &size, "exec"];
        let said = run(shell, home.path(), &receive, &args, BYTES);
        let dir = home.path().join(".cache/orchestrator").join(format!("orch-{random}"));
        assert!(said.contains(&format!("\norch1 {random} OK sha256sum ")), "{shell:?} {said}");
        assert!(said.ends_with(&format!(" {}\n", dir.display())), "{shell:?} {said}");
        assert_eq!(Command::new(dir.join("my.sh")).output().unwrap().stdout, b"ran\n");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);

        // The same name a second time, and one byte too few.
        let args = ["ok", OK_SHA256, &random, "my.sh", "1", "read"];
        let again = run(shell, home.path(), &receive, &args, b"");
        assert!(again.starts_with(&format!("orch1 {random} ERROR store 0 of 1")), "{again}");
        let stray = fs::read_dir("/var/tmp").unwrap().filter_map(Result::ok);
        let stray: Vec<_> =
            stray.filter(|it| it.path().ends_with(format!("orch-{random}"))).collect();
        assert!(stray.is_empty(), "{stray:?}");

        let mut busy = Command::new("sleep").arg0(&dir).arg("300").spawn().unwrap();
        let cmdline = format!("/proc/{}/cmdline", busy.id());
        let path = dir.to_str().unwrap().as_bytes();
        block_until("it runs", || fs::read(&cmdline).is_ok_and(|line| line.starts_with(path)));
        let idle = format!("idle orch-{random}\n");
        let left = format!("orch1 orch-{random} left\n");
        assert_eq!(run(shell, home.path(), &remove, &[], idle.as_bytes()), left, "{shell:?}");
        assert!(dir.exists());
        busy.kill().unwrap();
        busy.wait().unwrap();
        let gone = format!("orch1 orch-{random} gone\n");
        assert_eq!(run(shell, home.path(), &remove, &[], idle.as_bytes()), gone, "{shell:?}");
        assert!(!dir.exists());
        let now = format!("now orch-{random}\nnow orch-0\n");
        let both = format!("{gone}orch1 orch-0 gone\n");
        assert_eq!(run(shell, home.path(), &remove, &[], now.as_bytes()), both, "{shell:?}");
    }
}

#[test]
fn every_shell_says_where_a_path_is_and_its_mode() {
    let mode_of = text(&["bases.sh", "mode_of.sh"]);
    for shell in SHELLS {
        let home = open_dir();
        let there = home.path().join("a b");
        fs::write(&there, "").unwrap();
        let path = there.to_str().unwrap();
        let said = run(shell, home.path(), &mode_of, &["ab", path], b"");
        assert!(said.starts_with("orch1 ab OK 0"), "{shell:?} {said}");
        assert!(said.ends_with(&format!(" -rw-r--r-- {path}\n")), "{shell:?} {said}");
        let said = run(shell, home.path(), &mode_of, &["ab", "bin/new one"], b"");
        let here = std::env::current_dir().unwrap();
        assert!(said.ends_with(&format!(" new {}/bin/new one\n", here.display())), "{said}");
    }
}
