//! Closing what a dead process left open.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::AuditError;
use super::chain;
use super::lines::Lines;
use super::live::Torn;
use super::record::{Body, Event, Kind, Record, ResultFacts};
use super::segments::Segment;
use super::stamp::Stamp;
use crate::outcome::Status;

/// The members of a record in the order of the line, less those of the writer.
const ORDER: [&str; 13] = [
    "event",
    "run_id",
    "op_id",
    "attempt",
    "parent",
    "actor",
    "target",
    "action",
    "decision",
    "result",
    "reason",
    "metadata",
    "redactions",
];

/// Attempts that have no result yet.
#[derive(Default)]
pub(super) struct OpenAttempts {
    /// The numbers of their records.
    open: BTreeMap<String, u64>,
    /// The records themselves, in their order, until they were
    /// [`answered`](Self::answered).
    lines: Option<BTreeMap<u64, Vec<u8>>>,
}

impl OpenAttempts {
    /// None so far; the records of those to come are kept.
    pub(super) fn new() -> Self {
        Self { open: BTreeMap::new(), lines: Some(BTreeMap::new()) }
    }

    /// Takes note of one line of the log or the spool.
    pub(super) fn see(&mut self, line: &[u8]) {
        let Ok(glance) = serde_json::from_slice::<Glance<'_>>(line) else { return };
        if glance.event.ends_with(".attempt") {
            let seq = chain::seq_of(line).unwrap_or_default();
            self.open.insert(glance.key(), seq);
            if let Some(lines) = &mut self.lines {
                lines.insert(seq, line.to_vec());
            }
        } else if glance.event.ends_with(".result")
            && let Some(seq) = self.open.remove(&glance.key())
            && let Some(lines) = &mut self.lines
        {
            lines.remove(&seq);
        }
    }

    /// The number of the oldest; 0 if there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.open.values().min().copied().unwrap_or_default()
    }

    /// Takes note of every line of a finished segment.
    pub(super) fn see_segment(&mut self, segment: &Segment) -> Result<(), AuditError> {
        let failed = || AuditError::io("read", &segment.path);
        let mut lines = Lines::new(File::open(&segment.path).map_err(failed())?, 0);
        while let Some(line) = lines.next().map_err(failed())? {
            self.see(line.bytes);
        }
        Ok(())
    }

    /// A result of status `unknown` for each attempt whose process is gone. From
    /// now on only numbers are kept.
    pub(super) fn answered(&mut self, stamp: &Stamp) -> Vec<Body> {
        let lines = self.lines.take().unwrap_or_default();
        lines.values().filter_map(|line| result_of(line, stamp)).collect()
    }
}

/// The record of a tail that was cut off.
pub(super) fn recovered(torn: &Torn) -> Body {
    let mut record = Record::new(Event::AuditRecovered);
    record.metadata.insert("torn_bytes".into(), torn.bytes.to_string());
    record.metadata.insert("torn_sha256".into(), torn.sha256.clone());
    Body::plain(&record)
}

/// The record of a broken chain that the operator accepted.
pub(super) fn gap(broken: &AuditError) -> Body {
    let mut record = Record::new(Event::AuditGap);
    record.reason = Some(broken.to_string());
    Body::plain(&record)
}

/// The record of a line from the spool, with the time it was written there.
pub(super) fn from_spool(mut members: Map<String, Value>) -> Body {
    let at = members.get("ts").cloned().unwrap_or_default();
    let metadata = members.entry("metadata").or_insert_with(|| Map::new().into());
    if let Value::Object(metadata) = metadata {
        metadata.insert("spooled_at".into(), at);
    }
    Body::new(Kind::Result, in_order(&members))
}

fn result_of(line: &[u8], stamp: &Stamp) -> Option<Body> {
    let glance: Glance<'_> = serde_json::from_slice(line).ok()?;
    if stamp.is_running(&glance.boot, glance.pid, glance.mono_ns) {
        return None;
    }
    let event = glance.event.replace(".attempt", ".result");
    let mut members: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let mut result = ResultFacts::new(Status::Unknown);
    result.may_have_run = true;
    result.recovered = true;
    members.insert("event".into(), event.into());
    members.insert("result".into(), serde_json::to_value(result).ok()?);
    Some(Body::new(Kind::Result, in_order(&members)))
}

fn in_order(members: &Map<String, Value>) -> Map<String, Value> {
    let known = |key: &&str| members.get(*key).map(|value| ((*key).to_owned(), value.clone()));
    ORDER.iter().filter_map(known).collect()
}

/// As much of a line as recovery needs.
#[derive(Deserialize)]
struct Glance<'a> {
    mono_ns: u64,
    #[serde(borrow)]
    boot: Cow<'a, str>,
    pid: u32,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    run_id: Cow<'a, str>,
    #[serde(borrow, default)]
    op_id: Cow<'a, str>,
    #[serde(default)]
    attempt: u32,
}

impl Glance<'_> {
    /// What an attempt and its result have in common.
    fn key(&self) -> String {
        let family = self.event.split('.').next().unwrap_or_default();
        format!("{family} {} {} {}", self.run_id, self.op_id, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, event: &str, op: &str, pid: u32) -> Vec<u8> {
        format!(
            r#"{{"v":1,"seq":{seq},"ts":"t","mono_ns":1,"boot":"b","pid":{pid},"event":"{event}","op_id":"{op}","attempt":1,"action":{{"kind":"shell"}},"reason":"r"}}"#
        )
        .into_bytes()
    }

    #[test]
    fn only_attempts_without_result_are_closed_and_in_their_order() {
        let mut open = OpenAttempts::new();
        assert_eq!(open.oldest(), 0);
        let seen = [
            ("exec.attempt", "done first"),
            ("exec.attempt", "b"),
            ("exec.attempt", "a"),
            ("exec.attempt", "done"),
            ("exec.result", "done"),
            ("hostkey.attempt", "c"),
            ("exec.result", "done first"),
        ];
        for (seq, (event, op)) in (9..).zip(seen) {
            open.see(&line(seq, event, op, 1));
        }
        assert_eq!(open.oldest(), 10);
        let results = open.answered(&Stamp::of_this_process().unwrap());
        let results: Vec<Map<String, Value>> = results
            .iter()
            .map(|body| serde_json::from_str(&format!("{{{}}}", body.text)).unwrap())
            .collect();
        let ops: Vec<&Value> = results.iter().map(|members| &members["op_id"]).collect();
        assert_eq!(ops, ["b", "a", "c"]);
        assert_eq!(results[2]["event"], "hostkey.result");
        assert_eq!(results[0]["result"]["status"], "unknown");
        assert_eq!(results[0]["result"]["recovered"], true);
        let keys: Vec<&String> = results[0].keys().collect();
        assert_eq!(keys, ["event", "op_id", "attempt", "action", "result", "reason"]);
    }
}
