use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::mode::Permissions;
use super::super::part_name::{is_part_name, part_name};
use super::*;

/// A directory that a host's files go to, and one beside it that they must not
/// reach.
struct Place {
    root: Root,
    inside: PathBuf,
    outside: PathBuf,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        for dir in [&inside, &outside] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(outside.join("secret"), "secret").unwrap();
        Self { root: Root::open(&inside).unwrap(), inside, outside, _dir: dir }
    }

    fn put(&self, path: &[u8], content: &str) -> Result<(), LocalError> {
        let mut part = Part::create(self.target(path)?, Permissions::Usual(0o644), |_| Ok(None))?;
        part.write(content.as_bytes())?;
        part.finish(None)
    }

    fn target(&self, path: &[u8]) -> Result<Target, LocalError> {
        Target::below(&self.root, &below(path))
    }

    fn untouched(&self) -> bool {
        tree(&self.outside) == BTreeMap::from([("secret".into(), "secret".into())])
    }
}

fn below(path: &[u8]) -> RelativePath {
    let names = path.split(|&byte| byte == b'/');
    names.fold(RelativePath::default(), |path, name| path.join(name).unwrap())
}

fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let content = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    files.map(|path| (path.file_name().unwrap().into(), content(&path))).collect()
}

fn parts(dir: &Path) -> usize {
    tree(dir).keys().filter(|name| is_part_name(name.as_os_str().as_bytes())).count()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn check_34_hostile_names_stay_inside() {
    let place = Place::new();
    let long = [b'x'; 4096];
    let refused: [(&[u8], SuspectName); 7] = [
        (b"", SuspectName::Empty),
        (b".", SuspectName::Dots),
        (b"..", SuspectName::Dots),
        (b"/etc/x", SuspectName::Slash),
        (b"a/../../out/x", SuspectName::Slash),
        (b"a\0b", SuspectName::Nul),
        (&long, SuspectName::TooLong),
    ];
    for (name, why) in refused {
        assert_eq!(check_name(name), Err(why));
        assert_eq!(RelativePath::default().join(name), Err(why));
    }
    // Odd, but names; the last comes twice, and once in capitals.
    let names: [&[u8]; 6] = [b"\x1b]0;x\x07", b"-rf", b"caf\xe9", b"a\nb", b"x", b"X"];
    for name in names.into_iter().chain([&b"x"[..]]) {
        place.put(name, "new").unwrap();
    }
    assert_eq!(tree(&place.inside).len(), names.len());
    // The host's directory becomes a link while its files arrive.
    place.root.make_dir(&below(b"d"), 0o755).unwrap();
    fs::remove_dir(place.inside.join("d")).unwrap();
    symlink(&place.outside, place.inside.join("d")).unwrap();
    let swapped = place.put(b"d/secret", "new").unwrap_err();
    assert_eq!(swapped.code(), "symlink_refused", "{swapped}");
    assert!(place.untouched());
}

#[test]
fn check_35_names_come_back_byte_for_byte() {
    let place = Place::new();
    let long = [b'n'; 255];
    for name in [&b"new\nline"[..], b"a b", b"it's \"q\"", b"-r", b"caf\xe9", b"$(x)", &long] {
        place.put(name, "x").unwrap();
        assert_eq!(fs::read(place.inside.join(OsStr::from_bytes(name))).unwrap(), b"x");
    }
    assert_eq!(parts(&place.inside), 0);
}

#[test]
fn paths() {
    let here = RelativePath::default();
    assert!(here.is_here() && here.split_last().is_none());
    let path = below(b"a/b/c");
    assert_eq!(path.as_bytes(), b"a/b/c");
    assert_eq!(path.split_last(), Some((below(b"a/b"), OsStr::new("c"))));
    assert_eq!(below(b"a").split_last(), Some((here.clone(), OsStr::new("a"))));
    assert_eq!(here.join_path(&path), Ok(path.clone()));
    assert_eq!(path.join_path(&here), Ok(path));
    let mut deep = here;
    let error = loop {
        match deep.join(&[b'd'; 255]) {
            Ok(path) => deep = path,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SuspectName::PathTooLong);
}

#[test]
fn no_step_below_the_root_follows_a_link() {
    let place = Place::new();
    symlink(&place.outside, place.inside.join("link")).unwrap();
    symlink("../out/secret", place.inside.join("file")).unwrap();
    fs::write(place.inside.join("plain"), "").unwrap();
    let refused = [
        place.root.enter(&below(b"link")).unwrap_err(),
        place.root.make_dir(&below(b"link"), 0o755).unwrap_err(),
        place.root.make_dir(&below(b"link/new"), 0o755).unwrap_err(),
        place.put(b"link/secret", "new").unwrap_err(),
        place.put(b"file", "new").unwrap_err(),
        place.root.open_file(OsStr::new("file"), rustix::fs::OFlags::RDONLY).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, LocalError::Symlink(_)), "{error}");
        assert!(error.hint().is_some());
    }
    let plain = place.root.make_dir(&below(b"plain/x"), 0o755).unwrap_err();
    assert!(matches!(plain, LocalError::NotDirectory(_)), "{plain}");
    // A link planted under the name of a file in the making is not followed.
    let part = place.inside.join(".x.part");
    symlink(place.outside.join("secret"), &part).unwrap();
    let planted = place.root.create(OsStr::new(".x.part"), 0o600).unwrap_err();
    assert!(planted.to_string().contains("exists"), "{planted}");
    assert!(place.untouched());
}

