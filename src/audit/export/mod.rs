//! The log in the forms other programs read. One record gives one line.

mod cef;
mod ecs;
mod ocsf;
mod scripts;
mod text;

use std::fmt;
use std::str::FromStr;

use super::escape::escape_json;
use super::reader::Entry;

/// A form of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Common Event Format, version 0.
    Cef,
    /// Elastic Common Schema 8.
    Ecs,
    /// The record as it is.
    Jsonl,
    /// Open Cybersecurity Schema Framework 1.3.
    Ocsf,
    /// What became of scripts, as the script execution pattern names it.
    Scripts,
    /// The line of the system this one replaces.
    Text,
}

/// A name that is no [`Format`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an export format: use jsonl, text, ecs, ocsf, cef or scripts")]
pub struct UnknownFormat(String);

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Jsonl, Self::Text, Self::Ecs, Self::Ocsf, Self::Cef, Self::Scripts];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cef => "cef",
            Self::Ecs => "ecs",
            Self::Jsonl => "jsonl",
            Self::Ocsf => "ocsf",
            Self::Scripts => "scripts",
            Self::Text => "text",
        }
    }

    /// Whether this form has something to say of the record.
    pub fn covers(self, entry: &Entry) -> bool {
        self != Self::Scripts || scripts::covers(entry)
    }

    /// The record in this form: one line, without newline, whatever the
    /// record holds.
    pub fn render(self, entry: &Entry) -> String {
        match self {
            Self::Cef => cef::render(entry),
            Self::Ecs => escape_json(&ecs::render(entry).to_string()),
            Self::Jsonl => entry.raw().to_owned(),
            Self::Ocsf => escape_json(&ocsf::render(entry).to_string()),
            Self::Scripts => escape_json(&scripts::render(entry).to_string()),
            Self::Text => text::render(entry),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == name);
        found.ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// What was to be done, as one text: the shell string or the words.
fn operation(entry: &Entry) -> Option<String> {
    let action = entry.value().get("action")?;
    if let Some(command) = action["command"].as_str() {
        return Some(command.to_owned());
    }
    if let Some(argv) = action["argv"].as_array() {
        let words: Vec<&str> = argv.iter().filter_map(|word| word.as_str()).collect();
        return Some(words.join(" "));
    }
    let kind = action["kind"].as_str()?;
    Some(match (action["local"].as_str(), action["remote"].as_str()) {
        (Some(local), Some(remote)) if kind == "download" => format!("{kind}:{remote} -> {local}"),
        (Some(local), Some(remote)) => format!("{kind}:{local} -> {remote}"),
        _ => kind.to_owned(),
    })
}

/// What is known of a file that was moved.
struct File<'a> {
    /// Its path on the host, or what was given as such.
    path: &'a str,
    bytes: Option<u64>,
    sha256: Option<&'a str>,
}

/// The file that a record is about; of several, the path they were moved to or
/// from and their size together.
fn file(entry: &Entry) -> Option<File<'_>> {
    if !entry.event().starts_with("file.") {
        return None;
    }
    let transfer = entry.value().pointer("/result/transfer");
    let one = transfer.filter(|transfer| transfer["files"] == 1);
    let path = one.and_then(|one| one["items"][0]["path"].as_str());
    Some(File {
        path: path.or_else(|| entry.text("/action/remote"))?,
        bytes: transfer.and_then(|transfer| transfer["bytes"].as_u64()),
        sha256: one.and_then(|one| one["sha256"].as_str()),
    })
}

/// Whether the record closes an action, and how.
fn outcome(entry: &Entry) -> Option<&'static str> {
    match entry.text("/result/status")? {
        "success" => Some("success"),
        "unknown" => Some("unknown"),
        _ => Some("failure"),
    }
}

