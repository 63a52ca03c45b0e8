//! Directories with everything in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use orchestrator::remote::Transfer;

use super::Site;
use super::content::tree;
use super::site::{fails, moves};

async fn there_and_back(count: usize) {
    let site = Site::new();
    for i in 0..count {
        let dir = site.here("tree").join(format!("d{}", i % 7));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(i.to_string()), format!("content {i}")).unwrap();
    }
    let orchestrator = site.orchestrator();
    let push = Transfer::upload(site.here("tree"), site.there("tree")).recursive(true);
    let pull = Transfer::download(site.there("tree"), site.here("back")).recursive(true);
    for transfer in [push, pull] {
        let result = moves(&orchestrator, transfer).await;
        assert!(result.success(), "{:?}", result.failure);
        let files = result.transfer.unwrap().files;
        assert_eq!(files.len(), count);
        assert!(files.iter().all(|file| file.sha256.is_some() && !file.unchanged));
    }
    let expected = tree(&site.here("tree"));
    assert_eq!(tree(&site.there("tree")), expected);
    assert_eq!(tree(&site.here("back")), expected);
    // All over one connection.
    let sessions = site.sshd.log().matches("Accepted publickey").count();
    assert_eq!(sessions, 1);
}

#[tokio::test]
async fn check_37_five_hundred_files_go_through_one_session() {
    there_and_back(500).await;
}

#[tokio::test]
async fn check_37_three_thousand_small_files() {
    there_and_back(3000).await;
}

/// Many hosts, many files, few files open at once: as many as a login gets.
#[test]
fn check_37_files_to_many_hosts_stay_within_the_limit_of_open_files() {
    let sshd = crate::support::Sshd::start();
    let ids: Vec<String> = (1..=8).map(|i| format!("vm{i:02}")).collect();
    let lab = ids.iter().fold(crate::cli_exec::Lab::new(), |lab, id| lab.vm(id, &sshd));
    let site = Site::with(sshd, lab);
    fs::create_dir(site.here("tree")).unwrap();
    for i in 0..300 {
        site.write_here(&format!("tree/{i}"), i.to_string());
    }
    let limited = |args: [&std::ffi::OsStr; 5]| {
        let program = site.lab.program();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"]).arg(program.get_program());
        command.env_clear().envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let said: crate::cli_exec::Said = command.args(args).output().unwrap().into();
        said.ends(0);
    };
    let (here, there, back) = (site.here("tree"), site.there("tree"), site.here("back"));
    limited(["push".as_ref(), "-r".as_ref(), "vm01".as_ref(), here.as_ref(), there.as_ref()]);
    limited(["pull".as_ref(), "-r".as_ref(), "all".as_ref(), there.as_ref(), back.as_ref()]);
    let expected = tree(&here);
    for id in ids {
        assert_eq!(tree(&back.join(id).join("tree")), expected);
    }
    // To one place they would meet each other: only the last word counts there.
    limited(["push".as_ref(), "-r".as_ref(), "all".as_ref(), here.as_ref(), there.as_ref()]);
}

/// A tree with everything that a tree can have.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("empty/within")).unwrap();
    let deep = (0..40).fold(root.to_owned(), |path, i| path.join(format!("level{i}")));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "deep").unwrap();
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("d/file"), "file").unwrap();
    fs::write(root.join("d/nothing"), "").unwrap();
    symlink("file", root.join("d/link")).unwrap();
    symlink("../d", root.join("d/up")).unwrap();
    symlink("none", root.join("d/dangling")).unwrap();
}

#[tokio::test]
async fn a_tree_lands_as_cp_has_it() {
    let site = Site::new();
    plant(&site.here("tree"));
    let expected = tree(&site.here("tree"));
    let push = |to: &str| Transfer::upload(site.here("tree"), site.there(to)).recursive(true);
    let pull = |to: &str| Transfer::download(site.there("a"), site.here(to)).recursive(true);
    // As a new name; into what is there then; and over it.
    for _ in 0..3 {
        for transfer in [push("a"), pull("a")] {
            let result = site.moves(transfer).await;
            assert!(result.success(), "{:?}", result.failure);
        }
        if site.there("a/tree").exists() {
            assert_eq!(tree(&site.there("a/tree")), expected);
            fs::remove_dir_all(site.there("a/tree")).unwrap();
            fs::remove_dir_all(site.here("a")).unwrap();
        }
        assert_eq!(tree(&site.there("a")), expected);
    }
    // What is in it, into a directory that is there.
    let inside = Transfer::upload(site.here("tree/."), site.there("a")).recursive(true);
    assert!(site.moves(inside).await.success());
    assert_eq!(tree(&site.there("a")), expected);
    site.moved("push", &[], "tree", "b").ends(2).says(&["tree", "it is a directory", "-r"]);
    let refused = Transfer::download(site.there("a"), site.here("b"));
    fails(&site.moves(refused).await, "is_a_directory", &["/a"]);
    site.is_clean();
}

