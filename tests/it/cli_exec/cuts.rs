//! A link cut at every 128th byte of a whole conversation.

use std::thread;

use super::Lab;
use crate::support::{Counter, Direction, Fault, Proxy, Sshd};

const STEP: usize = 128;

/// Wherever the link is cut, the command ran at most once and what is said of
/// it is true.
#[test]
fn at_most_once_and_truly_told() {
    let directions = [Direction::ToServer, Direction::ToClient];
    thread::scope(|scope| {
        for direction in directions {
            scope.spawn(move || every_cut(direction));
        }
    });
}

fn every_cut(direction: Direction) {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    lab.exec(["vm01", "echo whole"]).ends(0);
    let whole = usize::try_from(proxy.bytes(direction)).unwrap();
    assert!(whole > 10 * STEP, "{whole} bytes are no conversation");
    for offset in (0..whole).step_by(STEP) {
        let counter = Counter::new();
        proxy.set_fault(direction, offset as u64, Fault::Reset);
        let command = format!("{}; echo done", counter.command());
        let (said, document) = lab.json(["vm01", &command]);
        let status = document["hosts"][0]["status"].as_str().unwrap();
        let place = format!("{direction:?} at byte {offset}: {said:?}");
        // A command that was told to run and not yet heard of may still begin.
        if status != "unknown" {
            let ran = usize::from(status == "success");
            assert_eq!(counter.runs(), ran, "{place}");
        }
        assert!(counter.runs() <= 1, "{place}");
        assert!(["success", "unknown", "unreachable"].contains(&status), "{place}");
        assert_eq!(said.code, Some(if status == "success" { 0 } else { 255 }), "{place}");
    }
    assert!(lab.statuses().iter().any(|status| status == "unknown"));
}