#[test]
fn directories_are_made_with_their_mode_and_can_be_filled() {
    let place = Place::new();
    place.root.make_dir(&below(b"a/b/c"), 0o6500).unwrap();
    assert_eq!(mode(&place.inside.join("a/b/c")), 0o700);
    place.put(b"a/b/c/x", "x").unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let made = place.root.enter(&below(b"a/b")).unwrap();
    made.set(Some(0o510), Some(long_ago)).unwrap();
    let found = place.root.enter(&below(b"a")).unwrap().look(OsStr::new("b")).unwrap().unwrap();
    assert_eq!((found.mode, found.mtime), (0o510, long_ago));
    place.root.make_dir(&below(b"a/b"), 0o777).unwrap();
    assert_eq!(mode(&place.inside.join("a/b")), 0o510, "what was there is left alone");
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let place = Place::new();
    let path = place.inside.join("x");
    fs::write(&path, "old").unwrap();
    let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    let target = Target::named(&path).unwrap();
    assert_eq!(target.existing().unwrap().size, 3);
    let mut part = Part::create(target, Permissions::Usual(0o644), |_| Ok(None)).unwrap();
    part.write(b"new ").unwrap();
    part.write(b"content").unwrap();
    assert_eq!(mode(&part.path()), 0o600);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    part.finish(Some(before)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new content");
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    assert_eq!(tree(&place.inside).len(), 1);
}

#[test]
fn what_is_not_finished_is_removed() {
    let place = Place::new();
    fs::write(place.inside.join("x"), "old").unwrap();
    let mut part =
        Part::create(place.target(b"x").unwrap(), Permissions::Usual(0o644), |_| Ok(None)).unwrap();
    part.write(b"new").unwrap();
    assert_eq!(parts(&place.inside), 1);
    drop(part);
    assert_eq!(tree(&place.inside), BTreeMap::from([("x".into(), "old".into())]));
}

#[test]
fn what_is_kept_can_be_gone_on_with() {
    let place = Place::new();
    let usual = Permissions::Usual(0o644);
    let mut part = Part::create(place.target(b"x").unwrap(), usual, |_| Ok(None)).unwrap();
    part.write(b"begun ").unwrap();
    part.keep();
    let kept = part.path();
    drop(part);
    let name = kept.file_name().unwrap().as_bytes();
    let target = || place.target(b"x").unwrap();
    let mut part = Part::take_over(target(), name, usual, None).unwrap();
    assert_eq!((part.len(), part.path()), (6, kept.clone()));
    let live = Part::take_over(target(), name, usual, None).unwrap_err();
    assert!(live.to_string().contains("another transfer"), "{live}");
    part.write(b"done").unwrap();
    part.finish(None).unwrap();
    assert_eq!(fs::read(place.inside.join("x")).unwrap(), b"begun done");
    assert_eq!(tree(&place.inside).len(), 1);
}

#[test]
fn only_our_own_part_is_taken_over() {
    let place = Place::new();
    let named = |target: &[u8]| part_name(target).unwrap();
    let take = |name: &[u8]| {
        let target = place.target(b"x").unwrap();
        Part::take_over(target, name, Permissions::Usual(0o644), None).unwrap_err()
    };
    let path = |name: &[u8]| place.inside.join(OsStr::from_bytes(name));
    let (link, hard, fifo, other) = (named(b"x"), named(b"x"), named(b"x"), named(b"y"));
    symlink(place.outside.join("secret"), path(&link)).unwrap();
    fs::hard_link(place.outside.join("secret"), path(&hard)).unwrap();
    mkfifoat(CWD, path(&fifo), Mode::RUSR).unwrap();
    fs::write(path(&other), "").unwrap();
    for (name, code) in [
        (&link, "symlink_refused"),
        (&hard, "not_resumable"),
        (&fifo, "not_a_regular_file"),
        (&other, "not_resumable"),
        (&named(b"x"), "not_found"),
        (&b"../out/secret".to_vec(), "not_resumable"),
    ] {
        assert_eq!(take(name).code(), code);
    }
    assert!(is_root(), "this test gives a file away: run it as root");
    let foreign = named(b"x");
    fs::write(path(&foreign), "").unwrap();
    std::os::unix::fs::chown(path(&foreign), Some(12345), None).unwrap();
    assert_eq!(take(&foreign).code(), "not_resumable");
    assert!(place.untouched());
}

#[test]
fn a_link_that_the_operator_named_stays() {
    let place = Place::new();
    let link = place.inside.join("link");
    symlink("../out/secret", &link).unwrap();
    let target = Target::named(&link).unwrap();
    Part::create(target, Permissions::Usual(0o644), |_| Ok(None)).unwrap().finish(None).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(place.outside.join("secret")).unwrap(), b"");
    let dangling = place.inside.join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert_eq!(Target::named(&dangling).unwrap_err().code(), "not_found");
}

