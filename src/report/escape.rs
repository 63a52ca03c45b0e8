//! Making what a host wrote safe to look at.
//!
//! A terminal obeys what it is shown: an escape sequence from a host can
//! rewrite the screen, the title or the clipboard, or type answers into the
//! shell; a bidi control can make text read as something else. Here every such
//! character becomes visible and harmless text.

use std::fmt::Write;

/// Escapes a stream that comes in chunks.
///
/// Tab, newline and a carriage return before a newline are left as they are
/// meant; any other control character and every bidi control is written as
/// `\x1b` or `\u{202e}`, and a byte that is not UTF-8 as `\xff`.
#[derive(Debug, Default)]
pub struct Escaper {
    /// The end of the last chunk, if the next one decides what it is: the
    /// beginning of a UTF-8 sequence, or a carriage return.
    held: Vec<u8>,
}

impl Escaper {
    /// Takes the next bytes and appends what can be shown of them.
    pub fn push(&mut self, bytes: &[u8], shown: &mut String) {
        if self.held.is_empty() {
            self.show(bytes, shown);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            self.show(&joined, shown);
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, shown: &mut String) {
        for byte in self.held.drain(..) {
            show_byte(byte, shown);
        }
    }

    fn show(&mut self, bytes: &[u8], shown: &mut String) {
        // Nearly all output is UTF-8, and finding that out at once is much
        // faster than going from chunk to chunk.
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.show_text(text, true, shown);
        }
        let mut seen = 0;
        for chunk in bytes.utf8_chunks() {
            seen += chunk.valid().len() + chunk.invalid().len();
            let last = seen == bytes.len();
            self.show_text(chunk.valid(), last && chunk.invalid().is_empty(), shown);
            if last && is_beginning(chunk.invalid()) {
                self.held.extend_from_slice(chunk.invalid());
            } else {
                chunk.invalid().iter().for_each(|&byte| show_byte(byte, shown));
            }
        }
    }

    /// Shows text; `last` says whether the stream may go on right behind it.
    fn show_text(&mut self, mut text: &str, last: bool, shown: &mut String) {
        loop {
            let (plain, rest) = text.split_at(plain_len(text.as_bytes()));
            shown.push_str(plain);
            let mut characters = rest.chars();
            let Some(character) = characters.next() else { return };
            text = characters.as_str();
            match (character, text.bytes().next()) {
                ('\r', Some(b'\n')) => {}
                ('\r', None) if last => self.held.push(b'\r'),
                _ => show_char(character, shown),
            }
        }
    }
}

/// Escapes a whole text, as [`Escaper`] does.
pub fn escape(bytes: &[u8]) -> String {
    let mut escaper = Escaper::default();
    let mut shown = String::with_capacity(bytes.len());
    escaper.push(bytes, &mut shown);
    escaper.finish(&mut shown);
    shown
}

/// How many of the first bytes are shown as they are: printable ASCII, tab and
/// newline.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let plain = |&byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n');
    // Looking at a whole block without leaving early lets the compiler take
    // many bytes at once.
    let blocks = bytes.chunks_exact(BLOCK);
    let whole = blocks.take_while(|block| block.iter().fold(true, |all, byte| all & plain(byte)));
    let start = whole.count() * BLOCK;
    let rest = bytes[start..].iter().position(|byte| !plain(byte));
    rest.map_or(bytes.len(), |at| start + at)
}

/// Escapes a text that has to stay within its line, so that nobody can write
/// a message that looks like several.
pub(super) fn one_line(text: &str) -> String {
    escape(text.trim().replace(['\n', '\t'], " ").as_bytes())
}

