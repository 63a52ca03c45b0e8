use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::pen::{CHUNK, Pen, Place};
use super::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes of which no two places look alike.
fn noise(len: usize) -> Vec<u8> {
    (0..len.div_ceil(4) as u32).flat_map(u32::to_le_bytes).take(len).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn on_disk(dir: &Path) -> Keep {
    Keep { spool: Spool::new(Some(dir.join("spool"))), file: None }
}

async fn collect(max: usize, keep: Keep, bytes: &[u8]) -> Captured {
    let mut collector = Collector::new(max, keep);
    for chunk in bytes.chunks(10_007) {
        collector.push(chunk);
        if collector.is_full() {
            collector.room().await;
        }
    }
    collector.finish().await
}

#[tokio::test]
async fn every_size_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let keep = on_disk(dir.path());
    let mut sizes = vec![0, 1, 600 * KIB, 3 * MIB - 1, 3 * MIB];
    for edge in [128 * KIB, 256 * KIB, 256 * KIB + CHUNK, 3 * MIB - 128 * KIB] {
        sizes.extend([edge - 1, edge, edge + 1]);
    }
    for size in sizes {
        let bytes = noise(size);
        let kept = collect(3 * MIB, keep.clone(), &bytes).await;
        assert!(!kept.truncated(), "{size}");
        assert_eq!((kept.len(), kept.kept()), (size as u64, size as u64));
        assert!(kept.to_bytes() == bytes, "{size}");
        assert_eq!(kept.sha256(), sha256(&bytes));
        let mut read = Vec::new();
        kept.reader().read_to_end(&mut read).unwrap();
        assert!(read == bytes, "{size}");
        let (head, tail) = kept.ends(1000);
        let whole = size <= 1000;
        assert_eq!(head, if whole { &bytes[..] } else { &bytes[..500] }, "{size}");
        assert_eq!(tail, if whole { &[][..] } else { &bytes[size - 500..] }, "{size}");
    }
}

#[tokio::test]
async fn beyond_the_cap_the_end_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(5 * MIB);
    for size in [MIB + 1, 5 * MIB] {
        let bytes = &bytes[..size];
        let kept = collect(MIB, on_disk(dir.path()), bytes).await;
        assert_eq!(kept.cut(), Some(&Cut::Cap(MIB as u64)));
        assert_eq!((kept.len(), kept.kept()), (size as u64, MIB as u64));
        assert_eq!(kept.sha256(), sha256(bytes));
        let head = MIB - 128 * KIB;
        let note = format!("\n[{} bytes left out here]\n", size - MIB);
        let tail = &bytes[size - 128 * KIB..];
        assert!(kept.to_bytes() == [&bytes[..head], note.as_bytes(), tail].concat());
        let (front, back) = kept.ends(MIB);
        assert!(front == bytes[..head] && back == tail);
    }
}

#[tokio::test]
async fn streams_of_one_run_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let keep = on_disk(dir.path());
    let all: Vec<Vec<u8>> = (0..4_usize).map(|n| noise(2 * MIB)[n * 1000..].to_vec()).collect();
    let mut collectors: Vec<_> =
        all.iter().map(|_| Collector::new(MIB << 3, keep.clone())).collect();
    for at in 0..200 {
        for (collector, bytes) in collectors.iter_mut().zip(&all) {
            collector.push(bytes.chunks(20_000).nth(at).unwrap_or_default());
            collector.room().await;
        }
    }
    for (collector, bytes) in collectors.into_iter().zip(&all) {
        assert!(collector.finish().await.to_bytes() == *bytes);
    }
}

#[tokio::test]
async fn nothing_is_left_and_nothing_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let kept = collect(8 * MIB, on_disk(dir.path()), &noise(4 * MIB)).await;
    let spool = dir.path().join("spool");
    assert_eq!(fs::metadata(&spool).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    let open = || {
        let links = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        links.filter(|link| link.starts_with(&spool)).count()
    };
    assert_eq!(open(), 1);
    drop(kept.clone());
    assert_eq!(open(), 1);
    drop(kept);
    assert_eq!(open(), 0);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_fails_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spool"), "in the way").unwrap();
    let bytes = noise(2 * MIB);
    let kept = collect(8 * MIB, on_disk(dir.path()), &bytes).await;
    assert!(
        matches!(kept.cut(), Some(Cut::Disk(why)) if why.contains("spool")),
        "{:?}",
        kept.cut()
    );
    assert_eq!((kept.len(), kept.sha256()), (2 * MIB as u64, sha256(&bytes).as_str()));
    assert!(kept.to_bytes().ends_with(&bytes[2 * MIB - 128 * KIB..]));
}

