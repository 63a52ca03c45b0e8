//! What is on record: before it happens, on every path, whatever happens.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::{Lab, Running, Said};
use crate::support::{Counter, Proxy, Sshd, block_until, is_root, processes_with_env};

/// Fails unless every attempt has one result, and no result stands alone.
fn paired(records: &[Value]) {
    let ops = |event: &str| {
        let of = records.iter().filter(|record| record["event"] == event);
        let mut ops: Vec<&str> = of.map(|record| record["op_id"].as_str().unwrap()).collect();
        ops.sort_unstable();
        ops
    };
    assert_eq!(ops("exec.attempt"), ops("exec.result"));
}

#[test]
fn an_attempt_and_its_result_tell_who_what_where_and_how() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let args = ["--operator", "alice", "--reason", "ticket 7", "-C", "/", "-e", "A=b"];
    lab.exec(args.into_iter().chain(["vm01", "--", "sh", "-c", "printf out; exit 5"])).ends(5);
    let records = lab.audit();
    paired(&records);
    let (attempt, result) = (&records[0], &records[1]);
    assert_eq!(
        (&attempt["event"], &result["event"]),
        (&"exec.attempt".into(), &"exec.result".into())
    );
    for record in [attempt, result] {
        assert_eq!(record["actor"]["id"], "alice");
        assert_eq!(record["reason"], "ticket 7");
        assert_eq!(record["target"]["host"], "vm01");
        assert_eq!(record["target"]["addr"], sshd.addr().to_string());
        assert_eq!(record["target"]["user"], sshd.user());
        assert_eq!(record["action"]["kind"], "argv");
        assert_eq!(record["action"]["argv"][2], "printf out; exit 5");
        assert_eq!(record["action"]["cwd"], "/");
        assert_eq!(record["action"]["env_names"], serde_json::json!(["A"]));
        assert_eq!(record["decision"]["allow"], true);
        assert_eq!(record["run_id"], attempt["run_id"]);
    }
    assert_eq!(result["target"]["hostkey"], sshd.host_keys()[0].fingerprint());
    assert_eq!(result["target"]["ssh"]["cipher"], "aes256-gcm@openssh.com");
    assert_eq!((&result["result"]["exit"], &result["result"]["out_bytes"]), (&5.into(), &3.into()));
}

#[test]
fn a_log_that_cannot_be_opened_stops_everything() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let lab = lab.set("/log/audit.jsonl", "/known_hosts/audit.jsonl");
    lab.exec(["vm01", "true"]).ends(74).says(&["known_hosts"]);
    let (said, document) = lab.json(["vm01", "true"]);
    said.ends(74);
    assert_eq!(document["error"]["phase"], "audit");
    assert_eq!(proxy.connections(), 0);
}

/// A file system of this size, gone with this value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Self {
        assert!(is_root(), "this test mounts a small file system: run it as root");
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(mount.unwrap().success());
        Self(dir)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_starts_nothing_more() {
    let sshd = Sshd::start();
    let counter = Counter::new();
    let disk = Disk::new("4m");
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm("vm03", &sshd);
    let log = disk.0.path().join("audit.jsonl");
    let here = lab.audit_path();
    let lab = lab.set(here.to_str().unwrap(), log.to_str().unwrap());
    // The host fills the disk under the log, then a long record is due.
    let padding = "x".repeat(64 << 10);
    let fill = format!(
        "{}; dd if=/dev/zero of={}/fill bs=4k 2>/dev/null; : {padding}",
        counter.command(),
        disk.0.path().display()
    );
    let said = lab.exec(["-f", "1", "-o", "none", "vm[01-03]", &fill]);
    said.ends(74);
    let ran = counter.runs();
    assert!((1..3).contains(&ran), "{ran}: {said:?}");
    fs::remove_file(disk.0.path().join("fill")).unwrap();
    lab.exec(["vm01", "true"]).ends(0);
    let log = fs::read_to_string(&log).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let filled = |record: &&Value| {
        record["event"] == "exec.attempt" && record["action"]["command"] != "true"
    };
    assert!(records.iter().filter(filled).count() >= ran);
    paired(&records);
}

#[test]
fn what_ran_and_is_not_on_record_is_no_success() {
    let sshd = Sshd::start();
    let counter = Counter::new();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let cut = format!("{}; rm {}", counter.command(), lab.audit_path().display());
    lab.exec(["-f", "1", "vm[01-02]", &cut]).ends(74).says(&["audit"]);
    assert_eq!(counter.runs(), 1);
    // What could not be recorded then is recorded now.
    lab.exec(["vm01", "true"]).ends(0);
    let log = fs::read_to_string(lab.audit_path()).unwrap();
    assert!(log.contains("rm "), "{log}");
}

#[test]
fn several_processes_share_one_log() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let running: Vec<Running> =
        (0..4).map(|_| Running::start(lab.command(["vm[01-02]", "true"]))).collect();
    for program in running {
        program.wait().ends(0);
    }
    let records = lab.audit();
    paired(&records);
    assert_eq!(lab.attempted(), 8);
    assert!(lab.statuses().iter().all(|status| status == "success"));
}

/// SIGKILL at random moments of a run: whatever happened on a host was on
/// record before.
#[test]
fn nothing_happens_before_it_is_on_record() {
    let rounds = if std::env::var_os("ORCHESTRATOR_SOAK").is_some() { 200 } else { 20 };
    let sshd = Sshd::start();
    let mut lab = Lab::new();
    for vm in ["vm01", "vm02", "vm03", "vm04"] {
        lab = lab.vm(vm, &sshd);
    }
    let counters: Vec<Counter> = (0..rounds).map(|_| Counter::new()).collect();
    for counter in &counters {
        let running = Running::start(lab.command(["-f", "2", "all", &counter.command()]));
        sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 150_000));
        drop(running);
    }
    block_until("every command ended", || processes_with_env(sshd.mark()).is_empty());
    // The next process to open the log closes what was left open.
    let last: Said = lab.exec(["vm01", "true"]);
    last.ends(0);
    let records = lab.audit();
    paired(&records);
    for counter in &counters {
        let command = counter.command();
        let of = |record: &&Value| {
            record["event"] == "exec.attempt" && record["action"]["command"] == *command
        };
        let attempted = records.iter().filter(of).count();
        assert!(counter.runs() <= attempted, "{} runs, {attempted} attempts", counter.runs());
    }
}
