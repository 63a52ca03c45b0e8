//! SHA-256 of files on a host, whatever the host has to compute it by.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orchestrator::exec::ShellError;
use orchestrator::outcome::VerifiedBy;
use orchestrator::transfer::digest::{Digest, DigestError, Wanted, Why, digests};
use tempfile::TempDir;

use super::Texts;
use crate::exec::host;
use crate::support::client::connect;
use crate::support::{Shell, Sshd, is_root, wait_until};

type Digests = Result<Vec<Result<Digest, Why>>, DigestError>;

async fn ask(sshd: &Sshd, paths: &[&Path]) -> Digests {
    let files: Vec<_> = paths.iter().map(|path| whole(path.as_os_str().as_bytes())).collect();
    digests(&Texts::over(&connect(sshd).await).shell(), &files).await
}

fn whole(path: &[u8]) -> Wanted<'_> {
    Wanted { path, first: None }
}

/// What sha256sum says here, in this process's own words.
fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by(tool: VerifiedBy, content: &[u8]) -> Result<Digest, Why> {
    Ok(Digest { sha256: sha256(content), by: tool })
}

/// Files whose names mean something to a shell or to a tool.
fn odd_files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let long = "x".repeat(255);
    let names: [&[u8]; 14] = [
        b"plain",
        b"two words",
        b"it's",
        b"-",
        b"-n",
        b"--check",
        b"new\nline",
        b"back\\slash",
        b"\\",
        b"return\r",
        b"caf\xe9",
        b"$(id)",
        b"*",
        long.as_bytes(),
    ];
    let file = |name: &[u8]| {
        let path = dir.join(OsStr::from_bytes(name));
        fs::write(&path, name).unwrap();
        (path, name.to_vec())
    };
    names.into_iter().map(file).collect()
}

/// A host whose tools are these links, and nothing else.
fn with_tools(tools: &[(&str, &str)]) -> (Sshd, TempDir) {
    let dir = host::open_dir();
    for (name, program) in tools {
        std::os::unix::fs::symlink(program, dir.path().join(name)).unwrap();
    }
    (host::with_rc(&format!("PATH={}", dir.path().display())), dir)
}

