//! More hosts than files, and hosts that are dead. The sizes are those that two
//! cores can carry; `scripts/bench.sh --scale` has the large ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{self, Stdio};

use orchestrator::Orchestrator;
use orchestrator::remote::Command;
use serde_json::Value;

use crate::cli_exec::{Lab, Running};
use crate::support::{
    Behaviour, Hostile, KeyKind, KeyPair, Sshd, fd_count, in_a_process_of_its_own, wait_until,
};

/// An address of this machine that is a host of its own.
fn address(number: u8, sshd: &Sshd) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 77, number), sshd.port()).into()
}

/// A lab of `count` hosts, each an address of one sshd.
fn fleet(count: u8, sshd: &Sshd) -> Lab {
    (1..=count).fold(with_key(sshd), |lab, number| {
        let login = login(&lab, sshd);
        lab.entry(&format!("vm{number:03}"), address(number, sshd), &login)
    })
}

/// A lab that knows the sshd's host key by the name `fleet`.
fn with_key(sshd: &Sshd) -> Lab {
    let lab = Lab::new();
    fs::copy(sshd.client_key(), lab.path("keys/key")).unwrap();
    fs::write(lab.path("known_hosts"), format!("fleet {}\n", sshd.host_keys()[0].public)).unwrap();
    lab
}

/// What an entry says beside its address.
fn login(lab: &Lab, sshd: &Sshd) -> String {
    let key = lab.path("keys/key");
    format!(
        ", ssh_user: {}, identity_file: \"{}\", host_key_alias: fleet",
        sshd.user(),
        key.display()
    )
}

/// A server that has a queue for connections and never takes one out of it, and
/// the connections that fill it: whoever comes next is not even answered.
fn black_hole() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr().unwrap();
    let patience = std::time::Duration::from_millis(300);
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, patience) {
        queued.push(stream);
    }
    (addr, listener, queued)
}

/// An address at which nobody listens.
fn nobody() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 78, 1), addr.port()));
    (other, listener)
}

#[test]
fn many_hosts_get_by_with_few_descriptors() {
    let sshd = Sshd::builder().everywhere().start();
    let lab = fleet(120, &sshd);
    let inner = lab.command(["-f", "120", "--json", "all", "echo $SSH_CONNECTION"]);
    let mut command = process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = Running::start(command).wait();
    said.ends(0);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let hosts = document["hosts"].as_array().unwrap();
    assert!(hosts.iter().all(|host| host["status"] == "success" && host["attempts"] == 1));
    // Each of them was itself.
    let there = |host: &Value| host["stdout"].as_str()?.split(' ').nth(2).map(str::to_owned);
    let seen: BTreeSet<String> = hosts.iter().filter_map(there).collect();
    assert_eq!(seen.len(), 120);
    assert_eq!(lab.statuses().len(), 120);
}

#[test]
fn each_dead_host_says_why() {
    let sshd = Sshd::builder().everywhere().start();
    let other = Sshd::builder().host_key(KeyPair::generate(KeyKind::Ed25519)).start();
    let silent = Hostile::start(Behaviour::Silent);
    let ((hole, _listener, _queued), (refused, _taken)) = (black_hole(), nobody());
    let mut lab = fleet(20, &sshd).attempts(3).set("ssh: {", "ssh: { connect_timeout: 3s,");
    for (id, addr) in
        [("hole", hole), ("changed", other.addr()), ("mute", silent.addr()), ("shut", refused)]
    {
        let login = login(&lab, &sshd);
        lab = lab.entry(id, addr, &login);
    }
    let (said, document) = lab.json(["-f", "4", "all", "true"]);
    said.ends(5);
    let hosts = document["hosts"].as_array().unwrap();
    let of: BTreeMap<&str, &Value> =
        hosts.iter().map(|host| (host["vm_id"].as_str().unwrap(), host)).collect();
    let told = |id: &str, status: &str, code: &str, phase: &str, attempts: u32, text: &str| {
        let (host, error) = (of[id], &of[id]["error"]);
        assert_eq!(
            (&host["status"], &error["code"], &error["phase"], &host["attempts"]),
            (&status.into(), &code.into(), &phase.into(), &attempts.into()),
            "{host}"
        );
        assert!(error["message"].as_str().unwrap().contains(text), "{host}");
    };
    // Who does not answer in all that time is not waited for once more.
    told("hole", "unreachable", "connect_timeout", "tcp", 1, &hole.to_string());
    told("mute", "unreachable", "connect_timeout", "banner", 1, &silent.addr().to_string());
    told("shut", "unreachable", "connect_failed", "tcp", 3, "refused");
    told("changed", "host_key_rejected", "host_key_changed", "host_key", 1, "fleet");
    let live = hosts.iter().filter(|host| host["status"] == "success").count();
    assert_eq!((live, hosts.len()), (20, 24));
}

