//! Several hosts at the end: what they wrote alike is shown once.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::commands;
use super::difference::difference;
use super::endings::Endings;
use super::escape::Escaper;
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

/// How long outputs are compared before the differences may be longer than they
/// need be.
const COMPARE_MAX: Duration = Duration::from_secs(5);

const RULE: &str = "---------------";

/// Shows stdout when the run is over, once for all hosts with the same stdout
/// and the same end; stderr of a host when the host is done.
#[derive(Debug)]
pub struct Gathered {
    labels: Labels,
    endings: Endings,
    differences: bool,
}

impl Gathered {
    /// In this style.
    pub fn new(style: Style) -> Self {
        let (endings, labels) = (Endings::new(style.clone()), Labels::new(style));
        Self { endings, labels, differences: false }
    }

    /// Whether only the output of the most hosts is shown in full, first, and of
    /// every other how it differs from that.
    pub fn differences(self, differences: bool) -> Self {
        Self { differences, ..self }
    }

    fn stderr(&self, result: &HostResult, to: &mut Streams<'_>) -> io::Result<()> {
        let mut lines = Lines::default();
        let mut text = Vec::new();
        let label = self.labels.label(&result.vm, Stream::Stderr);
        commands::stderr(result, |piece| {
            lines.push(piece, |line| self.labels.line(&label, line, &mut text));
            show(to.err, std::mem::take(&mut text))
        })?;
        lines.finish(|line| self.labels.line(&label, line, &mut text));
        show(to.err, text)
    }

    /// All groups in full.
    fn alike(&self, results: &[HostResult], to: &mut Streams<'_>) -> io::Result<()> {
        let style = &self.labels.style;
        for group in groups(results, false, style.quiet) {
            self.block(&group, to.out)?;
        }
        Ok(())
    }

    /// The largest group in full, and how the others differ from it.
    fn compared(&self, results: &[HostResult], to: &mut Streams<'_>) -> io::Result<()> {
        let style = &self.labels.style;
        let mut groups = groups(results, true, style.quiet);
        // The first of the largest: it wrote something, unless nobody did.
        let size = |group: &Vec<&HostResult>| (!is_silent(group), group.len());
        let Some(most) = groups.iter().map(size).max() else { return Ok(()) };
        let Some(at) = groups.iter().position(|group| size(group) == most) else { return Ok(()) };
        let majority = groups.remove(at);
        self.block(&majority, to.out)?;
        let names = fold(&ids(&majority));
        let until = Instant::now() + COMPARE_MAX;
        for group in groups {
            match (majority.first(), group.first()) {
                (Some(most), Some(other)) if !is_silent(&majority) && !is_silent(&group) => {
                    let other_names = fold(&ids(&group));
                    let (most, other) = ((&*names, *most), (&*other_names, *other));
                    let differs = difference(style, most, other, until);
                    show(to.out, [self.header(&group), differs.into_bytes()].concat())?;
                }
                _ => self.block(&group, to.out)?,
            }
        }
        Ok(())
    }

    fn block(&self, group: &[&HostResult], out: &mut dyn Write) -> io::Result<()> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut out = Ended { out: io::BufWriter::new(out), last: None };
        out.out.write_all(&self.header(group))?;
        if self.labels.style.raw {
            commands::stdout(first, |piece| out.write_all(piece))?;
        } else {
            let mut escaper = Escaper::default();
            let mut shown = String::new();
            commands::stdout(first, |piece| {
                shown.clear();
                escaper.push(piece, &mut shown);
                out.write_all(shown.as_bytes())
            })?;
            shown.clear();
            escaper.finish(&mut shown);
            out.write_all(shown.as_bytes())?;
        }
        out.write_all(files::in_place(first, false).unwrap_or_default().as_bytes())?;
        match out.last {
            Some(b'\n') => {}
            Some(_) => out.write_all(b"\n")?,
            None => out.write_all(b"no output\n")?,
        }
        out.flush()
    }

    /// Who they are, and how they ended.
    fn header(&self, group: &[&HostResult]) -> Vec<u8> {
        let Some(first) = group.first() else { return Vec::new() };
        let (status, exit) = ending(first);
        let end = match status {
            Status::Failed | Status::Success => exit_note(exit),
            other => format!(", {other}"),
        };
        let header = format!("{} ({}){end}", fold(&ids(group)), group.len());
        let out = self.labels.style.out;
        format!("{RULE}\n{}{header}{}\n{RULE}\n", out.label, out.off).into_bytes()
    }
}

