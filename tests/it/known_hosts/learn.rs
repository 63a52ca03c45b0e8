//! Recording keys: many at once, on a full disk, beside what others wrote.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, thread};

use orchestrator::ssh::known_hosts::{
    HostKeyError, HostName, KnownHosts, LearnError, Learned, Offered, Pin, learn,
};
use russh::keys::PublicKey;
use tempfile::TempDir;

use super::cases::fill_in;
use super::client::fixture;

#[test]
fn thirty_two_first_contacts_at_once_write_thirty_two_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    thread::scope(|scope| {
        for n in 0..32 {
            let file = &file;
            scope.spawn(move || learn(file, &host(&format!("web{n}")), &ed25519()).unwrap());
        }
    });
    assert_eq!(text(&file).lines().count(), 32);
    assert_eq!(mode(&file), 0o600);
    assert!((0..32).all(|n| keygen_finds(&file, &format!("web{n}"))));
    assert_eq!(names_in(&dir), ["known_hosts"], "nothing is left over");
}

#[test]
fn one_host_many_times_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let added = thread::scope(|scope| {
        let learners: Vec<_> = (0..32)
            .map(|_| scope.spawn(|| learn(&file, &host("web1"), &ed25519()).unwrap()))
            .collect();
        let learned = learners.into_iter().map(|learner| learner.join().unwrap());
        learned.filter(|learned| matches!(learned, Learned::Added(_))).count()
    });
    assert_eq!((added, text(&file).lines().count()), (1, 1));
}

#[test]
fn a_learned_key_is_accepted_and_its_line_named() {
    let (_dir, file) = file_with("# mine\n");
    let name = HostName::new("web1", 2222).unwrap();
    let Learned::Added(at) = learn(&file, &name, &ed25519()).unwrap() else { panic!("not added") };
    assert_eq!((&*at.file, at.line), (&*file, 2));
    assert!(text(&file).starts_with("# mine\n[web1]:2222 ssh-ed25519 AAAA"));
    assert!(keygen_finds(&file, "[web1]:2222"));
    let known = KnownHosts::strict(&file).unwrap();
    let offered = Offered::Key(ed25519());
    assert!(known.decide(&name, &offered, SystemTime::now(), &[]).is_ok());
}

#[test]
fn the_comment_of_the_server_is_not_written() {
    let (_dir, file) = file_with("");
    let mut key = ed25519();
    key.set_comment("x\nweb2 ssh-ed25519 AAAA");
    learn(&file, &host("web1"), &key).unwrap();
    assert_eq!(text(&file).into_bytes(), fill_in("web1 {ed}\n"));
}

#[test]
fn a_hashed_file_stays_hashed() {
    let (_dir, file) = file_with("{hashed} {other-ed}\n");
    learn(&file, &host("web7"), &ed25519()).unwrap();
    let text = text(&file);
    assert!(text.lines().count() == 2 && text.lines().all(|line| line.starts_with("|1|")));
    assert!(!text.contains("web7"));
    assert!(keygen_finds(&file, "web7"));
}

#[test]
fn every_hash_has_its_own_salt() {
    let (_dir, file) = file_with("{hashed} {other-ed}\n");
    for name in ["a", "b"] {
        learn(&file, &host(name), &ed25519()).unwrap();
    }
    let text = text(&file);
    let salts: Vec<_> = text.lines().map(|line| line.split('|').nth(2).unwrap()).collect();
    assert!(salts[1] != salts[2] && salts[0] != salts[1]);
}

#[test]
fn a_missing_final_line_feed_is_added() {
    let (_dir, file) = file_with("web2 {ed}");
    learn(&file, &host("web1"), &ed25519()).unwrap();
    assert_eq!(text(&file).into_bytes(), fill_in("web2 {ed}\nweb1 {ed}\n"));
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let (_dir, file) = file_with("# caf{e9}\n");
    learn(&file, &host("web1"), &ed25519()).unwrap();
    assert_eq!(fs::read(&file).unwrap(), fill_in("# caf{e9}\nweb1 {ed}\n"));
}

