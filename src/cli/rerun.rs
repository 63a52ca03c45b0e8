//! The command line as it was typed, to be shown with other targets.

use crate::quote;
use crate::redact::Redactor;
use crate::report::Rerun;

/// How long a line is still worth showing.
const LENGTH_MAX: usize = 400;

/// The command line around its targets, unless it would be shown with a
/// secret in it or be too long to read.
pub(super) fn rerun(targets: &str) -> Option<Rerun> {
    let words = typed();
    let secret = has_secret(&words);
    let (before, after) = around(&words, targets)?;
    let before = format!("orchestrator {}", shell_words(before));
    let rerun = Rerun { before: before.trim_end().into(), after: shell_words(after) };
    let short = rerun.before.len() + rerun.after.len() <= LENGTH_MAX;
    (short && !secret).then_some(rerun)
}

/// Whether a word of the command line looks like a secret.
pub(super) fn shows_secret() -> bool {
    has_secret(&typed())
}

/// The program with the configuration that was named, if one was.
pub(super) fn program() -> String {
    let words = typed();
    let config =
        words.iter().take_while(|word| *word != "--").enumerate().find_map(|(at, word)| match word
            .strip_prefix("--config")
        {
            Some("") => words.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        });
    let config = config.map(|path| shell_words(&["--config".into(), path.into()]));
    ["orchestrator".into()].into_iter().chain(config).collect::<Vec<_>>().join(" ")
}

/// The command line, without the program's name.
pub(super) fn typed() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

fn has_secret(words: &[String]) -> bool {
    Redactor::builtin().redact_argv(words).iter().any(|word| !word.hits.is_empty())
}

/// What stands before and after the only word that can be the targets.
fn around<'a>(words: &'a [String], targets: &str) -> Option<(&'a [String], &'a [String])> {
    let flags = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut found = words[..flags].iter().enumerate().filter(|(_, word)| *word == targets);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some((&words[..at], &words[at + 1..])),
        _ => None,
    }
}

fn shell_words(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quote::word(word.as_bytes()));
    let quoted = quoted.map(|word| String::from_utf8_lossy(&word).into_owned());
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_the_one_word_that_can_be_them() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = around(&words, "vm01");
            let found = found.map(|(before, after)| (before.join(" "), after.join(" ")));
            assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{line}");
        };
        check("exec --sudo vm01 id", Some(("exec --sudo", "id")));
        check("exec vm01 -- ping vm01", Some(("exec", "-- ping vm01")));
        check("exec -l vm01 vm01 id", None);
        check("exec x", None);
    }

    #[test]
    fn words_can_be_copied() {
        assert_eq!(shell_words(&["-e".into(), "A=b c".into()]), "-e 'A=b c'");
    }
}
