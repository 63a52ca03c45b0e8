use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::symlink;

use rustix::fs::mkfifoat;

use super::*;

fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    fs::write(&path, content).unwrap();
    (dir, path)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at / 1001) as u8).collect()
}

async fn drain(reader: &mut Reader, chunk: usize) -> Result<Vec<u8>, LocalError> {
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await? {
        assert!(!bytes.is_empty() && bytes.len() <= chunk);
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn chunks_and_their_hash() {
    for length in [0, 1, 32767, 32768, 32769, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        let content = content(length);
        let (_dir, path) = file(&content);
        for chunk in [32768, 261_120, 2 * BATCH] {
            let mut reader = Source::named(&path).unwrap().read(Prefix::nothing(), chunk);
            assert!(drain(&mut reader, chunk).await.unwrap() == content, "{length}");
            assert_eq!(reader.hash().finalize(), Sha256::digest(&content));
        }
    }
}

#[tokio::test]
async fn going_on_after_a_prefix() {
    let content = content(BATCH * 2 + 100);
    let (_dir, path) = file(&content);
    let source = Source::named(&path).unwrap();
    let cancel = CancellationToken::new();
    for most in [0, 1, BATCH, BATCH + 1, content.len()] {
        let prefix = source.hash(most as u64, &cancel).await.unwrap();
        assert_eq!(prefix.bytes, most as u64);
        assert_eq!(prefix.hash.clone().finalize(), Sha256::digest(&content[..most]));
        let mut reader = source.read(prefix, 1000);
        assert!(drain(&mut reader, 1000).await.unwrap() == content[most..]);
        assert_eq!(reader.hash().finalize(), Sha256::digest(&content));
    }
    let whole = source.hash(u64::MAX, &cancel).await.unwrap();
    assert_eq!(whole.bytes, content.len() as u64);
    cancel.cancel();
    let cancelled = source.hash(u64::MAX, &cancel).await.unwrap_err();
    assert!(matches!(cancelled, LocalError::Cancelled));
}

#[tokio::test]
async fn check_39_a_source_that_changes_is_found() {
    type Change = fn(&Path);
    let append: Change =
        |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap();
    let cut: Change = |path| OpenOptions::new().write(true).open(path).unwrap().set_len(9).unwrap();
    let rewrite: Change = |path| {
        let length = fs::metadata(path).unwrap().len() as usize;
        fs::write(path, vec![b'y'; length]).unwrap();
    };
    let replace: Change = |path| {
        fs::write(path.with_extension("new"), fs::read(path).unwrap()).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    let remove: Change = |path| fs::remove_file(path).unwrap();
    for change in [append, cut, rewrite, replace, remove] {
        let (dir, path) = file(&content(4 * BLOCK));
        // So that the change has another time.
        let long_ago = SystemTime::UNIX_EPOCH;
        File::open(&path).unwrap().set_modified(long_ago).unwrap();
        let root = Root::open(dir.path()).unwrap();
        for source in [Source::named(&path), Source::within(&root, OsStr::new("x"))] {
            let source = source.unwrap();
            source.unchanged().unwrap();
            assert_eq!(source.mtime().unwrap(), long_ago);
        }
        let source = Source::within(&root, OsStr::new("x")).unwrap();
        let mut reader = source.read(Prefix::nothing(), 1 << 10);
        reader.next().await.unwrap().unwrap();
        change(&path);
        let error = drain(&mut reader, 1 << 10).await.unwrap_err();
        assert!(matches!(error, LocalError::Changed(_)), "{error}");
        assert!(source.unchanged().is_err());
        assert!(reader.next().await.unwrap().is_none());
    }
}

#[test]
fn only_regular_files_are_opened() {
    let (dir, path) = file(b"content");
    let root = Root::open(dir.path()).unwrap();
    symlink(&path, dir.path().join("link")).unwrap();
    mkfifoat(CWD, dir.path().join("pipe"), Mode::RUSR).unwrap();
    assert_eq!(Source::named(&dir.path().join("link")).unwrap().size(), 7);
    let named = |name: &str| Source::named(&dir.path().join(name)).unwrap_err().code();
    let within = |name: &str| Source::within(&root, OsStr::new(name)).unwrap_err().code();
    assert_eq!(named("pipe"), "not_a_regular_file");
    assert_eq!(within("pipe"), "not_a_regular_file");
    assert_eq!(within("link"), "symlink_refused");
    assert_eq!(named("."), "is_a_directory");
    assert_eq!(named("none"), "not_found");
    assert_eq!(within("none"), "not_found");
    assert_eq!(Source::named(Path::new("/dev/zero")).unwrap_err().code(), "not_a_regular_file");
}

#[tokio::test]
async fn a_large_file_is_hashed_and_read_in_little_memory() {
    let (_dir, path) = file(b"");
    let length = 256 << 20;
    File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    let source = Source::named(&path).unwrap();
    let before = resident();
    let prefix = source.hash(length / 2, &CancellationToken::new()).await.unwrap();
    assert_eq!(prefix.bytes, length / 2);
    let mut reader = source.read(prefix, 261_120);
    let mut read = 0;
    while let Some(bytes) = reader.next().await.unwrap() {
        read += bytes.len() as u64;
    }
    assert_eq!(read, length / 2);
    // Other tests run beside this one.
    let more = resident().saturating_sub(before);
    assert!(more < 100 << 20, "{more} bytes");
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn hosts(count: usize, path: &Path) -> (Vec<(Source, Reader)>, Arc<Volume>) {
    let shelf = Shelf::new(count);
    let sources: Vec<Source> = (0..count).map(|_| Source::named(path).unwrap()).collect();
    let volume = shelf.volume(&sources[0]);
    let readers = sources.into_iter().map(|source| {
        assert!(Arc::ptr_eq(&volume, &shelf.volume(&source)));
        let reader = shelf.read(&source, &volume, 32768);
        (source, reader)
    });
    (readers.collect(), volume)
}

fn reads(volume: &Volume) -> usize {
    volume.reads.load(std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn one_read_and_one_hash_for_all_hosts() {
    let content = content(3 * BLOCK + 5);
    let (_dir, path) = file(&content);
    let (readers, volume) = hosts(5, &path);
    let all = readers.into_iter().map(|(_, mut reader)| async move {
        let read = drain(&mut reader, 32768).await.unwrap();
        (read, reader.hash().finalize())
    });
    for (read, hash) in futures_util::future::join_all(all).await {
        assert!(read == content);
        assert_eq!(hash, Sha256::digest(&content));
    }
    assert_eq!(reads(&volume), 4);
    // Whoever wants only the digest need not read.
    let source = Source::named(&path).unwrap();
    let whole = volume.hash_whole(&source, &CancellationToken::new()).await.unwrap();
    assert_eq!(whole.finalize(), Sha256::digest(&content));
    assert_eq!(reads(&volume), 4);
}

#[tokio::test]
async fn a_host_that_falls_behind_reads_for_itself() {
    // More than is kept.
    let content = content(40 * BLOCK);
    let (_dir, path) = file(&content);
    let (mut readers, volume) = hosts(2, &path);
    let (_, mut slow) = readers.pop().unwrap();
    let (_, mut fast) = readers.pop().unwrap();
    let mut begun = slow.next().await.unwrap().unwrap().to_vec();
    assert!(drain(&mut fast, 32768).await.unwrap() == content);
    assert_eq!(fast.hash().finalize(), Sha256::digest(&content));
    assert_eq!(reads(&volume), 40);
    begun.extend(drain(&mut slow, 32768).await.unwrap());
    assert!(begun == content);
    assert_eq!(slow.hash().finalize(), Sha256::digest(&content));
    assert!(reads(&volume) > 40);
}

#[tokio::test]
async fn check_39_a_change_between_two_hosts_is_found() {
    let (_dir, path) = file(&content(40 * BLOCK));
    File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let (mut readers, _) = hosts(2, &path);
    let (source, mut slow) = readers.pop().unwrap();
    let (_, mut fast) = readers.pop().unwrap();
    slow.next().await.unwrap().unwrap();
    drain(&mut fast, 32768).await.unwrap();
    fs::write(&path, vec![b'y'; 40 * BLOCK]).unwrap();
    assert!(matches!(drain(&mut slow, 32768).await, Err(LocalError::Changed(_))));
    assert!(source.unchanged().is_err());
}

#[test]
fn small_files_are_read_once_too() {
    let (_dir, path) = file(b"small");
    let shelf = Shelf::new(3);
    let source = Source::named(&path).unwrap();
    let volume = shelf.volume(&source);
    for _ in 0..3 {
        assert_eq!(shelf.whole(&source, &volume).unwrap(), "small");
        assert_eq!(volume.hash().finalize(), Sha256::digest(b"small"));
    }
    assert_eq!(reads(&volume), 1);
    // Alone, nothing is kept.
    let alone = Shelf::new(1);
    let volume = alone.volume(&source);
    alone.whole(&source, &volume).unwrap();
    alone.whole(&source, &volume).unwrap();
    assert_eq!(reads(&volume), 2);
}

#[test]
fn the_more_hosts_the_less_is_under_way_to_each() {
    let shelf = Shelf::new(100);
    let piece = 255 * 1024;
    let mut sending = vec![shelf.sending()];
    assert_eq!(shelf.in_flight(piece), 16);
    sending.extend((1..50).map(|_| shelf.sending()));
    assert_eq!(shelf.in_flight(piece), 3);
    sending.extend((50..1000).map(|_| shelf.sending()));
    assert_eq!(shelf.in_flight(piece), 2);
    drop(sending);
    assert_eq!(shelf.in_flight(piece), 16);
}
