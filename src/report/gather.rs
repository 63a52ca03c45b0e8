//! Several hosts at the end: what they wrote alike is shown once.

use std::collections::HashMap;
use std::io;

use super::endings::Endings;
use super::escape::escape;
use super::files;
use super::labelled::Labels;
use super::lines::Lines;
use super::style::Style;
use super::summary::{ending, exit_note};
use super::{Streams, View, fold, show};
use crate::event::{Event, EventKind};
use crate::ids::{RunId, VmId};
use crate::outcome::{HostResult, Status};
use crate::remote::Stream;

/// Shows stdout when the run is over, once for all hosts with the same stdout
/// and the same end; stderr of a host when the host is done.
#[derive(Debug)]
pub struct Gathered {
    labels: Labels,
    endings: Endings,
}

impl Gathered {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Self { endings: Endings::new(style.clone()), labels: Labels::new(style) }
    }

    fn stderr(&self, result: &HostResult, to: &mut Streams<'_>) -> io::Result<()> {
        let mut text = Vec::new();
        let mut lines = Lines::default();
        let label = self.labels.label(&result.vm, Stream::Stderr);
        let mut each = |line: &[u8]| self.labels.line(&label, line, &mut text);
        lines.push(&result.stderr.to_bytes(), &mut each);
        lines.finish(&mut each);
        show(to.err, text)
    }

    fn block(&self, group: &[&HostResult]) -> Vec<u8> {
        const RULE: &str = "---------------";
        let Some(first) = group.first() else { return Vec::new() };
        let ids: Vec<VmId> = group.iter().map(|result| result.vm.clone()).collect();
        let (status, exit) = ending(first);
        let end = match status {
            Status::Failed | Status::Success => exit_note(exit),
            other => format!(", {other}"),
        };
        let style = &self.labels.style;
        let header = format!("{} ({}){end}", fold(&ids), ids.len());
        let (colour, off) = (style.out.label, style.out.off);
        let mut text = format!("{RULE}\n{colour}{header}{off}\n{RULE}\n").into_bytes();
        let stdout = first.stdout.to_bytes();
        text.extend(if style.raw { stdout } else { escape(&stdout).into_bytes() });
        text.extend(files::in_place(first, false).unwrap_or_default().into_bytes());
        if text.last() != Some(&b'\n') {
            text.push(b'\n');
        }
        text
    }
}

impl View for Gathered {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        match &event.kind {
            EventKind::HostFinished(result) => self.stderr(result, to)?,
            EventKind::RunStarted { hosts, .. } => self.labels.fit(hosts),
            _ => {}
        }
        self.endings.event(event, to)
    }

    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()> {
        for group in groups(results, self.labels.style.quiet) {
            show(to.out, self.block(&group))?;
        }
        self.endings.finish(run, results, to)
    }
}

/// Hosts that wrote something or have files, by that and how they ended, in
/// the order of the first of each. The digest covers what was not kept too.
fn groups(results: &[HostResult], quiet: bool) -> Vec<Vec<&HostResult>> {
    let mut place = HashMap::new();
    let mut groups: Vec<Vec<&HostResult>> = Vec::new();
    for result in results {
        let files = files::in_place(result, false).filter(|_| !quiet);
        if result.stdout.is_empty() && files.is_none() {
            continue;
        }
        let key = (result.stdout.sha256().to_owned(), files, ending(result));
        let at = *place.entry(key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(result),
            None => groups.push(vec![result]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        captured, exited, file, finished, moved, result, started, watch_text,
    };
    use super::*;
    use crate::outcome::{FileOutcome, Timing};

    fn gather(style: Style, results: Vec<HostResult>) -> (String, String) {
        let mut kinds = vec![started(&["vm01", "vm02", "vm03", "vm04"])];
        kinds.extend(results.into_iter().map(finished));
        watch_text(&mut Gathered::new(style), kinds)
    }

    #[test]
    fn what_is_alike_is_shown_once_in_the_plans_order() {
        let (out, err) = gather(
            Style::default(),
            vec![
                exited("vm04", 0, b"6.8\n", b""),
                exited("vm02", 0, b"6.1", b"warning\n"),
                exited("vm03", 0, b"6.8\n", b""),
                exited("vm01", 0, b"6.8\n", b""),
            ],
        );
        let rule = "---------------";
        assert_eq!(
            out,
            format!("{rule}\nvm[01,03-04] (3)\n{rule}\n6.8\n{rule}\nvm02 (1)\n{rule}\n6.1\n")
        );
        assert_eq!(err, "vm02 │ warning\n4 ok · 4 hosts in 0.0 s\n");
    }

    #[test]
    fn the_same_output_with_another_end_is_not_alike() {
        let timeout =
            HostResult { stdout: captured(b"same\n", 100), ..result("vm03", Status::Timeout) };
        let (out, _) = gather(
            Style::default(),
            vec![exited("vm01", 0, b"same\n", b""), exited("vm02", 3, b"same\n", b""), timeout],
        );
        let headers: Vec<_> = out.lines().filter(|line| line.starts_with("vm")).collect();
        assert_eq!(headers, ["vm01 (1)", "vm02 (1), exit 3", "vm03 (1), timeout"]);
    }

    #[test]
    fn hosts_without_output_are_not_shown() {
        let (out, _) = gather(Style::default(), vec![exited("vm01", 1, b"", b"")]);
        assert_eq!(out, "");
    }

    #[test]
    fn what_differs_only_where_nothing_was_kept_differs() {
        let long = |id, middle: &[u8]| HostResult {
            stdout: captured(&[b"aa", middle, b"bb"].concat(), 4),
            ..exited(id, 0, b"", b"")
        };
        let (out, _) = gather(Style::default(), vec![long("vm01", b"1"), long("vm02", b"2")]);
        assert_eq!(out.matches("bytes left out").count(), 2);
    }

    #[test]
    fn equal_transfers_are_alike_however_long_they_took() {
        let slow = HostResult { timing: Timing::default(), ..moved("vm02", vec![file("/a")]) };
        let other = vec![FileOutcome { sha256: Some("cd".repeat(32)), ..file("/a") }];
        let results = vec![moved("vm01", vec![file("/a")]), slow, moved("vm03", other)];
        let (out, _) = gather(Style::default(), results.clone());
        let rule = "---------------";
        assert_eq!(
            out,
            format!(
                "{rule}\nvm[01-02] (2)\n{rule}\n\
                 /a  12.3 MiB  sha256 abababab…  verified by sha256sum\n\
                 {rule}\nvm03 (1)\n{rule}\n\
                 /a  12.3 MiB  sha256 cdcdcdcd…  verified by sha256sum\n"
            )
        );
        let (out, _) = gather(Style { quiet: true, ..Style::default() }, results);
        assert_eq!(out, "");
    }

    #[test]
    fn output_is_escaped_unless_raw() {
        let attack = vec![exited("vm01", 0, b"\x1b[2J\n", b"\x07")];
        let (out, err) = gather(Style::default(), attack.clone());
        assert!(out.ends_with("\\x1b[2J\n") && err.starts_with("vm01 │ \\x07\n"));
        let (out, _) = gather(Style { raw: true, ..Style::default() }, attack);
        assert!(out.ends_with("\x1b[2J\n"));
    }
}
