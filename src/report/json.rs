//! The parts that the JSON document and the JSON events share.

mod ended;
mod files;
mod streamed;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(super) use self::ended::Ended;
use self::files::Files;
use super::escape::{is_hidden, plain_len};
use crate::outcome::{HostResult, ScriptEnd, Status, Timing};
use crate::transport::ConnectionFacts;

/// The version of everything written as JSON. Fields may be added within a
/// version; none is removed or given another meaning.
pub(super) const VERSION: u8 = 1;

/// Writes a value in one line and flushes it.
pub(crate) fn write_line(stream: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut stream = BufWriter::new(stream);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut stream, Visible))?;
    stream.write_all(b"\n")?;
    stream.flush()
}

/// JSON that is safe on a terminal too. JSON itself escapes C0 only.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        if plain_len(fragment.as_bytes()) == fragment.len() {
            return writer.write_all(fragment.as_bytes());
        }
        let mut done = 0;
        for (at, hidden) in fragment.match_indices(is_hidden) {
            writer.write_all(&fragment.as_bytes()[done..at])?;
            for character in hidden.chars() {
                write!(writer, "\\u{:04x}", character as u32)?;
            }
            done = at + hidden.len();
        }
        writer.write_all(&fragment.as_bytes()[done..])
    }
}

/// A host result.
#[derive(Serialize)]
pub(super) struct Host<'a> {
    #[serde(flatten)]
    ended: Ended<'a>,
    ms: Milliseconds,
    ssh: Option<Ssh<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<Script>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<Ended<'a>>,
    #[serde(flatten)]
    transfer: Option<Files<'a>>,
}

/// How a script ended, in words that users of another system know.
#[derive(Serialize)]
struct Script {
    status: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Milliseconds {
    connect: u128,
    auth: u128,
    run: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<u128>,
}

#[derive(Serialize)]
struct Ssh<'a> {
    kex: &'a str,
    host_key: &'a str,
    cipher: &'a str,
    mac: &'a str,
    strict_kex: bool,
    pq: bool,
}

impl<'a> Host<'a> {
    pub(super) fn new(result: &'a HostResult) -> Self {
        Self {
            ended: Ended::host(result),
            ms: Milliseconds::new(result.timing, result.waited),
            ssh: result.ssh.as_ref().map(Ssh::new),
            script_id: result.script_id.as_deref(),
            script_sha256: result.script_sha256.as_deref(),
            script: Script::new(result),
            commands: result.commands.iter().map(|it| Ended::command(&result.vm, it)).collect(),
            transfer: result.transfer.as_ref().map(Files::new),
        }
    }
}

impl Script {
    fn new(result: &HostResult) -> Option<Self> {
        result.script_id.as_ref().or(result.script_sha256.as_ref())?;
        let exit = result.exit.as_ref().and_then(|exit| exit.code());
        let failure = result.failure.as_ref().map(|failure| failure.message.as_str());
        let end = ScriptEnd::new(result.status.as_str(), exit, failure);
        Some(Self { status: end.status, message: end.message })
    }
}

impl Milliseconds {
    fn new(timing: Timing, waited: Duration) -> Self {
        Self {
            connect: timing.connect.as_millis(),
            auth: timing.auth.as_millis(),
            run: timing.run.as_millis(),
            waited: Some(waited.as_millis()).filter(|&waited| waited > 0),
        }
    }
}

impl<'a> Ssh<'a> {
    fn new(facts: &'a ConnectionFacts) -> Self {
        Self {
            kex: &facts.kex,
            host_key: &facts.host_key,
            cipher: &facts.cipher,
            mac: &facts.mac,
            strict_kex: facts.strict_kex,
            pq: facts.post_quantum,
        }
    }
}

/// Bytes as text and, where the text cannot say it exactly, as base64.
pub(super) fn text(bytes: Vec<u8>) -> (String, Option<String>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let base64 = STANDARD.encode(error.as_bytes());
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(base64))
        }
    }
}

