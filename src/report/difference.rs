//! How one output differs from another, line by line, for people.

use std::time::{Duration, Instant};

use similar::{ChangeTag, TextDiff};

use super::commands;
use super::escape::escape;
use super::measure::size;
use super::style::Style;
use crate::outcome::HostResult;
use crate::remote::Captured;

/// How long two outputs are compared before the result may be longer than it
/// need be.
const COMPARE_MAX: Duration = Duration::from_secs(1);

/// More than that is not compared, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// More than that is not compared, in lines.
const LINES_MAX: usize = 20_000;

/// Stands for the line end that a last line does not have, as `diff` has it.
const NO_LINE_END: &str = "\\ No newline at end of file";

/// A unified difference from the one host's output to the other's, each with its name;
/// in colour where the style has any. Of what is too large to be compared, sizes
/// and digests are told. When it is `until`, nobody looks for the shortest
/// difference any more.
pub(crate) fn difference(
    style: &Style,
    (old_name, old): (&str, &HostResult),
    (new_name, new): (&str, &HostResult),
    until: Instant,
) -> String {
    // One byte more is too large to be compared.
    let max = SIZE_MAX as usize + 1;
    let (old, new) = (&commands::joined(old, max), &commands::joined(new, max));
    if old.sha256() == new.sha256() {
        return "the output is the same\n".into();
    }
    let (Some(before), Some(after)) = (lines(old, style.raw), lines(new, style.raw)) else {
        let told = |name: &str, output: &Captured| {
            format!("{name}: {}, sha256 {}", size(output.len()), output.sha256())
        };
        let (old, new) = (told(old_name, old), told(new_name, new));
        return format!("the output differs, and is too large to compare\n{old}\n{new}\n");
    };
    if before == after {
        return "the output differs where it was not kept\n".into();
    }
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let until = until.min(Instant::now() + COMPARE_MAX);
    let diff = TextDiff::configure().deadline(until).diff_slices(&before, &after);
    let colours = style.out;
    let mut text = format!("--- {old_name}\n+++ {new_name}\n");
    for hunk in diff.unified_diff().iter_hunks() {
        text += &format!("{}{}{}\n", colours.label, hunk.header(), colours.off);
        for change in hunk.iter_changes() {
            let (colour, off) = match change.tag() {
                ChangeTag::Delete => (colours.bad, colours.off),
                ChangeTag::Equal => ("", ""),
                ChangeTag::Insert => (colours.good, colours.off),
            };
            text += &format!("{colour}{}{}{off}\n", change.tag(), change.value());
        }
    }
    text
}

/// The lines as they are shown, none with its end; `None` if there are too many.
fn lines(output: &Captured, raw: bool) -> Option<Vec<String>> {
    if output.len() > SIZE_MAX {
        return None;
    }
    let bytes = output.to_bytes();
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if lines.len() == LINES_MAX {
            return None;
        }
        let (line, whole) = match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (line, false),
        };
        // Each by itself: a carriage return at its end is a difference, too.
        lines.push(if raw { String::from_utf8_lossy(line).into() } else { escape(line) });
        if !whole {
            lines.push(NO_LINE_END.into());
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{captured, exited};
    use super::super::style::Palette;
    use super::*;

    fn wrote(stdout: &[u8], cap: usize) -> HostResult {
        HostResult { stdout: captured(stdout, cap), ..exited("vm01", 0, b"", b"") }
    }

    fn between(style: &Style, old: &[u8], new: &[u8]) -> String {
        let (old, new) = (wrote(old, 4 << 20), wrote(new, 4 << 20));
        let until = Instant::now() + Duration::from_secs(60);
        difference(style, ("vm[01-03]", &old), ("vm04", &new), until)
    }

    fn check(old: &str, new: &str, expected: &str) {
        let shown = between(&Style::default(), old.as_bytes(), new.as_bytes());
        assert_eq!(shown, format!("--- vm[01-03]\n+++ vm04\n{expected}"));
    }

    #[test]
    fn lines_that_are_gone_and_lines_that_are_new() {
        check("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check("", "a\n", "@@ -0,0 +1 @@\n+a\n");
        check("a\n", "", "@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn line_ends_and_what_is_no_text_are_differences() {
        check("a\r\n", "a\n", "@@ -1 +1 @@\n-a\\x0d\n+a\n");
        check("a\n", "a", "@@ -1 +1,2 @@\n a\n+\\ No newline at end of file\n");
        let shown = between(&Style::default(), b"\xff\x1b[2J\n", b"\xfe\n");
        assert!(shown.ends_with("-\\xff\\x1b[2J\n+\\xfe\n"), "{shown}");
    }

    #[test]
    fn what_is_the_same_and_what_is_not_known() {
        assert_eq!(between(&Style::default(), b"a\n", b"a\n"), "the output is the same\n");
        let until = Instant::now();
        let (old, new) = (wrote(b"aaaa1bbbb", 8), wrote(b"aaaa2bbbb", 8));
        let shown = difference(&Style::default(), ("x", &old), ("y", &new), until);
        assert_eq!(shown, "the output differs where it was not kept\n");
    }

    #[test]
    fn colours() {
        let style = Style { out: Palette::ANSI, ..Style::default() };
        let shown = between(&style, b"a\n", b"b\n");
        assert!(
            shown.ends_with("\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-a\x1b[0m\n\x1b[32m+b\x1b[0m\n"),
            "{shown:?}"
        );
    }

    #[test]
    fn what_is_large_is_not_compared() {
        let large = vec![b'x'; (SIZE_MAX + 1) as usize];
        let shown = between(&Style::default(), &large, b"x\n");
        let mut told = shown.lines();
        assert_eq!(told.next(), Some("the output differs, and is too large to compare"));
        assert!(told.next().unwrap().starts_with("vm[01-03]: 1.0 MiB, sha256 "), "{shown}");
        assert!(told.next().unwrap().starts_with("vm04: 2 B, sha256 73cb3858a687a8"), "{shown}");
        let lines = "x\n".repeat(LINES_MAX + 1);
        assert!(between(&Style::default(), lines.as_bytes(), b"x\n").contains("too large"));
        let lines = "x\n".repeat(LINES_MAX);
        assert!(!between(&Style::default(), lines.as_bytes(), b"x\n").contains("too large"));
    }

    /// Nothing of the one is in the other: the worst that there is.
    #[test]
    fn a_comparison_out_of_time_is_still_right() {
        let text = |word| (0..LINES_MAX / 2).map(|n| format!("{word}{n}\n")).collect::<String>();
        let (old, new) =
            (wrote(text("a").as_bytes(), 1 << 20), wrote(text("b").as_bytes(), 1 << 20));
        let shown = difference(&Style::default(), ("x", &old), ("y", &new), Instant::now());
        let count = |sign: char| shown.lines().filter(|line| line.starts_with(sign)).count();
        assert_eq!((count('-'), count('+')), (LINES_MAX / 2 + 1, LINES_MAX / 2 + 1));
    }
}
