//! What is there already is not moved again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use orchestrator::outcome::Effect;
use orchestrator::remote::Transfer;

use super::Site;
use super::content::noise;
use super::site::{moves, one};
use crate::support::Direction;

/// What tells whether a file was written or replaced.
fn identity(path: &Path) -> (u64, i64, i64) {
    let found = fs::metadata(path).unwrap();
    (found.ino(), found.mtime(), found.mtime_nsec())
}

#[tokio::test]
async fn an_unchanged_file_is_neither_sent_nor_touched() {
    let (site, proxy) = Site::behind_proxy();
    let orchestrator = site.orchestrator();
    let content = noise(500_000, 1);
    let (here, there) = (site.write_here("x", &content), site.there("x"));
    let back = site.here("back");
    one(&moves(&orchestrator, Transfer::upload(&here, &there)).await);
    one(&moves(&orchestrator, Transfer::download(&there, &back)).await);
    let moved = || proxy.bytes(Direction::ToServer) + proxy.bytes(Direction::ToClient);
    let (before, bytes) = ([identity(&there), identity(&back)], moved());
    for transfer in [Transfer::upload(&here, &there), Transfer::download(&there, &back)] {
        let result = moves(&orchestrator, transfer).await;
        let file = one(&result);
        assert!(file.unchanged && file.sha256.is_some(), "{file:?}");
        assert_eq!(result.effect, Effect::Absent);
    }
    assert!(moved() - bytes < 50_000, "{} bytes", moved() - bytes);
    assert_eq!([identity(&there), identity(&back)], before);

    // Mode and time still apply.
    for path in [&there, &back] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let time = fs::metadata(&here).unwrap().mtime();
    for transfer in [Transfer::upload(&here, &there), Transfer::download(&there, &back)] {
        assert!(one(&moves(&orchestrator, transfer.mode(0o4711).preserve(true)).await).unchanged);
    }
    for path in [&there, &back] {
        let found = fs::metadata(path).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (0o4711, time), "{path:?}");
    }
    assert_eq!(identity(&there).0, before[0].0);
}

/// The same size and time prove nothing.
#[tokio::test]
async fn a_file_of_the_same_size_and_time_is_replaced() {
    let site = Site::new();
    let (here, there) = (site.write_here("x", "new"), site.write_there("x", "old"));
    let time = fs::metadata(&here).unwrap().modified().unwrap();
    let file = fs::File::open(&there).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    assert!(!one(&site.push("x", "x").await).unchanged);
    assert_eq!(fs::read(&there).unwrap(), b"new");
    fs::write(&there, "two").unwrap();
    assert!(!one(&site.pull("x", "x").await).unchanged);
    assert_eq!(fs::read(&here).unwrap(), b"two");
}

#[tokio::test]
async fn of_a_tree_only_what_differs_is_moved() {
    let site = Site::new();
    fs::create_dir(site.here("tree")).unwrap();
    for i in 0..10 {
        site.write_here(&format!("tree/{i}"), format!("content {i}"));
    }
    let push = || Transfer::upload(site.here("tree/."), site.there("tree")).recursive(true);
    assert!(site.moves(push()).await.success());
    site.write_here("tree/3", "changed 3");
    site.write_here("tree/4", "longer than before");
    let result = site.moves(push()).await;
    let files = result.transfer.unwrap().files;
    let changed: Vec<_> = files.iter().filter(|file| !file.unchanged).collect();
    assert_eq!((files.len(), changed.len()), (10, 2), "{changed:?}");
    assert_eq!(fs::read(site.there("tree/3")).unwrap(), b"changed 3");
    assert_eq!(result.effect, Effect::Present);
}
