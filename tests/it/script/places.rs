//! Where a script may lie: nowhere that somebody else could change it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator::Orchestrator;
use orchestrator::outcome::{HostResult, Status, VerifiedBy};
use orchestrator::remote::Script;
use tempfile::TempDir;

use super::host_with;
use crate::cli_exec::Lab;
use crate::exec::host::open_dir;
use crate::support::{Sshd, is_root};

/// Somebody else.
const NOBODY: u32 = 65534;

/// A host with a home of its own, whose mkdir does something first.
struct World {
    lab: Lab,
    _sshd: Sshd,
    dir: TempDir,
    mounted: bool,
}

impl World {
    /// `planting` is done before our directory `$last` is made below the home;
    /// all other places are closed if `only_home`.
    fn new(planting: &str, only_home: bool) -> Self {
        let dir = open_dir();
        let (bin, home) = (dir.path().join("bin"), dir.path().join("home"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
        let elsewhere = if only_home { "echo mkdir: closed >&2; exit 1" } else { ":" };
        let text = format!(
            "#!/bin/sh\nfor last; do :; done\ncase $last in\n{0}/*/orch-*) {planting} ;;\n\
             */orch-*) {elsewhere} ;;\nesac\nexec /bin/mkdir \"$@\"\n",
            home.display()
        );
        fs::write(bin.join("mkdir"), text).unwrap();
        fs::set_permissions(bin.join("mkdir"), Permissions::from_mode(0o755)).unwrap();
        let sshd = host_with(&format!(
            "HOME={}; PATH={}:$PATH; export HOME PATH",
            home.display(),
            bin.display()
        ));
        Self { lab: Lab::one(&sshd), _sshd: sshd, dir, mounted: false }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Puts a file system of its own there.
    fn mount_home(mut self, options: &str) -> Self {
        assert!(is_root(), "this test mounts a file system: run it as root");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.home());
        assert!(mount.status().unwrap().success());
        self.mounted = true;
        self
    }

    async fn run(&self, script: Script) -> HostResult {
        let orchestrator = Orchestrator::from_config_file(self.lab.config()).unwrap();
        let report = orchestrator.on("vm01".parse().unwrap()).script(script).run().await.unwrap();
        orchestrator.shutdown().await;
        report.results()[0].clone()
    }

    /// What is in the directory for scripts.
    fn left(&self) -> Vec<PathBuf> {
        let dir = self.home().join(".cache/orchestrator");
        let entries = fs::read_dir(dir).map(|entries| entries.collect::<Vec<_>>());
        entries.unwrap_or_default().into_iter().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.home()).status();
        }
    }
}

fn show() -> Script {
    Script::text("show", *b"#!/bin/sh\necho \"$0\"")
}

#[track_caller]
fn refused(result: &HostResult, code: &str, words: &str) {
    let failure = result.failure.as_ref().unwrap();
    assert_eq!((result.status, failure.code), (Status::Failed, code), "{failure:?}");
    assert!(failure.message.contains(words), "{failure:?}");
    assert_eq!(result.exit, None);
}

/// It ran from a place that is not below the home, and is gone.
#[track_caller]
fn ran_elsewhere(world: &World, result: &HostResult) {
    assert_eq!(result.status, Status::Success, "{result:?}");
    let path = PathBuf::from(result.stdout.to_text().trim());
    assert!(!path.starts_with(world.home()), "{}", path.display());
    assert!(path.starts_with("/var/tmp") || path.starts_with("/tmp"), "{}", path.display());
    assert!(!path.parent().unwrap().exists());
}

