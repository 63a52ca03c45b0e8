//! How often and how many: what one process counts, the others know.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;

use orchestrator::Orchestrator;
use orchestrator::audit::AuditLog;
use orchestrator::config::Config;
use orchestrator::outcome::Status;
use orchestrator::policy::Policy;
use orchestrator::remote::Command;
use orchestrator::ssh::known_hosts::KnownHosts;
use rustix::process::Signal;
use serde_json::Value;

use super::with_policy;
use crate::cli_exec::{Lab, Running, Said, waits};
use crate::support::{Proxy, Sshd, block_until, processes_with_env};

/// So slow that no test sees a second one.
const SLOW: &str = "requests_per_second: 0.001";

fn echo(rate: &str) -> String {
    format!("binaries:\n- {{path: /bin/echo, {rate}}}\n- {{path: /bin/true}}\n")
}

fn counters(lab: &Lab) -> PathBuf {
    lab.path("home/.local/state/orchestrator/limits")
}

/// A file of buckets.
fn buckets(lab: &Lab, name: &str) -> PathBuf {
    let entries = fs::read_dir(counters(lab)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|dir| dir.join(name)).find(|it| it.exists()).unwrap()
}

/// The same command by so many processes at once.
fn at_once(lab: &Lab, count: usize, args: &[&str]) -> Vec<Said> {
    let start = |_| Running::start(lab.command(args.iter().copied()));
    let running: Vec<Running> = (0..count).map(start).collect();
    running.into_iter().map(Running::wait).collect()
}

fn codes(said: &[Said]) -> Vec<i32> {
    let mut codes: Vec<i32> = said.iter().filter_map(|said| said.code).collect();
    codes.sort_unstable();
    codes
}

/// The results on record that ended so.
fn results<'a>(records: &'a [Value], status: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["result"]["status"] == status).collect()
}

#[test]
fn a_burst_is_for_all_processes_together() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let lab = with_policy(lab, &echo(&format!("rate_limit: {{{SLOW}, burst: 3}}")));
    let args = ["--exit-code", "table", "vm01", "--", "/bin/echo", "hello"];
    // Neither looking nor a denial takes any.
    for _ in 0..5 {
        lab.exec(["--dry-run", "vm01", "--", "/bin/echo", "hello"]).ends(0);
        lab.exec(["vm01", "--", "/bin/cat"]).ends(255);
    }
    let said = at_once(&lab, 8, &args);
    assert_eq!(codes(&said), [0, 0, 0, 7, 7, 7, 7, 7], "{said:?}");
    assert_eq!(proxy.connections(), 3);
    let why = "the rule binaries[0]/echo: one in 1000 s, burst 3; the next one may begin in";
    for refused in said.iter().filter(|said| said.code == Some(7)) {
        refused.says(&[why, "when_exceeded: wait"]);
    }
    // Another rule is another bucket.
    lab.exec(["vm01", "--", "/bin/true"]).ends(0);
    let (said, document) = lab.json(args);
    said.ends(7);
    let host = &document["hosts"][0];
    assert_eq!((&host["status"], &host["exit_code"]), (&"rate_limited".into(), &Value::Null));
    let error = &host["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&"rate_limited".into(), &true.into()));
    let records = lab.audit();
    let refused = results(&records, "rate_limited");
    assert_eq!(refused.len(), 6);
    for record in refused {
        assert_eq!(record["decision"]["rule"], "binaries[0]/echo");
        assert_eq!(record["decision"]["policy_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(record["result"]["error_class"], "rate_limited");
        assert_eq!(record["result"]["may_have_run"], false);
    }
}

#[test]
fn all_that_an_operator_begins_and_each_command_of_a_list() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let lab = with_policy(
        lab,
        &format!(
            "global: {{rate_limit: {{{SLOW}, burst: 5}}}}\n\
             transfers: {{upload: [/nowhere]}}\n{}",
            echo(&format!("rate_limit: {{{SLOW}, burst: 2}}"))
        ),
    );
    let list = lab.path("home/list");
    fs::write(&list, "/bin/echo one\n/bin/true\n/bin/echo two\n/bin/echo three\n").unwrap();
    let (said, document) = lab.json(["--commands", "list", "--keep-going", "vm01"]);
    said.ends(255);
    let commands = document["hosts"][0]["commands"].as_array().unwrap();
    let statuses: Vec<&str> = commands.iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["success", "success", "success", "rate_limited"]);
    // Three of five are gone; a refusal took none. What it is, and where, is the
    // same: the fourth is a file that is not moved, the fifth on another host.
    fs::write(lab.path("home/file"), "x").unwrap();
    let push = lab.verb("push", ["vm01", "file", "/nowhere/x"]).output().unwrap();
    Said::from(push).ends(1);
    lab.exec(["vm02", "--", "/bin/true"]).ends(0);
    lab.exec(["--exit-code", "table", "vm02", "--", "/bin/true"])
        .ends(7)
        .says(&["global.rate_limit: one in 1000 s, burst 5"]);
}

