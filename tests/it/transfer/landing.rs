//! Where files land, and what stands in their way.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use orchestrator::outcome::Status;
use orchestrator::remote::Transfer;

use super::Site;
use super::content::tree;
use super::site::{fails, moves, one};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn a_directory_or_a_slash_means_into_it() {
    let site = Site::new();
    let orchestrator = site.orchestrator();
    for dir in [site.here("d"), site.there("d")] {
        fs::create_dir(dir).unwrap();
    }
    site.write_here("x", "x");
    let slash = |path: &Path| format!("{}/", path.display());
    for (target, lands) in [
        (site.there("d").into_os_string(), "d/x"),
        (slash(&site.there("d")).into(), "d/x"),
        (site.there("y").into_os_string(), "y"),
        (site.there("d/.").into_os_string(), "d/x"),
    ] {
        let file = one(&moves(&orchestrator, Transfer::upload(site.here("x"), &target)).await);
        assert_eq!(file.remote, site.there(lands));
        assert_eq!(read(site.there(lands)), "x");
        fs::remove_file(site.there(lands)).unwrap();
    }
    site.write_there("x", "x");
    for (target, lands) in [
        (site.here("d").into_os_string(), "d/x"),
        (slash(&site.here("d")).into(), "d/x"),
        (site.here("y").into_os_string(), "y"),
    ] {
        let file = one(&moves(&orchestrator, Transfer::download(site.there("x"), &target)).await);
        assert_eq!(file.local, site.here(lands));
        assert_eq!(read(site.here(lands)), "x");
        fs::remove_file(site.here(lands)).unwrap();
    }
    // A slash after what is missing, or no directory, lands nowhere.
    for missing in ["none", "x"] {
        for transfer in [
            Transfer::upload(site.here("x"), slash(&site.there(missing))),
            Transfer::download(site.there("x"), slash(&site.here(missing))),
        ] {
            let result = moves(&orchestrator, transfer).await;
            assert_eq!(result.status, Status::Failed, "{missing}: {result:?}");
        }
    }
    assert_eq!((read(site.here("x")), read(site.there("x"))), ("x".into(), "x".into()));
    assert!(!site.there("none").exists() && !site.here("none").exists());
    site.is_clean();
}

#[tokio::test]
async fn a_missing_parent_is_told_and_made_only_when_asked_for() {
    let site = Site::new();
    site.write_here("x", "x");
    site.write_there("x", "x");
    let push = || Transfer::upload(site.here("x"), site.there("a/b/c/x"));
    let pull = || Transfer::download(site.there("x"), site.here("a/b/c/x"));
    for transfer in [push(), pull()] {
        let result = site.moves(transfer).await;
        fails(&result, "not_found", &["a/b/c", "no such"]);
        let hint = result.failure.unwrap().hint.unwrap();
        assert!(hint.contains("--mkdir"), "{hint}");
    }
    assert!(!site.there("a").exists() && !site.here("a").exists());
    for transfer in [push(), pull(), push()] {
        one(&site.moves(transfer.mkdir(true)).await);
    }
    assert_eq!(read(site.there("a/b/c/x")) + &read(site.here("a/b/c/x")), "xx");
    // With a slash, or a directory, the target itself is made.
    let into = format!("{}/", site.there("e/f").display());
    one(&site.moves(Transfer::upload(site.here("x"), into).mkdir(true)).await);
    assert_eq!(read(site.there("e/f/x")), "x");
    let into = format!("{}/", site.here("e/f").display());
    one(&site.moves(Transfer::download(site.there("x"), into).mkdir(true)).await);
    assert_eq!(read(site.here("e/f/x")), "x");
}

#[tokio::test]
async fn several_sources_need_a_directory() {
    let site = Site::new();
    for name in ["a", "b"] {
        site.write_here(name, name);
        site.write_there(name, name);
    }
    let push = |to: &str| Transfer::upload(site.here("a"), site.there(to)).and(site.here("b"));
    let pull = |to: &str| Transfer::download(site.there("a"), site.here(to)).and(site.there("b"));
    for transfer in [push("d"), pull("d"), push("a"), pull("a")] {
        fails(&site.moves(transfer).await, "no_landing", &["directory"]);
    }
    for transfer in [push("d"), pull("d")] {
        let result = site.moves(transfer.mkdir(true)).await;
        assert!(result.success(), "{:?}", result.failure);
    }
    for dir in [site.there("d"), site.here("d")] {
        assert_eq!(read(dir.join("a")) + &read(dir.join("b")), "ab");
    }
    // One that is missing does not keep the other back.
    let both = Transfer::download(site.there("none"), site.here("d")).and(site.there("b"));
    fs::remove_file(site.here("d/b")).unwrap();
    fails(&site.moves(both).await, "not_found", &["none", "1 of 2"]);
    assert_eq!(read(site.here("d/b")), "b");
    // Two of one name would be one file.
    fs::create_dir(site.here("e")).unwrap();
    site.write_here("e/a", "other");
    let clash = Transfer::upload(site.here("a"), site.there("d")).and(site.here("e/a"));
    fails(&site.moves(clash).await, "no_landing", &["same file"]);
    assert_eq!(read(site.there("d/a")), "a");
}

