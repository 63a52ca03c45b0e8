//! What our texts answer: one line that cannot be taken for anything else.

/// An answer, as far as it can be understood. All of it is the host's word.
pub(super) enum Answer<'a> {
    /// It was done.
    Done {
        /// The fields of the line; the last may hold spaces.
        line: &'a [u8],
        /// What follows the line.
        rest: &'a [u8],
    },
    /// It could not be done.
    Failed {
        /// Our own word for it.
        kind: String,
        /// The host's, fit to be shown.
        cause: String,
    },
    /// Nothing of this kind was said.
    Silence,
}

/// Finds the answer among what a login shell may have written too.
pub(super) fn find<'a>(stdout: &'a [u8], random: &str) -> Answer<'a> {
    let mark = format!("orch1 {random} ").into_bytes();
    let starts = stdout.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
    let mut answers =
        starts.filter_map(|(at, _)| parse(stdout.get(at + mark.len()..).unwrap_or_default()));
    answers.next().unwrap_or(Answer::Silence)
}

fn parse(after: &[u8]) -> Option<Answer<'_>> {
    let end = after.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = (&after[..end], &after[end + 1..]);
    if let Some(line) = line.strip_prefix(b"OK ") {
        return Some(Answer::Done { line, rest });
    }
    let text = String::from_utf8_lossy(line);
    let text = text.strip_prefix("ERROR ")?;
    let (kind, cause) = text.split_once(' ').unwrap_or((text, ""));
    Some(Answer::Failed { kind: shown(kind), cause: shown(cause) })
}

/// The host's words, short and without control characters.
pub(super) fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 400;
    let text: String = text.chars().filter(|c| !c.is_control()).take(LENGTH_MAX).collect();
    text.trim_end_matches(['.', ';', ' ']).to_owned()
}

/// The next field of a line, and what is left of it.
pub(super) fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_among_noise() {
        let stdout = b"motd orch1 ab orch1 ab OK none - /a b\n#!x";
        let Answer::Done { line, rest } = find(stdout, "ab") else { panic!() };
        assert_eq!((line, rest), (&b"none - /a b"[..], &b"#!x"[..]));
        assert_eq!(field(line), (&b"none"[..], &b"- /a b"[..]));
        let Answer::Failed { kind, cause } = find(b"orch1 ab ERROR store no\x1b room; \n", "ab")
        else {
            panic!()
        };
        assert_eq!((kind.as_str(), cause.as_str()), ("store", "no room"));
        for silence in [&b""[..], b"orch1 ab OK x", b"orch1 cd OK x\n", b"orch1 ab HM\n"] {
            assert!(matches!(find(silence, "ab"), Answer::Silence));
        }
    }
}
