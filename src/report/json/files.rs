//! The files of a transfer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use super::text;
use crate::outcome::{Failure, FileOutcome, Skipped, Transferred};

/// What a host result says of its files: all of them in `files`, whatever
/// their number, and a single one in the result itself too.
#[derive(Serialize)]
pub(super) struct Files<'a> {
    #[serde(flatten)]
    single: Option<File<'a>>,
    files: Vec<File<'a>>,
    totals: Totals,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    local: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_base64: Option<String>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_by: Option<&'static str>,
    unchanged: bool,
    #[serde(skip_serializing_if = "is_zero")]
    resumed_from: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

#[derive(Serialize)]
struct Totals {
    files: usize,
    bytes: u64,
    unchanged: usize,
    failed: usize,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    why: &'a str,
}

impl<'a> Files<'a> {
    pub(super) fn new(moved: &'a Transferred) -> Self {
        let single = match moved.files.as_slice() {
            // Its error is that of the host.
            [file] => Some(File { error: None, ..File::new(file) }),
            _ => None,
        };
        Self {
            single,
            files: moved.files.iter().map(File::new).collect(),
            totals: Totals {
                files: moved.files.len(),
                bytes: moved.bytes(),
                unchanged: moved.done().filter(|file| file.unchanged).count(),
                failed: moved.files.len() - moved.done().count(),
            },
            skipped: moved.skipped.iter().map(LeftOut::new).collect(),
        }
    }
}

impl<'a> File<'a> {
    fn new(file: &'a FileOutcome) -> Self {
        let (path, path_base64) = name(&file.remote);
        let (local, local_base64) = name(&file.local);
        Self {
            path,
            path_base64,
            local,
            local_base64,
            bytes: file.bytes,
            sha256: file.sha256.as_deref(),
            verified_by: file.verified_by.map(|verifier| verifier.as_str()),
            unchanged: file.unchanged,
            resumed_from: file.resumed_from,
            error: file.failure.as_ref(),
        }
    }
}

impl<'a> LeftOut<'a> {
    fn new(skipped: &'a Skipped) -> Self {
        let (path, path_base64) = name(&skipped.path);
        Self { path, path_base64, why: skipped.why }
    }
}

/// A path as text and, where the text cannot say it exactly, as base64.
fn name(path: &OsStr) -> (String, Option<String>) {
    text(path.as_bytes().to_vec())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::fixture::{failed_file, file, moved};
    use super::super::Host;
    use super::*;
    use crate::outcome::HostResult;

    const EXISTING: usize = 19;

    /// What a result says beyond the fields that all have.
    fn beyond(result: &HostResult) -> Value {
        let value = serde_json::to_value(Host::new(result)).unwrap();
        Value::Object(value.as_object().unwrap().clone().into_iter().skip(EXISTING).collect())
    }

    #[test]
    fn one_file() {
        let sha256 = "ab".repeat(32);
        let file_json = json!({
            "path": "/opt/a.tar", "local": "a.tar", "bytes": 12_897_485, "sha256": sha256,
            "verified_by": "sha256sum", "unchanged": false,
        });
        let mut expected = file_json.clone();
        expected["files"] = json!([file_json]);
        expected["totals"] = json!({"files": 1, "bytes": 12_897_485, "unchanged": 0, "failed": 0});
        let result = moved("vm01", vec![file("/opt/a.tar")]);
        assert_eq!(beyond(&result), expected);
        let value = serde_json::to_value(Host::new(&result)).unwrap();
        assert_eq!((&value["stdout"], &value["stderr"]), (&json!(""), &json!("")));
        assert_eq!(value["exit_code"], Value::Null);
    }

    #[test]
    fn one_file_that_failed_has_the_error_of_its_host() {
        let result = moved("vm01", vec![failed_file("/a", "no space")]);
        let value = serde_json::to_value(Host::new(&result)).unwrap();
        assert_eq!(value["error"]["message"], "no space");
        assert_eq!(value["files"][0]["error"], value["error"]);
        assert_eq!((value.get("sha256"), value.get("verified_by")), (None, None));
    }

    #[test]
    fn several_files() {
        let unchanged = FileOutcome { unchanged: true, resumed_from: 7, ..file("/d/2") };
        let mut result = moved("vm01", vec![file("/d/1"), unchanged, failed_file("/d/3", "no")]);
        result.transfer.as_mut().unwrap().skipped =
            vec![Skipped { path: "d/socket".into(), why: "a socket" }];
        let value = beyond(&result);
        assert_eq!(value.get("path"), None);
        assert_eq!(value["files"].as_array().unwrap().len(), 3);
        assert_eq!(value["files"][1]["unchanged"], true);
        assert_eq!(value["files"][1]["resumed_from"], 7);
        assert_eq!(value["files"][0].get("resumed_from"), None);
        assert_eq!(value["files"][0].get("error"), None);
        assert_eq!(value["files"][2]["error"]["code"], "transfer_failed");
        assert_eq!(
            value["totals"],
            json!({"files": 3, "bytes": 25_794_970, "unchanged": 1, "failed": 1})
        );
        assert_eq!(value["skipped"], json!([{"path": "d/socket", "why": "a socket"}]));
    }

    #[test]
    fn an_empty_tree_is_no_file_and_not_nothing() {
        assert_eq!(
            beyond(&moved("vm01", vec![])),
            json!({"files": [], "totals": {"files": 0, "bytes": 0, "unchanged": 0, "failed": 0}})
        );
    }

    #[test]
    fn names_that_are_not_utf8_are_exact_in_base64() {
        let raw = OsStr::from_bytes(b"/a\xff").to_owned();
        let odd = FileOutcome { remote: raw.clone(), local: raw, ..file("") };
        let value = beyond(&moved("vm01", vec![odd]));
        for name in ["path", "local"] {
            assert_eq!(value[name], "/a\u{fffd}");
            assert_eq!(value[format!("{name}_base64")], "L2H/");
        }
    }
}
