//! Whole lines from a stream that comes in chunks.

use memchr::memchr2;

/// A longer line is shown in pieces, so that a host without line ends cannot
/// fill memory.
const LINE_MAX: usize = 64 * 1024;

/// Collects one stream into lines.
///
/// Of a line that rewrites itself by carriage returns, as progress bars do,
/// what would be left on a terminal at its end is kept.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    /// A carriage return came: what follows, unless it is a newline, replaces
    /// what is held.
    returned: bool,
}

impl Lines {
    /// Takes the next bytes and hands over each line that they end, without
    /// its line end.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            let used = match first {
                b'\n' => {
                    each(&self.held);
                    self.held.clear();
                    self.returned = false;
                    1
                }
                b'\r' => {
                    self.returned = true;
                    1
                }
                _ => {
                    self.make_room(&mut each);
                    let run = memchr2(b'\n', b'\r', bytes);
                    if let (true, Some(end)) = (self.held.is_empty(), run)
                        && end <= LINE_MAX
                        && bytes[end] == b'\n'
                    {
                        // A whole line need not be held.
                        each(&bytes[..end]);
                        bytes = &bytes[end + 1..];
                        continue;
                    }
                    let room = LINE_MAX - self.held.len();
                    let used = run.unwrap_or(bytes.len()).min(room);
                    self.held.extend_from_slice(&bytes[..used]);
                    used
                }
            };
            bytes = &bytes[used..];
        }
    }

    /// Ends the stream: what is held is a line too.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        self.returned = false;
        if !self.held.is_empty() {
            each(&std::mem::take(&mut self.held));
        }
    }

    fn make_room(&mut self, each: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.returned) {
            self.held.clear();
        } else if self.held.len() == LINE_MAX {
            let rest = self.held.split_off(before_partial(&self.held));
            each(&std::mem::replace(&mut self.held, rest));
        }
    }
}

/// Where to cut so that no UTF-8 sequence that still goes on is torn apart.
fn before_partial(bytes: &[u8]) -> usize {
    let width = |lead: u8| match lead {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    let torn = |&at: &usize| width(bytes[at]) > bytes.len() - at;
    (bytes.len().saturating_sub(3)..bytes.len()).find(torn).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut each = |line: &[u8]| found.push(line.to_vec());
        chunks.iter().for_each(|chunk| lines.push(chunk, &mut each));
        lines.finish(&mut each);
        found
    }

    fn check(chunks: &[&str], expected: &[&str]) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        let expected: Vec<_> = expected.iter().map(|line| line.as_bytes().to_vec()).collect();
        assert_eq!(lines(&chunks), expected);
    }

    #[test]
    fn lines_are_whole() {
        check(&["a\nb", "c\n", "\nd"], &["a", "bc", "", "d"]);
        check(&[""], &[]);
        check(&["\n"], &[""]);
    }

    #[test]
    fn progress_is_collapsed() {
        check(&["10%\r50%\r", "100%\n"], &["100%"]);
        check(&["10%\r50%\r"], &["50%"]);
        check(&["10%\r100%\r\r\n"], &["100%"]);
        check(&["dos\r", "\nline\r\n"], &["dos", "line"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let long = "x".repeat(LINE_MAX + 10);
        check(&[&long], &[&long[..LINE_MAX], &long[LINE_MAX..]]);
        check(&[&long[..LINE_MAX], "\nnext"], &[&long[..LINE_MAX], "next"]);
    }

    #[test]
    fn a_piece_ends_between_characters() {
        for pad in 0..4 {
            let long = format!("{}{}", "x".repeat(LINE_MAX - pad), "🦀é日".repeat(3));
            let pieces = lines(&[long.as_bytes()]);
            assert_eq!(pieces.len(), 2);
            assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "{pad}");
            assert_eq!(pieces.concat(), long.as_bytes());
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.push(&[b'x'; 10_000], |_| ());
            lines.push(&[0x80; 10_000], |_| ());
            assert!(lines.held.len() <= LINE_MAX);
        }
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[ab\r\n]{0,60}", size in 1..8_usize) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(lines(&chunks), lines(&[text.as_bytes()]));
        }
    }
}
