//! The run as it happens, one JSON object a line.

use std::io;

use serde::Serialize;

use super::cuts::cuts;
use super::json::{Counts, Ended, Host, VERSION, moment, text, write_line};
use super::{Streams, View, show};
use crate::event::{Event, EventKind, Progress, Stopped};
use crate::ids::{RunId, VmId};
use crate::outcome::HostResult;
use crate::remote::Stream;

/// Shows each event on stdout as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventLines;

impl View for EventLines {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        write_line(to.out, &Line::new(event))?;
        if let EventKind::HostFinished(result) = &event.kind {
            for cut in cuts(result) {
                show(to.err, format!("{}: {cut}\n", result.vm))?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: RunId, _: &[HostResult], _: &mut Streams<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    r#type: &'static str,
    seq: u64,
    ts: String,
    run: RunId,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    BatchFinished {
        index: usize,
        of: usize,
        hosts: &'a [VmId],
        summary: Counts,
    },
    CommandFinished {
        index: usize,
        of: usize,
        #[serde(flatten)]
        result: Box<Ended<'a>>,
    },
    HostFinished(Box<Host<'a>>),
    HostStarted {
        vm_id: &'a VmId,
    },
    Output {
        vm_id: &'a VmId,
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        stream: &'static str,
        #[serde(flatten)]
        data: Data,
    },
    Progress {
        vm_id: &'a VmId,
        #[serde(flatten)]
        progress: Progress,
    },
    RunFinished {
        summary: Counts,
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped: Option<&'a Stopped>,
    },
    RunStarted {
        hosts: &'a [VmId],
        command: &'a str,
    },
}

/// Each chunk stands alone: one that ends within a UTF-8 sequence is base64, so
/// that the decoded chunks together are the exact bytes.
#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    Bytes { data_base64: String },
    Text { data: String },
}

impl<'a> Line<'a> {
    fn new(event: &'a Event) -> Self {
        let (r#type, body) = match &event.kind {
            EventKind::BatchFinished { index, of, hosts, summary } => {
                let summary = Counts(summary.clone());
                ("batch_finished", Body::BatchFinished { index: *index, of: *of, hosts, summary })
            }
            EventKind::CommandFinished { vm, index, of, result } => {
                let result = Box::new(Ended::command(vm, result));
                ("command_finished", Body::CommandFinished { index: *index, of: *of, result })
            }
            EventKind::HostFinished(result) => {
                ("host_finished", Body::HostFinished(Box::new(Host::new(result))))
            }
            EventKind::HostStarted { vm } => ("host_started", Body::HostStarted { vm_id: vm }),
            EventKind::Output { vm, index, stream, bytes } => {
                let data = match text(bytes.to_vec()) {
                    (data, None) => Data::Text { data },
                    (_, Some(data_base64)) => Data::Bytes { data_base64 },
                };
                let stream = match stream {
                    Stream::Stderr => "stderr",
                    Stream::Stdout => "stdout",
                };
                ("output", Body::Output { vm_id: vm, index: *index, stream, data })
            }
            EventKind::Progress { vm, progress } => {
                ("progress", Body::Progress { vm_id: vm, progress: *progress })
            }
            EventKind::RunFinished { summary, stopped } => {
                let (summary, stopped) = (Counts(summary.clone()), stopped.as_ref());
                ("run_finished", Body::RunFinished { summary, stopped })
            }
            EventKind::RunStarted { hosts, command } => {
                ("run_started", Body::RunStarted { hosts, command })
            }
        };
        Self { v: VERSION, r#type, seq: event.seq, ts: moment(event.at), run: event.run, body }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::super::fixture::{at, exited, finished, output, started, stopped, vm, watch};
    use super::*;
    use crate::outcome::Status;

    fn lines(kinds: Vec<EventKind>) -> Vec<Value> {
        let (out, err) = watch(&mut EventLines, kinds);
        assert_eq!(err, b"");
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What an event says beyond the fields that all have.
    fn body(kind: EventKind) -> (String, Value) {
        let mut line = lines(vec![kind]).remove(0);
        let fields = line.as_object_mut().unwrap();
        let kind = fields["type"].as_str().unwrap().to_owned();
        for name in ["v", "type", "seq", "ts", "run"] {
            fields.shift_remove(name).unwrap();
        }
        (kind, line)
    }

    #[test]
    fn every_event_says_what_when_and_where_in_the_run() {
        let lines = lines(vec![started(&["vm01"]), EventKind::HostStarted { vm: vm("vm01") }]);
        for (seq, line) in lines.iter().enumerate() {
            let names: Vec<_> = line.as_object().unwrap().keys().take(5).collect();
            assert_eq!(names, ["v", "type", "seq", "ts", "run"]);
            assert_eq!(line["seq"], seq);
            assert_eq!(line["ts"], "2026-11-21T02:40:00.123Z");
            assert_eq!(line["run"].as_str().unwrap().len(), 36);
        }
    }

    #[test]
    fn each_kind() {
        let summary = vec![(Status::Success, 2), (Status::Unknown, 1)];
        let progress = Progress { bytes: 5, bytes_total: 9, files: 1, files_total: 2 };
        let expected = [
            (
                started(&["vm01", "vm02"]),
                "run_started",
                json!({"hosts": ["vm01", "vm02"], "command": "x"}),
            ),
            (EventKind::HostStarted { vm: vm("vm01") }, "host_started", json!({"vm_id": "vm01"})),
            (
                output("vm01", Stream::Stdout, b"a\x1b\n"),
                "output",
                json!({"vm_id": "vm01", "stream": "stdout", "data": "a\u{1b}\n"}),
            ),
            (
                output("vm01", Stream::Stderr, b"\xe2\x82"),
                "output",
                json!({"vm_id": "vm01", "stream": "stderr", "data_base64": "4oI="}),
            ),
            (
                EventKind::Progress { vm: vm("vm01"), progress },
                "progress",
                json!({"vm_id": "vm01", "bytes": 5, "bytes_total": 9, "files": 1, "files_total": 2}),
            ),
            (
                EventKind::BatchFinished {
                    index: 1,
                    of: 2,
                    hosts: vec![vm("vm01")],
                    summary: vec![(Status::Failed, 1)],
                },
                "batch_finished",
                json!({"index": 1, "of": 2, "hosts": ["vm01"], "summary": {"failed": 1}}),
            ),
            (
                EventKind::RunFinished { summary: summary.clone(), stopped: None },
                "run_finished",
                json!({"summary": {"success": 2, "unknown": 1}}),
            ),
            (
                EventKind::RunFinished { summary, stopped: Some(stopped()) },
                "run_finished",
                json!({
                    "summary": {"success": 2, "unknown": 1},
                    "stopped": {"reason": "max_fail", "message": "3 of 40 failed (limit 2)"},
                }),
            ),
        ];
        for (kind, name, value) in expected {
            assert_eq!(body(kind), (name.to_owned(), value));
        }
    }

    #[test]
    fn a_finished_host_is_its_whole_result() {
        let result = exited("vm01", 3, b"out", b"err");
        let (kind, value) = body(finished(result.clone()));
        assert_eq!(kind, "host_finished");
        assert_eq!(value, serde_json::to_value(Host::new(&result)).unwrap());
    }

    #[test]
    fn every_line_is_flushed() {
        struct Counting {
            lines: usize,
            flushed: usize,
        }
        impl Write for Counting {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.lines += bytes.iter().filter(|&&byte| byte == b'\n').count();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                self.flushed = self.lines;
                Ok(())
            }
        }
        let mut out = Counting { lines: 0, flushed: 0 };
        let run = RunId::new();
        for seq in 0..3 {
            let kind = output("vm01", Stream::Stdout, b"two\nlines\n");
            let event = Event { seq, at: at(), run, kind };
            let mut to = Streams { out: &mut out, err: &mut io::sink() };
            EventLines.event(&event, &mut to).unwrap();
        }
        assert_eq!((out.lines, out.flushed), (3, 3));
    }
}
