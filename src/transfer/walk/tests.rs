use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::super::landing::Present;
use super::*;

/// `dir` with some of everything, and `file`.
fn sources() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dir");
    fs::create_dir_all(dir.join("b/deep")).unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    fs::write(dir.join("a"), "a").unwrap();
    fs::write(dir.join("b/deep/x"), "xx").unwrap();
    fs::write(dir.join(OsString::from_vec(b"caf\xe9\n".to_vec())), "").unwrap();
    fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("..", dir.join("b/loop")).unwrap();
    mkfifoat(CWD, dir.join("pipe"), Mode::RUSR).unwrap();
    drop(UnixListener::bind(dir.join("socket")).unwrap());
    fs::write(place.path().join("file"), "file").unwrap();
    place
}

fn walk(place: &tempfile::TempDir, sources: &[&str], most: usize) -> Result<Tree, LocalError> {
    let sources: Vec<_> = sources.iter().map(|name| place.path().join(name).into()).collect();
    Tree::bounded(&sources, true, &CancellationToken::new(), most)
}

fn landed(tree: &Tree, target: Place) -> Vec<String> {
    let landings = tree.land(target).unwrap();
    let path = |entry| landings.of(entry).unwrap().as_bytes().escape_ascii().to_string();
    tree.entries.iter().map(path).collect()
}

const DIRECTORY: Place = Place { present: Present::Directory, ends_with_slash: false };
const MISSING: Place = Place { present: Present::Missing, ends_with_slash: false };

#[test]
fn everything_in_a_directory() {
    let place = sources();
    let tree = walk(&place, &["dir"], 100).unwrap();
    let expected =
        ["", "a", r"caf\xe9\n", "b", "b/loop", "b/deep", "b/deep/x", "empty"].map(String::from);
    assert_eq!(landed(&tree, MISSING), expected);
    let under: Vec<_> = landed(&tree, DIRECTORY);
    assert_eq!((under[0].as_str(), under[6].as_str()), ("dir", "dir/b/deep/x"));
    let Kind::File { size: 1, mode: 0o750, .. } = tree.entries[1].kind else {
        panic!("{:?}", tree.entries[1])
    };
    assert_eq!(tree.entries[4].kind, Kind::Symlink { target: b"..".into() });
    let skipped: Vec<_> = tree.skipped.iter().map(|s| (PathBuf::from(&s.path), s.why)).collect();
    let dir = place.path().join("dir");
    assert_eq!(
        skipped,
        [(dir.join("pipe"), "it is a named pipe"), (dir.join("socket"), "it is a socket")]
    );
    for entry in &tree.entries {
        if let Kind::File { size, .. } = entry.kind {
            let source = tree.open(entry, &mut None).unwrap();
            assert_eq!((source.size(), source.path()), (size, &*tree.path(entry)));
        }
    }
}

#[test]
fn what_is_in_a_directory() {
    let place = sources();
    let tree = walk(&place, &["dir/."], 100).unwrap();
    assert_eq!(landed(&tree, DIRECTORY)[..2], ["", "a"]);
}

#[test]
fn several_sources() {
    let place = sources();
    fs::create_dir_all(place.path().join("other/dir")).unwrap();
    fs::write(place.path().join("other/dir/new"), "").unwrap();
    let tree = walk(&place, &["file", "other/dir", "dir/b/deep/x"], 100).unwrap();
    assert_eq!(landed(&tree, DIRECTORY), ["file", "dir", "dir/new", "x"]);
    let nowhere = tree.land(MISSING).unwrap_err().to_string();
    assert!(nowhere.contains("several sources need a directory"), "{nowhere}");
    // Two directories of a name become one, two files do not.
    let merged = walk(&place, &["dir", "other/dir"], 100).unwrap();
    assert!(landed(&merged, DIRECTORY).contains(&"dir/new".into()));
    fs::write(place.path().join("other/dir/a"), "").unwrap();
    let clash = walk(&place, &["dir", "other/dir"], 100).unwrap().land(DIRECTORY).unwrap_err();
    assert_eq!(clash, Unlandable::Clash("dir/a".into()));
    fs::write(place.path().join("other/dir/b"), "").unwrap();
    for order in [["dir/.", "other/dir/b"], ["other/dir/b", "dir/."]] {
        let clash = walk(&place, &order, 100).unwrap().land(DIRECTORY).unwrap_err();
        assert_eq!(clash, Unlandable::Clash("b".into()));
    }
}

#[test]
fn a_file_is_sent_as_the_target() {
    let place = sources();
    let tree = walk(&place, &["file"], 100).unwrap();
    assert_eq!(landed(&tree, MISSING), [""]);
    assert_eq!(landed(&tree, DIRECTORY), ["file"]);
    assert_eq!(tree.open(&tree.entries[0], &mut None).unwrap().size(), 4);
    symlink("file", place.path().join("link")).unwrap();
    let tree = walk(&place, &["link"], 100).unwrap();
    assert!(matches!(tree.entries[0].kind, Kind::File { size: 4, .. }));
    assert_eq!(landed(&tree, DIRECTORY), ["link"]);
}

#[test]
fn what_cannot_be_sent() {
    let place = sources();
    let code = |name: &str| walk(&place, &[name], 100).unwrap_err().code();
    assert_eq!(code("dir/pipe"), "not_a_regular_file");
    assert_eq!(code("none"), "not_found");
    assert_eq!(code("file/"), "not_a_directory");
    let cancel = CancellationToken::new();
    let dir = [place.path().join("dir").into()];
    let flat = Tree::of(&dir, false, &cancel).unwrap_err();
    assert_eq!((flat.code(), flat.hint()), ("is_a_directory", Some("add -r")));
    cancel.cancel();
    assert!(matches!(Tree::of(&dir, true, &cancel), Err(LocalError::Cancelled)));
}

#[test]
fn the_number_of_entries_is_bounded() {
    let place = sources();
    assert_eq!(walk(&place, &["dir", "file"], 11).unwrap().entries.len(), 9);
    for most in 1..=10 {
        let many = walk(&place, &["dir", "file"], most);
        assert!(matches!(many, Err(LocalError::TooMany(_))), "{most}");
    }
}

#[test]
fn a_directory_that_becomes_a_link_is_not_entered() {
    let place = sources();
    let tree = walk(&place, &["dir"], 100).unwrap();
    let dir = place.path().join("dir");
    let outside = place.path().join("outside");
    fs::rename(dir.join("b"), &outside).unwrap();
    symlink(&outside, dir.join("b")).unwrap();
    let error = tree.open(&tree.entries[6], &mut None).unwrap_err();
    assert!(matches!(error, LocalError::Symlink(_)), "{error}");
}

#[test]
fn a_directory_that_must_not_be_read_is_named() {
    const NO_POWERS: &str = "ORCHESTRATOR_TEST_NO_POWERS";
    let place = sources();
    let closed = place.path().join("dir/b");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if std::env::var_os(NO_POWERS).is_none() && fs::read_dir(&closed).is_ok() {
        // Root may read everything: once more without that power.
        let test = "transfer::walk::tests::a_directory_that_must_not_be_read_is_named";
        let output = std::process::Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(NO_POWERS, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let error = walk(&place, &["dir"], 100).unwrap_err();
    let expected = format!("cannot open {}: permission denied", closed.display());
    assert_eq!(error.to_string(), expected);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_deep_tree() {
    let place = tempfile::tempdir().unwrap();
    let mut deep = place.path().to_path_buf();
    for _ in 0..400 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let tree = walk(&place, &["."], 2000).unwrap();
    assert_eq!(tree.entries.len(), 401);
}