/// When something happened, to the millisecond, UTC.
pub(super) fn moment(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// How many hosts ended in each status; statuses with none are absent.
pub(super) struct Counts(pub(super) Vec<(Status, usize)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (status, count) in &self.0 {
            map.serialize_entry(status, count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::fixture::{captured, exited, failure, result};
    use super::*;
    use crate::outcome::{Kill, Phase};
    use crate::remote::ExitStatus;

    fn host(result: &HostResult) -> Value {
        let mut line = Vec::new();
        write_line(&mut line, &Host::new(result)).unwrap();
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn the_eight_known_names_come_first_and_in_order() {
        let value = host(&exited("vm01", 0, b"hello\n", b""));
        let names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "vm_id",
                "command",
                "stdout",
                "stderr",
                "exit_code",
                "success",
                "execution_time",
                "timestamp",
                "status",
                "signal",
                "attempts",
                "error",
                "stdout_bytes",
                "stderr_bytes",
                "truncated",
                "kill",
                "output_incomplete",
                "ms",
                "ssh",
            ]
        );
    }

    #[test]
    fn a_command_that_ran() {
        let ssh = ConnectionFacts {
            kex: "curve25519-sha256".into(),
            cipher: "aes256-gcm@openssh.com".into(),
            mac: "aes256-gcm@openssh.com".into(),
            host_key: "SHA256:abc".into(),
            strict_kex: true,
            ..ConnectionFacts::default()
        };
        let timing = Timing {
            connect: Duration::from_micros(12_900),
            auth: Duration::from_millis(9),
            run: Duration::from_millis(20),
        };
        let ran = HostResult { ssh: Some(ssh), timing, ..exited("vm01", 0, b"hello\n", b"") };
        assert_eq!(
            host(&ran),
            json!({
                "vm_id": "vm01", "command": "echo hello", "stdout": "hello\n", "stderr": "",
                "exit_code": 0, "success": true, "execution_time": 0.041,
                "timestamp": "2026-11-21T02:40:00Z", "status": "success", "signal": null,
                "attempts": 1, "error": null, "stdout_bytes": 6, "stderr_bytes": 0,
                "truncated": false, "kill": null, "output_incomplete": null,
                "ms": {"connect": 12, "auth": 9, "run": 20},
                "ssh": {"kex": "curve25519-sha256", "host_key": "SHA256:abc",
                        "cipher": "aes256-gcm@openssh.com", "mac": "aes256-gcm@openssh.com",
                        "strict_kex": true, "pq": false},
            })
        );
    }

    #[test]
    fn no_exit_code_is_null_and_not_a_number() {
        let signal = Some(ExitStatus::Signal("KILL".into()));
        let value = host(&HostResult { exit: signal, ..result("vm01", Status::Failed) });
        assert_eq!((&value["exit_code"], &value["signal"]), (&Value::Null, &json!("KILL")));
        let missing = Some(ExitStatus::Missing);
        let value = host(&HostResult { exit: missing, ..result("vm01", Status::Unknown) });
        assert_eq!((&value["exit_code"], &value["signal"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn an_error_and_a_kill() {
        let failure = Some(failure("command_timeout", Phase::Exec, "timed out"));
        let kill = Some(Kill { ended: Some(4), survivors: None });
        let value = host(&HostResult { failure, kill, ..result("vm01", Status::Timeout) });
        assert_eq!(
            value["error"],
            json!({"code": "command_timeout", "phase": "exec", "message": "timed out",
                   "hint": null, "retryable": false})
        );
        assert_eq!(value["kill"], json!({"ended": 4, "survivors": null}));
        assert_eq!(value["success"], false);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_exact_in_base64() {
        let all: Vec<u8> = (0..=255).collect();
        let value = host(&exited("vm01", 0, &all, b"text"));
        assert_eq!(STANDARD.decode(value["stdout_base64"].as_str().unwrap()).unwrap(), all);
        assert_eq!(value["stdout"], String::from_utf8_lossy(&all).into_owned());
        assert_eq!(value.get("stderr_base64"), None);
    }

    #[test]
    fn what_was_not_kept_has_a_digest() {
        let stdout = captured(b"0123456789", 4);
        let whole = captured(b"0123456789", 100);
        let value = host(&HostResult { stdout, ..exited("vm01", 0, b"", b"e") });
        assert_eq!(value["truncated"], true);
        assert_eq!(value["stdout_bytes"], 10);
        assert_eq!(value["stdout_sha256"], whole.sha256());
        assert_eq!(value.get("stderr_sha256"), None);
    }

    #[test]
    fn a_script_has_its_digest() {
        let script_sha256 = Some("ab".repeat(32));
        let value = host(&HostResult { script_sha256, ..exited("vm01", 0, b"", b"") });
        assert_eq!(value["script_sha256"], "ab".repeat(32));
        let end = json!({"status": "success", "message": "Script executed successfully"});
        assert_eq!((value.get("script_id"), &value["script"]), (None, &end));
    }

    #[test]
    fn moments_have_milliseconds() {
        let at = "2026-11-21T02:40:00.1239Z".parse().unwrap();
        assert_eq!(moment(at), "2026-11-21T02:40:00.123Z");
        assert_eq!(moment("2026-11-21T02:40:00Z".parse().unwrap()), "2026-11-21T02:40:00.000Z");
    }

    proptest! {
        #[test]
        fn json_comes_back_and_holds_nothing_that_a_terminal_obeys(
            text: String,
            more in "[\u{7f}-\u{9f}\u{202e}é\"\\\\\u{1b}]{0,9}",
        ) {
            let text = text + &more;
            let mut line = Vec::new();
            write_line(&mut line, &text).unwrap();
            let line = String::from_utf8(line).unwrap();
            prop_assert!(!line.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
