//! Transfers that are ended, or end in another way than by themselves.

use std::fs;
use std::time::{Duration, Instant};

use orchestrator::outcome::Status;
use orchestrator::remote::Transfer;
use rustix::process::Signal;

use super::Site;
use super::content::{noise, parts};
use super::site::{fails, moves, one};
use crate::cli_exec::Running;
use crate::support::{Direction, Fault, block_until};

/// A file at one end of each way, with something old at the other.
fn both_ways(site: &Site, content: &[u8]) {
    site.write_here("up", content);
    site.write_there("up", "old");
    site.write_there("down", content);
    site.write_here("down", "old");
}

const WAYS: [(&str, &str); 2] = [("push", "up"), ("pull", "down")];

/// The target of a way is what it was, and nothing else is left.
fn untouched(site: &Site) {
    for path in [site.there("up"), site.here("down")] {
        assert_eq!(fs::read(path).unwrap(), b"old");
    }
    site.is_clean();
}

#[test]
fn a_transfer_that_takes_too_long_is_ended() {
    let site = Site::new();
    both_ways(&site, &noise(1 << 20, 1));
    for (verb, name) in WAYS {
        let began = Instant::now();
        let said = site.moved(verb, &["--timeout", "1s", "--bwlimit", "100K"], name, name);
        said.ends(3).says(&["vm01", "--timeout"]);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        untouched(&site);
        let options = ["--timeout", "1s", "--bwlimit", "100K"];
        assert_eq!(site.json(verb, &options, name, name)["status"], "timeout");
        untouched(&site);
        assert_eq!(site.journals(), 0, "{verb}");
    }
}

#[test]
fn an_interrupted_transfer_leaves_nothing() {
    for (verb, name) in WAYS {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let site = Site::new();
            both_ways(&site, &noise(1 << 20, 1));
            let dir = if verb == "push" { site.there("") } else { site.here("") };
            let running = Running::start(site.cli(verb, &["--bwlimit", "100K"], name, name));
            block_until("it is under way", || parts(&dir).len() == 1);
            running.signal(signal);
            running.wait().ends(code).says(&["vm01"]);
            untouched(&site);
            assert_eq!(site.journals(), 0, "{verb}");
            let records = site.records();
            assert_eq!(records[1]["result"]["status"], "cancelled", "{records:?}");
        }
    }
}

#[tokio::test]
async fn a_link_on_which_nothing_moves_is_given_up() {
    let (site, proxy) = Site::behind_proxy();
    both_ways(&site, &noise(1 << 20, 1));
    for direction in [Direction::ToServer, Direction::ToClient] {
        let transfer = match direction {
            Direction::ToServer => Transfer::upload(site.here("up"), site.there("up")),
            Direction::ToClient => Transfer::download(site.there("down"), site.here("down")),
        };
        // Behind the handshake, and within the file.
        proxy.set_fault(direction, 200_000, Fault::Stall);
        let began = Instant::now();
        let result = site.moves(transfer.stall(Duration::from_secs(1))).await;
        let took = began.elapsed();
        proxy.clear_fault(direction);
        assert_eq!(result.status, Status::Timeout, "{result:?}");
        fails(&result, "transfer_stalled", &[]);
        assert!(took < Duration::from_secs(8), "{direction:?}: {took:?}");
        assert_eq!(fs::read(site.there("up")).unwrap(), b"old");
        assert_eq!(fs::read(site.here("down")).unwrap(), b"old");
    }
}

/// A stalled connection is not used again.
#[tokio::test]
async fn after_a_stall_another_connection_is_made() {
    let (site, proxy) = Site::behind_proxy();
    both_ways(&site, &noise(1 << 20, 1));
    let orchestrator = site.orchestrator();
    let push = || {
        let push = Transfer::upload(site.here("up"), site.there("up"));
        push.stall(Duration::from_secs(1))
    };
    proxy.set_fault(Direction::ToServer, 200_000, Fault::Stall);
    fails(&moves(&orchestrator, push()).await, "transfer_stalled", &[]);
    assert_eq!(proxy.connections(), 1);
    // The old connection stays as dead as it is; new ones get further.
    proxy.set_fault(Direction::ToServer, 4_000_000, Fault::Stall);
    let began = Instant::now();
    one(&moves(&orchestrator, push()).await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    site.is_clean();
}

#[test]
fn a_rate_is_kept_both_ways() {
    let (site, proxy) = Site::behind_proxy();
    both_ways(&site, &noise(600_000, 1));
    for (verb, name) in WAYS {
        let direction = if verb == "push" { Direction::ToServer } else { Direction::ToClient };
        let before = proxy.bytes(direction);
        let running = Running::start(site.cli(verb, &["--bwlimit", "200K"], name, name));
        let began = Instant::now();
        // What goes over the wire counts, not what was written.
        block_until("a third is moved", || proxy.bytes(direction) - before > 200_000);
        let third = began.elapsed();
        running.wait().ends(0);
        let took = began.elapsed().as_secs_f64();
        assert!((2.5..6.0).contains(&took), "{verb}: {took} s");
        assert!(third > Duration::from_millis(700), "{verb}: {third:?}");
    }
}

/// Every way to end stands between an attempt and its result.
#[test]
fn every_end_is_on_record() {
    let site = Site::new();
    both_ways(&site, &noise(1000, 1));
    site.moved("push", &[], "up", "up").ends(0);
    site.moved("pull", &[], "down", "none").ends(1);
    site.moved("push", &[], "none", "up").ends(2);
    let records = site.records();
    let events: Vec<&str> =
        records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!(events[..4], ["file.attempt", "file.result", "file.attempt", "file.result"]);
    for (attempt, result) in [(0, 1), (2, 3)] {
        assert_eq!(records[attempt]["op_id"], records[result]["op_id"]);
    }
    assert_eq!(records[1]["result"]["status"], "success");
    assert_eq!(records[3]["result"]["status"], "failed");
    // What was moved is on record with its digest.
    let text = records[1].to_string();
    assert!(text.contains("sha256") && text.contains(site.there("up").to_str().unwrap()), "{text}");
    // Nobody to connect to, and nobody who may.
    let gone = Site::new();
    both_ways(&gone, b"x");
    gone.lab.forget();
    gone.moved("push", &[], "up", "up").ends(5);
    let statuses: Vec<_> =
        gone.records().iter().map(|record| record["result"]["status"].clone()).collect();
    assert_eq!(statuses, [serde_json::Value::Null, "host_key_rejected".into()]);
    untouched(&gone);
}