#[test]
fn only_a_regular_file_is_replaced() {
    let place = Place::new();
    mkfifoat(CWD, place.inside.join("pipe"), Mode::RUSR).unwrap();
    let code = |path: &Path| Target::named(path).unwrap_err().code();
    assert_eq!(code(&place.inside), "is_a_directory");
    assert_eq!(code(&place.inside.join("..")), "is_a_directory");
    assert_eq!(code(Path::new("/")), "is_a_directory");
    assert_eq!(code(&place.inside.join("pipe")), "not_a_regular_file");
    assert_eq!(code(Path::new("/dev/null")), "not_a_regular_file");
    assert_eq!(code(&place.inside.join("missing/x")), "not_found");
    assert_eq!(code(&place.inside.join("pipe/x")), "not_a_directory");
    assert_eq!(code(&place.inside.join("n".repeat(256))), "suspect_name");
    let here = Target::below(&place.root, &RelativePath::default()).unwrap_err();
    assert_eq!(here.code(), "is_a_directory");
}

#[test]
fn check_43_modes() {
    let place = Place::new();
    let path = place.inside.join("x");
    let finish = |permissions| {
        let part = Part::create(place.target(b"x").unwrap(), permissions, |_| Ok(None)).unwrap();
        assert_eq!(mode(&part.path()), 0o600);
        part.finish(None).unwrap();
        mode(&path)
    };
    let umask = umask();
    for bits in [0o777, 0o666, 0o644, 0o400, 0o6755] {
        let _ = fs::remove_file(&path);
        assert_eq!(finish(Permissions::Usual(bits)), bits & 0o777 & !umask, "{bits:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    assert_eq!(finish(Permissions::Usual(0o644)), 0o751, "an existing file keeps its mode");
    for bits in [0o777, 0o4755, 0o1000, 0o000] {
        assert_eq!(finish(Permissions::Exactly(bits)), bits);
    }
    let usual = Permissions::Usual(0o666);
    let mut part = Part::create(place.target(b"y").unwrap(), usual, |_| Ok(None)).unwrap();
    part.keep();
    let left = part.path();
    // Whoever made it is gone, and its lock with it.
    drop(part);
    let name = left.file_name().unwrap().as_bytes();
    Part::take_over(place.target(b"y").unwrap(), name, usual, None).unwrap().finish(None).unwrap();
    assert_eq!(mode(&place.inside.join("y")), 0o666 & !umask);
    let target = place.target(b"y").unwrap();
    target.leave(Permissions::Usual(0o777), None).unwrap();
    assert_eq!(mode(&place.inside.join("y")), 0o666 & !umask);
    let long_ago = SystemTime::UNIX_EPOCH;
    target.leave(Permissions::Exactly(0o640), Some(long_ago)).unwrap();
    assert_eq!(mode(&place.inside.join("y")), 0o640);
    assert_eq!(target.open().unwrap().metadata().unwrap().modified().unwrap(), long_ago);
}

/// The test above in processes with another umask.
#[test]
fn check_43_modes_under_any_umask() {
    let this = std::env::current_exe().unwrap();
    for umask in ["000", "077", "027", "777"] {
        let line =
            format!("umask {umask}; exec \"$0\" --exact transfer::local::tests::check_43_modes");
        let output = Command::new("/bin/sh").arg("-c").arg(line).arg(&this).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{umask}: {said}");
    }
}

fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(umask.trim(), 8).unwrap()
}

#[test]
fn the_owner_stays_where_we_may_give_files_away() {
    assert!(is_root(), "this test gives a file away: run it as root");
    let place = Place::new();
    let path = place.inside.join("x");
    fs::write(&path, "old").unwrap();
    std::os::unix::fs::chown(&path, Some(12345), Some(23456)).unwrap();
    place.put(b"x", "new").unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid()), (12345, 23456));
}

