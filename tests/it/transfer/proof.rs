//! Nothing is put in place that is not proven.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use orchestrator::event::EventKind;
use orchestrator::outcome::{Effect, HostResult, Status, VerifiedBy};
use orchestrator::remote::Transfer;

use super::Site;
use super::content::noise;
use super::site::{fails, moves, one};
use crate::support::{Shell, Sshd, block_until, is_root};

/// What happens to a file on the host between the last write and the proof.
const SPOILERS: [(&str, &str); 6] = [
    ("the first byte", "printf X | dd of=\"$f\" bs=1 conv=notrunc 2>/dev/null"),
    ("a byte within", "printf X | dd of=\"$f\" bs=1 seek=40000 conv=notrunc 2>/dev/null"),
    ("cut short", "truncate -s -1 \"$f\""),
    ("emptied", ": >\"$f\""),
    ("one more", "printf X >>\"$f\""),
    ("another file", "head -c 100000 /dev/zero >\"$f.new\"; mv \"$f.new\" \"$f\""),
];

#[test]
fn check_38_a_file_spoilt_before_its_proof_is_not_put_in_place() {
    for (what, spoil) in SPOILERS {
        let dir = crate::exec::host::open_dir();
        // The host has no say in where its directory is: it is told here.
        let told = dir.path().join("told");
        let rc = format!(
            "there=$(cat {told} 2>/dev/null); \
             if [ \"$SSH_ORIGINAL_COMMAND\" != internal-sftp ]; then \
             for f in \"$there\"/.*.orch-*.part; do [ -e \"$f\" ] && {{ {spoil}; }}; done; fi",
            told = told.display()
        );
        let site = Site::after(&rc);
        fs::write(&told, site.there("").to_str().unwrap()).unwrap();
        let content = noise(100_000, 38);
        site.write_here("x", &content);
        let target = site.write_there("x", "old");
        let said = site.moved("push", &["--json"], "x", "x");
        said.ends(6);
        let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let host = &document["hosts"][0];
        assert_eq!(host["status"], "checksum_mismatch", "{what}: {host}");
        let message = host["error"]["message"].as_str().unwrap();
        assert!(message.contains("SHA256 mismatch"), "{what}: {message}");
        assert!(message.contains(&sha256(&content)), "{what}: {message}");
        let digests = message.split(|c: char| !c.is_ascii_hexdigit());
        assert_eq!(digests.filter(|word| word.len() == 64).count(), 2, "{what}: {message}");
        assert_eq!(fs::read(target).unwrap(), b"old", "{what}");
        site.is_clean();
        assert_eq!(site.journals(), 0, "{what}");
        assert_eq!(site.records()[1]["result"]["status"], "checksum_mismatch");
    }
}

/// The same where the proof is to read the file back.
#[tokio::test]
async fn check_38_a_file_spoilt_before_it_is_read_back_is_not_put_in_place() {
    let site = Site::of(Sshd::builder().line("ForceCommand internal-sftp").start());
    let content = noise(16 << 20, 38);
    site.write_here("x", &content);
    let target = site.write_there("x", "old");
    let there = site.there("");
    let spoiler = std::thread::spawn(move || spoil_when_complete(&there, content.len() as u64));
    let result = site.push("x", "x").await;
    spoiler.join().unwrap();
    assert_eq!(result.status, Status::ChecksumMismatch);
    fails(&result, "checksum_mismatch", &["SHA256 mismatch"]);
    assert_eq!(result.effect, Effect::Absent);
    assert_eq!(fs::read(target).unwrap(), b"old");
    site.is_clean();
}

/// Changes the last byte of the file in the making, once it is all there.
fn spoil_when_complete(dir: &Path, size: u64) {
    block_until("all is there", || {
        fs::read_dir(dir).unwrap().map(Result::unwrap).any(|file| {
            let part = file.file_name().to_string_lossy().ends_with(".part");
            let complete = part && file.metadata().is_ok_and(|found| found.len() == size);
            if complete {
                let file = fs::OpenOptions::new().write(true).open(file.path()).unwrap();
                file.write_all_at(b"\0\0\0\0", size - 4).unwrap();
            }
            complete
        })
    });
}

