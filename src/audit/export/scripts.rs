//! What became of scripts, under the names and with the fields of the script
//! execution pattern: `script_execution_attempt`, `script_executed`,
//! `script_security_threat` and `script_execution_error`.

use serde_json::{Map, Value, json};

use crate::audit::reader::Entry;
use crate::outcome::ScriptEnd;

/// Whether the record is about a script.
pub(super) fn covers(entry: &Entry) -> bool {
    entry.text("/action/kind") == Some("script") && entry.event().starts_with("exec.")
}

pub(super) fn render(entry: &Entry) -> Value {
    let value = |pointer: &str| entry.value().pointer(pointer).cloned().unwrap_or_default();
    let name = name(entry);
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            fields.insert(key.to_owned(), value);
        }
    };
    put("event", name.into());
    put("timestamp", value("/ts"));
    put("clientId", value("/metadata/client_id"));
    put("machineId", value("/target/host"));
    // A script that is in no library has no other name than its own.
    let id = entry.text("/action/script_id").or_else(|| file_name(entry));
    put("scriptId", id.into());
    put("scriptSha256", value("/action/script_sha256"));
    put("executedBy", value("/actor/id"));
    put("executionId", value("/op_id"));
    put("runId", value("/run_id"));
    if let Some(status) = entry.text("/result/status") {
        let exit = value("/result/exit").as_u64().and_then(|code| u32::try_from(code).ok());
        let message = entry.text("/result/message");
        let end = ScriptEnd::new(status, exit, message);
        put("status", end.status.into());
        put("message", end.message.into());
        // Where nothing ended by itself there is no code: -1 there.
        put("exitCode", exit.map_or(json!(-1), |code| json!(code)));
        match name {
            "script_security_threat" => put("threatDetails", message.into()),
            "script_execution_error" => put("error", message.unwrap_or(status).into()),
            _ => {}
        }
    }
    fields.into()
}

fn name(entry: &Entry) -> &str {
    let exit = entry.value().pointer("/result/exit").is_some_and(Value::is_u64);
    match entry.event() {
        _ if !covers(entry) => entry.event(),
        "exec.attempt" => "script_execution_attempt",
        _ if entry.text("/result/error_class") == Some("script_security_threat") => {
            "script_security_threat"
        }
        _ if exit => "script_executed",
        _ => "script_execution_error",
    }
}

/// The word that is a path: the first one behind the interpreter's, or it.
fn file_name(entry: &Entry) -> Option<&str> {
    entry.text("/action/remote").or_else(|| {
        let words = entry.value().pointer("/action/argv")?.as_array()?;
        words.get(1).or(words.first())?.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn record(event: &str, result: &Value) -> Value {
        let record = json!({
            "ts": "2026-11-21T02:40:00Z", "event": event, "run_id": "r", "op_id": "o",
            "actor": {"id": "alice"}, "target": {"host": "vm01"}, "result": result,
            "action": {"kind": "script", "argv": ["/bin/sh", "a.sh"], "script_id": "restart-web",
                "script_sha256": "ab"},
            "metadata": {"client_id": "acme"},
        });
        render(&entry(&record))
    }

    #[test]
    fn every_step_has_its_name_and_fields() {
        assert_eq!(
            record("exec.attempt", &Value::Null),
            json!({"event": "script_execution_attempt", "timestamp": "2026-11-21T02:40:00Z",
                "clientId": "acme", "machineId": "vm01", "scriptId": "restart-web",
                "scriptSha256": "ab", "executedBy": "alice", "executionId": "o", "runId": "r"})
        );
        let ran = record("exec.result", &json!({"status": "failed", "exit": 3}));
        assert_eq!((&ran["event"], &ran["exitCode"]), (&json!("script_executed"), &json!(3)));
        assert_eq!(ran["message"], "Script failed with exit code 3");
        let threat = json!({"status": "policy_denied", "exit": null, "message": "rm of /",
            "error_class": "script_security_threat"});
        let threat = record("exec.result", &threat);
        assert_eq!(threat["event"], "script_security_threat");
        assert_eq!((&threat["status"], &threat["exitCode"]), (&json!("blocked"), &json!(-1)));
        assert_eq!(threat["threatDetails"], "rm of /");
        let lost = json!({"status": "unknown", "exit": null, "message": "the link was lost"});
        let lost = record("exec.result", &lost);
        assert_eq!(lost["event"], "script_execution_error");
        assert_eq!(lost["error"], "the link was lost");
        assert_eq!(lost["message"], "Execution error: the link was lost");
    }

    #[test]
    fn other_records_are_no_scripts() {
        let command = json!({"event": "exec.result", "action": {"kind": "shell"}});
        assert!(!covers(&entry(&command)));
        assert!(covers(&entry(&json!({"event": "exec.result", "action": {"kind": "script"}}))));
    }
}
