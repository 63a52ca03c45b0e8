//! Names that are not text, and many of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use orchestrator::sftp::Open;

use super::{bytes, session};

#[tokio::test]
async fn strange_names_go_there_and_back() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let long = [b'n'; 255];
    let names: [&[u8]; 10] = [
        b"new\nline",
        b"a space",
        b"quo'te",
        b"quo\"te",
        b"-rf",
        b"caf\xe9",
        b"\x1b[2J",
        b"*",
        b" ",
        &long,
    ];
    for name in names {
        let path = dir.path().join(OsStr::from_bytes(name));
        let file = sftp.open(bytes(&path), Open::CreateNew { mode: 0o600 }).await.unwrap();
        file.write_at(0, Bytes::copy_from_slice(name)).await.unwrap();
        file.close().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), name);
    }
    let entries = sftp.read_dir(bytes(dir.path())).await.unwrap();
    let found: BTreeSet<&[u8]> = entries.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(found, BTreeSet::from(names));
    for entry in &entries {
        assert!(entry.attributes.is_file());
        let path = [bytes(dir.path()), b"/", &entry.name].concat();
        let file = sftp.open(&path, Open::Read).await.unwrap();
        assert_eq!(file.read_at(0, 1000).await.unwrap(), entry.name);
    }
}

#[tokio::test]
async fn a_directory_of_three_thousand() {
    let sftp = session().await;
    let dir = tempfile::tempdir().unwrap();
    let names: BTreeSet<String> = (0..3000).map(|number| format!("file {number:04}")).collect();
    for name in &names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let entries = sftp.read_dir(bytes(dir.path())).await.unwrap();
    assert_eq!(entries.len(), 3000);
    let found: BTreeSet<String> =
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect();
    assert_eq!(found, names);

    fs::create_dir(dir.path().join("empty")).unwrap();
    let empty = dir.path().join("empty");
    assert_eq!(sftp.read_dir(bytes(&empty)).await.unwrap(), []);
}