/// Other content than the caller wants is put nowhere.
#[tokio::test]
async fn check_38_other_content_than_was_asked_for_is_not_put_in_place() {
    let site = Site::new();
    site.write_here("x", "right");
    let target = site.write_there("x", "old");
    let transfer = Transfer::upload(site.here("x"), site.there("x")).sha256("0".repeat(64));
    let result = site.moves(transfer).await;
    fails(&result, "checksum_mismatch", &[&"0".repeat(64), &sha256(b"right")]);
    assert_eq!(fs::read(&target).unwrap(), b"old");
    // Nor is it good for being there already.
    fs::write(&target, "right").unwrap();
    let transfer = Transfer::upload(site.here("x"), site.there("x")).sha256("0".repeat(64));
    let result = site.moves(transfer).await;
    fails(&result, "checksum_mismatch", &[&"0".repeat(64), &sha256(b"right")]);
    let transfer = Transfer::download(site.there("x"), site.here("y")).sha256("0".repeat(64));
    fails(&site.moves(transfer).await, "checksum_mismatch", &[&sha256(b"right")]);
    assert!(!site.here("y").exists());
    site.is_clean();
}

fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Moves files and does something once the first bytes of them have arrived.
async fn disturbed(site: &Site, transfer: Transfer, disturb: impl FnOnce()) -> HostResult {
    let orchestrator = site.orchestrator();
    let request = orchestrator.on("vm01".parse().unwrap()).transfer(transfer);
    let mut handle = request.start().unwrap();
    let mut disturb = Some(disturb);
    while let Some(event) = handle.next_event().await {
        if let EventKind::Progress { progress, .. } = event.kind
            && progress.bytes > 0
            && let Some(disturb) = disturb.take()
        {
            disturb();
        }
    }
    assert!(disturb.is_none(), "it was never under way");
    handle.wait().await.remove(0)
}

/// A way to change a file.
fn change(path: &Path, how: usize) {
    match how % 5 {
        0 => {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, b"x").unwrap();
        }
        1 => {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(b"x", 0).unwrap();
        }
        2 => fs::OpenOptions::new().write(true).open(path).unwrap().set_len(9).unwrap(),
        3 => {
            let new = path.with_extension("new");
            fs::copy(path, &new).unwrap();
            fs::rename(new, path).unwrap();
        }
        _ => fs::remove_file(path).unwrap(),
    }
}

#[tokio::test]
async fn check_39_a_source_that_changes_is_not_put_in_place() {
    let site = Site::new();
    let content = noise(512 << 10, 39);
    let tries = if super::soaking() { 100 } else { 50 };
    for first in (0..tries).step_by(10) {
        let all = (first..first + 10).map(|i| {
            let (here, there) =
                (site.write_here(&format!("{i}"), &content), site.there(format!("{i}")));
            fs::write(&there, "old").unwrap();
            let site = &site;
            async move {
                let transfer = Transfer::upload(&here, &there).bytes_per_second(512 << 10);
                let result = disturbed(site, transfer, || change(&here, i)).await;
                fails(&result, "source_changed", &[here.to_str().unwrap()]);
                assert_eq!((result.status, result.effect), (Status::Failed, Effect::Absent));
                assert_eq!(fs::read(&there).unwrap(), b"old", "{i}");
            }
        });
        futures_util::future::join_all(all).await;
    }
    site.is_clean();
}

/// What is appended to a log while it is fetched is no error.
#[tokio::test]
async fn a_file_that_grows_is_fetched_as_it_was_when_it_was_found() {
    let site = Site::new();
    let content = noise(512 << 10, 1);
    let there = site.write_there("log", &content);
    let transfer = Transfer::download(&there, site.here("log")).bytes_per_second(512 << 10);
    let file = one(&disturbed(&site, transfer, || change(&there, 0)).await);
    assert_eq!(file.bytes, content.len() as u64);
    assert!(fs::read(site.here("log")).unwrap() == content);
    assert_eq!(file.sha256, Some(sha256(&content)));
}

