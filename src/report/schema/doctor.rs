//! What `doctor --json` prints.

use serde_json::{Value, json};

pub(super) fn document() -> Value {
    json!({
        "type": "object",
        "required": ["v", "type", "summary", "hosts"],
        "properties": {
            "v": {"$ref": "#/$defs/v"},
            "type": {"const": "doctor"},
            "summary": {
                "description": "How many hosts have each verdict; those with none are absent.",
                "type": "object",
                "propertyNames": {"$ref": "#/$defs/verdict"},
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
            "hosts": {"type": "array", "items": {"$ref": "#/$defs/diagnosed"}},
        },
    })
}

pub(super) fn host() -> Value {
    json!({
        "type": "object",
        "required": ["vm_id", "verdict", "ms", "status", "error", "ssh", "stages"],
        "properties": {
            "vm_id": {"$ref": "#/$defs/vm_id"},
            "verdict": {"description": "The worst of its stages.", "$ref": "#/$defs/verdict"},
            "ms": {"$ref": "#/$defs/count"},
            "status": {"description": "How reaching it ended.", "$ref": "#/$defs/status"},
            "error": {"anyOf": [{"$ref": "#/$defs/error"}, {"type": "null"}]},
            "ssh": {"anyOf": [{"$ref": "#/$defs/ssh"}, {"type": "null"}]},
            "stages": {
                "description": "In their order. None where nothing was asked.",
                "type": "array",
                "items": {"$ref": "#/$defs/finding"},
            },
        },
    })
}

pub(super) fn finding() -> Value {
    json!({
        "type": "object",
        "required": ["stage", "verdict", "ms", "finding", "hint", "notes"],
        "properties": {
            "stage": {
                "description": "Stable; there may be new ones.",
                "enum": [
                    "inventory", "name", "tcp", "banner", "algorithms", "host_key", "auth", "exec",
                    "sftp", "hash", "sudo", "tmp", "clock", "disk",
                ],
            },
            "verdict": {"$ref": "#/$defs/verdict"},
            "ms": {"$ref": "#/$defs/count"},
            "finding": {"type": "string"},
            "hint": {"description": "The next step.", "type": ["string", "null"]},
            "notes": {
                "description": "What is remarkable. Stable; there may be new ones.",
                "type": "array",
                "items": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
            },
        },
    })
}

pub(super) fn verdict() -> Value {
    json!({"enum": ["skipped", "ok", "warn", "fail"]})
}
