//! Large files, proven while they are written.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use orchestrator::outcome::{Effect, FileOutcome, Status, VerifiedBy};
use orchestrator::remote::Transfer;
use tempfile::TempDir;

use super::Site;
use super::content::{noise, same, sparse};
use super::site::{fails, moves, one};
use crate::cli_exec::Lab;
use crate::exec::host::open_dir;
use crate::support::Sshd;

const MIB: usize = 1 << 20;

/// A host with these tools and no others, some of them made of these texts.
/// What they write to `$LOG` is read here.
struct Tools {
    dir: TempDir,
    site: Site,
}

impl Tools {
    fn of(texts: &[(&str, &str)]) -> Self {
        let dir = open_dir();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("log"), "").unwrap();
        fs::set_permissions(dir.path().join("log"), Permissions::from_mode(0o666)).unwrap();
        for tool in ["cat", "date", "dd", "openssl", "sha256sum"] {
            let program = ["/bin", "/usr/bin"].map(|bin| PathBuf::from(bin).join(tool));
            let program = program.into_iter().find(|path| path.exists()).unwrap();
            symlink(program, dir.path().join("bin").join(tool)).unwrap();
        }
        let path = dir.path().display();
        let site = Site::after(&format!("export LOG={path}/log PATH={path}/bin"));
        let tools = Self { dir, site };
        texts.iter().for_each(|(name, text)| tools.put(name, text));
        tools
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.dir.path().join("bin").join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    async fn push(&self, here: &str) -> FileOutcome {
        one(&self.site.push(here, here).await)
    }
}

/// Says that it was used: only a file that is being written is read by `dd`.
const DD: (&str, &str) = ("dd", "echo dd \"$@\" >>$LOG; exec /bin/dd \"$@\"");

#[tokio::test]
async fn check_38_sizes_around_what_is_told_at_once() {
    let tools = Tools::of(&[DD]);
    let mut read = 0;
    for (size, followed) in [
        (32 * MIB - 1, false),
        (32 * MIB, true),
        (32 * MIB + 1, true),
        (40 * MIB - 1, true),
        (41 * MIB + 77, true),
    ] {
        let content = noise(size, 38);
        tools.site.write_here("x", &content);
        let file = tools.push("x").await;
        assert_eq!(file.sha256.unwrap(), sha256(&content), "{size}");
        assert_eq!(file.verified_by, Some(VerifiedBy::Sha256sum));
        assert!(same(&tools.site.here("x"), &tools.site.there("x")), "{size}");
        let now = tools.log().lines().count();
        assert_eq!(now > read, followed, "{size}: {}", tools.log());
        read = now;
    }
    tools.site.is_clean();
}

#[tokio::test]
async fn a_sparse_file_is_proven_as_any_other() {
    let tools = Tools::of(&[DD]);
    sparse(&tools.site.here("x"), 96 << 20);
    let file = tools.push("x").await;
    assert_eq!((file.bytes, file.unchanged), (96 << 20, false));
    assert!(same(&tools.site.here("x"), &tools.site.there("x")));
    assert!(tools.log().contains("dd bs=1048576 count="), "{}", tools.log());
    assert!(tools.push("x").await.unchanged);
}

/// The file is spoilt after it was written, and before it is read.
#[tokio::test]
async fn check_38_a_large_file_that_is_spoilt_on_the_host_is_not_put_in_place() {
    let spoil = "[ -e $LOG.f ] || for f in $(cat $LOG.dir)/.*.part; do \
         printf X | /bin/dd of=$f bs=1 conv=notrunc 2>>$LOG.f; done; exec /bin/dd \"$@\"";
    let tools = Tools::of(&[("dd", spoil)]);
    fs::set_permissions(tools.dir.path(), Permissions::from_mode(0o777)).unwrap();
    let there = tools.site.there("").to_str().unwrap().to_owned();
    fs::write(tools.dir.path().join("log.dir"), there).unwrap();
    let content = noise(48 * MIB, 39);
    tools.site.write_here("x", &content);
    let target = tools.site.write_there("x", "old");
    let result = tools.site.push("x", "x").await;
    assert_eq!((result.status, result.effect), (Status::ChecksumMismatch, Effect::Absent));
    fails(&result, "checksum_mismatch", &["SHA256 mismatch", &sha256(&content)]);
    assert_eq!(fs::read(target).unwrap(), b"old");
    tools.site.is_clean();
}