/// The first hosts of the list say nothing, and have all slots, until the others
/// have ended.
#[test]
fn dead_hosts_hold_up_nobody() {
    let sshd = Sshd::builder().everywhere().start();
    let mute: Vec<Hostile> = (0..6).map(|_| Hostile::start(Behaviour::Silent)).collect();
    let mut lab = with_key(&sshd).set("ssh: {", "ssh: { connect_timeout: 300s,");
    for (number, server) in mute.iter().enumerate() {
        let login = login(&lab, &sshd);
        lab = lab.entry(&format!("mute{number}"), server.addr(), &login);
    }
    for number in 1..=12 {
        let login = login(&lab, &sshd);
        lab = lab.entry(&format!("vm{number:02}"), address(number, &sshd), &login);
    }
    let mut running = Running::start(lab.command(["-f", "3", "-o", "ndjson", "all", "true"]));
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut first = Vec::new();
    while first.len() < 12 {
        first.extend(finished([lines.next().unwrap().as_str()]));
    }
    assert!(first.iter().all(|host| host["status"] == "success"), "{first:?}");
    drop(mute);
    let rest: Vec<String> = lines.collect();
    let rest = finished(rest.iter().map(String::as_str));
    assert_eq!(rest.len(), 6);
    assert!(rest.iter().all(|host| host["status"] == "unreachable"), "{rest:?}");
    running.wait().ends(4);
}

/// As above, but where a failure stops the run nobody begins too early.
#[test]
fn where_failures_count_dead_hosts_keep_their_slots() {
    let sshd = Sshd::builder().everywhere().start();
    let mute = Hostile::start(Behaviour::Silent);
    let lab = with_key(&sshd).set("ssh: {", "ssh: { connect_timeout: 3s,");
    let login = login(&lab, &sshd);
    let lab = lab.entry("mute", mute.addr(), &login);
    let lab = lab.entry("vm01", address(1, &sshd), &login);
    let (said, document) = lab.json(["-f", "1", "-k", "all", "true"]);
    said.ends(8);
    assert_eq!(document["hosts"][1]["status"], "not_started");
    assert_eq!(lab.statuses(), ["unreachable"]);
}

/// In a process of its own, whose descriptors are nobody else's.
#[test]
fn descriptors_of_a_long_lived_process_return_to_base() {
    let name = "scale::descriptors_of_a_long_lived_process_return_to_base";
    if !in_a_process_of_its_own(name) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sshd = Sshd::builder().everywhere().start();
        let (refused, _taken) = nobody();
        let lab = fleet(40, &sshd);
        let login = login(&lab, &sshd);
        let lab = lab.entry("shut", refused, &login);
        let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
        // Opens what stays open: the log, the store, a few idle connections.
        orchestrator.execute_command("vm001", "true").await.unwrap();
        let base = fd_count();
        for _ in 0..3 {
            let request = orchestrator.on("all".parse().unwrap()).command(Command::shell("true"));
            let report = request.fanout(40).run().await.unwrap();
            assert_eq!(report.results().iter().filter(|host| host.success()).count(), 40);
        }
        // The configuration keeps ten connections that nobody uses.
        wait_until("descriptors are back", || fd_count() <= base + 10).await;
        orchestrator.shutdown().await;
        drop(orchestrator);
        wait_until("nothing is left open", || fd_count() < base).await;
    });
}

/// The hosts that these events say have finished.
fn finished<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let events = lines.into_iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["type"] == "host_finished").collect()
}