#[test]
fn who_may_wait_does_and_then_runs() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd).vm("vm03", &sshd);
    let rate = "{requests_per_second: 2, burst: 1, when_exceeded: wait}";
    let text = format!("global: {{rate_limit: {rate}}}\n{}", echo("hosts: all"));
    let lab = with_policy(lab, &text);
    let said = at_once(&lab, 2, &["all", "--", "/bin/echo", "hello"]);
    assert_eq!(codes(&said), [0, 0], "{said:?}");
    let records = lab.audit();
    let waited = |record: &&&Value| record["result"]["waited_ms"].as_u64() > Some(0);
    let results = results(&records, "success");
    assert_eq!(results.len(), 6);
    assert!(results.iter().filter(waited).count() >= 4, "{results:?}");
}

#[test]
fn who_cannot_wait_so_long_is_refused_and_who_waits_can_be_stopped() {
    let sshd = Sshd::start();
    let rate = format!("rate_limit: {{{SLOW}, when_exceeded: wait}}");
    let lab = with_policy(Lab::one(&sshd), &echo(&rate));
    let args = ["vm01", "--", "/bin/echo", "hello"];
    lab.exec(args).ends(0);
    let table = ["--exit-code", "table"];
    let said = lab.exec(table.iter().copied().chain(["--timeout", "9s"]).chain(args));
    said.ends(7).says(&["the next one may begin in"]);
    let said = lab.exec(["--timeout", "0", "--deadline", "1s"].into_iter().chain(args));
    said.ends(255).says(&["the run's deadline of 1 s passed"]);
    let attempted = lab.attempted();
    let mut waiting = Running::start(lab.command(["--timeout", "0", "-v"].into_iter().chain(args)));
    let stderr = BufReader::new(waiting.0.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("waiting for the rate")));
    waiting.signal(Signal::INT);
    waiting.wait().ends(130);
    assert_eq!(lab.attempted(), attempted + 1);
    assert_eq!(lab.statuses().last().unwrap(), "cancelled");
}

#[test]
fn so_many_at_once_and_a_dead_process_is_none() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let text = "binaries:\n- {path: /bin/sh, shell: true, max_instances: 1}\n";
    let lab = with_policy(lab, text);
    let flag = lab.path("flag");
    let begun = |running: Running| {
        block_until("it runs", || fs::read(&flag).is_ok_and(|pid| pid.ends_with(b"\n")));
        fs::remove_file(&flag).unwrap();
        running
    };
    let script = waits(&flag);
    let args = ["--timeout", "0", "--on-disconnect", "kill", "vm01", script.as_str()];
    let start = || begun(Running::start(lab.command(args)));
    let refused = || {
        let said = lab.exec(["--exit-code", "table", "vm01", "echo $HOME"]);
        said.ends(7).says(&["the rule binaries[0]/sh: 1 at the same time on one host"]);
    };
    let first = start();
    refused();
    // Another host is another count.
    lab.exec(["vm02", "echo $HOME"]).ends(0);
    first.signal(Signal::KILL);
    first.wait();
    let second = start();
    refused();
    second.signal(Signal::INT);
    second.wait().ends(130);
    lab.exec(["vm01", "echo $HOME"]).ends(0);
    let records = lab.audit();
    let codes: Vec<&Value> = results(&records, "rate_limited")
        .iter()
        .map(|record| &record["result"]["error_class"])
        .collect();
    assert_eq!(codes, ["max_instances"; 2]);
    block_until("nothing is left", || processes_with_env(sshd.mark()).is_empty());
}

#[test]
fn several_commands_are_not_in_each_others_way() {
    let sshd = Sshd::start();
    let text = "binaries:\n- {path: /bin/sh, shell: true, max_instances: 2}\n";
    let lab = with_policy(Lab::one(&sshd).vm("vm02", &sshd), text);
    fs::write(lab.path("home/list"), "echo $HOME\n".repeat(12)).unwrap();
    let args = ["--commands", "list", "--commands-parallel", "8", "vm[01-02]"];
    lab.exec(args).ends(0);
    assert_eq!(lab.statuses(), ["success"; 24]);
}

#[test]
fn what_cannot_be_counted_is_denied() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let lab = with_policy(lab, &echo("rate_limit: {requests_per_second: 1000, burst: 1000}"));
    let args = ["--exit-code", "table", "vm01", "--", "/bin/echo", "hello"];
    lab.exec(args).ends(0);
    let file = buckets(&lab, "vm01.json");
    for damaged in ["", "{\"a", "[1]", "\0"] {
        fs::write(&file, damaged).unwrap();
        let said = lab.exec(args);
        said.ends(7).says(&["cannot be counted", "vm01.json is damaged", "remove it"]);
    }
    assert_eq!(proxy.connections(), 1);
    assert_eq!(
        lab.statuses(),
        ["success"].into_iter().chain(["policy_denied"; 4]).collect::<Vec<_>>()
    );
    fs::remove_file(&file).unwrap();
    lab.exec(args).ends(0);
    fs::remove_dir_all(counters(&lab)).unwrap();
    fs::write(counters(&lab), "").unwrap();
    lab.exec(args).ends(7).says(&["cannot be counted"]);
}

