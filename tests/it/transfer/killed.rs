//! Whatever is cut or killed, a file is old or new, and nothing stays behind.

use std::fs;
use std::time::{Duration, Instant};

use orchestrator::outcome::{Effect, Status};
use orchestrator::remote::Transfer;

use super::content::noise;
use super::site::moves;
use super::{Site, soaking};
use crate::cli_exec::{Lab, Running};
use crate::support::{Direction, Fault, Sshd};

/// Cuts the link at so many bytes of a push over an existing file, in each
/// direction; then pushes again.
async fn every_cut(direction: Direction, points: u64) {
    let (site, proxy) = Site::behind_proxy();
    let (old, new) = (noise(400_000, 1), noise(500_000, 2));
    let here = site.write_here("x", &new);
    let target = site.write_there("x", &old);
    let push = || Transfer::upload(&here, &target);
    let before = proxy.bytes(direction);
    assert!(moves(&site.orchestrator(), push()).await.success());
    let whole = proxy.bytes(direction) - before;
    let (mut olds, mut news) = (0, 0);
    // Evenly over all of it, and finely where the last replies go.
    let even = (1..=points / 2).map(|i| whole * i / (points / 2 + 1));
    let fine = (0..points / 2).map(|i| whole - 1500 * i / (points / 2));
    for at in even.chain(fine) {
        fs::write(&target, &old).unwrap();
        proxy.set_fault(direction, at, Fault::Reset);
        let result = moves(&site.orchestrator(), push()).await;
        let place =
            format!("{direction:?} at {at} of {whole}: {:?} {:?}", result.status, result.failure);
        let content = fs::read(&target).unwrap();
        let is_new = content == new;
        assert!(is_new || content == old, "{place}: {} bytes", content.len());
        if is_new {
            news += 1
        } else {
            olds += 1
        }
        match result.effect {
            Effect::Absent => assert!(!is_new, "{place}"),
            Effect::Present => assert!(is_new, "{place}"),
            Effect::Unknown => assert_eq!(result.status, Status::Unknown, "{place}"),
        }
        proxy.clear_fault(direction);
        let again = moves(&site.orchestrator(), push()).await;
        assert!(again.success(), "{place}: {:?}", again.failure);
        assert!(fs::read(&target).unwrap() == new, "{place}");
        // Another process would find them; this one forgets them with the
        // orchestrator that made them.
        for part in super::content::parts(&site.there("")) {
            fs::remove_file(site.there(part)).unwrap();
        }
    }
    assert!(olds > 0, "{olds} old, {news} new");
}

#[tokio::test]
async fn check_40_a_link_cut_anywhere_leaves_old_or_new() {
    let points = if soaking() { 100 } else { 10 };
    tokio::join!(every_cut(Direction::ToServer, points), every_cut(Direction::ToClient, points));
}

/// The same with the program: what a cut leaves, the next push removes.
#[test]
fn check_40_the_next_push_removes_what_a_cut_left() {
    let (site, proxy) = Site::behind_proxy();
    let new = noise(500_000, 2);
    site.write_here("x", &new);
    let target = site.write_there("x", "old");
    for at in [200_000, 400_000] {
        proxy.set_fault(Direction::ToServer, at, Fault::Reset);
        site.moved("push", &[], "x", "x").ends(4).says(&["vm01"]);
        proxy.clear_fault(Direction::ToServer);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(super::content::parts(&site.there("")).len(), 1);
        assert_eq!(site.journals(), 1);
        // Any push to that host: here one of another file.
        site.write_here("other", "other");
        site.moved("push", &[], "other", "other").ends(0);
        site.is_clean();
        assert_eq!(site.journals(), 0);
    }
}

/// sshd's own processes are killed in the middle; the second attempt succeeds.
#[tokio::test]
async fn check_40_a_lost_link_is_tried_again_before_the_rename() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).attempts(2);
    let site = Site::with(sshd, lab);
    let content = noise(512 << 10, 1);
    for upload in [true, false] {
        let (from, to) = match upload {
            true => (site.here("x"), site.there("x")),
            false => (site.there("y"), site.here("y")),
        };
        fs::write(&from, &content).unwrap();
        fs::write(&to, "old").unwrap();
        let transfer = match upload {
            true => Transfer::upload(&from, &to),
            false => Transfer::download(&from, &to),
        };
        let orchestrator = site.orchestrator();
        let request = orchestrator.on("vm01".parse().unwrap());
        let mut handle = request.transfer(transfer.bytes_per_second(512 << 10)).start().unwrap();
        let mut killed = false;
        while let Some(event) = handle.next_event().await {
            if let orchestrator::event::EventKind::Progress { progress, .. } = event.kind
                && progress.bytes > 0
                && !std::mem::replace(&mut killed, true)
            {
                site.sshd.kill_sessions();
            }
        }
        let result = handle.wait().await.remove(0);
        assert!(result.success(), "{:?}", result.failure);
        assert_eq!(result.attempts, 2);
        assert!(fs::read(&to).unwrap() == content);
        site.is_clean();
    }
}

/// Kills the program at many moments of a transfer over an existing file.
fn killed_at_any_moment(verb: &str) {
    let site = Site::new();
    let (old, new) = (noise(300_000, 1), noise(400_000, 2));
    let (from, to) = match verb {
        "push" => (site.here("x"), site.there("x")),
        _ => (site.there("x"), site.here("x")),
    };
    fs::write(&from, &new).unwrap();
    let options = ["--bwlimit", "2M"];
    let began = Instant::now();
    fs::write(&to, &old).unwrap();
    site.moved(verb, &options, "x", "x").ends(0);
    let whole = began.elapsed();
    let moments = if soaking() { 50 } else { 20 };
    let (mut parts, mut news) = (0, 0);
    for moment in 0..moments {
        fs::write(&to, &old).unwrap();
        let running = Running::start(site.cli(verb, &options, "x", "x"));
        // Only a time can tell a moment of the program's life.
        std::thread::sleep(whole * moment / moments + Duration::from_millis(7));
        drop(running);
        let content = fs::read(&to).unwrap();
        assert!(content == old || content == new, "{verb} at {moment}: {} bytes", content.len());
        news += usize::from(content == new);
        let dir = to.parent().unwrap();
        parts += super::content::parts(dir).len();
        site.moved(verb, &[], "x", "x").ends(0);
        assert!(fs::read(&to).unwrap() == new, "{verb} at {moment}");
        site.is_clean();
        assert_eq!(site.journals(), 0, "{verb} at {moment}");
    }
    assert!(parts > 0, "{verb}: never killed in the middle ({news} new)");
}

#[test]
fn check_40_the_program_killed_at_any_moment_leaves_old_or_new() {
    std::thread::scope(|scope| {
        for verb in ["push", "pull"] {
            scope.spawn(move || killed_at_any_moment(verb));
        }
    });
}
