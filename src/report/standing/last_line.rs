//! The last line that a host wrote.

use crate::remote::Stream;

/// What is kept of a line; no terminal shows more in one.
const LENGTH_MAX: usize = 512;

/// The beginning of the last line with anything in it, whole or not yet. A
/// carriage return ends a line too, so that of a progress bar the newest
/// picture is kept.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    /// Where it was written, while more of it may come.
    open: Option<Stream>,
}

impl LastLine {
    /// Takes the next bytes. Only their end is looked at.
    pub(super) fn note(&mut self, stream: Stream, bytes: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let text = bytes.iter().rposition(|byte| !is_end(byte) && !byte.is_ascii_whitespace());
        let Some(last) = text else {
            if bytes.iter().any(is_end) {
                self.open = None;
            }
            return;
        };
        let begin = bytes[..last].iter().rposition(is_end).map(|end| end + 1);
        if begin.is_some() || self.open != Some(stream) {
            self.line.clear();
        }
        let rest = &bytes[begin.unwrap_or(0)..];
        let end = rest.iter().position(is_end);
        let line = &rest[..end.unwrap_or(rest.len())];
        let room = LENGTH_MAX.saturating_sub(self.line.len()).min(line.len());
        self.line.extend_from_slice(&line[..room]);
        self.open = end.is_none().then_some(stream);
    }

    /// What is kept of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &str) {
        let mut last = LastLine::default();
        chunks.iter().for_each(|chunk| last.note(Stream::Stdout, chunk.as_bytes()));
        assert_eq!(String::from_utf8_lossy(last.bytes()), expected, "{chunks:?}");
    }

    #[test]
    fn the_last_line_with_anything_in_it() {
        check(&[], "");
        check(&["\n\n"], "");
        check(&["a\nb\n"], "b");
        check(&["a\nb\n", "\n", "  \n"], "b");
        check(&["a\nb"], "b");
        check(&["a\nb", "c", " d\n"], "bc d");
        check(&["a\nb", "\n", "c"], "c");
        check(&["a", "b\nc\n\n"], "c");
        check(&["a", "b\n\n"], "ab");
        check(&["10%\r50%\r", "90%\r"], "90%");
        check(&["10%\r50%\r", "90%"], "90%");
    }

    #[test]
    fn two_streams_are_not_one_line() {
        let mut last = LastLine::default();
        last.note(Stream::Stdout, b"working");
        last.note(Stream::Stderr, b"oh");
        assert_eq!(last.bytes(), b"oh");
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut last = LastLine::default();
        for _ in 0..100 {
            last.note(Stream::Stdout, &[b'x'; 100]);
        }
        assert_eq!(last.bytes().len(), LENGTH_MAX);
        last.note(Stream::Stdout, b"\nnext");
        assert_eq!(last.bytes(), b"next");
    }
}
