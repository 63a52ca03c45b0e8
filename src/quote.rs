//! The only place that builds shell text.
//!
//! A command reaches a host as one string that the user's login shell reads
//! first. Login shells disagree about quoting: csh expands `!` inside quotes
//! and ends a quote at a newline, fish reads `\'` inside one, and all of them
//! may treat bytes that are no text in their own way. They agree on printable
//! ASCII between single quotes, as long as it holds no `'`, `\` or `!`. So a
//! word is either plain by that measure and can stand in the command line, or
//! it must travel on stdin, where only `/bin/sh` reads it.

/// A word that every login shell reads alike when [`login_word`] quotes it.
fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'!')
}

/// Whether [`login_word`] can carry this word through any login shell.
pub fn fits_login_shell(word: &[u8]) -> bool {
    word.iter().all(|&byte| plain(byte))
}

/// Quotes a word for any login shell; `None` if it does not
/// [fit](fits_login_shell).
pub fn login_word(bytes: &[u8]) -> Option<String> {
    if !fits_login_shell(bytes) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_+:,./-@".contains(&b);
    if !bytes.is_empty() && bytes.iter().all(|&b| bare(b)) {
        return Some(text.to_owned());
    }
    // A single quote is written as '"'"': csh and fish know no other way that
    // a POSIX shell reads the same.
    Some(format!("'{}'", text.replace('\'', r#"'"'"'"#)))
}

/// Quotes a word for a POSIX shell. Any byte but NUL survives.
pub fn word(bytes: &[u8]) -> Vec<u8> {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_+:,./-@%".contains(&b);
    if !bytes.is_empty() && bytes.iter().all(|&b| bare(b)) {
        return bytes.to_vec();
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    quoted.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Quotes a word for a POSIX shell on one line: a newline becomes the
/// expansion of a variable of that name, which must hold one.
pub fn word_on_one_line(bytes: &[u8], newline_variable: &str) -> Vec<u8> {
    let glue = format!("'\"${newline_variable}\"'");
    let mut quoted = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            b'\n' => quoted.extend_from_slice(glue.as_bytes()),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_words() {
        let check = |input: &str, expected: Option<&str>| {
            assert_eq!(login_word(input.as_bytes()).as_deref(), expected, "{input:?}");
        };
        check("/usr/bin/ls", Some("/usr/bin/ls"));
        check("", Some("''"));
        check("a b", Some("'a b'"));
        check("$HOME `x`", Some("'$HOME `x`'"));
        check("it's", Some(r#"'it'"'"'s'"#));
        check("A=b", Some("'A=b'"));
        check("wow!", None);
        check("back\\slash", None);
        check("new\nline", None);
        check("caf\u{e9}", None);
    }

    #[test]
    fn posix_words() {
        let check = |input: &[u8], expected: &[u8]| assert_eq!(word(input), expected);
        check(b"plain", b"plain");
        check(b"", b"''");
        check(b"a'b", br"'a'\''b'");
        check(b"\xff\n", b"'\xff\n'");
        assert_eq!(word_on_one_line(b"a\nb'", "n"), b"'a'\"$n\"'b'\\'''");
    }
}
