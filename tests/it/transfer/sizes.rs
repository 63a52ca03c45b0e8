//! Files of every size, there and back.

use std::fs;
use std::path::Path;

use orchestrator::outcome::VerifiedBy;
use orchestrator::remote::Transfer;

use super::content::{noise, same, sparse};
use super::site::{moves, one};
use super::{Site, soaking};

#[tokio::test]
async fn check_33_every_size_arrives_both_ways() {
    let site = Site::new();
    let orchestrator = site.orchestrator();
    let mib = 1 << 20;
    let sizes = [0, 1, 32_767, 32_768, 32_769, 261_119, 261_120, 261_121, mib - 1, mib, mib + 1];
    for size in sizes {
        let content = noise(size, 33);
        let name = size.to_string();
        let (here, there) = (site.write_here(&name, &content), site.there(&name));
        let back = site.here(format!("{name}.back"));
        let pushed = one(&moves(&orchestrator, Transfer::upload(&here, &there)).await);
        let pulled = one(&moves(&orchestrator, Transfer::download(&there, &back)).await);
        assert!(fs::read(there).unwrap() == content, "{size} bytes there");
        assert!(fs::read(back).unwrap() == content, "{size} bytes back");
        for file in [pushed, pulled] {
            assert_eq!((file.bytes, file.unchanged), (size as u64, false));
            assert_eq!(file.verified_by, Some(VerifiedBy::Sha256sum));
        }
    }
    site.is_clean();
}

/// Offsets beyond 31 and 32 bits. Takes a minute for each.
#[tokio::test]
async fn check_33_large_files_arrive_both_ways() {
    let gib = 1_u64 << 30;
    let sizes =
        if soaking() { vec![2 * gib - 1, 2 * gib, 2 * gib + 1, 5 * gib] } else { Vec::new() };
    let site = Site::new();
    for size in sizes {
        let here = site.here("large");
        sparse(&here, size);
        one(&site.push("large", "large").await);
        assert!(same(&here, &site.there("large")), "{size} bytes there");
        one(&site.pull("large", "back").await);
        assert!(same(&here, &site.here("back")), "{size} bytes back");
        fs::remove_file(site.there("large")).unwrap();
        fs::remove_file(site.here("back")).unwrap();
    }
    site.is_clean();
}

/// However large a file is, little of it is in memory at once.
#[test]
fn check_33_memory_does_not_grow_with_the_file() {
    let site = Site::new();
    let size = if soaking() { huge(&site.here("")) } else { 192 << 20 };
    println!("{} MiB", size >> 20);
    let (large, there, back) = (site.here("large"), site.there("large"), site.here("back"));
    sparse(&large, size);
    let measured = |verb: &str, here: &str| {
        let command = site.cli(verb, &[], here, "large");
        let peak = peak_kib(command);
        assert!(peak < 64 * 1024, "{verb}: {peak} KiB");
    };
    measured("push", "large");
    assert!(same(&large, &there));
    // There is room for one that is no hole.
    fs::rename(&large, &there).unwrap();
    measured("pull", "back");
    assert!(same(&there, &back));
}

/// 64 GiB, or half of what the disk has: what is a hole in the source is written
/// out in the target.
fn huge(dir: &Path) -> u64 {
    let disk = rustix::fs::statvfs(dir).unwrap();
    (64 << 30).min(disk.f_bavail * disk.f_frsize / 2)
}

/// Runs the program and says how much memory it had at the most.
fn peak_kib(mut command: std::process::Command) -> u64 {
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
