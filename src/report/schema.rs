//! What the JSON looks like, for programs: JSON Schema, draft 2020-12.

mod doctor;
mod files;

use serde_json::{Value, json};

use super::json::VERSION;
use crate::event::StopReason;
use crate::outcome::Status;

/// The schema of the document and of each event. Fields may be added within a
/// version, so it forbids none.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:orchestrator:output:v{VERSION}"),
        "title": "What orchestrator writes as JSON",
        "description": "--json gives one document; -o ndjson gives one event a line; doctor has a document of its own.",
        "oneOf": [
            {"$ref": "#/$defs/document"},
            {"$ref": "#/$defs/event"},
            {"$ref": "#/$defs/diagnosis"},
        ],
        "$defs": {
            "v": {"const": VERSION},
            "run": {
                "description": "A UUIDv7.",
                "type": "string",
                "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$",
            },
            "vm_id": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"},
            "count": {"type": "integer", "minimum": 0},
            "status": {"enum": Status::ALL},
            "summary": {
                "description": "How many hosts ended in each status; those with none are absent.",
                "type": "object",
                "propertyNames": {"$ref": "#/$defs/status"},
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
            "stopped": stopped(),
            "document": document(),
            "host": host(),
            "command": command(),
            "file": files::file(),
            "totals": files::totals(),
            "skipped": files::skipped(),
            "error": error(),
            "kill": kill(),
            "ssh": ssh(),
            "event": event(),
            "diagnosis": doctor::document(),
            "diagnosed": doctor::host(),
            "finding": doctor::finding(),
            "verdict": doctor::verdict(),
        },
    })
}

fn document() -> Value {
    json!({
        "type": "object",
        "required": ["v", "run", "hosts"],
        "not": {"required": ["type"]},
        "properties": {
            "v": {"$ref": "#/$defs/v"},
            "run": {
                "description": "null when nothing was run, because of the error.",
                "anyOf": [{"$ref": "#/$defs/run"}, {"type": "null"}],
            },
            "summary": {"$ref": "#/$defs/summary"},
            "stopped": {"$ref": "#/$defs/stopped"},
            "error": {"$ref": "#/$defs/error"},
            "hosts": {"type": "array", "items": {"$ref": "#/$defs/host"}},
        },
        "oneOf": [{"required": ["summary"]}, {"required": ["error"]}],
    })
}

fn stopped() -> Value {
    json!({
        "description": "Why not everything was done; absent where nothing stopped the run.",
        "type": "object",
        "required": ["reason", "message"],
        "properties": {"reason": {"enum": StopReason::ALL}, "message": {"type": "string"}},
    })
}

/// The result of one of several commands, and what a host's result has of it.
fn command() -> Value {
    let bytes = |stream: &str| base64(&format!("The kept bytes of {stream}, where not UTF-8."));
    let file = |stream: &str| {
        let description =
            format!("The file with the bytes of {stream}, where files were asked for.");
        json!({"description": description, "type": "string"})
    };
    let whole =
        |stream: &str| digest(&format!("Of the whole {stream}, where not all of it was kept."));
    json!({
        "type": "object",
        "required": [
            "vm_id", "command", "stdout", "stderr", "exit_code", "success", "execution_time",
            "timestamp", "status", "signal", "attempts", "error", "stdout_bytes", "stderr_bytes",
            "truncated", "kill", "output_incomplete",
        ],
        "properties": {
            "vm_id": {"$ref": "#/$defs/vm_id"},
            "command": {"type": "string"},
            "stdout": {"description": "Bytes that are not UTF-8 are replaced.", "type": "string"},
            "stderr": {"description": "Bytes that are not UTF-8 are replaced.", "type": "string"},
            "exit_code": {
                "description": "null when there is none.",
                "type": ["integer", "null"],
                "minimum": 0,
            },
            "success": {"type": "boolean"},
            "execution_time": {
                "description": "Seconds, all attempts.",
                "type": "number",
                "minimum": 0,
            },
            "timestamp": {
                "description": "When it ended, UTC.",
                "type": "string",
                "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$",
            },
            "status": {"$ref": "#/$defs/status"},
            "signal": {
                "description": "What ended it, without SIG (RFC 4254, 6.10).",
                "type": ["string", "null"],
            },
            "attempts": {"$ref": "#/$defs/count"},
            "error": {"anyOf": [{"$ref": "#/$defs/error"}, {"type": "null"}]},
            "stdout_bytes": {"$ref": "#/$defs/count"},
            "stderr_bytes": {"$ref": "#/$defs/count"},
            "truncated": {"description": "Whether not all was kept.", "type": "boolean"},
            "stdout_base64": bytes("stdout"),
            "stderr_base64": bytes("stderr"),
            "stdout_sha256": whole("stdout"),
            "stderr_sha256": whole("stderr"),
            "stdout_file": file("stdout"),
            "stderr_file": file("stderr"),
            "kill": {"anyOf": [{"$ref": "#/$defs/kill"}, {"type": "null"}]},
            "output_incomplete": {
                "description": "Why output may be missing although the command ended.",
                "type": ["string", "null"],
            },
        },
    })
}

