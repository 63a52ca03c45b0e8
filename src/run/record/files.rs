//! The files of a transfer, as a record has them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};

use crate::audit::{FileFacts, TransferFacts};
use crate::hex::hex;
use crate::outcome::{FileOutcome, Transferred};
use crate::redact::Redactor;

/// How many files stand in a record one by one.
const ITEMS_MAX: usize = 1000;

/// How much room their paths have: with everything else in it, a record must
/// not become longer than a line may be, whatever the names are.
const PATHS_MAX: usize = 256 * 1024;

/// What is recorded of the files, without the secrets in their names.
pub(super) fn facts(moved: &Transferred, redactor: &Redactor) -> TransferFacts {
    let done: Vec<&FileOutcome> = moved.done().collect();
    let items = items(moved, redactor);
    let mut verified_by: Vec<_> = done.iter().filter_map(|file| file.verified_by).collect();
    verified_by.sort_by_key(|verifier| verifier.as_str());
    verified_by.dedup();
    let one = moved.files.len() == 1;
    TransferFacts {
        files: moved.files.len(),
        unchanged: done.iter().filter(|file| file.unchanged).count(),
        failed: moved.files.len() - done.len(),
        skipped: moved.skipped.len(),
        bytes: moved.bytes(),
        verified_by,
        sha256: done.first().filter(|_| one).and_then(|file| file.sha256.clone()),
        manifest_sha256: if one { None } else { manifest_sha256(done, redactor) },
        items_omitted: moved.files.len() - items.len(),
        items,
    }
}

fn items(moved: &Transferred, redactor: &Redactor) -> Vec<FileFacts> {
    let mut room = PATHS_MAX;
    let mut items = Vec::new();
    for file in moved.files.iter().take(ITEMS_MAX) {
        let path = redactor.redact(&file.remote.to_string_lossy()).text.into_owned();
        let Some(left) = room.checked_sub(length_in_json(&path)) else { break };
        room = left;
        items.push(FileFacts {
            path,
            bytes: file.bytes,
            sha256: file.sha256.clone().filter(|_| file.failure.is_none()),
            unchanged: file.unchanged,
            error_class: file.failure.as_ref().map(|failure| failure.code.to_owned()),
        });
    }
    items
}

