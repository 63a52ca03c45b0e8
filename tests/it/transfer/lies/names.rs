//! Names that lead elsewhere.

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use orchestrator::outcome::Status;
use orchestrator::remote::Transfer;

use super::{World, codes, file, is_success};
use crate::support::files::{EVIL, Exec, Lie, Tree};

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_644;
const SYMLINK: u32 = 0o120_777;

fn listed(name: impl AsRef<[u8]>, mode: u32, target: impl AsRef<[u8]>) -> (Vec<u8>, u32, Vec<u8>) {
    (name.as_ref().into(), mode, target.as_ref().into())
}

fn good() -> Tree {
    Tree::default().dir("tree").file("tree/good", "good\n").dir("tree/sub").file("tree/sub/f", "f")
}

/// Fetches a tree with these names in it as well, and sees that nothing around
/// the target changed and that the rest arrived.
async fn pulled(lies: Vec<(Vec<u8>, u32, Vec<u8>)>) -> (World, orchestrator::transfer::Report) {
    // Nothing that is listed is missing where it would be read, and the host
    // has no shell that could say otherwise.
    let world = World::new(good(), Lie::Lists(lies), Exec::Refused);
    let before = world.around();
    let report = world.pull("tree").await;
    assert_eq!(world.around(), before, "{report:?}");
    assert_eq!(world.local_parts(), [""; 0]);
    for (name, content) in [("good", "good\n"), ("sub/f", "f")] {
        let here = fs::read_to_string(world.path("target/tree").join(name));
        assert_eq!(here.unwrap_or_default(), content, "{name}: {report:?}");
    }
    (world, report)
}

#[tokio::test]
async fn check_34_names_that_lead_elsewhere_are_refused_one_by_one() {
    let outside = std::env::temp_dir().join("orch-check-34-outside");
    let absolute = outside.as_os_str().as_bytes();
    let (long, nul) = ([b'x'; 4096], b"nul\0nul".as_slice());
    let names: [&[u8]; 7] = [b"../x", absolute, b"a/b", b"", nul, &long, b"sub/../../up"];
    for mode in [REGULAR, DIRECTORY, SYMLINK] {
        let lies = names.iter().map(|name| listed(name, mode, b"/etc/passwd")).collect();
        let (world, report) = pulled(lies).await;
        assert_eq!(report.status, Status::Failed, "{report:?}");
        assert_eq!(codes(&report), ["suspect_name"; 7], "{report:?}");
        let hint = report.failure.as_ref().and_then(|failure| failure.hint.as_deref());
        assert!(hint.is_some_and(|hint| hint.contains("hostile")), "{report:?}");
        let mut here: Vec<_> = fs::read_dir(world.path("target/tree")).unwrap().collect();
        assert_eq!(here.drain(..).count(), 2);
        assert!(!outside.exists());
    }
    // `.` and `..` are in every honest listing too.
    let lies = [".", ".."].map(|name| listed(name, DIRECTORY, "")).to_vec();
    let (_, report) = pulled(lies).await;
    assert!(is_success(&report), "{report:?}");
}

#[tokio::test]
async fn check_34_odd_names_arrive_as_they_are() {
    let names: [&[u8]; 7] =
        [b"-rf", b"\x1b[2J\x1b]0;owned\x07", b"caf\xe9", b"Case", b"case", b"new\nline", b"..."];
    let lies = names.iter().map(|name| listed(name, REGULAR, "")).collect();
    let (world, report) = pulled(lies).await;
    assert!(is_success(&report), "{report:?}");
    for name in names {
        let path = world.path("target/tree").join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(fs::read(path).unwrap(), EVIL);
    }
}

