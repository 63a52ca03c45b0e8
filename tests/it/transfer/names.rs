//! Names of any bytes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use orchestrator::remote::Transfer;

use super::Site;
use super::content::tree;
use super::site::{moves, one};

fn names() -> Vec<Vec<u8>> {
    let names: [&[u8]; 12] = [
        b"new\nline",
        b"two words",
        b"it's \"q\"",
        b"-rf",
        b"--",
        b"caf\xe9",
        b"$(id)",
        b"*",
        b"back\\slash",
        b"\x1b]0;x\x07",
        b"~",
        "\u{e9}\u{1f600}".as_bytes(),
    ];
    let long = [vec![b'x'; 255], vec![0xe9; 255], "é".repeat(127).into_bytes()];
    names.into_iter().map(<[u8]>::to_vec).chain(long).collect()
}

#[tokio::test]
async fn check_35_a_file_of_any_name_arrives_both_ways() {
    let site = Site::new();
    let orchestrator = site.orchestrator();
    fs::create_dir(site.here("back")).unwrap();
    for name in names() {
        let name = OsStr::from_bytes(&name);
        fs::write(site.here(name), name.as_bytes()).unwrap();
        let (there, back) = (site.there(name), site.here("back").join(name));
        one(&moves(&orchestrator, Transfer::upload(site.here(name), &there)).await);
        // Into a directory.
        one(&moves(&orchestrator, Transfer::download(&there, site.here("back"))).await);
        assert_eq!(fs::read(&there).unwrap(), name.as_bytes(), "{name:?}");
        assert_eq!(fs::read(&back).unwrap(), name.as_bytes(), "{name:?}");
    }
    site.is_clean();
}

#[tokio::test]
async fn check_35_a_tree_of_any_names_arrives_both_ways() {
    let site = Site::new();
    for name in names() {
        let dir = site.here("tree").join(OsStr::from_bytes(&name));
        fs::create_dir_all(&dir).unwrap();
        for name in names() {
            fs::write(dir.join(OsStr::from_bytes(&name)), &name).unwrap();
        }
    }
    let push = Transfer::upload(site.here("tree"), site.there("tree")).recursive(true);
    let pull = Transfer::download(site.there("tree"), site.here("back")).recursive(true);
    for transfer in [push, pull] {
        let result = site.moves(transfer).await;
        assert!(result.success(), "{:?}", result.failure);
    }
    let expected = tree(&site.here("tree"));
    assert_eq!(expected.len(), names().len() * (names().len() + 1));
    assert_eq!(tree(&site.there("tree")), expected);
    assert_eq!(tree(&site.here("back")), expected);
}

/// The program's own arguments, and relative paths of the host, are no
/// different.
#[test]
fn check_35_odd_names_on_the_command_line() {
    let site = Site::new();
    let home = String::from_utf8(site.run(["exec", "vm01", "pwd"]).stdout).unwrap();
    let home = std::path::Path::new(home.trim());
    for name in [&b"caf\xe9"[..], b"new\nline", b"-rf"] {
        let name = OsStr::from_bytes(name);
        fs::write(site.here(name), name.as_bytes()).unwrap();
        let back = site.here(name).with_extension("back");
        let mut push = site.command(["push", "vm01", "--"]);
        let pushed: crate::cli_exec::Said =
            push.arg(site.here(name)).arg(name).output().unwrap().into();
        pushed.ends(0);
        assert_eq!(fs::read(home.join(name)).unwrap(), name.as_bytes());
        let mut pull = site.command(["pull", "vm01", "--"]);
        let pulled: crate::cli_exec::Said = pull
            .arg(OsStr::from_bytes(&[b"~/", name.as_bytes()].concat()))
            .arg(&back)
            .output()
            .unwrap()
            .into();
        pulled.ends(0);
        assert_eq!(fs::read(back).unwrap(), name.as_bytes());
        assert!(!String::from_utf8_lossy(&pushed.stdout).trim_end().contains('\n'), "{pushed:?}");
    }
}
