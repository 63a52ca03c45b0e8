//! One host: what it writes, as `ssh` would show it.

use std::io;

use super::commands;
use super::endings::Endings;
use super::escape::Escaper;
use super::explain::explain;
use super::files;
use super::style::Style;
use super::{Streams, View, show};
use crate::event::{Event, EventKind};
use crate::ids::RunId;
use crate::outcome::HostResult;
use crate::remote::Stream;

/// Passes on the output of one host as it comes: exact bytes, or with control
/// characters shown where the stream is a terminal.
#[derive(Debug)]
pub struct Single {
    out: Option<Escaper>,
    err: Option<Escaper>,
    /// Whether the last line that can be seen beside our own has not ended.
    unended: bool,
    endings: Endings,
}

impl Single {
    /// Escapes the streams that are said to be terminals, unless the style says
    /// `raw`.
    pub fn new(out_is_terminal: bool, err_is_terminal: bool, style: Style) -> Self {
        let escaper = |terminal: bool| (terminal && !style.raw).then(Escaper::default);
        Self {
            out: escaper(out_is_terminal),
            err: escaper(err_is_terminal),
            unended: false,
            endings: Endings::new(style),
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], to: &mut Streams<'_>) -> io::Result<()> {
        let (escaper, to) = match stream {
            Stream::Stderr => (&mut self.err, &mut *to.err),
            Stream::Stdout => (&mut self.out, &mut *to.out),
        };
        if stream == Stream::Stderr || escaper.is_some() {
            self.unended = bytes.last().map_or(self.unended, |&last| last != b'\n');
        }
        let Some(escaper) = escaper else { return show(to, bytes) };
        let mut shown = String::new();
        escaper.push(bytes, &mut shown);
        show(to, shown)
    }

    fn end(&mut self, result: &HostResult, to: &mut Streams<'_>) -> io::Result<()> {
        for (escaper, stream) in [(&mut self.out, &mut to.out), (&mut self.err, &mut to.err)] {
            let mut shown = String::new();
            escaper.iter_mut().for_each(|escaper| escaper.finish(&mut shown));
            show(stream, shown)?;
        }
        if let Some(line) = files::in_place(result, true).filter(|_| !self.endings.style.quiet) {
            show(to.out, format!("{}: {line}\n", result.vm))?;
        }
        self.make_room(!explain(result, &self.endings.style).is_empty(), to)
    }

    /// Begins a line, if one of ours is to follow.
    fn make_room(&mut self, says_more: bool, to: &mut Streams<'_>) -> io::Result<()> {
        if !says_more || !std::mem::take(&mut self.unended) {
            return Ok(());
        }
        show(to.err, "\n")
    }
}

impl View for Single {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        match &event.kind {
            EventKind::Output { stream, bytes, .. } => self.output(*stream, bytes, to)?,
            EventKind::CommandFinished { vm, index, of, result } => {
                let told = commands::failed(vm, (*index, *of), result, &self.endings.style);
                self.make_room(!told.is_empty(), to)?;
            }
            EventKind::HostFinished(result) => self.end(result, to)?,
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        exited, file, finished, moved, output, result, started, watch, watch_text,
    };
    use super::*;
    use crate::outcome::Status;

    fn run(chunks: &[(Stream, &[u8])], last: HostResult) -> Vec<EventKind> {
        let mut kinds = vec![started(&["vm01"])];
        kinds.extend(chunks.iter().map(|(stream, bytes)| output("vm01", *stream, bytes)));
        kinds.push(finished(last));
        kinds
    }

    #[test]
    fn bytes_are_exact() {
        let all: Vec<u8> = (0..=255).collect();
        let kinds = run(
            &[(Stream::Stdout, &all), (Stream::Stderr, &all), (Stream::Stdout, b"\r")],
            exited("vm01", 3, b"", b""),
        );
        let (out, err) = watch(&mut Single::new(false, false, Style::default()), kinds);
        assert_eq!(out, [&all[..], b"\r"].concat());
        assert_eq!(err, all);
    }

    #[test]
    fn a_terminal_is_shielded_and_a_pipe_is_not() {
        let kinds = run(
            &[
                (Stream::Stdout, b"\x1b[2J\xe2\x82"),
                (Stream::Stdout, b"\xac\xe2"),
                (Stream::Stderr, b"\x1b"),
            ],
            exited("vm01", 0, b"", b""),
        );
        let (out, err) = watch(&mut Single::new(true, false, Style::default()), kinds.clone());
        assert_eq!(String::from_utf8(out).unwrap(), "\\x1b[2J€\\xe2");
        assert_eq!(err, b"\x1b");
        let raw = Style { raw: true, ..Style::default() };
        let (out, _) = watch(&mut Single::new(true, true, raw), kinds);
        assert_eq!(out, b"\x1b[2J\xe2\x82\xac\xe2");
    }

    #[test]
    fn a_transfer_is_one_line() {
        let kinds = run(&[], moved("vm01", vec![file("/opt/\x1b")]));
        let (out, err) =
            watch_text(&mut Single::new(false, false, Style::default()), kinds.clone());
        let line = "vm01: /opt/\\x1b  12.3 MiB in 1.2 s  sha256 abababab…  verified by sha256sum\n";
        assert_eq!((out.as_str(), err.as_str()), (line, ""));
        let quiet = Style { quiet: true, ..Style::default() };
        let (out, err) = watch_text(&mut Single::new(true, true, quiet), kinds);
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
    }

    #[test]
    fn errors_follow_the_output() {
        let kinds = run(&[(Stream::Stderr, b"half a line")], result("vm01", Status::Unknown));
        let (out, err) = watch(&mut Single::new(false, false, Style::default()), kinds);
        assert_eq!(out, b"");
        assert_eq!(err, b"half a line\nvm01: unknown\n");
    }
}
