//! Common Event Format: `CEF:0|vendor|product|version|id|name|severity|extension`.

use serde_json::Value;

use crate::audit::escape::escape;
use crate::audit::reader::Entry;

pub(super) fn render(entry: &Entry) -> String {
    let number = |pointer: &str| entry.value().pointer(pointer).and_then(Value::as_i64);
    let mut extension = Vec::new();
    let mut put = |key: &str, value: Option<String>| {
        extension.extend(value.map(|value| format!("{key}={}", in_extension(&value))));
    };
    let text = |pointer: &str| entry.text(pointer).map(str::to_owned);
    put("rt", entry.time().map(|time| time.as_millisecond().to_string()));
    put("externalId", number("/seq").map(|seq| seq.to_string()));
    put("dvchost", text("/node"));
    put("dvcpid", number("/pid").map(|pid| pid.to_string()));
    put("suser", text("/actor/id"));
    put("dhost", text("/target/host"));
    if let Some((ip, port)) = super::address(entry) {
        put("dst", ip.parse::<std::net::Ipv4Addr>().ok().map(|ip| ip.to_string()));
        put("dpt", port.map(|port| port.to_string()));
    }
    put("duser", text("/target/user"));
    put("act", super::operation(entry));
    if let Some(file) = super::file(entry) {
        put("filePath", Some(file.path.to_owned()));
        put("fsize", file.bytes.map(|bytes| bytes.to_string()));
        put("fileHash", file.sha256.map(str::to_owned));
    }
    put("outcome", text("/result/status"));
    put("reason", text("/result/message").or_else(|| text("/reason")));
    let labelled = [
        ("cs1", "runId", text("/run_id")),
        ("cs2", "opId", text("/op_id")),
        ("cs3", "rule", text("/decision/rule")),
        ("cs4", "hostKey", text("/target/hostkey")),
        ("cs5", "recordHash", text("/hash")),
        ("cn1", "exitCode", number("/result/exit").map(|exit| exit.to_string())),
        ("cn2", "durationMs", number("/result/dur_ms").map(|millis| millis.to_string())),
    ];
    for (key, label, value) in labelled {
        if value.is_some() {
            put(&format!("{key}Label"), Some(label.into()));
            put(key, value);
        }
    }
    let head = [
        "CEF:0",
        "orchestrator",
        "orchestrator",
        env!("CARGO_PKG_VERSION"),
        &in_header(entry.event()),
        &in_header(name(entry)),
        severity(entry),
    ];
    format!("{}|{}", head.join("|"), extension.join(" "))
}

fn name(entry: &Entry) -> &str {
    entry.text("/result/status").unwrap_or_else(|| entry.event())
}

/// From 0 to 10: a refusal of a key or a broken log is worth waking somebody.
fn severity(entry: &Entry) -> &'static str {
    match (entry.event(), entry.text("/result/status")) {
        ("audit.gap", _) | (_, Some("host_key_rejected" | "checksum_mismatch")) => "8",
        (_, Some("auth_failed" | "policy_denied" | "unknown")) => "6",
        (_, None | Some("success")) => "2",
        (_, Some(_)) => "4",
    }
}

/// In the header a pipe ends a field.
fn in_header(text: &str) -> String {
    escape(text, &[]).replace('|', "\\|")
}

/// In the extension an equals sign begins a value, and the format has its own
/// escapes for it and for newlines.
fn in_extension(text: &str) -> String {
    escape(text, &[]).replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ended, entry, hostile, upload};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_header_has_seven_bars_and_values_cannot_begin_new_keys() {
        let line = render(&entry(&hostile()));
        let head: Vec<&str> = line.splitn(8, '|').collect();
        assert_eq!(head[..3], ["CEF:0", "orchestrator", "orchestrator"]);
        assert_eq!(head[4..7], ["exec.result", "failed", "4"]);
        assert!(line.contains("cn1Label=exitCode cn1=3"));
        assert!(!head[7].contains(" user_id=boss"), "{line}");
        assert!(head[7].contains("user_id\\=boss"), "{line}");
    }

    #[test]
    fn a_file_has_its_path_size_and_digest() {
        let line = render(&entry(&upload()));
        let sha256 = "ab".repeat(32);
        assert!(line.contains("|file.result|success|2|"), "{line}");
        assert!(
            line.contains(&format!(
                " act=upload:a.tar -> /opt/ filePath=/opt/a.tar fsize=5 fileHash={sha256} "
            )),
            "{line}"
        );
        let line = render(&entry(&ended("upload", "checksum_mismatch", "no")));
        assert!(line.contains("|checksum_mismatch|8|") && line.contains(" filePath=/opt/ "));
    }

    #[test]
    fn a_bar_in_the_header_is_escaped() {
        let line = render(&entry(&json!({"event": "a|b\\c"})));
        assert!(line.contains("|a\\|b\\\\c|"), "{line}");
    }
}
