//! Open Cybersecurity Schema Framework. Classes used: File System Activity
//! (1001), Process Activity (1007), Event Log Activity (1008), Authentication
//! (3002), Authorize Session (3003) and SSH Activity (4007).

use serde_json::{Value, json};

use super::outcome;
use crate::audit::reader::Entry;

pub(super) fn render(entry: &Entry) -> Value {
    let value = |pointer: &str| entry.value().pointer(pointer).cloned().unwrap_or_default();
    let class = class(entry);
    let (status, status_id) = match outcome(entry) {
        Some("success") => ("Success", 1),
        Some("failure") => ("Failure", 2),
        _ => ("Unknown", 0),
    };
    let mut event = json!({
        "class_uid": class.uid,
        "class_name": class.name,
        "category_uid": class.uid / 1000,
        "activity_id": class.activity,
        "type_uid": class.uid * 100 + class.activity,
        "severity_id": severity(entry),
        "time": entry.time().map(|time| time.as_millisecond()),
        "status": status,
        "status_id": status_id,
        "status_code": value("/result/status"),
        "status_detail": value("/result/message"),
        "message": entry.event(),
        "duration": value("/result/dur_ms"),
        "metadata": {
            "version": "1.3.0",
            "product": {
                "name": "orchestrator",
                "vendor_name": "orchestrator",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "uid": value("/op_id"),
            "correlation_uid": value("/run_id"),
            "sequence": value("/seq"),
            "log_name": "audit",
        },
        "actor": {"user": {"name": value("/actor/id")}},
        "device": {"hostname": value("/target/host"), "type_id": 0},
        "dst_endpoint": {
            "hostname": value("/target/host"),
            "ip": super::address(entry).map(|(ip, _)| ip),
            "port": super::address(entry).and_then(|(_, port)| port),
        },
        "user": {"name": value("/target/user")},
        "unmapped": {"hash": value("/hash"), "prev": value("/prev"), "reason": value("/reason")},
    });
    if class.uid == PROCESS {
        event["process"] = json!({
            "cmd_line": super::operation(entry),
            "working_directory": value("/action/cwd"),
        });
        event["exit_code"] = value("/result/exit");
    }
    if let Some(file) = super::file(entry).filter(|_| class.uid == FILE) {
        let name = file.path.rsplit('/').find(|name| !name.is_empty()).unwrap_or(file.path);
        event["file"] = json!({"name": name, "path": file.path, "type_id": 0});
        if let Some(bytes) = file.bytes {
            event["file"]["size"] = bytes.into();
        }
        if let Some(sha256) = file.sha256 {
            event["file"]["type_id"] = 1.into();
            event["file"]["hashes"] =
                json!([{"algorithm": "SHA-256", "algorithm_id": 3, "value": sha256}]);
        }
    }
    event
}

struct Class {
    uid: u64,
    name: &'static str,
    activity: u64,
}

const FILE: u64 = 1001;
const PROCESS: u64 = 1007;

/// Refusals are told by what refused; what ran, by the process.
fn class(entry: &Entry) -> Class {
    let class = |uid, name, activity| Class { uid, name, activity };
    match (entry.event(), entry.text("/result/status")) {
        (_, Some("auth_failed")) => class(3002, "Authentication", 1),
        (_, Some("policy_denied" | "rate_limited")) => class(3003, "Authorize Session", 99),
        (_, Some("unreachable" | "circuit_open")) => class(4007, "SSH Activity", 4),
        (_, Some("host_key_rejected")) => class(4007, "SSH Activity", 5),
        ("file.result", _) if entry.text("/action/kind") == Some("download") => {
            class(FILE, "File System Activity", 2)
        }
        ("file.result", _) => class(FILE, "File System Activity", 3),
        ("file.attempt", _) => class(FILE, "File System Activity", 99),
        ("exec.result", _) => class(PROCESS, "Process Activity", 2),
        ("exec.attempt", _) => class(PROCESS, "Process Activity", 1),
        (event, _) if event.starts_with("session.") => class(4007, "SSH Activity", 1),
        (event, _) if event.starts_with("audit.") => class(1008, "Event Log Activity", 99),
        _ => class(4007, "SSH Activity", 99),
    }
}

/// 1 informational, 3 medium, 4 high.
fn severity(entry: &Entry) -> u8 {
    match (entry.event(), entry.text("/result/status")) {
        ("audit.gap", _) | (_, Some("host_key_rejected" | "checksum_mismatch")) => 4,
        (_, Some("auth_failed" | "policy_denied" | "unknown")) => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ended, entry, hostile, upload};
    use super::*;

    #[test]
    fn classes() {
        let check = |event: &str, status: &str, type_uid: u64| {
            let record = json!({"event": event, "result": {"status": status}});
            assert_eq!(render(&entry(&record))["type_uid"], type_uid, "{event} {status}");
        };
        check("exec.attempt", "", 100_701);
        check("exec.result", "success", 100_702);
        check("exec.result", "timeout", 100_702);
        check("exec.result", "auth_failed", 300_201);
        check("exec.result", "policy_denied", 300_399);
        check("exec.result", "unreachable", 400_704);
        check("exec.result", "host_key_rejected", 400_705);
        check("file.attempt", "", 100_199);
        check("file.result", "success", 100_103);
        check("file.result", "checksum_mismatch", 100_103);
        check("file.result", "policy_denied", 300_399);
        check("hostkey.result", "success", 400_799);
        check("keys.result", "success", 400_799);
        check("session.attempt", "", 400_701);
        check("session.result", "success", 400_701);
        check("session.result", "unreachable", 400_704);
        check("audit.checkpoint", "", 100_899);
    }

    #[test]
    fn a_file_carries_its_path_size_and_digest() {
        let event = render(&entry(&upload()));
        assert_eq!(
            event["file"],
            json!({"name": "a.tar", "path": "/opt/a.tar", "type_id": 1, "size": 5, "hashes": [
                {"algorithm": "SHA-256", "algorithm_id": 3, "value": "ab".repeat(32)}]})
        );
        let event = render(&entry(&ended("download", "checksum_mismatch", "no")));
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(100_102), &json!(4)));
        assert_eq!(event["file"], json!({"name": "opt", "path": "/opt/", "type_id": 0}));
    }

    #[test]
    fn a_process_carries_its_command_and_exit_code() {
        let record = hostile();
        let event = render(&entry(&record));
        assert_eq!(event["process"]["cmd_line"], record["action"]["command"]);
        assert_eq!((&event["exit_code"], &event["status_id"]), (&json!(3), &json!(2)));
        assert_eq!(event["severity_id"], 1);
    }
}