/// Whether a terminal acts on this character instead of showing it: C0 but tab
/// and newline, DEL, C1, and the characters that change the direction of text.
pub(super) fn is_hidden(character: char) -> bool {
    match character {
        '\t' | '\n' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

fn show_char(character: char, shown: &mut String) {
    if !is_hidden(character) {
        shown.push(character);
    } else if character.is_ascii() {
        show_byte(character as u8, shown);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\u{{{:x}}}", character as u32);
    }
}

fn show_byte(byte: u8, shown: &mut String) {
    let _ = write!(shown, "\\x{byte:02x}");
}

/// Whether more bytes could make this a UTF-8 sequence.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(escape(raw.as_ref()), expected);
    }

    fn is_harmless(shown: &str) -> bool {
        !shown.chars().any(is_hidden)
    }

    #[test]
    fn text_stays_text() {
        check("a\tb\nzażółć 日本語 🦀 \\x1b", "a\tb\nzażółć 日本語 🦀 \\x1b");
    }

    #[test]
    fn a_dos_line_end_is_a_line_end() {
        check("a\r\nb\r\n", "a\nb\n");
    }

    #[test]
    fn a_carriage_return_alone_could_hide_what_was_before_it() {
        check("rm -rf /\rls", "rm -rf /\\x0dls");
        check("a\r\r\n", "a\\x0d\n");
        check("a\r", "a\\x0d");
        check(b"a\r\xff", "a\\x0d\\xff");
    }

    #[test]
    fn bytes_that_are_not_utf8() {
        check(b"a\xffb\xc3", "a\\xffb\\xc3");
        check(b"\xe2\x80x", "\\xe2\\x80x");
        check(b"\xc0\x9b", "\\xc0\\x9b");
        check(b"\xed\xa0\x80", "\\xed\\xa0\\x80");
    }

    #[test]
    fn terminal_attacks_are_shown() {
        let attacks: [(&[u8], &str); 30] = [
            (b"\x1b]52;c;cm0gLXJmIC8K\x07", "\\x1b]52;c;cm0gLXJmIC8K\\x07"), // clipboard
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"\x1b]2;title\x1b\\", "\\x1b]2;title\\x1b\\"),
            (
                b"\x1b]8;;file:///etc/passwd\x1b\\x\x1b]8;;\x1b\\",
                "\\x1b]8;;file:///etc/passwd\\x1b\\x\\x1b]8;;\\x1b\\",
            ),
            (b"\x1b]50;?\x07", "\\x1b]50;?\\x07"), // font query
            (b"\x1b]4;1;?\x07", "\\x1b]4;1;?\\x07"), // colour query
            (b"\x1b]1337;File=:AAAA\x07", "\\x1b]1337;File=:AAAA\\x07"),
            (b"\x1bP$q\"p\x1b\\", "\\x1bP$q\"p\\x1b\\"), // DECRQSS
            (b"\x1bP+q544e\x1b\\", "\\x1bP+q544e\\x1b\\"), // termcap query
            (b"\x1bPq#0;2;0;0;0\x1b\\", "\\x1bPq#0;2;0;0;0\\x1b\\"), // sixel
            (b"\x1b[21t", "\\x1b[21t"),                  // report title
            (b"\x1b[6n", "\\x1b[6n"),                    // report cursor
            (b"\x1b[c", "\\x1b[c"),                      // device attributes
            (b"\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),       // clear
            (b"\x1b[1A\x1b[2K", "\\x1b[1A\\x1b[2K"),     // overwrite the line above
            (b"\x1b[8mhidden", "\\x1b[8mhidden"),
            (b"\x1b[?1049h", "\\x1b[?1049h"), // other screen
            (b"\x1b[5i", "\\x1b[5i"),         // print
            (b"\x1b[20h", "\\x1b[20h"),
            (b"\x1bc", "\\x1bc"),                                // reset
            (b"\x1b_Gi=1;AAAA\x1b\\", "\\x1b_Gi=1;AAAA\\x1b\\"), // APC
            (b"\x1b^pm\x1b\\", "\\x1b^pm\\x1b\\"),               // PM
            (b"\xc2\x9b31m", "\\u{9b}31m"),                      // C1 CSI in UTF-8
            (b"\x9b31m", "\\x9b31m"),                            // C1 CSI as a byte
            (b"\xc2\x9d0;x\xc2\x9c", "\\u{9d}0;x\\u{9c}"),       // C1 OSC … ST
            (b"\xc2\x90q\xc2\x85", "\\u{90}q\\u{85}"),           // C1 DCS, NEL
            ("\u{202e}gpj.exe\u{2066}\u{2069}".as_bytes(), "\\u{202e}gpj.exe\\u{2066}\\u{2069}"),
            ("\u{61c}\u{200e}\u{200f}".as_bytes(), "\\u{61c}\\u{200e}\\u{200f}"),
            (b"pass\x08\x08\x08\x08ok\x7f\x07", "pass\\x08\\x08\\x08\\x08ok\\x7f\\x07"),
            (b"\x0e\x0f\x05\x00\x0b\x0c", "\\x0e\\x0f\\x05\\x00\\x0b\\x0c"), // charset, ENQ, …
        ];
        for (raw, expected) in attacks {
            check(raw, expected);
            assert!(is_harmless(&escape(raw)), "{expected}");
        }
    }

    #[test]
    fn each_of_the_256_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let shown = escape(&all);
        assert!(is_harmless(&shown));
        for byte in all {
            let alone = escape(&[byte]);
            let plain = matches!(byte, b' '..=b'~' | b'\t' | b'\n');
            let expected =
                if plain { char::from(byte).to_string() } else { format!("\\x{byte:02x}") };
            assert_eq!(alone, expected);
        }
    }

    #[test]
    fn a_message_stays_in_its_line() {
        assert_eq!(one_line("no route\nvm02: ok\x1b[0m\n"), "no route vm02: ok\\x1b[0m");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(bytes: Vec<u8>) {
            prop_assert!(is_harmless(&escape(&bytes)));
        }

        #[test]
        fn chunks_make_no_difference(
            text in "[a\r\n\u{1b}é日🦀\u{9b}]{0,40}",
            noise in proptest::collection::vec(any::<u8>(), 0..8),
            size in 1..6_usize,
        ) {
            let bytes = [text.as_bytes(), &noise, text.as_bytes()].concat();
            let mut escaper = Escaper::default();
            let mut shown = String::new();
            bytes.chunks(size).for_each(|chunk| escaper.push(chunk, &mut shown));
            escaper.finish(&mut shown);
            prop_assert_eq!(shown, escape(&bytes));
        }
    }
}
