//! Several hosts at once: whole lines, each with the host it came from.

use std::collections::HashMap;
use std::io;

use super::endings::Endings;
use super::escape::{escape, plain_len};
use super::files;
use super::lines::Lines;
use super::style::Style;
use super::{Streams, View, show};
use crate::event::{Event, EventKind};
use crate::ids::{RunId, VmId};
use crate::outcome::HostResult;
use crate::remote::Stream;

/// Shows lines as they come, labelled by host.
#[derive(Debug)]
pub struct Labelled {
    labels: Labels,
    /// By the host, which of its commands it is, and the stream.
    lines: HashMap<(VmId, Option<usize>, Stream), Lines>,
    endings: Endings,
}

impl Labelled {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Self {
            endings: Endings::new(style.clone()),
            lines: HashMap::new(),
            labels: Labels::new(style),
        }
    }

    fn end(&mut self, vm: &VmId, index: Option<usize>, to: &mut Streams<'_>) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(mut lines) = self.lines.remove(&(vm.clone(), index, stream)) {
                let mut text = Vec::new();
                let label = self.labels.label(vm, stream);
                lines.finish(|line| self.labels.line(&label, line, &mut text));
                show(side(stream, to), text)?;
            }
        }
        Ok(())
    }

    fn files(&self, result: &HostResult, to: &mut Streams<'_>) -> io::Result<()> {
        let line = files::in_place(result, true).filter(|_| !self.labels.style.quiet);
        let Some(line) = line else { return Ok(()) };
        let mut text = Vec::new();
        let label = self.labels.label(&result.vm, Stream::Stdout);
        self.labels.line(&label, line.as_bytes(), &mut text);
        show(to.out, text)
    }
}

impl View for Labelled {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        match &event.kind {
            EventKind::CommandFinished { vm, index, .. } => self.end(vm, Some(*index), to)?,
            EventKind::HostFinished(result) => {
                self.end(&result.vm, None, to)?;
                self.files(result, to)?;
            }
            EventKind::Output { vm, index, stream, bytes } => {
                let lines = self.lines.entry((vm.clone(), *index, *stream)).or_default();
                let label = self.labels.label(vm, *stream);
                let mut text = Vec::with_capacity(bytes.len() * 2);
                lines.push(bytes, |line| self.labels.line(&label, line, &mut text));
                show(side(*stream, to), text)?;
            }
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
        self.endings.finish(run, results, to)
    }
}

/// Puts labels of one width before lines.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) style: Style,
    width: usize,
}

impl Labels {
    pub(super) fn new(style: Style) -> Self {
        Self { style, width: 0 }
    }

    /// Makes room for the longest of these.
    pub(super) fn fit(&mut self, hosts: &[VmId]) {
        self.width = hosts.iter().map(|vm| vm.as_str().len()).max().unwrap_or(0);
    }

    /// What stands before the lines of a host.
    pub(super) fn label(&self, vm: &VmId, stream: Stream) -> String {
        if !self.style.labels {
            return String::new();
        }
        let (colour, off) = match stream {
            Stream::Stderr => (self.style.err.stderr, self.style.err.off),
            Stream::Stdout => (self.style.out.label, self.style.out.off),
        };
        format!("{colour}{vm:<width$} │{off}", width = self.width)
    }

    /// Appends a line with its label and its end.
    pub(super) fn line(&self, label: &str, line: &[u8], text: &mut Vec<u8>) {
        text.extend_from_slice(label.as_bytes());
        if !label.is_empty() && !line.is_empty() {
            text.push(b' ');
        }
        if self.style.raw || plain_len(line) == line.len() {
            text.extend_from_slice(line);
        } else {
            text.extend_from_slice(escape(line).as_bytes());
        }
        text.push(b'\n');
    }
}