#[tokio::test]
async fn a_symbolic_link_stays_and_its_file_is_replaced() {
    let site = Site::new();
    let orchestrator = site.orchestrator();
    site.write_here("x", "new");
    site.write_there("x", "new");
    for base in [site.here("l"), site.there("l")] {
        fs::create_dir_all(base.join("far")).unwrap();
        fs::write(base.join("far/file"), "old").unwrap();
        symlink("far/file", base.join("link")).unwrap();
        symlink("link", base.join("link2")).unwrap();
        symlink("far/none", base.join("dangling")).unwrap();
        symlink("round", base.join("round")).unwrap();
    }
    for name in ["link", "link2", "dangling"] {
        one(&moves(&orchestrator, Transfer::upload(site.here("x"), site.there("l").join(name)))
            .await);
    }
    for name in ["link", "link2"] {
        one(&moves(&orchestrator, Transfer::download(site.there("x"), site.here("l").join(name)))
            .await);
    }
    for base in [site.here("l"), site.there("l")] {
        for link in ["link", "link2", "dangling", "round"] {
            assert!(base.join(link).is_symlink(), "{link}");
        }
        assert_eq!(read(base.join("far/file")), "new");
        assert!(!base.join("far/file").is_symlink());
    }
    assert_eq!(read(site.there("l/far/none")), "new");
    let round = Transfer::upload(site.here("x"), site.there("l/round"));
    let result = moves(&orchestrator, round).await;
    assert_eq!(result.status, Status::Failed, "{result:?}");
    site.is_clean();
}

/// Neither end waits for the other end of a pipe.
#[test]
fn a_pipe_is_refused_at_once() {
    let site = Site::new();
    pipe(&site.here("pipe"));
    pipe(&site.there("pipe"));
    site.write_here("x", "x");
    site.write_there("x", "x");
    for (verb, here, there) in
        [("push", "pipe", "y"), ("push", "x", "pipe"), ("pull", "y", "pipe"), ("pull", "pipe", "x")]
    {
        let said = site.moved(verb, &["--timeout", "20s"], here, there);
        assert!([Some(1), Some(2)].contains(&said.code), "{said:?}");
        said.says(&["pipe", "regular file"]);
    }
    assert_eq!(tree_kinds(&site), 2, "both are still pipes");
    site.is_clean();
}

fn tree_kinds(site: &Site) -> usize {
    use std::os::unix::fs::FileTypeExt;
    let pipes = [site.here("pipe"), site.there("pipe")];
    pipes.iter().filter(|path| fs::metadata(path).unwrap().file_type().is_fifo()).count()
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_told() {
    let site = Site::new();
    site.write_here("x", "x");
    fs::create_dir(site.there("d")).unwrap();
    fs::create_dir(site.there("d/x")).unwrap();
    fails(&site.pull("none", "y").await, "not_found", &["none"]);
    fails(&site.pull("d", "y").await, "is_a_directory", &["/d"]);
    let into = Transfer::upload(site.here("x"), site.there("d"));
    let result = site.moves(into).await;
    assert_eq!(result.status, Status::Failed);
    assert!(result.failure.unwrap().message.contains("d/x is a directory"));
    site.is_clean();
    // An ordinary user may not write everywhere.
    let site = crate::exec::host::ordinary();
    let site = Site::of(site);
    site.write_here("x", "x");
    let result = site.moves(Transfer::upload(site.here("x"), "/etc/orch-test")).await;
    fails(&result, "permission_denied", &["/etc", "permission denied"]);
    assert!(result.failure.unwrap().hint.unwrap().contains("--sudo"));
}

/// Each host's files go to a directory of its own, even if one host is what
/// several could have been.
#[test]
fn each_hosts_files_have_a_directory_of_their_own() {
    let sshd = crate::support::Sshd::start();
    let lab = crate::cli_exec::Lab::one(&sshd).vm("vm02", &sshd);
    let site = Site::with(sshd, lab);
    let there = site.write_there("x", "x");
    fs::create_dir(site.there("t")).unwrap();
    site.write_there("t/f", "f");
    let args = |targets: &'static str, from: &Path, to: &Path| {
        let words = ["pull".into(), "-r".into(), targets.into(), from.into(), to.into()];
        site.run::<std::ffi::OsString>(words)
    };
    args("vm[01-02]", &there, &site.here("d")).ends(0);
    args("all", &site.there("t"), &site.here("d")).ends(0);
    args("vm[01-01]", &there, &site.here("e")).ends(0);
    args("vm01", &there, &site.here("one")).ends(0);
    for vm in ["vm01", "vm02"] {
        assert_eq!(read(site.here("d").join(vm).join("x")), "x");
        assert_eq!(read(site.here("d").join(vm).join("t/f")), "f");
    }
    assert_eq!(read(site.here("e/vm01/x")), "x");
    assert_eq!(read(site.here("one")), "x");
    assert_eq!(tree(&site.here("e")).len(), 2);
    // One source for several hosts.
    site.write_here("s", "s");
    let push = site.run([
        "push".into(),
        "vm01".into(),
        site.here("s").into_os_string(),
        site.there("s").into_os_string(),
    ]);
    push.ends(0);
    assert_eq!(fs::metadata(site.there("s")).unwrap().nlink(), 1);
}