#[tokio::test]
async fn check_34_a_name_that_comes_twice_is_taken_once() {
    for (first, second) in [
        (DIRECTORY, SYMLINK),
        (REGULAR, SYMLINK),
        (REGULAR, DIRECTORY),
        (SYMLINK, DIRECTORY),
        (REGULAR, REGULAR),
    ] {
        let lies = vec![listed("swap", first, "sub"), listed("swap", second, "../../../outside")];
        let (world, report) = pulled(lies).await;
        assert_eq!(codes(&report), ["suspect_name"], "{report:?}");
        let there = fs::symlink_metadata(world.path("target/tree/swap")).unwrap();
        assert_eq!((there.is_dir(), there.is_file()), (first == DIRECTORY, first == REGULAR));
    }
}

#[tokio::test]
async fn check_34_links_that_lead_out_are_left_out() {
    let targets = ["/etc/passwd", "..", "../..", "../../x", "sub/../../../x", "./../../x", ""];
    let lies = targets.iter().enumerate();
    let lies = lies.map(|(at, target)| listed(format!("link{at}"), SYMLINK, target)).collect();
    let (world, report) = pulled(lies).await;
    assert!(is_success(&report), "{report:?}");
    let left_out = report.transferred.skipped.len();
    let made: Vec<_> = fs::read_dir(world.path("target/tree"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_symlink())
        .collect();
    // `..` from the tree is the target itself.
    assert_eq!((left_out, made.len()), (6, 1), "{report:?}");
    assert_eq!(fs::read_link(&made[0]).unwrap(), Path::new(".."));
}

/// A link of an earlier pull, or of the operator, where the host now has a
/// directory or a file.
#[tokio::test]
async fn check_34_nothing_is_written_through_a_link() {
    let tree = good().dir("tree/swap").file("tree/swap/f", "through\n").file("tree/file", "x\n");
    let world = World::new(tree, Lie::None, Exec::Honest);
    fs::create_dir_all(world.path("outside")).unwrap();
    fs::create_dir_all(world.path("target/tree")).unwrap();
    symlink(world.path("outside"), world.path("target/tree/swap")).unwrap();
    symlink(world.path("precious"), world.path("target/tree/file")).unwrap();
    let before = world.around();
    let report = world.pull("tree").await;
    assert_eq!(report.status, Status::Failed, "{report:?}");
    assert_eq!(world.around(), before);
    assert!(world.path("target/tree/swap").is_symlink());
    assert!(world.path("target/tree/file").is_symlink());
}

/// Two sources that become one directory: what is a file in the one must not
/// become a link in the other.
#[tokio::test]
async fn check_34_sources_that_clash_are_refused() {
    let tree = Tree::default().dir("a").dir("a/tree").file("a/tree/x", "from a\n");
    let tree = tree.dir("b").dir("b/tree").link("b/tree/x", "good").link("b/tree/y", "good");
    let tree = tree.dir("c").dir("c/tree").link("c/tree/y", "other");
    let world = World::new(tree, Lie::None, Exec::Honest);
    let transfer = Transfer::download("a/tree", world.path("target")).and("b/tree").and("c/tree");
    let report = world.run(&transfer.recursive(true)).await;
    assert_eq!(codes(&report), ["name_clash"; 2], "{report:?}");
    assert_eq!(fs::read(world.path("target/tree/x")).unwrap(), b"from a\n");
    assert_eq!(fs::read_link(world.path("target/tree/y")).unwrap(), Path::new("good"));
    assert!(file(&report, "a/tree/x").failure.is_none());
}

/// A directory that is not there is no file to be made of several.
#[tokio::test]
async fn a_missing_directory_is_not_made_a_file() {
    let world = World::new(good(), Lie::None, Exec::Honest);
    let mut target = world.path("missing").into_os_string().into_vec();
    target.push(b'/');
    let target = std::ffi::OsString::from_vec(target);
    let before = world.around();
    let one = world.run(&Transfer::download("tree/good", &target)).await;
    let two = world.run(&Transfer::download("tree/good", &target).and("tree/sub/f")).await;
    for report in [one, two] {
        assert_eq!(report.status, Status::Failed, "{report:?}");
        assert_eq!(report.failure.unwrap().code, "not_found");
        assert_eq!(world.around(), before);
    }
}