#[tokio::test]
async fn without_a_disk_a_run_has_so_much_memory() {
    let keep = Keep::default();
    let bytes = noise(40 * MIB);
    let first = collect(100 * MIB, keep.clone(), &bytes).await;
    assert!(!first.truncated());
    let second = collect(100 * MIB, keep.clone(), &bytes).await;
    assert_eq!(second.cut(), Some(&Cut::Memory));
    assert!(second.kept() <= 25 * MIB as u64);
    assert_eq!(second.sha256(), first.sha256());
    drop((first, second));
    assert!(!collect(100 * MIB, keep, &bytes).await.truncated());
}

/// A disk that writes when it is told to.
#[derive(Clone, Default)]
struct Stuck(Arc<Mutex<Vec<u8>>>);

impl Place for Stuck {
    type Done = ();

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_disk_is_waited_for_by_whoever_can() {
    let disk = Stuck::default();
    let mut pen = Pen::new(disk.clone(), CHUNK);
    let bytes = noise(3 * CHUNK);
    {
        let held = disk.0.lock().unwrap();
        pen.push(&bytes[..CHUNK]);
        assert!(!pen.is_full());
        pen.push(&bytes[CHUNK..]);
        assert!(pen.is_full());
        drop(held);
    }
    pen.room().await;
    assert!(!pen.is_full());
    let written = pen.close().await;
    assert!(written.trouble.is_none() && written.left.is_empty());
    assert!(*disk.0.lock().unwrap() == bytes);
}

#[tokio::test]
async fn a_stuck_disk_is_given_up_by_whoever_cannot_wait() {
    let disk = Stuck::default();
    let mut pen = Pen::new(disk.clone(), CHUNK);
    let held = disk.0.lock().unwrap();
    (0..8).for_each(|_| pen.push(&[b'x'; MIB]));
    assert_eq!(pen.trouble(), Some("the disk is too slow"));
    assert!(!pen.is_full());
    drop(held);
}

fn host() -> crate::ids::VmId {
    "vm01".parse().unwrap()
}

async fn copied(dir: &OutputDir, bytes: &[u8]) -> OutputCopy {
    let keep = Keep { file: Some(dir.file(&host(), None, MIB as u64)), ..Keep::default() };
    collect(0, keep, bytes).await.copy().unwrap().clone()
}

#[tokio::test]
async fn a_file_has_the_bytes_of_one_attempt() {
    let parent = tempfile::tempdir().unwrap();
    let dir = OutputDir::open(&parent.path().join("out")).unwrap();
    let path = parent.path().join("out/vm01");
    let bytes = noise(700 * KIB);
    for bytes in [&bytes[..], b"again", b""] {
        let copy = copied(&dir, bytes).await;
        assert_eq!(copy, OutputCopy { path: path.clone(), cut: None });
        assert!(fs::read(&path).unwrap() == bytes);
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let long = copied(&dir, &noise(MIB + 1)).await;
    assert_eq!(long.cut, Some(Cut::Cap(MIB as u64)));
    assert!(fs::read(&path).unwrap() == noise(MIB));
}

#[tokio::test]
async fn no_link_is_followed_and_no_directory_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, path) = (dir.path().join("victim"), dir.path().join("vm01"));
    fs::write(&victim, "safe").unwrap();
    symlink(&victim, &path).unwrap();
    let output = OutputDir::open(dir.path()).unwrap();
    output.clear(&host(), None).unwrap();
    assert!(!path.is_symlink());
    symlink(&victim, &path).unwrap();
    assert_eq!(copied(&output, b"bytes").await.cut, None);
    assert_eq!(fs::read(&victim).unwrap(), b"safe");
    assert_eq!(fs::read(&path).unwrap(), b"bytes");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(output.clear(&host(), None).is_err());
    assert!(matches!(copied(&output, b"bytes").await.cut, Some(Cut::Disk(_))));
    assert!(OutputDir::open(&victim).is_err());
}
