//! The audit line of the system this one replaces:
//! `2026-11-21 02:40:00 | remote_executor.audit | INFO | user_id=… | vm_id=… | …`.
//!
//! Two differences: times are UTC throughout, and what a field holds cannot
//! end the field or the line.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::audit::escape::escape;
use crate::audit::reader::Entry;

/// The longest operation, in characters, as there.
const OPERATION_MAX: usize = 200;

pub(super) fn render(entry: &Entry) -> String {
    let end = entry.time().unwrap_or(Timestamp::UNIX_EPOCH);
    let millis = entry.value().pointer("/result/dur_ms").and_then(Value::as_i64);
    let start = end - SignedDuration::from_millis(millis.unwrap_or(0));
    let mut fields = vec![
        end.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        "remote_executor.audit".to_owned(),
        "INFO".to_owned(),
        field("user_id", entry.text("/actor/id").unwrap_or("-")),
        field("vm_id", entry.text("/target/host").unwrap_or("-")),
        field("operation", &operation(entry)),
        field("start", &start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        field("end", &end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        field("status", status(entry)),
    ];
    if let Some(exit) = entry.value().pointer("/result/exit").and_then(Value::as_i64) {
        fields.push(format!("exit_code={exit}"));
    }
    fields.extend(extra(entry, millis));
    fields.join(" | ")
}

fn field(name: &str, value: &str) -> String {
    format!("{name}={}", escape(value, &['|']))
}

fn operation(entry: &Entry) -> String {
    let whole = failed_transfer(entry).or_else(|| super::operation(entry));
    let whole = whole.unwrap_or_else(|| entry.event().to_owned());
    whole.chars().take(OPERATION_MAX).collect()
}

/// There, a transfer that failed was another operation than one that did not.
fn failed_transfer(entry: &Entry) -> Option<String> {
    let failed = match entry.text("/result/status")? {
        "success" => return None,
        "checksum_mismatch" => "verify_failed",
        _ => "failed",
    };
    let kind = entry.text("/action/kind").filter(|_| entry.event() == "file.result")?;
    Some(format!("{kind}_{failed}:{}", entry.text("/action/remote")?))
}

/// `success` or `error` for what ended, as there; otherwise what the record is.
fn status(entry: &Entry) -> &str {
    match entry.text("/result/status") {
        Some("success") => "success",
        Some(_) => "error",
        None if entry.event().ends_with(".attempt") => "attempt",
        None => "info",
    }
}

/// What there was a Python dictionary.
fn extra(entry: &Entry, millis: Option<i64>) -> Option<String> {
    let mut items = Vec::new();
    if let Some(millis) = millis {
        items.push(format!("'execution_time_sec': {}.{:03}", millis / 1000, millis % 1000));
    }
    let texts =
        [("outcome", "/result/status"), ("exception", "/result/message"), ("reason", "/reason")];
    for (name, pointer) in texts {
        let ended_well = pointer == "/result/status" && status(entry) == "success";
        if let Some(text) = entry.text(pointer).filter(|_| !ended_well) {
            items.push(format!("'{name}': '{}'", escape(text, &['|', '\''])));
        }
    }
    (!items.is_empty()).then(|| format!("extra={{{}}}", items.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ended, entry, hostile, upload};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_is_that_of_the_source_system() {
        let value = json!({
            "ts": "2026-11-21T02:40:01.250000Z", "event": "exec.result",
            "actor": {"id": "alice"}, "target": {"host": "vm01"},
            "action": {"kind": "shell", "command": "echo hello"},
            "result": {"status": "success", "exit": 0, "dur_ms": 466}
        });
        assert_eq!(
            render(&entry(&value)),
            "2026-11-21 02:40:01 | remote_executor.audit | INFO | user_id=alice | vm_id=vm01 \
             | operation=echo hello | start=2026-11-21T02:40:00Z | end=2026-11-21T02:40:01Z \
             | status=success | exit_code=0 | extra={'execution_time_sec': 0.466}"
        );
    }

    #[test]
    fn transfers_are_told_as_there() {
        let check = |value: &serde_json::Value, operation: &str, end: &str| {
            let line = render(&entry(value));
            assert!(line.contains(&format!(" | operation={operation} | start=")), "{line}");
            assert!(line.ends_with(end), "{line}");
        };
        let ok = " | status=success | extra={'execution_time_sec': 1.250}";
        check(&upload(), "upload:a.tar -> /opt/", ok);
        let mut download = upload();
        download["action"]["kind"] = "download".into();
        check(&download, "download:/opt/ -> a.tar", ok);
        let mut attempt = upload();
        attempt["event"] = "file.attempt".into();
        attempt.as_object_mut().unwrap().shift_remove("result");
        check(&attempt, "upload:a.tar -> /opt/", " | status=attempt");
        check(
            &ended("upload", "checksum_mismatch", "SHA256 mismatch"),
            "upload_verify_failed:/opt/",
            " | status=error | extra={'execution_time_sec': 1.250, \
             'outcome': 'checksum_mismatch', 'exception': 'SHA256 mismatch'}",
        );
        check(
            &ended("download", "checksum_mismatch", "x"),
            "download_verify_failed:/opt/",
            "'exception': 'x'}",
        );
        check(&ended("upload", "failed", "x"), "upload_failed:/opt/", "'exception': 'x'}");
        check(&ended("download", "unknown", "x"), "download_failed:/opt/", "'exception': 'x'}");
    }

    #[test]
    fn no_value_can_forge_a_field_or_a_line() {
        let line = render(&entry(&hostile()));
        let names: Vec<&str> =
            line.split(" | ").skip(3).map(|field| field.split('=').next().unwrap()).collect();
        assert_eq!(
            names,
            ["user_id", "vm_id", "operation", "start", "end", "status", "exit_code", "extra"]
        );
        assert!(!line.contains('\u{1b}') && !line.contains('\n') && !line.contains('\u{2028}'));
    }
}
