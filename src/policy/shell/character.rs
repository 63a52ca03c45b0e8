//! Single characters that no text may hold, quoted or not.

use super::refusal::DynamicKind;

/// Characters that take no room or change the order of others, and letters
/// that look like blanks, sorted; variation selectors and tags among them.
const HIDDEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1345f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Why this character may not stand in a text at all, if it may not.
pub(super) fn refused(c: char) -> Option<DynamicKind> {
    match c {
        ' '..='~' | '\t' | '\n' => None,
        _ if c.is_whitespace() && !c.is_ascii() => Some(DynamicKind::Blank),
        // Bash keeps marks of its own in words, and control characters are them.
        _ if c.is_control() => Some(DynamicKind::Control),
        _ if hidden(c) => Some(DynamicKind::Hidden),
        _ => None,
    }
}

/// The character as a person can see it.
pub(super) fn visible(c: char) -> String {
    match c {
        '\n' => "\\n".into(),
        '\t' => "\\t".into(),
        _ if refused(c).is_some() => c.escape_unicode().to_string(),
        _ => c.into(),
    }
}

fn hidden(c: char) -> bool {
    HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&c))
}
