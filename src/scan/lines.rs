//! The lines of a script as a rule looks at them.

use std::borrow::Cow;

/// A command's text.
pub(super) struct Line<'t> {
    /// Of its first line in the file, from 1.
    pub(super) number: u32,
    /// As it stands there; lines that go on are joined.
    pub(super) raw: Cow<'t, str>,
    /// Without quotes and backslashes, by which a word can be written in many
    /// ways; `None` where that changes nothing.
    pub(super) plain: Option<String>,
    /// Whether it is a comment as a whole.
    pub(super) comment: bool,
}

/// Joins lines that end in a backslash, as a shell does.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, piece) in (1..).zip(text.split('\n')) {
        let piece = piece.strip_suffix('\r').unwrap_or(piece);
        // Only at its beginning is a line a comment, and a comment ends with it.
        let comment = open.is_none() && piece.trim_start().starts_with('#');
        let goes_on = !comment && ends_open(piece);
        let part = if goes_on { &piece[..piece.len() - 1] } else { piece };
        match (&mut open, goes_on) {
            (None, false) => lines.push(Line::new(number, Cow::Borrowed(part), comment)),
            (None, true) => open = Some((number, part.to_owned())),
            (Some((_, whole)), true) => whole.push_str(part),
            (Some((first, whole)), false) => {
                whole.push_str(part);
                lines.push(Line::new(*first, Cow::Owned(std::mem::take(whole)), false));
                open = None;
            }
        }
    }
    if let Some((first, whole)) = open {
        lines.push(Line::new(first, Cow::Owned(whole), false));
    }
    lines
}

/// Whether a backslash that is not itself behind one takes the newline away.
fn ends_open(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    backslashes % 2 == 1
}

impl<'t> Line<'t> {
    fn new(number: u32, raw: Cow<'t, str>, comment: bool) -> Self {
        let quoting = ['"', '\'', '\\'];
        let plain = raw.contains(quoting).then(|| raw.replace(quoting, ""));
        Self { number, raw, plain, comment }
    }
}
