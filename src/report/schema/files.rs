//! The files of a transfer.

use serde_json::{Value, json};

use super::{base64, digest};

pub(super) fn file() -> Value {
    let mut properties = fields();
    properties["error"] = json!({
        "description": "Why it is not in place.",
        "$ref": "#/$defs/error",
    });
    json!({
        "type": "object",
        "required": ["path", "local", "bytes", "unchanged"],
        "properties": properties,
    })
}

pub(super) fn fields() -> Value {
    json!({
        "path": {
            "description": "On the host. Bytes that are not UTF-8 are replaced.",
            "type": "string",
        },
        "path_base64": base64("The path, where it is not UTF-8."),
        "local": {
            "description": "On this machine. Bytes that are not UTF-8 are replaced.",
            "type": "string",
        },
        "local_base64": base64("The local path, where it is not UTF-8."),
        "bytes": {"$ref": "#/$defs/count"},
        "sha256": digest("Of the file, once both ends agree on it."),
        "verified_by": {
            "description": "Who computed it on the host; readback: nobody, it was read back.",
            "enum": ["openssl", "readback", "sha256sum", "shasum"],
        },
        "unchanged": {
            "description": "Whether the target had this content already.",
            "type": "boolean",
        },
        "resumed_from": {
            "description": "How many bytes had arrived in an earlier transfer.",
            "type": "integer",
            "minimum": 1,
        },
    })
}

pub(super) fn totals() -> Value {
    json!({
        "type": "object",
        "required": ["files", "bytes", "unchanged", "failed"],
        "properties": {
            "files": {"$ref": "#/$defs/count"},
            "bytes": {"description": "Of the files in place.", "$ref": "#/$defs/count"},
            "unchanged": {"$ref": "#/$defs/count"},
            "failed": {"$ref": "#/$defs/count"},
        },
    })
}

pub(super) fn skipped() -> Value {
    json!({
        "type": "object",
        "required": ["path", "why"],
        "properties": {
            "path": {"description": "Where it is.", "type": "string"},
            "path_base64": base64("The path, where it is not UTF-8."),
            "why": {"type": "string"},
        },
    })
}