fn side<'a>(stream: Stream, to: &'a mut Streams<'_>) -> &'a mut dyn io::Write {
    match stream {
        Stream::Stderr => &mut *to.err,
        Stream::Stdout => &mut *to.out,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        exited, failed_file, file, finished, moved, output, started, vm, watch, watch_text,
    };
    use super::super::style::Palette;
    use super::*;

    const OUT: Stream = Stream::Stdout;
    const ERR: Stream = Stream::Stderr;

    fn check(style: Style, chunks: &[(&str, Stream, &str)], out: &str, err: &str) {
        let mut kinds = vec![started(&["vm1", "vm02"])];
        kinds.extend(chunks.iter().map(|(id, stream, text)| output(id, *stream, text.as_bytes())));
        kinds.push(finished(exited("vm02", 0, b"", b"")));
        kinds.push(finished(exited("vm1", 0, b"", b"")));
        let (seen_out, seen_err) = watch_text(&mut Labelled::new(style), kinds);
        assert_eq!(seen_out, out);
        assert_eq!(seen_err, format!("{err}2 ok · 2 hosts in 0.0 s\n"));
    }

    #[test]
    fn lines_of_several_hosts_stay_whole() {
        check(
            Style::default(),
            &[("vm1", OUT, "a"), ("vm02", OUT, "x\ny"), ("vm1", OUT, "b\n\n"), ("vm1", OUT, "c")],
            "vm02 │ x\nvm1  │ ab\nvm1  │\nvm02 │ y\nvm1  │ c\n",
            "",
        );
    }

    #[test]
    fn stderr_goes_to_stderr() {
        check(
            Style::default(),
            &[("vm1", OUT, "a"), ("vm1", ERR, "oh"), ("vm1", OUT, "b\n"), ("vm1", ERR, " no\n")],
            "vm1  │ ab\n",
            "vm1  │ oh no\n",
        );
    }

    #[test]
    fn progress_is_collapsed_and_attacks_are_shown() {
        check(
            Style::default(),
            &[("vm1", OUT, "1%\r2%"), ("vm1", OUT, "\rdone\r\n\x1b]0;x\x07\u{202e}\n")],
            "vm1  │ done\nvm1  │ \\x1b]0;x\\x07\\u{202e}\n",
            "",
        );
    }

    #[test]
    fn without_labels() {
        let style = Style { labels: false, ..Style::default() };
        check(style, &[("vm1", OUT, "a\n"), ("vm02", OUT, "b")], "a\nb\n", "");
    }

    #[test]
    fn transfers_are_a_line_each() {
        let kinds = vec![
            started(&["vm1", "vm02"]),
            finished(moved("vm02", vec![file("/a"), failed_file("/b", "no space")])),
            finished(moved("vm1", vec![file("/a"), file("/b")])),
        ];
        let (out, err) = watch_text(&mut Labelled::new(Style::default()), kinds.clone());
        assert_eq!(
            out,
            "vm02 │ 1 of 2 files, 12.3 MiB in 1.2 s, verified by sha256sum\n\
             vm1  │ 2 files, 24.6 MiB in 1.2 s, verified by sha256sum\n"
        );
        assert_eq!(err, "vm02: /b: no space\nfailed vm02 (1)\n1 ok, 1 failed · 2 hosts in 0.0 s\n");
        let quiet = Style { quiet: true, ..Style::default() };
        let (out, err) = watch_text(&mut Labelled::new(quiet), kinds);
        assert_eq!((out.as_str(), err.as_str()), ("", "vm02: /b: no space\n"));
    }

    #[test]
    fn raw_is_explicit() {
        let style = Style { raw: true, ..Style::default() };
        check(style, &[("vm1", OUT, "\x1b[2J\n")], "vm1  │ \x1b[2J\n", "");
    }

    #[test]
    fn only_labels_are_coloured() {
        let mut labels = Labels::new(Style { out: Palette::ANSI, ..Style::default() });
        labels.fit(&[vm("vm1")]);
        let mut text = Vec::new();
        let label = labels.label(&vm("vm1"), OUT);
        labels.line(&label, b"a\x1b", &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "\x1b[36mvm1 │\x1b[0m a\\x1b\n");
    }

    #[test]
    fn output_of_all_bytes_holds_nothing_that_a_terminal_obeys() {
        let all: Vec<u8> = (0..=255).collect();
        let kinds = vec![
            started(&["vm01", "vm02"]),
            output("vm01", OUT, &all),
            output("vm02", ERR, &all),
            finished(exited("vm01", 0, &all, &all)),
            finished(exited("vm02", 1, &all, &all)),
        ];
        let (out, err) = watch(&mut Labelled::new(Style::default()), kinds);
        for shown in [String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()] {
            assert!(shown.contains("\\xff"));
            assert!(!shown.chars().any(super::super::escape::is_hidden), "{shown:?}");
        }
    }
}