/// Knows the last byte that was written, if any was.
struct Ended<W> {
    out: W,
    last: Option<u8>,
}

impl<W: Write> Write for Ended<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.last = bytes[..count].last().copied().or(self.last);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
        match self.differences {
            false => self.alike(results, to)?,
            true => self.compared(results, to)?,
        }
        self.endings.finish(run, results, to)
    }
}

fn ids(group: &[&HostResult]) -> Vec<VmId> {
    group.iter().map(|result| result.vm.clone()).collect()
}

fn is_silent(group: &[&HostResult]) -> bool {
    !group.iter().any(|result| commands::wrote(result))
}

/// Hosts that wrote something or have files, by that and how they ended, in
/// the order of the first of each; with `silent`, those too where the command
/// ended and wrote nothing. The digest covers what was not kept too.
fn groups(results: &[HostResult], silent: bool, quiet: bool) -> Vec<Vec<&HostResult>> {
    let mut place = HashMap::new();
    let mut groups: Vec<Vec<&HostResult>> = Vec::new();
    for result in results {
        let files = files::in_place(result, false).filter(|_| !quiet);
        let told = silent && result.exit.is_some();
        if !commands::wrote(result) && files.is_none() && !told {
            continue;
        }
        let key = (commands::digest(result), files, ending(result));
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

    fn compare(results: Vec<HostResult>) -> String {
        let mut kinds = vec![started(&["vm01", "vm02", "vm03", "vm04", "vm05", "vm06"])];
        kinds.extend(results.into_iter().map(finished));
        watch_text(&mut Gathered::new(Style::default()).differences(true), kinds).0
    }

    #[test]
    fn others_are_compared_with_the_most() {
        let shown = compare(vec![
            exited("vm01", 0, b"a\nold\nc\n", b""),
            exited("vm02", 0, b"a\nnew\nc\n", b""),
            exited("vm03", 0, b"a\nnew\nc\n", b""),
            exited("vm04", 3, b"a\nnew\nc\n", b""),
            exited("vm05", 1, b"", b"oh\n"),
            result("vm06", Status::Unreachable),
        ]);
        let rule = RULE;
        assert_eq!(
            shown,
            format!(
                "{rule}\nvm[02-03] (2)\n{rule}\na\nnew\nc\n\
                 {rule}\nvm01 (1)\n{rule}\n--- vm[02-03]\n+++ vm01\n\
                 @@ -1,3 +1,3 @@\n a\n-new\n+old\n c\n\
                 {rule}\nvm04 (1), exit 3\n{rule}\nthe output is the same\n\
                 {rule}\nvm05 (1), exit 1\n{rule}\nno output\n"
            )
        );
    }

    #[test]
    fn silence_is_no_majority_unless_all_are_silent() {
        let silent = |id: &str| exited(id, 0, b"", b"");
        let shown = compare(vec![silent("vm01"), silent("vm02"), exited("vm03", 0, b"x\n", b"")]);
        let rule = RULE;
        assert_eq!(
            shown,
            format!("{rule}\nvm03 (1)\n{rule}\nx\n{rule}\nvm[01-02] (2)\n{rule}\nno output\n")
        );
        let shown = compare(vec![silent("vm01"), silent("vm02")]);
        assert_eq!(shown, format!("{rule}\nvm[01-02] (2)\n{rule}\nno output\n"));
        assert_eq!(compare(vec![]), "");
    }

    #[test]
    fn files_are_shown_as_ever() {
        let moved = |id: &str| moved(id, vec![file("/a")]);
        let shown = compare(vec![moved("vm01"), moved("vm02")]);
        assert!(shown.contains("vm[01-02] (2)\n---------------\n/a  12.3 MiB"), "{shown}");
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
