//! Characters that could make one field look like two, or act on a terminal.

use std::fmt::Write as _;

/// Escapes what could be taken for the end of a line or hide what stands
/// there, the backslash that would make the escapes ambiguous, and whatever
/// separates fields in the form at hand.
pub(super) fn escape(text: &str, separators: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii() && (c.is_ascii_control() || separators.contains(&c)) => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// The same for a JSON text, where such a character can only stand inside a
/// string: it is written as RFC 8259, section 7, has it.
pub(super) fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Line and paragraph separators, and the marks that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text, &['|']), expected);
        check("plain text, ümläut = fine", "plain text, ümläut = fine");
        check("a\nb\r\t", "a\\nb\\r\\t");
        check("a | b", "a \\x7c b");
        check("\u{1b}[2J\0", "\\x1b[2J\\x00");
        check("\\x7c", "\\\\x7c");
        check("\u{85}\u{2028}\u{202e}", "\\u{85}\\u{2028}\\u{202e}");
    }

    #[test]
    fn json_says_the_same_with_and_without_its_escapes() {
        let text = "a\u{7f}\u{9b}2J\u{2028}\u{e0041}\n\u{1b}ü";
        let json = escape_json(&serde_json::Value::from(text).to_string());
        assert!(!json.contains(|c: char| c.is_control() || is_invisible(c)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
