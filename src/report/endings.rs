//! How each host and the whole run ended, for people.

use std::io;

use jiff::Timestamp;

use super::explain::explain;
use super::style::Style;
use super::summary::{next_line, summarise};
use super::{Streams, View, show};
use crate::event::{Event, EventKind};
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
            EventKind::HostFinished(result) => show(to.err, explain(result, &self.style)),
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
        show(to.err, next_line(results, &self.style))
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
    use super::super::fixture::{exited, finished, result, started, watch_text};
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
             next: orchestrator hosts check vm02\n"
        );
        let quiet = Style { quiet: true, ..Style::default() };
        let (_, err) = watch_text(&mut Endings::new(quiet), kinds);
        assert_eq!(err, "vm02: unknown\n");
    }

    #[test]
    fn one_host_needs_no_sum() {
        let kinds = vec![started(&["vm01"]), finished(exited("vm01", 0, b"", b""))];
        let (out, err) = watch_text(&mut Endings::new(Style::default()), kinds);
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
    }
}
