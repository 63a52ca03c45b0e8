//! The whole run as one JSON document.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::cuts::cuts;
use super::json::{Counts, Host, VERSION, write_line};
use super::{Streams, View, show};
use crate::event::{Event, EventKind, Stopped};
use crate::ids::RunId;
use crate::outcome::{Failure, HostResult, tally};

/// Shows nothing until the run is over, then one document on stdout.
#[derive(Clone, Debug, Default)]
pub struct Document {
    stopped: Option<Stopped>,
}

impl View for Document {
    fn event(&mut self, event: &Event, _: &mut Streams<'_>) -> io::Result<()> {
        if let EventKind::RunFinished { stopped, .. } = &event.kind {
            self.stopped.clone_from(stopped);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()> {
        write(to.out, run, results, self.stopped.as_ref())?;
        for result in results {
            for cut in cuts(result) {
                show(to.err, format!("{}: {cut}\n", result.vm))?;
            }
        }
        Ok(())
    }
}

/// Writes the document of a run, in one line.
///
/// # Errors
/// Those of the stream.
pub fn write_document(
    stream: &mut dyn Write,
    run: RunId,
    results: &[HostResult],
) -> io::Result<()> {
    write(stream, run, results, None)
}

fn write(
    stream: &mut dyn Write,
    run: RunId,
    results: &[HostResult],
    stopped: Option<&Stopped>,
) -> io::Result<()> {
    let document = Content {
        v: VERSION,
        run: Some(run),
        summary: Some(Counts(tally(results))),
        stopped,
        error: None,
        hosts: Hosts(results),
    };
    write_line(stream, &document)
}

/// Writes the document of a run that did not come about, in one line.
///
/// # Errors
/// Those of the stream.
pub fn write_error(stream: &mut dyn Write, error: &Failure) -> io::Result<()> {
    let document = Content {
        v: VERSION,
        run: None,
        summary: None,
        stopped: None,
        error: Some(error),
        hosts: Hosts(&[]),
    };
    write_line(stream, &document)
}

#[derive(Serialize)]
struct Content<'a> {
    v: u8,
    run: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a Stopped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    hosts: Hosts<'a>,
}

/// Made into text one by one, because each may hold megabytes of output.
struct Hosts<'a>(&'a [HostResult]);

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Host::new))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{exited, failure, finished, result, started, stopped, watch};
    use super::*;
    use crate::outcome::{Phase, Status};

    #[test]
    fn the_document_of_a_run() {
        let kinds = vec![
            started(&["vm01", "vm02", "vm03"]),
            finished(result("vm03", Status::Unreachable)),
            finished(exited("vm02", 0, b"", b"")),
            finished(exited("vm01", 0, b"", b"")),
        ];
        let (out, err) = watch(&mut Document::default(), kinds);
        assert_eq!(err, b"");
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"v":1,"run":""#) && text.ends_with("}\n"), "{text}");
        assert!(
            text.contains(r#","summary":{"success":2,"unreachable":1},"hosts":[{"vm_id":"vm01","#)
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ids: Vec<_> = value["hosts"].as_array().unwrap().iter().map(|h| &h["vm_id"]).collect();
        assert_eq!(ids, ["vm01", "vm02", "vm03"]);
    }

    #[test]
    fn a_run_that_was_stopped_says_why() {
        let last = EventKind::RunFinished { summary: vec![], stopped: Some(stopped()) };
        let (out, _) = watch(&mut Document::default(), vec![last]);
        let text = String::from_utf8(out).unwrap();
        let said = r#""stopped":{"reason":"max_fail","message":"3 of 40 failed (limit 2)"},"#;
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn the_document_of_an_error_before_the_run() {
        let mut line = Vec::new();
        write_error(&mut line, &failure("config_not_found", Phase::Config, "no \u{9b} file"))
            .unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"v\":1,\"run\":null,\"error\":{\"code\":\"config_not_found\",\"phase\":\"config\",\
             \"message\":\"no \\u009b file\",\"hint\":null,\"retryable\":false},\"hosts\":[]}\n"
        );
    }
}
