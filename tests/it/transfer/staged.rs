//! Files of another user, by way of a copy.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use orchestrator::outcome::VerifiedBy;
use orchestrator::sftp::Owner;
use orchestrator::transfer::staged::{
    Fetch, Fetched, Install, StagedError, fetch, install, remove,
};
use orchestrator::transport::Connection;
use tempfile::TempDir;

use super::Texts;
use super::elevate::{private_dir, without};
use crate::exec::host;
use crate::exec::sudo::{Sudoers, without_password};
use crate::support::client::connect;
use crate::support::{Sshd, is_root};

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A staging directory of the one who logs in, with `abc` in it, and a directory
/// of root's.
struct Place {
    staging: TempDir,
    private: TempDir,
    owner: Owner,
    texts: Texts,
}

impl Place {
    fn over(connection: &Arc<dyn Connection>) -> Self {
        let staging = private_dir(Some("orchtest-dash"));
        let there = fs::metadata(staging.path()).unwrap();
        let owner = Owner { uid: there.uid(), gid: there.gid() };
        fs::write(staging.path().join("staged"), "abc").unwrap();
        let mut texts = Texts::over(connection);
        texts.run_as = Some(without_password(None));
        Self { staging, private: private_dir(None), owner, texts }
    }

    fn staged(&self) -> PathBuf {
        self.staging.path().join("staged")
    }

    fn part(&self) -> PathBuf {
        self.private.path().join(".caf\u{e9}\n.part")
    }

    fn target(&self) -> PathBuf {
        self.private.path().join("caf\u{e9}\n")
    }

    async fn install(
        &self,
        change: impl FnOnce(&mut Install<'_>),
    ) -> Result<VerifiedBy, StagedError> {
        let (staged, part, target) = (self.staged(), self.part(), self.target());
        let mut what = Install {
            staged: bytes(&staged),
            part: bytes(&part),
            target: bytes(&target),
            sha256: ABC,
            mode: None,
            new_mode: 0o640,
            keep_time: false,
        };
        change(&mut what);
        install(&self.texts.shell(), what).await
    }

    async fn fetch(&self, source: &Path, staged: &Path) -> Result<Fetched, StagedError> {
        let what = Fetch { source: bytes(source), staged: bytes(staged), owner: self.owner };
        fetch(&self.texts.shell(), what).await
    }

    fn target_is(&self, content: &str, mode: u32, uid: u32) {
        let there = fs::metadata(self.target()).unwrap();
        assert_eq!(fs::read_to_string(self.target()).unwrap(), content);
        assert_eq!((there.mode() & 0o7777, there.uid()), (mode, uid), "{:o}", there.mode());
        assert!(!self.part().exists());
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

async fn goes_both_ways(sshd: &Sshd, tool: VerifiedBy, whose: &str) {
    let place = Place::over(&connect(sshd).await);
    // A new file is root's.
    assert_eq!(place.install(|_| {}).await.unwrap(), tool, "{whose}");
    place.target_is("abc", 0o640, 0);
    // An existing one keeps its owner and its mode, whatever that is.
    for mode in [0o600, 0o755, 0o444, 0o4711, 0o2755, 0o1777, 0o7000, 0o000] {
        fs::write(place.target(), "old").unwrap();
        Command::new("chown").arg("33:34").arg(place.target()).status().unwrap();
        fs::set_permissions(place.target(), Permissions::from_mode(mode)).unwrap();
        place.install(|_| {}).await.unwrap();
        place.target_is("abc", mode, 33);
    }
    // Unless one is given.
    let old = "2001-01-01 00:00:00Z";
    assert!(
        Command::new("touch").args(["-d", old]).arg(place.staged()).status().unwrap().success()
    );
    let given = |what: &mut Install<'_>| (what.mode, what.keep_time) = (Some(0o604), true);
    place.install(given).await.unwrap();
    place.target_is("abc", 0o604, 33);
    assert_eq!(fs::metadata(place.target()).unwrap().mtime(), 978_307_200);

    let copy = place.staging.path().join("copy");
    let fetched = place.fetch(&place.target(), &copy).await.unwrap();
    assert_eq!(fetched, Fetched { bytes: 3, sha256: ABC.into(), by: tool }, "{whose}");
    let there = fs::metadata(&copy).unwrap();
    assert_eq!((there.mode() & 0o7777, there.uid()), (0o600, place.owner.uid));
    assert_eq!(fs::read_to_string(copy).unwrap(), "abc");
}

#[tokio::test]
async fn it_goes_both_ways_whatever_bin_sh_is() {
    if !is_root() {
        return;
    }
    let _sudoers = Sudoers::install();
    goes_both_ways(&without(), VerifiedBy::Sha256sum, "dash").await;
    for program in ["/bin/busybox", "/bin/bash", "/bin/ksh", "/bin/mksh"] {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        goes_both_ways(&sshd, VerifiedBy::Sha256sum, program).await;
    }
}

/// Under sudo PATH is sudo's, so the tools' names are changed in our text.
fn without_tools() -> Sshd {
    let edit = "s#sha256sum#nonesuch#g; s#shasum#nonesuch#g; s#openssl#nonesuch#g";
    host::with_stdin_edited(edit)
}

#[tokio::test]
async fn check_42_without_a_tool_being_equal_to_what_was_proven_is_the_proof() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), without_tools());
    let place = Place::over(&connect(&sshd).await);
    assert_eq!(place.install(|_| {}).await.unwrap(), VerifiedBy::Readback);
    place.target_is("abc", 0o640, 0);
    let copy = place.staging.path().join("copy");
    let error = place.fetch(&place.target(), &copy).await.unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert!(!copy.exists());
}

