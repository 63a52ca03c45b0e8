//! More output than anybody wants in memory, and output in files.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::lab::{Lab, Running, Said};
use crate::support::Sshd;

const MIB: usize = 1024 * 1024;

/// What `seq` writes, so much of it: no two places look alike.
fn numbers(len: usize) -> String {
    let mut text: String = (1..).map(|n: u32| format!("{n}\n")).take(len / 6 + 1).collect();
    text.truncate(len);
    text
}

/// The same by a host, after a line that differs each time.
fn count(len: usize) -> String {
    format!("echo $$; seq 1 9999999 | head -c {len}")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn eight(sshd: &Sshd) -> Lab {
    (1..=8).fold(Lab::new(), |lab, n| lab.vm(&format!("vm0{n}"), sshd))
}

/// What the program said, and the most memory it had, in KiB.
fn watched(lab: &Lab, args: &[&str]) -> (Said, u64) {
    let mut running = Running::start(lab.command(args.iter().copied()));
    let status = format!("/proc/{}/status", running.0.id());
    let mut out = running.0.stdout.take().unwrap();
    let (mut stdout, mut piece, mut peak) = (Vec::new(), vec![0; 64 * 1024], 0);
    loop {
        let count = out.read(&mut piece).unwrap();
        let status = fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = now.unwrap_or(peak);
        if count == 0 {
            break;
        }
        stdout.extend_from_slice(&piece[..count]);
    }
    let said = running.wait();
    (Said { stdout, ..said }, peak)
}

/// The program where no file may have more than 4 MiB, and who tries is told.
fn on_a_small_disk<'a>(lab: &Lab, args: impl IntoIterator<Item = &'a str>) -> Said {
    let program = lab.command(args);
    let mut limited = std::process::Command::new("prlimit");
    limited.args(["--fsize=4194304", "sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    limited.arg(program.get_program()).args(program.get_args()).env_clear();
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.output().unwrap().into()
}

#[test]
fn eight_large_outputs_need_no_memory() {
    const SIZE: usize = 8 * MIB;
    let sshd = Sshd::start();
    let lab = eight(&sshd);
    let (expected, command) = (numbers(SIZE), count(SIZE));
    let args = ["--timeout", "120", "vm[01-08]", &command];
    let (said, peak) = watched(&lab, &[&["--json"], &args[..]].concat());
    said.ends(0);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let hosts = document["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 8);
    for host in hosts {
        let (_, rest) = host["stdout"].as_str().unwrap().split_once('\n').unwrap();
        assert!(rest == expected, "{}", host["vm_id"]);
        assert_eq!(host["truncated"], false);
    }
    assert!((1..64 * 1024).contains(&peak), "json: {peak} KiB");

    let (said, peak) = watched(&lab, &[&["-b"], &args[..]].concat());
    said.ends(0);
    assert_eq!(said.text().matches(&expected[..SIZE - 1]).count(), 8);
    assert_eq!(said.text().matches("---------------\nvm0").count(), 8);
    assert!((1..64 * 1024).contains(&peak), "gather: {peak} KiB");
    let left = fs::read_dir(lab.path("home/.local/state/orchestrator/output")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_cut_is_told_with_the_flag_that_raises_it() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let expected = numbers(3 * MIB);
    let command = format!("seq 1 9999999 | head -c {}", 3 * MIB);
    let notice = "vm01: stdout is cut: 2.0 MiB of 3.0 MiB left out; \
                  raise --output-max, which is 1.0 MiB";
    let (said, document) = lab.json(["--output-max", "1Mi", "vm01", &command]);
    said.ends(0).says(&[notice]);
    let host = &document["hosts"][0];
    assert_eq!((&host["truncated"], &host["stdout_bytes"]), (&true.into(), &(3 * MIB).into()));
    assert_eq!(host["stdout_sha256"], sha256(expected.as_bytes()));
    let stdout = host["stdout"].as_str().unwrap();
    assert!(stdout.starts_with(&expected[..MIB / 2]) && stdout.ends_with(&expected[3 * MIB - 9..]));
    assert!(stdout.contains("[2097152 bytes left out here]"));
    let lab = lab.set("  default_retry: 1", "  output_max: 1Mi\n  default_retry: 1");
    lab.exec(["-b", "vm01", &command]).ends(0).says(&[notice]);
    // What is only shown is not cut.
    let said = lab.exec(["vm01", &command]);
    assert!(said.stdout == expected.as_bytes() && said.stderr.is_empty(), "{}", said.stderr);
    lab.exec(["--output-max", "0", "vm01", "true"]).ends(2).says(&["there is always a bound"]);
}

#[test]
fn a_full_disk_fails_no_command() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let command = format!("seq 1 9999999 | head -c {}", 8 * MIB);
    let said = on_a_small_disk(&lab, ["--json", "vm01", &command]);
    said.ends(0).says(&["vm01: stdout is cut: ", "the disk took no more: File too large"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let host = &document["hosts"][0];
    let expected = numbers(8 * MIB);
    assert_eq!((&host["status"], &host["truncated"]), (&"success".into(), &true.into()));
    assert_eq!(host["stdout_sha256"], sha256(expected.as_bytes()));
    let stdout = host["stdout"].as_str().unwrap();
    assert!(stdout.starts_with(&expected[..3 * MIB]) && stdout.ends_with(&expected[8 * MIB - 9..]));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn each_host_has_its_files() {
    let sshd = Sshd::start();
    let closed = "127.0.0.1:1".parse().unwrap();
    let lab = Lab::new().vm("vm01", &sshd).vm("vm02", &sshd).vm_at("vm03", &sshd, closed, "");
    let (out, err) = (lab.path("out"), lab.path("err"));
    let dirs = ["--outdir", out.to_str().unwrap(), "--errdir", err.to_str().unwrap()];
    let command = format!("{}; printf 'oh\\033\\377' >&2", count(MIB));
    let expected = numbers(MIB);
    for how in ["stream", "gather", "json", "none"] {
        // What an earlier run left, and what somebody planted.
        let victim = lab.path("victim");
        fs::write(&victim, "safe").unwrap();
        fs::create_dir_all(&out).unwrap();
        let _ = fs::remove_file(out.join("vm01"));
        symlink(&victim, out.join("vm01")).unwrap();
        fs::write(out.join("vm03"), "stale").unwrap();
        let said = lab.exec(["-o", how].into_iter().chain(dirs).chain(["vm[01-03]", &command]));
        said.ends(4);
        for vm in ["vm01", "vm02"] {
            let stdout = fs::read_to_string(out.join(vm)).unwrap();
            assert!(stdout.split_once('\n').unwrap().1 == expected, "{how} {vm}");
            assert_eq!(fs::read(err.join(vm)).unwrap(), b"oh\x1b\xff");
            assert_eq!((mode(&out.join(vm)), mode(&err)), (0o600, 0o700));
        }
        assert_eq!(fs::read(&victim).unwrap(), b"safe");
        assert!(!out.join("vm03").exists() && !err.join("vm03").exists());
        if how == "stream" {
            assert_eq!(said.text().matches("vm01 │ ").count(), expected.lines().count() + 1);
        }
        if how == "json" {
            let document: Value = serde_json::from_slice(&said.stdout).unwrap();
            let host = &document["hosts"][0];
            assert_eq!(host["stdout_file"], out.join("vm01").to_str().unwrap());
            assert_eq!(host["stderr_file"], err.join("vm01").to_str().unwrap());
            assert_eq!(document["hosts"][2].get("stdout_file"), None);
        }
    }
}

#[test]
fn files_that_cannot_be_made_are_told_before_anything_runs() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (dir, flag) = (lab.path("out"), lab.path("flag"));
    let (dir, command) = (dir.to_str().unwrap(), format!("touch {}", flag.display()));
    let refused = |args: &[&str], why: &str| {
        let args = args.iter().copied().chain(["vm01", &command]);
        lab.exec(args).ends(2).says(&[why]);
        assert!(!flag.exists());
    };
    refused(&["--outdir", dir, "--errdir", dir], "cannot go to the same directory");
    refused(&["--outdir", "/dev/null"], "the directory for output /dev/null cannot be used");
    refused(&["--outdir", "/nowhere/out"], "No such file or directory");
    fs::create_dir(lab.path("out/vm01")).unwrap();
    refused(&["--outdir", dir], "vm01 in it cannot be replaced");
    let pushed = lab.verb("push", ["--outdir", dir, "vm01", "/etc/hostname", "/tmp/"]).output();
    Said::from(pushed.unwrap()).ends(2).says(&["a transfer writes no output"]);
}

#[test]
fn a_file_that_takes_no_more_is_told_and_fails_no_command() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let out = lab.path("out");
    let command = format!("seq 1 9999999 | head -c {}", 6 * MIB);
    let said = on_a_small_disk(&lab, ["--outdir", out.to_str().unwrap(), "vm01", &command]);
    let path = out.join("vm01");
    let told = format!("vm01: {} holds only the beginning of stdout", path.display());
    said.ends(0).says(&[&told, "File too large", "the output may be incomplete"]);
    assert_eq!(said.stdout.len(), 6 * MIB);
    assert!(numbers(6 * MIB).as_bytes().starts_with(&fs::read(path).unwrap()));
}