#[test]
fn explained() {
    let address = "192.0.2.1:22".parse().unwrap();
    let lab = Lab::new().entry("vm01", address, "");
    let rate = "rate_limit: {requests_per_second: 2, burst: 5, when_exceeded: wait}";
    let text = format!(
        "global: {{rate_limit: {{{SLOW}, burst: 9}}}}\n{}",
        echo(&format!("{rate}, max_instances: 3"))
    );
    let lab = with_policy(lab, &text);
    let explain = |more: &[&str]| {
        let args = ["explain", "exec", "vm01"].iter().chain(more).chain(&["--", "/bin/echo", "x"]);
        Said::from(lab.verb("policy", args.copied()).output().unwrap())
    };
    let said = explain(&[]);
    let lines = "  rate      2 per second, burst 5; binaries[0]/echo on each host\n  \
                 rate      one in 1000 s, burst 9; all that the operator begins\n  \
                 at most   3 at once; binaries[0]/echo on each host\n";
    assert!(said.ends(0).text().contains(lines), "{said:?}");
    let said = explain(&["--json"]);
    let document: Value = serde_json::from_slice(&said.ends(0).stdout).unwrap();
    let decision = &document["decisions"][0];
    assert_eq!(decision["rates"][0]["when_exceeded"], "wait");
    assert_eq!(decision["rates"][1]["rule"], Value::Null);
    assert_eq!(decision["instances"][0]["max"], 3);
    assert!(!counters(&lab).exists());
}

const BREAKER: &str = "circuit_breaker: {failure_threshold: 2, timeout: 77s";

#[test]
fn the_breaker_is_the_policys() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sshd = Sshd::start();
    let lab = Lab::new().vm_at("vm01", &sshd, nobody, "").vm("vm02", &sshd);
    let lab = with_policy(lab.attempts(4), &format!("{BREAKER}}}\n{}", echo("hosts: all")));
    let (said, document) = lab.json(["vm01", "--", "/bin/true"]);
    said.ends(255);
    let host = &document["hosts"][0];
    assert_eq!((&host["status"], &host["attempts"]), (&"circuit_open".into(), &3.into()));
    let message = host["error"]["message"].as_str().unwrap();
    assert!(message.contains("2 attempts to connect failed one after the other"), "{message}");
    // A command that fails is no host that is not there.
    fs::write(lab.path("home/list"), "/bin/false\n".repeat(5)).unwrap();
    let text = format!("{BREAKER}}}\nbinaries: [{{path: /bin/false}}]\n");
    let lab = with_policy_again(lab, &text);
    let said = lab.exec(["--commands", "list", "--keep-going", "vm02"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(lab.statuses()[3..], ["failed"; 5]);
}

fn with_policy_again(lab: Lab, text: &str) -> Lab {
    fs::write(lab.path("policy.yml"), text).unwrap();
    lab
}

/// One process that asks for several things, one after the other.
fn orchestrator(lab: &Lab, policy: &str) -> Orchestrator {
    let config = Config::load(lab.config()).unwrap();
    Orchestrator::builder(config)
        .known_hosts(KnownHosts::strict(lab.path("known_hosts")).unwrap())
        .policy(Policy::from_yaml_str(policy, "policy.yml").unwrap())
        .audit(AuditLog::open(lab.audit_path(), audit_options()).unwrap())
        .without_store()
        .build()
        .unwrap()
}

fn audit_options() -> orchestrator::audit::Options {
    orchestrator::audit::Options::new(std::sync::Arc::new(|text| text.into()))
}

#[tokio::test]
async fn a_circuit_for_each_program() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sshd = Sshd::start();
    for (per_binary, of_the_other) in [(true, Status::Unreachable), (false, Status::CircuitOpen)] {
        let lab = Lab::new().vm_at("vm01", &sshd, nobody, "");
        let text = format!("{BREAKER}, per_binary: {per_binary}}}\n{}", echo("hosts: all"));
        let orchestrator = orchestrator(&lab, &text);
        let run = async |program: &str| {
            let on = orchestrator.on("vm01".parse().unwrap());
            let report = on.command(Command::new(program)).run().await.unwrap();
            report.results()[0].status
        };
        for status in [Status::Unreachable, Status::Unreachable, Status::CircuitOpen] {
            assert_eq!(run("/bin/echo").await, status);
        }
        assert_eq!(run("/bin/true").await, of_the_other);
        orchestrator.shutdown().await;
    }
}
