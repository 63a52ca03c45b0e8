//! One line of a file with a mark under the place that is meant.

use std::ops::Range;

use super::document::Position;
use super::secret::is_secret_name;

/// Characters of a line that are shown at most, so that a file written on one
/// line does not fill the screen.
const WIDTH_MAX: usize = 100;

/// Draws the line at `position`; `secrets` are byte ranges of `text`, in order.
pub(super) fn snippet(text: &str, position: Position, secrets: &[Range<usize>]) -> String {
    let at = text.floor_char_boundary(position.byte as usize);
    let start = text[..at].rfind(['\n', '\r']).map_or(0, |before| before + 1);
    let end = text[at..].find(['\n', '\r']).map_or(text.len(), |after| at + after);
    let line = &text[start..end];
    if line.trim().is_empty() {
        return String::new();
    }
    let (shown, mark) = masked(line, start, at, secrets);
    let (shown, mark) = cropped(&shown, mark);
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    format!("  {number} | {shown}\n  {margin} | {}^", " ".repeat(mark))
}

/// Text that can be printed on a terminal: what would move the cursor or
/// reorder the line is replaced.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The line without its secrets, and the character index of the mark in it.
fn masked(line: &str, start: usize, at: usize, secrets: &[Range<usize>]) -> (Vec<char>, usize) {
    let tail = secret_tail(line).map_or(usize::MAX, |offset| start + offset);
    let first = secrets.partition_point(|range| range.end <= start);
    let hidden = |byte: usize| {
        let inside = |range: &Range<usize>| range.contains(&byte);
        byte >= tail || secrets[first..].iter().take_while(|r| r.start <= byte).any(inside)
    };
    let (mut shown, mut mark, mut masking) = (Vec::new(), None, false);
    for (offset, c) in line.char_indices() {
        let byte = start + offset;
        if byte >= at && mark.is_none() {
            mark = Some(if masking && hidden(byte) { shown.len() - 3 } else { shown.len() });
        }
        if !hidden(byte) {
            masking = false;
            shown.push(printable_char(c));
        } else if !masking {
            masking = true;
            shown.extend("***".chars());
        }
    }
    let mark = mark.unwrap_or(shown.len());
    (shown, mark)
}

/// Where the line, read as plain text, begins to hold a secret: behind a
/// secret-looking word and a `:` or `=`. This catches what is not (yet) YAML.
fn secret_tail(line: &str) -> Option<usize> {
    line.match_indices([':', '=']).map(|(index, _)| index).find_map(|index| {
        let before = line[..index].trim_end().trim_end_matches(['"', '\'']);
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let word = before.rfind(|c: char| !is_word(c)).map_or(before, |i| {
            let width = before[i..].chars().next().map_or(1, char::len_utf8);
            &before[i + width..]
        });
        is_secret_name(word).then(|| index + 1 + usize::from(line[index + 1..].starts_with(' ')))
    })
}

/// The part of the line around the mark.
fn cropped(line: &[char], mark: usize) -> (String, usize) {
    if line.len() <= WIDTH_MAX {
        return (line.iter().collect(), mark);
    }
    let from = mark.saturating_sub(WIDTH_MAX / 2).min(line.len() - WIDTH_MAX);
    let to = from + WIDTH_MAX;
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
    let part: String = line[from..to].iter().collect();
    (format!("{before}{part}{after}"), mark - from + before.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::secret::secret_ranges;

    /// Draws the place of `needle` in `text`.
    fn draw(text: &str, needle: &str) -> String {
        let byte = text.find(needle).unwrap();
        let line = text[..byte].matches('\n').count() + 1;
        let position = Position { line: line as u32, column: 1, byte: byte as u32 };
        snippet(text, position, &secret_ranges(text))
    }

    #[test]
    fn marks_the_place() {
        assert_eq!(draw("a: 1\nb: two\n", "two"), "  2 | b: two\n    |    ^");
        assert_eq!(draw("ä: ö\r\nb: 2", "ö"), "  1 | ä: ö\n    |    ^");
        assert_eq!(draw("\ta: \u{1b}[31mx", "x"), "  1 |  a: \u{fffd}[31mx\n    |          ^");
    }

    #[test]
    fn hides_secrets() {
        for (text, needle) in [
            ("a: {password: hunter2, ip: 5}", "ip"),
            ("a: {password: hunter2, ip: 5}", "password"),
            ("{token: \"x\n hunter2\", ip: 5}", "ip"),
            ("password:hunter2\nip: 5", "password"),
            ("secret = hunter2", "="),
            ("\"api_key\" : hunter2", "hunter2"),
            ("keys:\n  - hunter2\n", "hunter2"),
            ("keys:\n  - [hunter2", "hunter2"),
        ] {
            let drawn = draw(text, needle);
            assert!(!drawn.contains("hunter2"), "{drawn}");
            assert!(drawn.contains('^'), "{drawn}");
        }
    }

    #[test]
    fn crops_long_lines() {
        let text = format!("{}HERE{}", "x".repeat(5000), "y".repeat(5000));
        let drawn = draw(&text, "HERE");
        let (line, mark) = drawn.split_once('\n').unwrap();
        assert!(line.chars().count() < WIDTH_MAX + 12, "{drawn}");
        let column = mark.chars().position(|c| c == '^').unwrap();
        assert_eq!(line.chars().nth(column), Some('H'), "{drawn}");
    }
}