fn host() -> Value {
    let mut host = command();
    if let Some(required) = host["required"].as_array_mut() {
        required.extend([json!("ms"), json!("ssh")]);
    }
    host["dependentRequired"] = json!({
        "path": ["local", "bytes", "unchanged", "files"],
        "files": ["totals"],
        "totals": ["files"],
        "skipped": ["files"],
    });
    let more = json!({
        "ms": {
            "description": "How long the parts of the last attempt took, in milliseconds.",
            "type": "object",
            "required": ["connect", "auth", "run"],
            "properties": {
                "connect": {"$ref": "#/$defs/count"},
                "auth": {"$ref": "#/$defs/count"},
                "run": {"$ref": "#/$defs/count"},
                "waited": {
                    "description": "For the rate of the policy's rules, before the first attempt.",
                    "type": "integer",
                    "minimum": 1,
                },
            },
        },
        "ssh": {"anyOf": [{"$ref": "#/$defs/ssh"}, {"type": "null"}]},
        "script_id": {"description": "Of a script from the library.", "type": "string"},
        "script": script(),
        "script_sha256": digest("Of the script that was run, where it is known."),
        "commands": {
            "description": "Of several commands: what became of each, in their order.",
            "type": "array",
            "items": {"$ref": "#/$defs/command"},
        },
        "files": {
            "description": "Of a transfer: each file that was to be moved.",
            "type": "array",
            "items": {"$ref": "#/$defs/file"},
        },
        "totals": {"$ref": "#/$defs/totals"},
        "skipped": {
            "description": "What was left out although it was asked for.",
            "type": "array",
            "items": {"$ref": "#/$defs/skipped"},
        },
    });
    // A single file stands in the result itself too.
    if let Some(fields) = host["properties"].as_object_mut() {
        for more in [more, files::fields()] {
            fields.extend(more.as_object().cloned().unwrap_or_default());
        }
    }
    host
}

fn script() -> Value {
    json!({
        "description": "Of a script: how it ended, in the words of the script execution pattern.",
        "type": "object",
        "required": ["status", "message"],
        "properties": {
            "status": {"enum": ["success", "failed", "blocked", "error"]},
            "message": {"type": "string"},
        },
    })
}

fn base64(description: &str) -> Value {
    json!({"description": description, "type": "string", "contentEncoding": "base64"})
}

fn digest(description: &str) -> Value {
    json!({"description": description, "type": "string", "pattern": "^[0-9a-f]{64}$"})
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["code", "phase", "message", "hint", "retryable"],
        "properties": {
            "code": {
                "description": "Stable.",
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]*$",
            },
            "phase": {
                "description": "Where it went wrong. Stable; there may be new ones.",
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]*$",
            },
            "message": {"type": "string"},
            "hint": {"description": "The next step.", "type": ["string", "null"]},
            "retryable": {
                "description": "Whether trying again may help and can do no harm.",
                "type": "boolean",
            },
        },
    })
}

