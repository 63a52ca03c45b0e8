//! Lines of bounded length from a file of any length.

use std::io::{self, BufRead, BufReader, Read};

use super::chain::LINE_MAX;

/// Reads lines one after the other.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    /// Where the next line begins.
    offset: u64,
    line: Vec<u8>,
}

/// One line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine<'a> {
    /// Where it begins.
    pub(super) start: u64,
    /// Where the next one begins.
    pub(super) end: u64,
    /// Its bytes without the newline; a longer one than allowed is cut.
    pub(super) bytes: &'a [u8],
    pub(super) ending: Ending,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a newline.
    Newline,
    /// With the end of the file: still being written, or torn.
    EndOfFile,
    /// It is longer than any line of a log.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// Reads from `input`, which stands at `offset` of its file.
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { input: BufReader::with_capacity(64 << 10, input), offset, line: Vec::new() }
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.line.clear();
        let mut limited = (&mut self.input).take(LINE_MAX as u64);
        let mut read = limited.read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let ending = if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            Ending::Newline
        } else if read == LINE_MAX as u64 {
            read += skip_line(&mut self.input)?;
            Ending::TooLong
        } else {
            Ending::EndOfFile
        };
        let start = self.offset;
        self.offset += read;
        Ok(Some(RawLine { start, end: self.offset, bytes: &self.line, ending }))
    }
}

/// Drops the rest of a line; returns how long it was.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(skipped);
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(chunk.len(), |at| at + 1);
        input.consume(used);
        skipped += used as u64;
        if newline.is_some() {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_know_where_they_are_and_how_they_end() {
        let long = "x".repeat(LINE_MAX + 5);
        let text = format!("one\n{long}\n\nend");
        let mut lines = Lines::new(text.as_bytes(), 0);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.start, line.end, line.bytes.len(), line.ending));
        }
        let after = 4 + LINE_MAX as u64 + 6;
        assert_eq!(
            seen,
            [
                (0, 4, 3, Ending::Newline),
                (4, after, LINE_MAX, Ending::TooLong),
                (after, after + 1, 0, Ending::Newline),
                (after + 1, after + 4, 3, Ending::EndOfFile),
            ]
        );
    }
}