#[test]
fn a_missing_folder_is_made_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a/b/known_hosts");
    learn(&file, &host("web1"), &ed25519()).unwrap();
    assert_eq!([mode(file.parent().unwrap()), mode(&file)], [0o700, 0o600]);
}

#[test]
fn mode_owner_and_links_are_kept() {
    let (dir, file) = file_with("");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&file).unwrap();
    let link = dir.path().join("link");
    symlink("known_hosts", &link).unwrap();
    learn(&link, &host("web1"), &ed25519()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let after = fs::metadata(&file).unwrap();
    assert_eq!((mode(&file), after.uid(), after.gid()), (0o640, before.uid(), before.gid()));
    assert_eq!(text(&file).lines().count(), 1);
}

#[test]
fn a_key_of_another_type_is_added() {
    let (_dir, file) = file_with("web1 {rsa}\n");
    assert!(matches!(learn(&file, &host("web1"), &ed25519()), Ok(Learned::Added(_))));
}

#[test]
fn what_the_file_forbids_is_not_written() {
    for (before, changed) in [
        ("web1 {other-ed}\n", true),
        ("{hashed} {other-ed}\n", true),
        ("@revoked * {ed}\n", false),
        ("web1 {ed}\n@revoked {hashed} {ed}\n", false),
    ] {
        let (_dir, file) = file_with(before);
        match learn(&file, &host("web1"), &ed25519()) {
            Err(LearnError::Refused(HostKeyError::Changed { .. })) => assert!(changed, "{before}"),
            Err(LearnError::Refused(HostKeyError::Revoked { .. })) => assert!(!changed, "{before}"),
            other => panic!("{before}: {other:?}"),
        }
        assert_eq!(fs::read(&file).unwrap(), fill_in(before));
    }
}

#[test]
fn a_folder_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let answer = learn(dir.path(), &host("web1"), &ed25519());
    assert!(matches!(answer, Err(LearnError::Io { .. })), "{answer:?}");
    assert!(KnownHosts::strict(dir.path()).is_err());
    assert!(KnownHosts::strict(dir.path().join("missing")).is_ok());
}

/// Runs itself again where no file may grow beyond a few blocks: to a writer
/// that is the same as a disk that fills up in the middle of a write.
#[test]
fn a_full_disk_leaves_the_old_file() {
    const FILE: &str = "ORCHESTRATOR_TEST_FULL_DISK";
    if let Some(file) = env::var_os(FILE) {
        let answer = learn(Path::new(&file), &host("web1"), &ed25519());
        assert!(matches!(answer, Err(LearnError::Io { .. })), "{answer:?}");
        return;
    }
    let before = "web2 {ed}\n".repeat(200);
    let (dir, file) = file_with(&before);
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "known_hosts::learn::a_full_disk_leaves_the_old_file"])
        .env(FILE, &file)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && output.contains("1 passed"), "{output}");
    assert_eq!(fs::read(&file).unwrap(), fill_in(&before));
    assert_eq!(names_in(&dir), ["known_hosts"]);
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    for key in ["host_ed25519", "host_ecdsa", "host_rsa", "host_dsa"] {
        let file = fixture(&format!("{key}.pub"));
        let listed = Command::new("ssh-keygen").arg("-lf").arg(&file).output().unwrap().stdout;
        let pin: Pin = text(&file).parse().unwrap();
        assert_eq!(String::from_utf8(listed).unwrap().split(' ').nth(1), Some(&*pin.to_string()));
    }
}

fn host(name: &str) -> HostName {
    HostName::new(name, 22).unwrap()
}

fn ed25519() -> PublicKey {
    text(&fixture("host_ed25519.pub")).parse().unwrap()
}

fn file_with(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    fs::write(&file, fill_in(text)).unwrap();
    (dir, file)
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names_in(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn keygen_finds(file: &Path, name: &str) -> bool {
    let output = Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(file).output().unwrap();
    output.status.success() && !output.stdout.is_empty()
}