/// A push brings links as they are. A pull brings those that stay within, and
/// tells of the others.
#[tokio::test]
async fn links_in_trees() {
    let site = Site::new();
    let links = [
        ("abs", "/etc/passwd"),
        ("up", "../../x"),
        ("round", "d/../../x"),
        ("good", "d/f"),
        ("none", "nowhere"),
    ];
    fs::create_dir_all(site.here("tree/d")).unwrap();
    site.write_here("tree/d/f", "f");
    for (name, target) in links {
        symlink(target, site.here("tree").join(name)).unwrap();
    }
    let push = Transfer::upload(site.here("tree"), site.there("tree")).recursive(true);
    assert!(site.moves(push).await.success());
    assert_eq!(tree(&site.there("tree")), tree(&site.here("tree")));
    let pull = Transfer::download(site.there("tree"), site.here("back")).recursive(true);
    let result = site.moves(pull).await;
    assert!(result.success(), "{:?}", result.failure);
    let skipped = result.transfer.unwrap().skipped;
    let mut skipped: Vec<PathBuf> =
        skipped.into_iter().map(|skipped| skipped.path.into()).collect();
    skipped.sort();
    assert_eq!(skipped, ["abs", "round", "up"].map(|name| site.there("tree").join(name)));
    let back: Vec<PathBuf> = tree(&site.here("back")).into_keys().collect();
    assert_eq!(back, ["d", "d/f", "good", "none"].map(PathBuf::from));
    // A link that is there already is replaced or left, as need be.
    fs::remove_file(site.there("tree/good")).unwrap();
    symlink("elsewhere", site.there("tree/good")).unwrap();
    let again = Transfer::upload(site.here("tree/."), site.there("tree")).recursive(true);
    assert!(site.moves(again).await.success());
    assert_eq!(tree(&site.there("tree")), tree(&site.here("tree")));
    site.is_clean();
}

/// What is no file, directory or link is left out and told.
#[tokio::test]
async fn pipes_in_trees_are_left_out() {
    let site = Site::new();
    for root in [site.here("tree"), site.there("tree2")] {
        fs::create_dir(&root).unwrap();
        fs::write(root.join("f"), "f").unwrap();
        assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    }
    let push = Transfer::upload(site.here("tree"), site.there("tree")).recursive(true);
    let pull = Transfer::download(site.there("tree2"), site.here("back")).recursive(true);
    for transfer in [push, pull] {
        let result = site.moves(transfer).await;
        assert!(result.success(), "{:?}", result.failure);
        let moved = result.transfer.unwrap();
        assert_eq!((moved.files.len(), moved.skipped.len()), (1, 1), "{moved:?}");
    }
    for dir in [site.there("tree"), site.here("back")] {
        assert_eq!(tree(&dir).into_keys().collect::<Vec<_>>(), [Path::new("f")]);
    }
}

/// One file that cannot be moved does not keep the others back.
#[test]
fn one_bad_file_is_told_and_the_others_are_moved() {
    let site = Site::new();
    fs::create_dir_all(site.here("tree")).unwrap();
    fs::create_dir_all(site.there("tree/b")).unwrap();
    for name in ["a", "b", "c"] {
        site.write_here(&format!("tree/{name}"), name);
    }
    let host = site.json("push", &["-r"], "tree/.", "tree");
    assert_eq!(
        (host["status"].as_str(), host["totals"]["failed"].as_u64()),
        (Some("failed"), Some(1))
    );
    let message = host["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 of 3 files failed: ") && message.contains("tree/b"),
        "{message}"
    );
    for name in ["a", "c"] {
        assert_eq!(fs::read_to_string(site.there("tree").join(name)).unwrap(), name);
    }
    site.moved("push", &["-r"], "tree/.", "tree").ends(1).says(&["tree/b is a directory"]);
    site.is_clean();
}
