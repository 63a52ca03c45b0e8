//! Contents and attributes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use orchestrator::sftp::{Attributes, Extension, Open, Times};

use super::{bytes, session};

#[tokio::test]
async fn a_file_goes_there_and_back_in_pieces_all_under_way_at_once() {
    let sftp = session().await;
    assert_eq!((sftp.read_max(), sftp.write_max()), (255 * 1024, 255 * 1024));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let content: Bytes = (0..20_000_003_u32).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect();

    let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o640 }).await.unwrap();
    let piece = sftp.write_max();
    let writes = (0..content.len())
        .step_by(piece)
        .map(|at| file.write_at(at as u64, content.slice(at..content.len().min(at + piece))));
    try_join_all(writes).await.unwrap();
    file.sync().await.unwrap();
    assert_eq!(file.attributes().await.unwrap().size, Some(content.len() as u64));
    file.close().await.unwrap();
    assert!(fs::read(&path).unwrap() == content);

    let file = sftp.open(bytes(&path), Open::Read).await.unwrap();
    let reads: FuturesUnordered<_> = (0..content.len())
        .step_by(piece)
        .map(|at| {
            let file = &file;
            async move { file.read_at(at as u64, piece).await.map(|bytes| (at, bytes)) }
        })
        .collect();
    let mut pieces: Vec<(usize, Bytes)> = reads.try_collect().await.unwrap();
    pieces.sort_by_key(|(at, _)| *at);
    assert!(pieces.iter().flat_map(|(_, bytes)| bytes).eq(content.iter()));
    assert!(file.read_at(content.len() as u64, 1).await.unwrap().is_empty());
    file.close().await.unwrap();
}

#[tokio::test]
async fn a_long_write_becomes_several() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let content: Bytes = (0..3_000_000_u32).map(|i| (i / 1000) as u8).collect();
    let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await.unwrap();
    file.write_at(0, content.clone()).await.unwrap();
    file.close().await.unwrap();
    assert!(fs::read(&path).unwrap() == content);

    let file = sftp.open(bytes(&path), Open::Write).await.unwrap();
    file.write_at(1, Bytes::from_static(b"kept around me")).await.unwrap();
    file.close().await.unwrap();
    let changed = fs::read(&path).unwrap();
    assert_eq!((changed.len(), &changed[..16]), (content.len(), &b"\0kept around me\0"[..]));
}

#[tokio::test]
async fn attributes_are_read_and_set() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("f"), dir.path().join("l"));
    fs::write(&path, "12345").unwrap();
    symlink("f", &link).unwrap();

    let times = Times { accessed: 1_000_000_000, modified: 1_100_000_000 };
    let wanted = Attributes { times: Some(times), ..Attributes::with_mode(0o4751) };
    sftp.setstat(bytes(&path), &wanted).await.unwrap();
    let found = sftp.stat(bytes(&link)).await.unwrap();
    assert!(found.is_file());
    assert_eq!((found.size, found.mode(), found.times), (Some(5), Some(0o4751), Some(times)));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.mtime()), (0o4751, 1_100_000_000));
    assert_eq!(found.owner.unwrap().uid, metadata.uid());
    assert!(sftp.lstat(bytes(&link)).await.unwrap().is_symlink());

    let file = sftp.open(bytes(&path), Open::Write).await.unwrap();
    let shorter = Attributes { size: Some(2), ..Attributes::default() };
    file.set_attributes(&shorter).await.unwrap();
    assert_eq!(file.attributes().await.unwrap().size, Some(2));
}

#[tokio::test]
async fn names_are_made_moved_and_removed() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).into_os_string().into_encoded_bytes();

    sftp.mkdir(&path("d"), 0o750).await.unwrap();
    assert_eq!(sftp.stat(&path("d")).await.unwrap().mode(), Some(0o750));
    fs::write(dir.path().join("new"), "new").unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    assert!(sftp.rename(&path("new"), &path("old")).await.unwrap_err().is_failure());
    assert!(sftp.supports(Extension::PosixRename));
    sftp.posix_rename(&path("new"), &path("old")).await.unwrap();
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"new");
    sftp.rename(&path("old"), &path("d/moved")).await.unwrap();
    assert!(sftp.rmdir(&path("d")).await.unwrap_err().is_failure());

    sftp.symlink(b"d/moved", &path("link")).await.unwrap();
    assert_eq!(fs::read(dir.path().join("link")).unwrap(), b"new");
    assert_eq!(sftp.readlink(&path("link")).await.unwrap(), b"d/moved");
    assert_eq!(sftp.realpath(&path("d/../d/moved")).await.unwrap(), path("d/moved"));
    sftp.remove(&path("link")).await.unwrap();
    sftp.remove(&path("d/moved")).await.unwrap();
    sftp.rmdir(&path("d")).await.unwrap();
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn space_is_that_of_the_file_system() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let space = sftp.statvfs(bytes(dir.path())).await.unwrap();
    assert!(space.free_bytes > 0 && !space.read_only && space.free_inodes != Some(0), "{space:?}");
    let proc = sftp.statvfs(b"/proc").await.unwrap();
    assert_eq!((proc.free_bytes, proc.free_inodes), (0, None));
}