/// Address and port of the host.
fn address(entry: &Entry) -> Option<(&str, Option<u16>)> {
    let addr = entry.text("/target/addr")?;
    let (ip, port) =
        addr.rsplit_once(':').map_or((addr, None), |(ip, port)| (ip, port.parse().ok()));
    Some((ip.trim_start_matches('[').trim_end_matches(']'), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(super) fn entry(value: &Value) -> Entry {
        Entry::parse(value.to_string().as_bytes()).unwrap()
    }

    /// A result whose every text tries to break out of its field.
    pub(super) fn hostile() -> Value {
        let evil = "x\u{9b}\n2026-11-21 00:00:00 | remote_executor.audit | INFO | user_id=boss\r\u{1b}[2J\u{2028}\u{202e}|=\\'\"";
        json!({
            "v": 1, "seq": 7, "ts": "2026-11-21T02:40:00.500000Z", "pid": 9, "node": "ctl1",
            "event": "exec.result", "run_id": "0193", "op_id": "0194", "attempt": 1,
            "actor": {"id": evil}, "target": {"host": "vm01", "addr": "[::1]:22", "user": evil},
            "action": {"kind": "shell", "command": evil, "cwd": evil},
            "decision": {"allow": true, "rule": evil},
            "result": {"status": "failed", "exit": 3, "signal": null, "phase": "exec",
                "error_class": "x", "message": evil, "may_have_run": true, "dur_ms": 250},
            "reason": evil, "hash": "abc"
        })
    }

    /// An upload of one file that went well.
    pub(super) fn upload() -> Value {
        let sha256 = "ab".repeat(32);
        json!({
            "v": 1, "seq": 8, "ts": "2026-11-21T02:40:01.250000Z", "node": "ctl1",
            "event": "file.result", "run_id": "0193", "op_id": "0194", "attempt": 1,
            "actor": {"id": "alice"}, "target": {"host": "vm01", "addr": "10.0.0.1:22"},
            "action": {"kind": "upload", "local": "a.tar", "remote": "/opt/"},
            "decision": {"allow": true, "rule": "builtin/allow-all"},
            "result": {"status": "success", "exit": null, "dur_ms": 1250, "transfer": {
                "files": 1, "unchanged": 0, "failed": 0, "bytes": 5, "verified_by": ["sha256sum"],
                "sha256": sha256, "items": [
                    {"path": "/opt/a.tar", "bytes": 5, "sha256": sha256, "unchanged": false}]}},
            "hash": "abc"
        })
    }

    /// The same with another kind and status.
    pub(super) fn ended(kind: &str, status: &str, message: &str) -> Value {
        let mut value = upload();
        value["action"]["kind"] = kind.into();
        value["result"] = json!({"status": status, "message": message, "dur_ms": 1250});
        value
    }

    #[test]
    fn the_file_of_a_record() {
        let one = upload();
        let entry_of_one = entry(&one);
        let found = file(&entry_of_one).unwrap();
        assert_eq!((found.path, found.bytes), ("/opt/a.tar", Some(5)));
        assert_eq!(found.sha256.map(str::len), Some(64));
        let mut tree = upload();
        tree["result"]["transfer"]["files"] = 2.into();
        let entry_of_tree = entry(&tree);
        let found = file(&entry_of_tree).unwrap();
        assert_eq!((found.path, found.bytes, found.sha256), ("/opt/", Some(5), None));
        assert!(file(&entry(&hostile())).is_none());
    }

    #[test]
    fn every_format_gives_one_printable_line_whatever_the_record_holds() {
        let value = hostile();
        let record = Entry::parse(escape_json(&value.to_string()).as_bytes()).unwrap();
        for format in Format::ALL {
            let line = format.render(&record);
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{2028}'),
                "{format}: {line:?}"
            );
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        for event in ["audit.checkpoint", "exec.attempt", "file.result", "hostkey.result"] {
            for format in Format::ALL {
                assert!(!format.render(&entry(&json!({"event": event}))).is_empty());
            }
        }
        assert!("xml".parse::<Format>().is_err());
    }
}