/// It is right about words that nobody can know, and wrong about files.
#[tokio::test]
async fn check_38_a_tool_that_is_wrong_about_large_files_proves_nothing() {
    let liar = "read -r line; [ ${#line} = 32 ] && { echo \"$line\" | /usr/bin/sha256sum; exit; }\n\
         cat >/dev/null; echo lied >>$LOG; echo x | /usr/bin/sha256sum";
    let tools = Tools::of(&[DD, ("sha256sum", liar)]);
    tools.site.write_here("x", noise(40 * MIB, 40));
    let target = tools.site.write_there("x", "old");
    let result = tools.site.push("x", "x").await;
    fails(&result, "checksum_mismatch", &["SHA256 mismatch"]);
    assert_eq!(fs::read(target).unwrap(), b"old");
    assert!(tools.log().contains("lied"), "{}", tools.log());
    tools.site.is_clean();
}

/// What reads along gives up, or passes on something else: the finished file
/// decides.
#[tokio::test]
async fn a_host_that_cannot_read_along_is_asked_afterwards() {
    for dd in
        ["exit 1", "/bin/dd \"$@\"; echo more", "exec /bin/dd of=/dev/null \"$@\"", "kill $PPID"]
    {
        let dd = format!("echo dd >>$LOG; {dd}");
        let tools = Tools::of(&[("dd", &dd)]);
        tools.site.write_here("x", noise(40 * MIB, 41));
        let file = tools.push("x").await;
        assert_eq!(file.verified_by, Some(VerifiedBy::Sha256sum), "{dd}");
        assert!(same(&tools.site.here("x"), &tools.site.there("x")), "{dd}");
        assert!(tools.log().contains("dd"), "{dd}");
        tools.site.is_clean();
    }
}

#[test]
fn the_fastest_tool_is_found_once_and_still_has_to_be_right() {
    let slow = "echo slow >>$LOG; /bin/sleep 0.4; exec /usr/bin/sha256sum \"$@\"";
    let tools = Tools::of(&[("sha256sum", slow)]);
    let site = &tools.site;
    let by = |verb: &str, name: &str| {
        let _ = fs::remove_file(if verb == "push" { site.there(name) } else { site.here("back") });
        let (here, there) = if verb == "push" { (name, name) } else { ("back", name) };
        site.json(verb, &[], here, there)["verified_by"].as_str().unwrap().to_owned()
    };
    let remembered = site.ledger().join("tools");
    site.write_here("small", "small");
    assert_eq!(by("push", "small"), "sha256sum");
    assert!(!remembered.exists());

    sparse(&site.here("x"), 64 << 20);
    assert_eq!(by("push", "x"), "openssl");
    let files: Vec<_> =
        fs::read_dir(&remembered).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "openssl");
    let asked = tools.log().lines().count();
    assert_eq!(by("push", "x"), "openssl");
    assert_eq!(by("pull", "x"), "openssl");
    assert_eq!(tools.log().lines().count(), asked, "it was measured again");

    // What is remembered is not believed, be it of a tool that lies by now.
    tools.put("openssl", "cat >/dev/null; echo 'SHA2-256(stdin)= 00'");
    assert_eq!(by("push", "x"), "sha256sum");
    fs::write(&files[0], "rm -rf").unwrap();
    assert_eq!(by("push", "x"), "sha256sum");
}

#[tokio::test]
async fn what_was_resumed_is_read_along_from_its_beginning() {
    let tools = Tools::of(&[DD]);
    let content = noise(48 * MIB, 42);
    tools.site.write_here("x", &content);
    let resume = || {
        let (here, there) = (tools.site.here("x"), tools.site.there("x"));
        Transfer::upload(here, there).resume(true)
    };
    let orchestrator = tools.site.orchestrator();
    // Stopped by a rate that is too low for the time it has.
    let slow = resume().bytes_per_second(8 << 20).timeout(std::time::Duration::from_secs(3));
    assert!(!moves(&orchestrator, slow).await.success());
    let file = one(&moves(&orchestrator, resume()).await);
    assert!(file.resumed_from > 0);
    assert_eq!(file.sha256.unwrap(), sha256(&content));
    assert!(same(&tools.site.here("x"), &tools.site.there("x")));
    tools.site.is_clean();
}

/// More than is kept for those who come later.
#[test]
fn one_file_for_several_hosts() {
    let sshd = Sshd::start();
    let lab =
        Lab::new().vm_at("vm01", &sshd, sshd.addr(), "").vm_at("vm02", &sshd, sshd.addr(), "");
    let lab = lab.vm_at("vm03", &sshd, sshd.addr(), "");
    // All of them are the same machine, so each has a home of its own for them.
    let dir = open_dir();
    let here = dir.path().join("here");
    fs::write(&here, noise(70 * MIB, 43)).unwrap();
    let said = lab
        .program()
        .args(["push", "vm[01-03]"])
        .arg(&here)
        .arg(dir.path().join("there"))
        .arg("--json")
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    for host in document["hosts"].as_array().unwrap() {
        assert_eq!(host["status"], "success", "{host}");
    }
    assert!(same(&here, &dir.path().join("there")));
}

fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