/// As long as the text can become in a record, where some characters are
/// written as two `\u` escapes.
fn length_in_json(text: &str) -> usize {
    let harmless = |c: char| {
        c.is_alphanumeric() || c == ' ' || (c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
    };
    text.chars().map(|c| if harmless(c) { c.len_utf8() } else { 12 }).sum()
}

/// The digest of what `sha256sum` prints for the files, sorted by their names.
/// `None` for a name with a secret in it, which the digest would let be guessed.
fn manifest_sha256(mut files: Vec<&FileOutcome>, redactor: &Redactor) -> Option<String> {
    files.sort_by_key(|file| file.remote.as_bytes());
    let mut hash = Sha256::new();
    for file in files {
        if !redactor.redact(&file.remote.to_string_lossy()).hits.is_empty() {
            return None;
        }
        hash.update(line(file.sha256.as_deref()?, &file.remote));
    }
    Some(hex(hash.finalize()))
}

/// A line of `sha256sum` (coreutils 9): a backslash before it says that the name
/// is escaped, so that no name can pass for a line.
fn line(sha256: &str, path: &OsStr) -> Vec<u8> {
    let mut name = Vec::new();
    for &byte in path.as_bytes() {
        match byte {
            b'\\' => name.extend(b"\\\\"),
            b'\n' => name.extend(b"\\n"),
            b'\r' => name.extend(b"\\r"),
            byte => name.push(byte),
        }
    }
    let mark: &[u8] = if name.len() == path.len() { b"" } else { b"\\" };
    [mark, sha256.as_bytes(), b"  ", &name, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::outcome::{Failure, Phase, Skipped, VerifiedBy};

    fn file(remote: impl AsRef<OsStr>) -> FileOutcome {
        FileOutcome {
            local: "a".into(),
            remote: remote.as_ref().into(),
            bytes: 5,
            sha256: Some("ab".repeat(32)),
            verified_by: Some(VerifiedBy::Sha256sum),
            unchanged: false,
            resumed_from: 0,
            failure: None,
        }
    }

    fn failed(remote: &str) -> FileOutcome {
        let failure = Some(Failure {
            code: "no_space",
            phase: Phase::Transfer,
            message: "no space".into(),
            hint: None,
            retryable: false,
        });
        FileOutcome { failure, verified_by: None, ..file(remote) }
    }

    fn recorded(files: Vec<FileOutcome>) -> TransferFacts {
        facts(&Transferred { files, ..Transferred::default() }, &Redactor::builtin())
    }

    #[test]
    fn one_file_has_its_digest() {
        let facts = recorded(vec![file("/a")]);
        assert_eq!(facts.sha256, Some("ab".repeat(32)));
        assert_eq!(facts.manifest_sha256, None);
        assert_eq!((facts.files, facts.bytes, facts.failed), (1, 5, 0));
        assert_eq!(facts.verified_by, [VerifiedBy::Sha256sum]);
        assert_eq!(facts.items[0].path, "/a");
        let facts = recorded(vec![failed("/a")]);
        assert_eq!((facts.sha256, facts.failed, facts.bytes), (None, 1, 0));
        assert_eq!(facts.items[0].error_class.as_deref(), Some("no_space"));
        assert_eq!(facts.items[0].sha256, None);
    }

    #[test]
    fn several_files_are_counted_and_have_a_manifest() {
        let unchanged = FileOutcome {
            unchanged: true,
            verified_by: Some(VerifiedBy::Readback),
            ..file("/d/2")
        };
        let files = vec![file("/d/3"), unchanged, failed("/d/1"), file("/d/10")];
        let skipped = vec![Skipped { path: "/d/s".into(), why: "a socket" }];
        let facts =
            facts(&Transferred { files, skipped, ..Transferred::default() }, &Redactor::builtin());
        assert_eq!((facts.files, facts.unchanged, facts.failed, facts.skipped), (4, 1, 1, 1));
        assert_eq!(facts.verified_by, [VerifiedBy::Readback, VerifiedBy::Sha256sum]);
        let sha256 = "ab".repeat(32);
        let text = format!("{sha256}  /d/10\n{sha256}  /d/2\n{sha256}  /d/3\n");
        let expected: String =
            Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(facts.manifest_sha256, Some(expected));
        assert_eq!(facts.items_omitted, 0);
    }

    #[test]
    fn the_manifest_is_what_sha256sum_prints() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["plain", "new\nline", "back\\slash", "return\r", " blank ", "zażółć"];
        let mut paths: Vec<_> = names.iter().map(|name| dir.path().join(name)).collect();
        paths.iter().for_each(|path| std::fs::write(path, "hello").unwrap());
        paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        let printed = Command::new("sha256sum").args(&paths).output().unwrap();
        let sha256: String =
            Sha256::digest("hello").iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<u8> =
            paths.iter().flat_map(|path| line(&sha256, path.as_os_str())).collect();
        assert_eq!(String::from_utf8_lossy(&printed.stdout), String::from_utf8_lossy(&lines));
    }

    #[test]
    fn a_name_with_a_secret_is_redacted_and_not_hashed() {
        let facts = recorded(vec![file("/a"), file("/x?token=abcdefgh")]);
        assert_eq!(facts.items[1].path, "/x?token=[redacted]");
        assert_eq!(facts.manifest_sha256, None);
    }

    #[test]
    fn a_record_of_any_names_has_room_in_a_line() {
        let many = (0..1500).map(|number| file(format!("/srv/data/{number}")));
        let facts = recorded(many.collect());
        assert_eq!((facts.items.len(), facts.items_omitted), (1000, 500));
        for name in ["\u{1b}", "\u{e0041}", "\\", "\u{202e}", "é", "日", "\u{fffd}"] {
            let many = (0..200).map(|_| file(name.repeat(4000 / name.len())));
            let facts = recorded(many.collect());
            assert!(facts.items_omitted > 0, "{name:?}");
            let escaped: String =
                serde_json::to_string(&facts).unwrap().chars().map(escaped).collect();
            assert!(escaped.len() < 512 * 1024, "{name:?}: {}", escaped.len());
        }
    }

    /// The longest form that the log could give a character.
    fn escaped(c: char) -> String {
        let escape = |unit: &mut u16| format!("\\u{unit:04x}");
        if c.is_control() || (!c.is_ascii() && !c.is_alphanumeric()) {
            c.encode_utf16(&mut [0; 2]).iter_mut().map(escape).collect()
        } else {
            c.into()
        }
    }
}