/// A file that is rewritten is fetched once more; one that never comes to rest
/// is reported, and the local file stays.
#[tokio::test]
async fn a_file_that_is_rewritten_is_fetched_again_or_reported() {
    let site = Site::new();
    let content = noise(256 << 10, 1);
    let (there, here) = (site.write_there("x", &content), site.write_here("x", "old"));
    let transfer = Transfer::download(&there, &here).bytes_per_second(256 << 10);
    // All of it, so that what was read before is not what is read after.
    let other = noise(256 << 10, 2);
    let result = disturbed(&site, transfer, || fs::write(&there, &other).unwrap()).await;
    one(&result);
    assert!(fs::read(&here).unwrap() == other);

    fs::write(&here, "old").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = std::thread::spawn({
        let there = there.clone();
        move || {
            let file = fs::OpenOptions::new().write(true).open(there).unwrap();
            for i in 0_u64.. {
                file.write_all_at(&i.to_le_bytes(), (i % 32_000) * 8).unwrap();
                if stopped.try_recv().is_ok() {
                    return;
                }
            }
        }
    });
    let transfer = Transfer::download(&there, &here).bytes_per_second(512 << 10);
    let result = site.moves(transfer).await;
    stop.send(()).unwrap();
    writing.join().unwrap();
    fails(&result, "checksum_mismatch", &["SHA256 mismatch", there.to_str().unwrap()]);
    assert_eq!(result.status, Status::ChecksumMismatch);
    assert_eq!(fs::read(&here).unwrap(), b"old");
    site.is_clean();
}

/// It was another file when it was found, and is a whole one now.
#[tokio::test]
async fn a_file_that_shrinks_is_fetched_as_it_is_then() {
    let site = Site::new();
    let (there, here) = (site.write_there("x", noise(4 << 20, 1)), site.write_here("x", "old"));
    let transfer = Transfer::download(&there, &here).bytes_per_second(2 << 20);
    let result = disturbed(&site, transfer, || change(&there, 2)).await;
    assert_eq!(result.status, Status::Success, "{result:?}");
    assert_eq!(fs::read(&here).unwrap(), fs::read(&there).unwrap());
    site.is_clean();
}

/// Hosts that compute no digest: nothing to compute it with, no shell, or
/// files and nothing else.
fn proofless() -> Vec<(&'static str, Site)> {
    let mut sites = vec![
        ("no tool", Site::after("PATH=/nowhere")),
        ("sftp only", Site::of(Sshd::builder().line("ForceCommand internal-sftp").start())),
    ];
    if is_root() {
        let nologin = Sshd::builder().login_shell(Shell::Nologin).start();
        sites.push(("no shell", Site::of(nologin)));
    }
    sites
}

#[tokio::test]
async fn check_42_where_nothing_computes_a_digest_files_are_read_back() {
    for (what, site) in proofless() {
        let orchestrator = site.orchestrator();
        let content = noise(300_000, 42);
        site.write_here("x", &content);
        let began = Instant::now();
        let pushed =
            one(&moves(&orchestrator, Transfer::upload(site.here("x"), site.there("x"))).await);
        let pulled =
            one(&moves(&orchestrator, Transfer::download(site.there("x"), site.here("y"))).await);
        assert!(began.elapsed() < Duration::from_secs(4), "{what}: {:?}", began.elapsed());
        for file in [pushed, pulled] {
            assert_eq!(file.verified_by, Some(VerifiedBy::Readback), "{what}");
            assert_eq!(file.sha256, Some(sha256(&content)), "{what}");
        }
        assert!(fs::read(site.there("x")).unwrap() == content, "{what}");
        assert!(fs::read(site.here("y")).unwrap() == content, "{what}");
        // Many at once are no different, nor are those that are there already.
        fs::create_dir(site.here("d")).unwrap();
        for i in 0..20 {
            site.write_here(&format!("d/{i}"), i.to_string());
        }
        for unchanged in [0, 20] {
            let transfer = Transfer::upload(site.here("d/."), site.there("d")).recursive(true);
            let result = moves(&orchestrator, transfer).await;
            assert!(result.success(), "{what}: {:?}", result.failure);
            let files = result.transfer.unwrap().files;
            let read_back = |file: &&orchestrator::outcome::FileOutcome| {
                file.verified_by == Some(VerifiedBy::Readback)
            };
            assert_eq!(files.iter().filter(read_back).count(), 20, "{what}");
            assert_eq!(files.iter().filter(|file| file.unchanged).count(), unchanged, "{what}");
        }
        site.is_clean();
    }
}

/// The operator is told, in words, in JSON and in the log.
#[test]
fn check_42_it_is_said_that_files_were_read_back() {
    let site = Site::of(Sshd::builder().line("ForceCommand internal-sftp").start());
    site.write_here("x", "x");
    let said = site.moved("push", &[], "x", "x");
    let all = format!("{}{}", said.ends(0).text(), said.stderr);
    assert!(all.contains("reading it back"), "{said:?}");
    assert_eq!(site.json("pull", &[], "y", "x")["verified_by"], "readback");
    let results = site.records();
    for record in results.iter().filter(|record| record["event"] == "file.result") {
        assert!(record.to_string().contains("readback"), "{record}");
    }
}
