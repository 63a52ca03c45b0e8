//! Permissions, owners and times.

use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use orchestrator::remote::Transfer;

use super::Site;
use super::site::{moves, one};
use crate::support::{Shell, Sshd, is_root};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn age(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = fs::File::open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

const UMASKS: [u32; 4] = [0o022, 0o077, 0o000, 0o027];
const MODES: [u32; 7] = [0o644, 0o755, 0o600, 0o666, 0o777, 0o444, 0o4755];

#[tokio::test]
async fn check_43_a_new_file_has_the_sources_bits_under_the_hosts_umask() {
    for umask in UMASKS {
        let site = Site::after(&format!("umask {umask:03o}"));
        let orchestrator = site.orchestrator();
        for bits in MODES {
            let here = site.write_here(&format!("{bits:o}"), "x");
            set_mode(&here, bits);
            let there = site.there(format!("{bits:o}"));
            one(&moves(&orchestrator, Transfer::upload(&here, &there)).await);
            assert_eq!(mode(&there), bits & 0o777 & !umask, "{bits:o} under {umask:o}");
        }
        site.is_clean();
    }
}

#[tokio::test]
async fn check_43_an_existing_file_keeps_its_mode_and_owner() {
    assert!(is_root(), "this test gives files to others: run it as root");
    for umask in UMASKS {
        let site = Site::after(&format!("umask {umask:03o}"));
        let orchestrator = site.orchestrator();
        for bits in [0o640, 0o777, 0o400, 0o2751] {
            let name = format!("{bits:o}");
            let (here, there) = (site.write_here(&name, "new"), site.write_there(&name, "old"));
            set_mode(&here, 0o4755);
            chown(&there, Some(12_345), Some(54_321)).unwrap();
            set_mode(&there, bits);
            one(&moves(&orchestrator, Transfer::upload(&here, &there)).await);
            let found = fs::metadata(&there).unwrap();
            assert_eq!(fs::read(&there).unwrap(), b"new");
            assert_eq!((found.uid(), found.gid()), (12_345, 54_321), "{bits:o}");
            assert_eq!(mode(&there), bits, "{bits:o} under {umask:o}");
            // And here, where our own umask counts.
            let back = site.write_here("back", "old");
            chown(&back, Some(12_345), Some(54_321)).unwrap();
            set_mode(&back, 0o640);
            one(&moves(&orchestrator, Transfer::download(&there, &back)).await);
            let found = fs::metadata(&back).unwrap();
            assert_eq!((found.uid(), found.gid(), mode(&back)), (12_345, 54_321, 0o640));
            fs::remove_file(back).unwrap();
        }
    }
}

/// Who may not give files away makes nobody else's file setuid.
#[tokio::test]
async fn check_43_setuid_is_not_kept_by_another_owner() {
    let site = Site::of(Sshd::builder().login_shell(Shell::Dash).start());
    let (here, there) = (site.write_here("x", "new"), site.write_there("x", "old"));
    set_mode(&here, 0o644);
    set_mode(&there, 0o6755);
    one(&site.moves(Transfer::upload(&here, &there)).await);
    let found = fs::metadata(&there).unwrap();
    assert_ne!(found.uid(), 0);
    assert_eq!(mode(&there), 0o755);
}

#[tokio::test]
async fn check_43_an_explicit_mode_is_exact() {
    for umask in UMASKS {
        let site = Site::after(&format!("umask {umask:03o}"));
        let orchestrator = site.orchestrator();
        let here = site.write_here("x", "x");
        set_mode(&here, 0o604);
        for bits in [0o4755, 0o2755, 0o1777, 0o7777, 0o000, 0o666] {
            let (fresh, existing) = (site.there("fresh"), site.write_there("existing", "old"));
            set_mode(&existing, 0o611);
            let back = site.here("back");
            for transfer in [
                Transfer::upload(&here, &fresh),
                Transfer::upload(&here, &existing),
                Transfer::download(&fresh, &back),
            ] {
                one(&moves(&orchestrator, transfer.mode(bits)).await);
            }
            for path in [&fresh, &existing, &back] {
                assert_eq!(mode(path), bits, "{path:?} under {umask:o}");
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn check_43_preserving_takes_mode_and_time_and_no_setuid() {
    for umask in UMASKS {
        let site = Site::after(&format!("umask {umask:03o}"));
        let orchestrator = site.orchestrator();
        for bits in MODES {
            let name = format!("{bits:o}");
            let (here, there) = (site.write_here(&name, "x"), site.write_there(&name, "old"));
            set_mode(&here, bits);
            age(&here, 1_234_567_890);
            let back = site.here(format!("{name}.back"));
            one(&moves(&orchestrator, Transfer::upload(&here, &there).preserve(true)).await);
            set_mode(&there, bits);
            one(&moves(&orchestrator, Transfer::download(&there, &back).preserve(true)).await);
            for path in [&there, &back] {
                assert_eq!(fs::metadata(path).unwrap().mtime(), 1_234_567_890, "{path:?}");
            }
            assert_eq!(mode(&back), bits & 0o777, "{bits:o} under {umask:o}");
        }
    }
}

/// What `--mode` and `-p` say together: the mode of one, the time of the other.
#[tokio::test]
async fn check_43_an_explicit_mode_with_the_sources_time() {
    let site = Site::new();
    let here = site.write_here("x", "x");
    age(&here, 1_000_000_000);
    let transfer = Transfer::upload(&here, site.there("x")).preserve(true).mode(0o4711);
    one(&site.moves(transfer).await);
    assert_eq!(mode(&site.there("x")), 0o4711);
    assert_eq!(fs::metadata(site.there("x")).unwrap().mtime(), 1_000_000_000);
}

#[tokio::test]
async fn check_43_directories_too() {
    for umask in UMASKS {
        let site = Site::after(&format!("umask {umask:03o}"));
        let orchestrator = site.orchestrator();
        // The last can be read and not be written into.
        for (name, bits) in [("a", 0o755), ("b", 0o770), ("c", 0o2775), ("d", 0o555)] {
            fs::create_dir_all(site.here("tree").join(name)).unwrap();
            site.write_here(&format!("tree/{name}/f"), name);
            set_mode(&site.here("tree").join(name), bits);
            age(&site.here("tree").join(name), 1_111_111_111);
        }
        let push = |to: &str| Transfer::upload(site.here("tree"), site.there(to)).recursive(true);
        let pull = |to: &str| Transfer::download(site.there("kept"), site.here(to)).recursive(true);
        for transfer in
            [push("fresh"), push("kept").preserve(true), pull("back").preserve(true), pull("plain")]
        {
            let result = moves(&orchestrator, transfer).await;
            assert!(result.success(), "{:?}", result.failure);
        }
        for (name, bits) in [("a", 0o755), ("b", 0o770), ("c", 0o775), ("d", 0o555)] {
            assert_eq!(mode(&site.there("fresh").join(name)), bits & !umask, "{name} {umask:o}");
            for path in [site.there("kept").join(name), site.here("back").join(name)] {
                assert_eq!(mode(&path), bits, "{path:?}");
                assert_eq!(fs::metadata(&path).unwrap().mtime(), 1_111_111_111, "{path:?}");
            }
        }
        for name in ["a", "b", "c"] {
            let bits = mode(&site.here("tree").join(name)) & 0o777;
            assert_eq!(mode(&site.here("plain").join(name)), bits & 0o755, "{name}");
        }
        site.is_clean();
    }
}

/// An ordinary user's directories are no different.
#[tokio::test]
async fn check_43_a_directory_without_write_permission_is_filled_by_its_owner() {
    let site = Site::of(Sshd::builder().login_shell(Shell::Dash).start());
    fs::create_dir_all(site.here("tree/d/e")).unwrap();
    site.write_here("tree/d/e/f", "f");
    for dir in ["tree/d/e", "tree/d"] {
        set_mode(&site.here(dir), 0o555);
    }
    for _ in 0..2 {
        let transfer = Transfer::upload(site.here("tree"), site.there("tree/.")).recursive(true);
        let result = site.moves(transfer.mkdir(true)).await;
        assert!(result.success(), "{:?}", result.failure);
        assert_eq!(mode(&site.there("tree/d")), 0o555);
        assert_eq!(fs::read(site.there("tree/d/e/f")).unwrap(), b"f");
    }
}