#[tokio::test]
async fn what_fails_leaves_the_target_and_no_part() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), without());
    let place = Place::over(&connect(&sshd).await);
    fs::write(place.target(), "old").unwrap();
    fs::set_permissions(place.target(), Permissions::from_mode(0o644)).unwrap();
    let other = "0000000000000000000000000000000000000000000000000000000000000000";
    let error = place.install(|what| what.sha256 = other).await.unwrap_err();
    assert!(matches!(error, StagedError::Mismatch) && !error.leaves_part(), "{error:?}");
    place.target_is("old", 0o644, 0);
    let error = place.install(|what| what.staged = b"/nonexistent/file").await.unwrap_err();
    assert!(error.to_string().contains("copy the file: "), "{error}");
    place.target_is("old", 0o644, 0);
    let error = place.install(|what| what.part = b"/nonexistent/part").await.unwrap_err();
    assert!(error.to_string().contains("create a file there: "), "{error}");

    let copy = place.staging.path().join("copy");
    let missing = place.fetch(Path::new("/nonexistent"), &copy).await.unwrap_err();
    assert!(matches!(missing, StagedError::Missing), "{missing:?}");
    let directory = place.fetch(Path::new("/etc"), &copy).await.unwrap_err();
    assert!(matches!(directory, StagedError::NotAFile), "{directory:?}");
    assert!(!copy.exists());
}

#[tokio::test]
async fn what_is_planted_is_neither_followed_nor_replaced() {
    if !is_root() {
        return;
    }
    let (_sudoers, sshd) = (Sudoers::install(), without());
    let place = Place::over(&connect(&sshd).await);
    let precious = place.private.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let absent = place.private.path().join("absent");
    for goal in [&precious, &absent] {
        symlink(goal, place.part()).unwrap();
        let error = place.install(|_| {}).await.unwrap_err();
        assert!(error.to_string().contains("create"), "{error}");
        assert!(!place.target().exists());
        // It was there before us, so it is not ours to remove.
        assert!(place.part().is_symlink());
        let error = place.fetch(&place.staged(), &place.part()).await.unwrap_err();
        assert!(error.to_string().contains("create"), "{error}");
        remove(&place.texts.shell(), bytes(&place.part())).await.unwrap();
        assert!(!place.part().is_symlink());
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(!absent.exists());
    remove(&place.texts.shell(), bytes(&place.part())).await.unwrap();

    symlink(&precious, place.target()).unwrap();
    let error = place.install(|_| {}).await.unwrap_err();
    assert!(matches!(error, StagedError::Symlink), "{error:?}");
    fs::remove_file(place.target()).unwrap();
    fs::create_dir(place.target()).unwrap();
    let error = place.install(|_| {}).await.unwrap_err();
    assert!(matches!(error, StagedError::NotAFile), "{error:?}");
    assert_eq!(fs::read_dir(place.target()).unwrap().count(), 0);
}
