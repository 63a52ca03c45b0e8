//! Elastic Common Schema. The record itself stands in `event.original`.

use serde_json::{Map, Value, json};

use super::outcome;
use crate::audit::reader::Entry;

pub(super) fn render(entry: &Entry) -> Value {
    let value = |pointer: &str| entry.value().pointer(pointer).cloned().unwrap_or_default();
    let address = super::address(entry);
    let file = super::file(entry);
    // What moves files is no process of the host's.
    let command_line = super::operation(entry).filter(|_| file.is_none());
    let nanos = value("/result/dur_ms").as_u64().map(|millis| millis.saturating_mul(1_000_000));
    let document = json!({
        "@timestamp": value("/ts"),
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "event",
            "category": [category(entry)],
            "type": [kind(entry)],
            "action": entry.event(),
            "outcome": outcome(entry),
            "id": value("/op_id"),
            "sequence": value("/seq"),
            "duration": nanos,
            "reason": value("/reason"),
            "hash": value("/hash"),
            "provider": "orchestrator",
            "original": entry.raw(),
        },
        "observer": {"hostname": value("/node"), "product": "orchestrator"},
        "user": {"name": value("/actor/id"), "target": {"name": value("/target/user")}},
        "host": {"name": value("/target/host"), "ip": address.map(|(ip, _)| ip)},
        "destination": {
            "ip": address.map(|(ip, _)| ip),
            "port": address.and_then(|(_, port)| port),
        },
        "process": {
            "command_line": command_line,
            "args": value("/action/argv"),
            "working_directory": value("/action/cwd"),
            "exit_code": value("/result/exit"),
        },
        "file": file.map(|file| json!({
            "path": file.path,
            "size": file.bytes,
            "hash": {"sha256": file.sha256},
        })),
        "rule": {"name": value("/decision/rule")},
        "error": {"code": value("/result/error_class"), "message": value("/result/message")},
        "trace": {"id": value("/run_id")},
    });
    without_nulls(document)
}

fn category(entry: &Entry) -> &'static str {
    match (entry.event(), entry.text("/result/status")) {
        (_, Some("auth_failed")) => "authentication",
        (event, _) if event.starts_with("exec.") => "process",
        (event, _) if event.starts_with("file.") => "file",
        (event, _) if event.starts_with("session.") => "session",
        _ => "configuration",
    }
}

fn kind(entry: &Entry) -> &'static str {
    match entry.text("/result/status") {
        Some("policy_denied" | "rate_limited" | "host_key_rejected") => "denied",
        // Beside a file there is no start and no end.
        _ if entry.event() == "file.result" => match entry.text("/action/kind") {
            Some("download") => "access",
            _ => "change",
        },
        _ if entry.event() == "file.attempt" => "info",
        _ if entry.event().ends_with(".result") => "end",
        _ if entry.event().ends_with(".attempt") => "start",
        _ => "info",
    }
}

/// ECS has no nulls: a field is there or it is not.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .into_iter()
                .map(|(key, member)| (key, without_nulls(member)))
                .filter(|(_, member)| !is_empty(member))
                .collect();
            kept.into()
        }
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ended, entry, hostile, upload};
    use super::*;

    #[test]
    fn fields_stand_where_ecs_has_them() {
        let record = hostile();
        let document = render(&entry(&record));
        assert_eq!(document["event"]["category"], json!(["process"]));
        assert_eq!(document["event"]["outcome"], "failure");
        assert_eq!(document["event"]["duration"], 250_000_000);
        assert_eq!(document["process"]["exit_code"], 3);
        assert_eq!(document["process"]["command_line"], record["action"]["command"]);
        assert_eq!(document["host"]["ip"], "::1");
        assert_eq!(document["event"]["original"], record.to_string());
    }

    #[test]
    fn a_file_is_one() {
        let document = render(&entry(&upload()));
        assert_eq!(document["event"]["category"], json!(["file"]));
        assert_eq!(document["event"]["type"], json!(["change"]));
        assert_eq!(
            document["file"],
            json!({"path": "/opt/a.tar", "size": 5, "hash": {"sha256": "ab".repeat(32)}})
        );
        assert_eq!(document.get("process"), None);
        let download = render(&entry(&ended("download", "failed", "no")));
        assert_eq!(download["event"]["type"], json!(["access"]));
        assert_eq!(download["event"]["outcome"], "failure");
        assert_eq!(download["file"], json!({"path": "/opt/"}));
        let mut attempt = upload();
        attempt["event"] = "file.attempt".into();
        attempt.as_object_mut().unwrap().shift_remove("result");
        assert_eq!(render(&entry(&attempt))["event"]["type"], json!(["info"]));
    }

    #[test]
    fn nothing_is_null() {
        let document = render(&entry(&json!({"event": "audit.checkpoint"}))).to_string();
        assert!(!document.contains("null"), "{document}");
    }
}