#[tokio::test]
async fn check_31_a_planted_symlink_is_not_followed() {
    let victim = open_dir();
    let plant = format!("ln -s {} \"$last\"", victim.path().display());
    let world = World::new(&plant, true);
    refused(&world.run(show()).await, "script_not_received", "File exists");
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    assert_eq!(victim.path().metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(world.left().len(), 1, "the symlink is not ours to remove");
    let world = World::new(&plant, false);
    ran_elsewhere(&world, &world.run(show()).await);
}

#[tokio::test]
async fn check_31_a_planted_directory_of_somebody_else_is_not_used() {
    assert!(is_root(), "this test makes files of other users: run it as root");
    let plant = format!("/bin/mkdir -m 777 \"$last\"; chown {NOBODY} \"$last\"");
    let world = World::new(&plant, true);
    refused(&world.run(show()).await, "script_not_received", "File exists");
    let planted = world.left();
    assert_eq!(planted.len(), 1, "it is not ours to remove");
    assert_eq!(fs::read_dir(&planted[0]).unwrap().count(), 0);
    // Nor one that it would lie in.
    let world = World::new(":", true);
    fs::create_dir(world.home().join(".cache")).unwrap();
    chown(world.home().join(".cache"), Some(NOBODY), None).unwrap();
    refused(&world.run(show()).await, "script_not_received", "others could change");
    assert!(world.left().is_empty());
    // Nor one behind a symlink.
    let (world, theirs) = (World::new(":", true), open_dir());
    chown(theirs.path(), Some(NOBODY), None).unwrap();
    symlink(theirs.path(), world.home().join(".cache")).unwrap();
    refused(&world.run(show()).await, "script_not_received", "others could change");
}

#[tokio::test]
async fn check_31_a_place_that_others_may_write_without_a_sticky_bit_is_not_used() {
    let world = World::new(":", true);
    let open = |mode| fs::set_permissions(world.home(), Permissions::from_mode(mode)).unwrap();
    for mode in [0o777, 0o770] {
        open(mode);
        refused(&world.run(show()).await, "script_not_received", "others could change");
        assert_eq!(fs::read_dir(world.home()).unwrap().count(), 0);
        // Nor one above it.
        open(0o700);
        fs::set_permissions(world.dir.path(), Permissions::from_mode(mode)).unwrap();
        refused(&world.run(show()).await, "script_not_received", "others could change");
        fs::set_permissions(world.dir.path(), Permissions::from_mode(0o755)).unwrap();
    }
    open(0o1777);
    assert_eq!(world.run(show()).await.status, Status::Success);
    let world = World::new(":", false);
    fs::set_permissions(world.home(), Permissions::from_mode(0o777)).unwrap();
    ran_elsewhere(&world, &world.run(show()).await);
}

#[tokio::test]
async fn check_31_a_place_that_executes_nothing_is_not_used_for_what_is_executed() {
    let world = World::new(":", true).mount_home("noexec,mode=700");
    refused(&world.run(show()).await, "script_not_received", "noexec");
    assert!(world.left().is_empty());
    let text = Script::text("plain", *b"echo \"$0\"");
    let result = world.run(text).await;
    assert_eq!(result.status, Status::Success, "{result:?}");
    assert!(world.left().is_empty());
    let world = World::new(":", false).mount_home("noexec,mode=700");
    ran_elsewhere(&world, &world.run(show()).await);
}

#[tokio::test]
async fn check_31_a_full_disk_is_said_and_nothing_stays() {
    let world = World::new(":", false).mount_home("size=64k,mode=700");
    let large = Script::text("large", [&b"#!/bin/sh\n"[..], &[b'#'; 1 << 20]].concat());
    refused(&world.run(large).await, "host_disk_full", "No space left on device");
    assert!(world.left().is_empty());
}

#[tokio::test]
async fn a_host_that_computes_no_digest_is_read_back_from() {
    let dir = open_dir();
    for tool in ["cat", "chmod", "id", "ls", "mkdir", "rm", "tr"] {
        symlink(Path::new("/bin").join(tool), dir.path().join(tool)).unwrap();
    }
    let sshd = host_with(&format!("echo noise; PATH={}", dir.path().display()));
    let lab = Lab::one(&sshd);
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let padding = vec![b'#'; 1 << 20];
    let script = Script::text("s", [&b"echo here; exit\n"[..], &padding].concat());
    let request = orchestrator.on("vm01".parse().unwrap()).script(script);
    let result = request.run().await.unwrap().results()[0].clone();
    assert_eq!(result.status, Status::Success, "{result:?}");
    assert_eq!(result.stdout.to_text(), "noise\nhere\n");
    let file = &result.transfer.as_ref().unwrap().files[0];
    assert_eq!(file.verified_by, Some(VerifiedBy::Readback));
    assert_eq!(file.sha256, result.script_sha256);
    assert_eq!(super::left(&sshd), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn tools_are_found_without_a_path_and_a_wrong_one_is_not_believed() {
    let dir = open_dir();
    let wrong = dir.path().join("sha256sum");
    fs::write(&wrong, format!("#!/bin/sh\necho {}  -\n", "0".repeat(64))).unwrap();
    fs::set_permissions(&wrong, Permissions::from_mode(0o755)).unwrap();
    let wrong = format!("PATH={}:$PATH", dir.path().display());
    for (rc, by) in [("PATH=", VerifiedBy::Sha256sum), (&wrong, VerifiedBy::Shasum)] {
        let sshd = host_with(rc);
        let lab = Lab::one(&sshd);
        let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
        let script = Script::text("s", *b"echo here");
        let request = orchestrator.on("vm01".parse().unwrap()).script(script);
        let result = request.run().await.unwrap().results()[0].clone();
        assert_eq!(result.stdout.to_text(), "here\n", "{result:?}");
        assert_eq!(result.transfer.unwrap().files[0].verified_by, Some(by));
    }
}
