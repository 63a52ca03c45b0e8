//! How each host and the whole run ended, for people.

use std::io;

use jiff::Timestamp;

use super::commands;
use super::explain::explain;
use super::style::Style;
use super::summary::{counts, next_line, summarise};
use super::{Streams, View, escape, fold, show};
use crate::event::{Event, EventKind, StopReason};
use crate::ids::RunId;
use crate::outcome::HostResult;

/// Shows no output, but on stderr what went wrong where, and for several hosts
/// a summary.
#[derive(Debug)]
pub struct Endings {
    pub(super) style: Style,
    pub(super) clock: Clock,
}

impl Endings {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Self { style, clock: Clock::default() }
    }
}

impl View for Endings {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        self.clock.note(event);
        match &event.kind {
            EventKind::BatchFinished { index, of, hosts, summary } if !self.style.quiet => {
                let (hosts, counts) = (fold(hosts), counts(summary, self.style.err));
                show(to.err, format!("batch {index}/{of} {hosts}: {counts}\n"))
            }
            EventKind::CommandFinished { vm, index, of, result } => {
                show(to.err, commands::failed(vm, (*index, *of), result, &self.style))
            }
            EventKind::HostFinished(result) => show(to.err, explain(result, &self.style)),
            EventKind::RunFinished { stopped: Some(stopped), .. }
                // Whoever cancelled it knows.
                if stopped.reason != StopReason::Cancelled =>
            {
                let (bad, off) = (self.style.err.bad, self.style.err.off);
                show(to.err, format!("{bad}stopped{off}: {}\n", escape(stopped.message.as_bytes())))
            }
            _ => Ok(()),
        }
    }

    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()> {
        if self.style.quiet || results.len() < 2 {
            return Ok(());
        }
        let failures: Vec<_> = results.iter().filter(|result| !result.success()).collect();
        let elapsed = self.clock.elapsed_s();
        show(to.err, summarise(run, results, &failures, elapsed, self.style.err))?;
        show(to.err, next_line(run, results, &self.style))
    }
}

/// When the run began and when it was last heard of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(Option<(Timestamp, Timestamp)>);

impl Clock {
    pub(super) fn note(&mut self, event: &Event) {
        let (began, _) = *self.0.get_or_insert((event.at, event.at));
        self.0 = Some((began, event.at));
    }

    /// Seconds.
    pub(super) fn elapsed_s(self) -> f64 {
        self.0.map_or(0.0, |(began, last)| last.duration_since(began).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{exited, finished, result, started, stopped, watch_text};
    use super::*;
    use crate::outcome::Status;

    #[test]
    fn no_output_but_errors_and_the_sum() {
        let kinds = vec![
            started(&["vm01", "vm02", "vm03"]),
            finished(result("vm02", Status::Unknown)),
            finished(exited("vm01", 0, b"hello\n", b"")),
            finished(exited("vm03", 3, b"", b"oh\n")),
        ];
        let (out, err) = watch_text(&mut Endings::new(Style::default()), kinds.clone());
        assert_eq!(out, "");
        assert_eq!(
            err,
            "vm02: unknown\nfailed  vm03 (1), exit 3\nunknown vm02 (1)\n\
             1 ok, 1 failed, 1 unknown · 3 hosts in 0.0 s\n\
             next: orchestrator doctor vm02\n"
        );
        let quiet = Style { quiet: true, ..Style::default() };
        let (_, err) = watch_text(&mut Endings::new(quiet), kinds);
        assert_eq!(err, "vm02: unknown\n");
    }

    #[test]
    fn batches_and_what_stopped_them() {
        let kinds = vec![
            started(&["vm01", "vm02"]),
            finished(exited("vm01", 0, b"", b"")),
            EventKind::BatchFinished {
                index: 1,
                of: 2,
                hosts: vec!["vm01".parse().unwrap()],
                summary: vec![(Status::Success, 1)],
            },
            finished(result("vm02", Status::NotStarted)),
            EventKind::RunFinished { summary: vec![], stopped: Some(stopped()) },
        ];
        let (_, err) = watch_text(&mut Endings::new(Style::default()), kinds.clone());
        assert!(
            err.starts_with("batch 1/2 vm01: 1 ok\nstopped: 3 of 40 failed (limit 2)\n"),
            "{err}"
        );
        let quiet = Style { quiet: true, ..Style::default() };
        let (_, err) = watch_text(&mut Endings::new(quiet), kinds);
        assert_eq!(err, "stopped: 3 of 40 failed (limit 2)\n");
    }

    #[test]
    fn one_host_needs_no_sum() {
        let kinds = vec![started(&["vm01"]), finished(exited("vm01", 0, b"", b""))];
        let (out, err) = watch_text(&mut Endings::new(Style::default()), kinds);
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
    }
}