#[test]
fn links_are_made_only_if_they_stay_inside() {
    let place = Place::new();
    place.root.make_dir(&below(b"a/b"), 0o755).unwrap();
    let link = |path: &[u8], target: &[u8]| place.root.link(&below(path), target).unwrap();
    for target in [&b"x"[..], b"../x", b"../../x", b"./b/x", b"..", b"../..", b"x//y/"] {
        assert_eq!(link(b"a/b/l", target), Link::Made);
        let made = fs::read_link(place.inside.join("a/b/l")).unwrap();
        assert_eq!(made.as_os_str().as_bytes(), target);
    }
    assert_eq!(
        place.root.enter(&below(b"a/b")).unwrap().read_link("l".as_ref()).unwrap(),
        b"x//y/"
    );
    for target in [
        &b""[..],
        b"/etc/passwd",
        b"../../../x",
        b"x/../../../../y",
        b"l/../x",
        b"a\0b",
        b"../../..",
    ] {
        assert_eq!(link(b"a/b/unsafe", target), Link::Unsafe);
    }
    assert_eq!(link(b"l", b".."), Link::Unsafe);
    assert!(!place.inside.join("a/b/unsafe").exists());
    let taken = place.root.link(&below(b"a"), b"x").unwrap_err();
    assert_eq!(taken.code(), "is_a_directory");
    assert_eq!(parts(&place.inside), 0);
    assert!(place.root.link(&RelativePath::default(), b"x").is_err());
}