/// A program for [`with_tools`].
fn program(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join(format!("tool{}", fs::read_dir(dir.path()).unwrap().count()));
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn odd_names_are_read(sshd: &Sshd, tool: VerifiedBy, whose: &str) {
    let dir = host::open_dir();
    let files = odd_files(dir.path());
    let paths: Vec<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
    let found = ask(sshd, &paths).await.unwrap();
    for ((path, content), found) in files.iter().zip(found) {
        assert_eq!(found, by(tool, content), "{whose}: {path:?}");
    }
}

#[tokio::test]
async fn check_35_every_name_is_read_whatever_bin_sh_is() {
    odd_names_are_read(&host::ordinary(), VerifiedBy::Sha256sum, "dash").await;
    for program in ["/bin/busybox", "/bin/bash", "/bin/ksh", "/bin/mksh"] {
        let (sshd, _dir) = host::with_sh(Path::new(program));
        odd_names_are_read(&sshd, VerifiedBy::Sha256sum, program).await;
    }
}

#[tokio::test]
async fn check_35_every_name_is_read_by_every_tool() {
    let cases: [(&[(&str, &str)], VerifiedBy); 4] = [
        (&[("sha256sum", "/usr/bin/sha256sum")], VerifiedBy::Sha256sum),
        (&[("sha256sum", "/bin/busybox")], VerifiedBy::Sha256sum),
        (&[("shasum", "/usr/bin/shasum"), ("perl", "/usr/bin/perl")], VerifiedBy::Shasum),
        (&[("openssl", "/usr/bin/openssl")], VerifiedBy::Openssl),
    ];
    for (tools, tool) in cases {
        let (sshd, _dir) = with_tools(tools);
        odd_names_are_read(&sshd, tool, &format!("{tools:?}")).await;
    }
}

#[tokio::test]
async fn paths_begin_where_a_login_does() {
    let sshd = Sshd::start();
    let connection = connect(&sshd).await;
    let texts = Texts::over(&connection);
    let home = texts.shell().run("pwd", &[], [], None).await.unwrap().stdout.to_text();
    let home = Path::new(home.trim());
    fs::write(home.join("-orch"), "here").unwrap();
    let found = digests(&texts.shell(), &[whole(b"-orch"), whole(b"./-orch")]).await.unwrap();
    fs::remove_file(home.join("-orch")).unwrap();
    assert_eq!(found, vec![by(VerifiedBy::Sha256sum, b"here"); 2]);
}

#[tokio::test]
async fn the_first_bytes_of_a_file() {
    let dir = host::open_dir();
    let path = dir.path().join("new\nline");
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    for program in ["/bin/busybox", "/bin/bash", "/bin/ksh", "/bin/mksh", "/bin/dash"] {
        let (sshd, _sh) = host::with_sh(Path::new(program));
        let texts = Texts::over(&connect(&sshd).await);
        let first = [0, 1, 255, 256, 65_535, 65_536, 65_537, 131_072 + 512 + 3, 200_000, 1 << 40];
        let wanted = first.map(|n| Wanted { path: path.as_os_str().as_bytes(), first: Some(n) });
        let found = digests(&texts.shell(), &wanted).await.unwrap();
        for (n, found) in first.into_iter().zip(found) {
            let end = content.len().min(n as usize);
            assert_eq!(found, by(VerifiedBy::Sha256sum, &content[..end]), "{program}: {n}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_none_says_why_and_the_others_are_read() {
    let dir = host::open_dir();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("good"), "good").unwrap();
    fs::write(path("secret"), "secret").unwrap();
    fs::set_permissions(path("secret"), Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(path("shut")).unwrap();
    fs::write(path("shut/file"), "x").unwrap();
    fs::set_permissions(path("shut"), Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(made.success());
    let names =
        ["good", "none", "secret", "shut/file", "good/file", "dangling", "pipe", ".", "good"];
    let paths = names.map(path);
    let paths = paths.each_ref().map(PathBuf::as_path);
    let good = by(VerifiedBy::Sha256sum, b"good");
    // Who runs the tests may enter the directory.
    let shut = if is_root() { Err(Why::Denied) } else { by(VerifiedBy::Sha256sum, b"x") };
    let expected = [
        good.clone(),
        Err(Why::Missing),
        Err(Why::Denied),
        shut,
        Err(Why::Missing),
        Err(Why::Missing),
        Err(Why::NotAFile),
        Err(Why::NotAFile),
        good,
    ];
    assert_eq!(ask(&host::ordinary(), &paths).await.unwrap(), expected);
    for program in ["/bin/busybox", "/bin/bash", "/bin/ksh", "/bin/mksh"] {
        let (sshd, _sh) = host::with_sh(Path::new(program));
        assert_eq!(ask(&sshd, &paths).await.unwrap(), expected, "{program}");
    }
    let nul = [whole(b"a\0b"), whole(b"")];
    let found = digests(&Texts::over(&connect(&host::ordinary()).await).shell(), &nul).await;
    assert_eq!(found.unwrap(), [Err(Why::Missing), Err(Why::Missing)]);
}

#[tokio::test]
async fn a_thousand_files_in_one_call() {
    let dir = host::open_dir();
    let paths: Vec<PathBuf> = (0..1000).map(|i| dir.path().join(format!("file {i}"))).collect();
    for (i, path) in paths.iter().enumerate() {
        fs::write(path, i.to_string()).unwrap();
    }
    let sshd = host::ordinary();
    let borrowed: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let found = ask(&sshd, &borrowed).await.unwrap();
    for (i, found) in found.into_iter().enumerate() {
        assert_eq!(found, by(VerifiedBy::Sha256sum, i.to_string().as_bytes()), "{i}");
    }
}

/// Each is first in PATH, and would be wrong.
#[tokio::test]
async fn a_tool_that_lies_is_not_believed() {
    let bin = host::open_dir();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let lies = [
        format!("echo '{abc}  -'"),
        "echo garbage".to_owned(),
        "cat".to_owned(),
        "exit 0".to_owned(),
        // It computes, and says that it failed.
        "/usr/bin/sha256sum; exit 1".to_owned(),
        "/usr/bin/sha256sum; kill -9 $$".to_owned(),
    ];
    let dir = host::open_dir();
    let file = dir.path().join("abc");
    fs::write(&file, "abc").unwrap();
    for lie in lies {
        let fake = program(&bin, &lie);
        let tools = [("sha256sum", fake.as_str()), ("openssl", "/usr/bin/openssl")];
        let (sshd, _dir) = with_tools(&tools);
        let found = ask(&sshd, &[&file]).await.unwrap();
        assert_eq!(found, [by(VerifiedBy::Openssl, b"abc")], "{lie}");
        let (sshd, _dir) = with_tools(&tools[..1]);
        assert!(matches!(ask(&sshd, &[&file]).await, Err(DigestError::NoTool)), "{lie}");
    }
}

/// It is right about a test, and fails at files.
#[tokio::test]
async fn a_tool_that_fails_half_way_gives_no_digest() {
    let bin = host::open_dir();
    let dir = host::open_dir();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    paths.iter().for_each(|path| fs::write(path, "abc").unwrap());
    let paths = paths.each_ref().map(PathBuf::as_path);
    let test_only = "[ $# = 0 ] && read -r line && [ ${#line} = 32 ] && \
        { echo \"$line\" | /usr/bin/sha256sum; exit; }";
    for (then, expected) in [
        // With arguments it fails, with stdin too.
        ("/usr/bin/sha256sum \"$@\"; exit 1", Err(Why::Failed)),
        ("/usr/bin/sha256sum \"$@\"; kill -9 $$", Err(Why::Failed)),
        ("echo", Err(Why::Failed)),
        // Only its way of giving names is wrong.
        (
            "[ $# = 0 ] || { echo nonsense; exit; }; { echo \"$line\" | tr -d '\\n'; cat; } | \
          /usr/bin/sha256sum",
            by(VerifiedBy::Sha256sum, b"abc"),
        ),
    ] {
        let fake = program(&bin, &format!("line=; {test_only}\n{then}"));
        let (sshd, _dir) =
            with_tools(&[("sha256sum", &fake), ("tr", "/usr/bin/tr"), ("cat", "/bin/cat")]);
        let found = ask(&sshd, &paths).await.unwrap();
        assert_eq!(found, [expected.clone(), expected], "{then}");
    }
}

#[tokio::test]
async fn check_42_a_host_without_a_tool_says_so() {
    let file = Path::new("/etc/passwd");
    for program in ["/bin/dash", "/bin/bash", "/bin/ksh"] {
        let (sshd, _dir) = host::with_sh_after(Path::new(program), "PATH=/nonexistent");
        let found = ask(&sshd, &[file]).await;
        assert!(matches!(found, Err(DigestError::NoTool)), "{program}: {found:?}");
    }
    // It cannot even print without tools, so our text does not reach it.
    let (sshd, _dir) = host::with_sh_after(Path::new("/bin/mksh"), "PATH=/nonexistent");
    let found = ask(&sshd, &[file]).await;
    let unavailable = |error: &DigestError| {
        matches!(error, DigestError::Shell(ShellError::Unavailable { message, .. })
            if message.contains("printf"))
    };
    assert!(found.as_ref().is_err_and(unavailable), "{found:?}");
}

#[tokio::test]
async fn check_42_a_host_without_a_shell_says_so_soon() {
    let mut hosts = vec![Sshd::builder().line("ForceCommand internal-sftp").start()];
    if is_root() {
        let chroot = Sshd::builder().login_shell(Shell::Dash).line("ChrootDirectory /run/sshd");
        hosts.push(chroot.line("ForceCommand internal-sftp").start());
        hosts.push(Sshd::builder().login_shell(Shell::Nologin).start());
    }
    for sshd in hosts {
        let connection = connect(&sshd).await;
        let (texts, started) = (Texts::over(&connection), Instant::now());
        let found = digests(&texts.shell(), &[whole(b"x")]).await;
        let Err(DigestError::Shell(ShellError::Unavailable { hint: Some(_), .. })) = &found else {
            panic!("{found:?}");
        };
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn it_can_be_cancelled_and_the_link_be_lost() {
    let bin = host::open_dir();
    let at_work = bin.path().join("at-work");
    fs::write(&at_work, "").unwrap();
    fs::set_permissions(&at_work, Permissions::from_mode(0o666)).unwrap();
    let slow = format!("echo x >>{}; exec /bin/sleep 300", at_work.display());
    let fake = program(&bin, &slow);
    let (sshd, _dir) = with_tools(&[("sha256sum", &fake)]);
    for abort in [false, true] {
        fs::write(&at_work, "").unwrap();
        let connection = connect(&sshd).await;
        let texts = Texts::over(&connection);
        let (shell, path) = (texts.shell(), [whole(b"/etc/passwd")]);
        let (found, ()) = tokio::join!(digests(&shell, &path), async {
            wait_until("it computes", || fs::metadata(&at_work).unwrap().len() > 0).await;
            if abort { connection.abort() } else { texts.cancel.cancel() }
        });
        match found {
            Err(DigestError::Shell(ShellError::Lost { .. })) if abort => {}
            Err(DigestError::Shell(ShellError::Cancelled)) if !abort => {}
            _ => panic!("{found:?}"),
        }
    }
}
