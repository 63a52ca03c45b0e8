//! Disks that are full, read-only or limited, there and here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Site;
use super::content::{noise, parts};
use crate::support::is_root;

/// A small file system of its own.
struct Disk(PathBuf);

impl Disk {
    fn new(path: PathBuf, options: &str) -> Self {
        assert!(is_root(), "this test mounts a small file system: run it as root");
        fs::create_dir(&path).unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &path);
        Self(path)
    }

    fn read_only(&self) {
        mount(&["-o", "remount,ro"], &self.0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], path: &Path) {
    assert!(Command::new("mount").args(args).arg(path).status().unwrap().success());
}

/// A push to, or a pull onto, a disk that takes no file of this size: it says
/// why and where, and leaves nothing but the old file.
fn is_refused(site: &Site, verb: &str, code: &str, words: &[&str]) {
    let (from, to) = match verb {
        "push" => (site.here("big"), site.there("disk")),
        _ => (site.there("big"), site.here("disk")),
    };
    fs::write(from, noise(3 << 20, 41)).unwrap();
    let paths = if verb == "push" { ["big", "disk/x"] } else { ["disk/x", "big"] };
    for options in [&[][..], &["--retries", "2"]] {
        let said = site.moved(verb, options, paths[0], paths[1]);
        said.ends(1).says(words).says(&[to.to_str().unwrap()]);
        assert_eq!(said.stderr.lines().filter(|line| line.contains("vm01")).count(), 1, "{said:?}");
        assert_eq!(parts(&to), Vec::<PathBuf>::new());
        assert_eq!(fs::read(to.join("x")).unwrap(), b"old");
    }
    let host = site.json(verb, &[], paths[0], paths[1]);
    assert_eq!(
        (host["status"].as_str(), host["error"]["code"].as_str()),
        (Some("failed"), Some(code))
    );
    assert!(!host["error"]["hint"].is_null(), "{host}");
    assert_eq!(site.journals(), 0);
}

#[test]
fn check_41_a_full_disk_there() {
    let site = Site::new();
    let disk = Disk::new(site.there("disk"), "size=1m");
    fs::write(disk.0.join("x"), "old").unwrap();
    is_refused(&site, "push", "disk_full", &["the host's disk is full"]);
}

#[test]
fn check_41_no_inode_there() {
    let site = Site::new();
    let disk = Disk::new(site.there("disk"), "nr_inodes=2");
    fs::write(disk.0.join("x"), "old").unwrap();
    is_refused(&site, "push", "disk_full", &["the host's disk is full"]);
}

#[test]
fn check_41_a_read_only_disk_there() {
    let site = Site::new();
    let disk = Disk::new(site.there("disk"), "size=9m");
    fs::write(disk.0.join("x"), "old").unwrap();
    disk.read_only();
    is_refused(&site, "push", "read_only", &["read-only"]);
}

/// SFTP says no more of a quota than of anything else; a limit on the size of
/// files looks the same.
#[test]
fn check_41_a_limit_there() {
    let site = Site::after("ulimit -f 1000; trap '' XFSZ");
    fs::create_dir(site.there("disk")).unwrap();
    site.write_there("disk/x", "old");
    is_refused(&site, "push", "host_refused", &["refuses to write", "quota"]);
}

#[test]
fn check_41_a_full_disk_here() {
    let site = Site::new();
    let disk = Disk::new(site.here("disk"), "size=1m");
    fs::write(disk.0.join("x"), "old").unwrap();
    is_refused(&site, "pull", "disk_full", &["the disk here is full"]);
}

#[test]
fn check_41_no_inode_here() {
    let site = Site::new();
    let disk = Disk::new(site.here("disk"), "nr_inodes=2");
    fs::write(disk.0.join("x"), "old").unwrap();
    is_refused(&site, "pull", "disk_full", &["no inode"]);
}

#[test]
fn check_41_a_read_only_disk_here() {
    let site = Site::new();
    let disk = Disk::new(site.here("disk"), "size=9m");
    fs::write(disk.0.join("x"), "old").unwrap();
    disk.read_only();
    is_refused(&site, "pull", "read_only", &["read-only"]);
}

/// One file too many does not undo the others.
#[test]
fn check_41_a_tree_that_does_not_fit() {
    let site = Site::new();
    let _disk = Disk::new(site.there("disk"), "size=1m");
    fs::create_dir(site.here("tree")).unwrap();
    for (name, size) in [("a", 1000), ("b", 3 << 20), ("c", 1000)] {
        site.write_here(&format!("tree/{name}"), noise(size, 1));
    }
    let host = site.json("push", &["-r"], "tree", "disk");
    assert_eq!(host["error"]["code"], "disk_full", "{host}");
    let there = super::content::tree(&site.there("disk/tree"));
    assert!(there.values().all(|content| content.len() == 1000), "{:?}", there.keys());
    assert_eq!(host["totals"]["failed"].as_u64().unwrap() as usize, 3 - there.len());
    site.is_clean();
}