#[test]
fn causes_in_plain_words() {
    for (errno, cause, code) in [
        (Errno::NOSPC, "the disk here is full, or has no inode left", "disk_full"),
        (Errno::DQUOT, "the disk quota here is used up", "quota_exceeded"),
        (Errno::ROFS, "the file system here is read-only", "read_only"),
        (Errno::FBIG, "the file is too large for that file system", "file_too_large"),
        (Errno::ACCESS, "permission denied", "permission_denied"),
        (Errno::ISDIR, "it is a directory", "is_a_directory"),
        (Errno::NAMETOOLONG, "the name is too long for that file system", "name_too_long"),
    ] {
        let error = LocalError::io("write", Path::new("/x/y"), errno);
        assert_eq!(error.to_string(), format!("cannot write /x/y: {cause}"));
        let failure = error.failure();
        assert_eq!((failure.code, failure.retryable), (code, false));
    }
    let other = LocalError::io("write", Path::new("/x"), Errno::IO).to_string();
    assert!(other.contains("os error 5"), "{other}");
}

/// A file system with these options, gone with this value.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(options: &str) -> Self {
        assert!(is_root(), "this test mounts a small file system: run it as root");
        let dir = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", options, "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(dir.path()).status().unwrap().success());
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn check_41_a_full_disk_leaves_the_old_file() {
    let disk = Disk::new("size=1m");
    let path = disk.path().join("x");
    fs::write(&path, "old").unwrap();
    let part = Part::create(Target::named(&path).unwrap(), Permissions::Usual(0o644), |_| Ok(None))
        .unwrap();
    let mut sink = Sink::new(part, Sha256::new(), 256 << 10);
    let error = loop {
        if let Err(error) = sink.write(Bytes::from(vec![7; 64 << 10])).await {
            break error;
        }
    };
    let expected = format!("cannot write {}: the disk here is full", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(tree(disk.path()), BTreeMap::from([("x".into(), "old".into())]));
}

#[test]
fn check_41_no_inode_and_a_read_only_disk() {
    let disk = Disk::new("size=1m,nr_inodes=2");
    let path = disk.path().join("x");
    fs::write(&path, "old").unwrap();
    let create = || {
        Part::create(Target::named(&path).unwrap(), Permissions::Usual(0o644), |_| Ok(None))
            .unwrap_err()
    };
    let full = create();
    assert_eq!(full.code(), "disk_full", "{full}");
    let remount = ["-o", "remount,ro"];
    assert!(Command::new("mount").args(remount).arg(disk.path()).status().unwrap().success());
    let read_only = create();
    assert_eq!(read_only.code(), "read_only", "{read_only}");
    assert!(read_only.to_string().contains(disk.path().to_str().unwrap()));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[tokio::test]
async fn what_arrives_is_written_and_hashed_in_order() {
    let place = Place::new();
    let mut part =
        Part::create(place.target(b"x").unwrap(), Permissions::Usual(0o644), |_| Ok(None)).unwrap();
    part.write(b"prefix").unwrap();
    let mut expected = b"prefix".to_vec();
    let mut sink = Sink::new(part, Sha256::new_with_prefix(b"prefix"), 256 << 10);
    for round in 0..200_u8 {
        let bytes = vec![round; 1 + usize::from(round) * 97];
        expected.extend_from_slice(&bytes);
        sink.write(bytes.into()).await.unwrap();
    }
    let written = sink.end().await.unwrap();
    assert_eq!(written.part.len(), expected.len() as u64);
    assert_eq!(written.hash.finalize(), Sha256::digest(&expected));
    written.part.finish(None).unwrap();
    assert_eq!(fs::read(place.inside.join("x")).unwrap(), expected);
}

#[tokio::test]
async fn a_sink_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let part =
        Part::create(place.target(b"x").unwrap(), Permissions::Usual(0o644), |_| Ok(None)).unwrap();
    let mut sink = Sink::new(part, Sha256::new(), 256 << 10);
    sink.write(Bytes::from(vec![1; 1 << 20])).await.unwrap();
    drop(sink);
    // A batch that was being written is finished first.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while parts(&place.inside) > 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}