fn kill() -> Value {
    json!({
        "description": "What became of its processes. null is unknown, never none.",
        "type": "object",
        "required": ["ended", "survivors"],
        "properties": {
            "ended": {"type": ["integer", "null"], "minimum": 0},
            "survivors": {"type": ["array", "null"], "items": {"type": "string"}},
        },
    })
}

fn ssh() -> Value {
    json!({
        "description": "What was negotiated.",
        "type": "object",
        "required": ["kex", "host_key", "cipher", "mac", "strict_kex", "pq"],
        "properties": {
            "kex": {"type": "string"},
            "host_key": {"description": "SHA256:…", "type": "string"},
            "cipher": {"type": "string"},
            "mac": {"type": "string"},
            "strict_kex": {"type": "boolean"},
            "pq": {"description": "Whether it resists a quantum computer.", "type": "boolean"},
        },
    })
}

fn event() -> Value {
    let kind = |name: &str, mut body: Value| {
        body["properties"]["type"] = json!({"const": name});
        body
    };
    let vm_id = json!({"$ref": "#/$defs/vm_id"});
    let index = json!({
        "description": "Which of several commands, from 0.",
        "type": "integer",
        "minimum": 0,
    });
    let mut command = command();
    if let Some(required) = command["required"].as_array_mut() {
        required.extend([json!("index"), json!("of")]);
    }
    command["properties"]["index"] = index.clone();
    command["properties"]["of"] = json!({"type": "integer", "minimum": 1});
    json!({
        "type": "object",
        "required": ["v", "type", "seq", "ts", "run"],
        "properties": {
            "v": {"$ref": "#/$defs/v"},
            "seq": {
                "description": "Counts from 0 without gaps.",
                "type": "integer",
                "minimum": 0,
            },
            "ts": {
                "description": "When it happened, UTC.",
                "type": "string",
                "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$",
            },
            "run": {"$ref": "#/$defs/run"},
        },
        "oneOf": [
            kind("run_started", json!({
                "required": ["hosts", "command"],
                "properties": {
                    "hosts": {"type": "array", "items": vm_id},
                    "command": {"type": "string"},
                },
            })),
            kind("host_started", json!({
                "required": ["vm_id"],
                "properties": {"vm_id": vm_id},
            })),
            kind("output", json!({
                "required": ["vm_id", "stream"],
                "properties": {
                    "vm_id": vm_id,
                    "index": index,
                    "stream": {"enum": ["stdout", "stderr"]},
                    "data": {"type": "string"},
                    "data_base64": base64("The bytes, where they are not UTF-8 by themselves."),
                },
                "oneOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
            })),
            kind("progress", json!({
                "description": "How far a transfer has come; totals as far as is known yet.",
                "required": ["vm_id", "bytes", "bytes_total", "files", "files_total"],
                "properties": {
                    "vm_id": vm_id,
                    "bytes": {"$ref": "#/$defs/count"},
                    "bytes_total": {"$ref": "#/$defs/count"},
                    "files": {"$ref": "#/$defs/count"},
                    "files_total": {"$ref": "#/$defs/count"},
                },
            })),
            kind("command_finished", command),
            kind("host_finished", json!({"$ref": "#/$defs/host"})),
            kind("batch_finished", json!({
                "description": "Told only of runs in batches.",
                "required": ["index", "of", "hosts", "summary"],
                "properties": {
                    "index": {"description": "From 1.", "type": "integer", "minimum": 1},
                    "of": {"type": "integer", "minimum": 1},
                    "hosts": {"type": "array", "items": vm_id},
                    "summary": {"$ref": "#/$defs/summary"},
                },
            })),
            kind("run_finished", json!({
                "required": ["summary"],
                "properties": {
                    "summary": {"$ref": "#/$defs/summary"},
                    "stopped": {"$ref": "#/$defs/stopped"},
                },
            })),
        ],
    })
}

#[cfg(test)]
pub(super) mod tests;
