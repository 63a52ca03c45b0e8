//! A secret that the program knows by its value.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrecy::{ExposeSecret, SecretString};

use super::{Hit, KNOWN_SECRET};

/// The shortest secret that is looked for, in characters.
const SECRET_MIN: usize = 4;

/// The shortest part of a base64 text that is looked for, in characters.
const BASE64_MIN: usize = 6;

/// The forms in which one known secret may appear.
#[derive(Clone, Debug)]
pub(super) struct Known {
    forms: Vec<SecretString>,
}

impl Known {
    /// `None` for a secret that is too short to be looked for.
    pub(super) fn new(secret: &SecretString) -> Option<Self> {
        // A secret read from a file often ends in a newline that no use of it has.
        let secret = secret.expose_secret().trim_end_matches(['\n', '\r']);
        if secret.chars().count() < SECRET_MIN {
            return None;
        }
        let mut forms = vec![
            secret.to_owned(),
            secret.replace('\'', r"'\''"),
            secret.replace('\'', r#"'"'"'"#),
            escaped(secret, &['"', '\\', '$', '`']),
            escaped(secret, &['"', '\\']),
        ];
        forms.extend(base64_forms(secret));
        forms.sort_unstable();
        forms.dedup();
        Some(Self { forms: forms.into_iter().map(SecretString::from).collect() })
    }

    pub(super) fn find(&self, text: &str) -> Vec<Hit> {
        let places = |form: &SecretString| -> Vec<Range<usize>> {
            let form = form.expose_secret();
            text.match_indices(form).map(|(at, _)| at..at + form.len()).collect()
        };
        self.forms.iter().flat_map(places).map(|range| (KNOWN_SECRET, range)).collect()
    }
}

/// The secret with a backslash before each of `special`, and newlines as `\n`.
fn escaped(secret: &str, special: &[char]) -> String {
    let mut text = String::new();
    for c in secret.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            c => {
                if special.contains(&c) {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text
}

/// The secret in base64, alone and inside a longer encoded text (`user:secret`).
fn base64_forms(secret: &str) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(secret), URL_SAFE.encode(secret)];
    // Inside a longer text the secret begins at one of three places of a group
    // of three bytes; the characters that it shares with its neighbours differ.
    for before in 0..3 {
        let shifted = [&vec![0; before], secret.as_bytes()].concat();
        let (first, last) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoded in [STANDARD.encode(&shifted), URL_SAFE.encode(&shifted)] {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms.retain(|form| form.len() >= BASE64_MIN);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;

    fn redact(secret: &str, text: &str) -> String {
        Redactor::builtin().with_secret(secret.into()).redact(text).text.into_owned()
    }

    #[test]
    fn the_value_is_found_wherever_it_stands() {
        assert_eq!(redact("tr0ub4dor", "echo xtr0ub4dory"), "echo x[redacted]y");
        assert_eq!(redact("tr0ub4dor\n", "echo tr0ub4dor"), "echo [redacted]");
        assert_eq!(redact("tr0ub4dor", "echo other"), "echo other");
    }

    #[test]
    fn quoted_forms_are_found() {
        let secret = r#"it's "5$" \o/"#;
        assert_eq!(redact(secret, r#"echo 'it'\''s "5$" \o/'"#), "echo '[redacted]'");
        assert_eq!(redact(secret, r#"echo "it's \"5\$\" \\o/""#), r#"echo "[redacted]""#);
        assert_eq!(redact(secret, r#"{"x":"it's \"5$\" \\o/"}"#), r#"{"x":"[redacted]"}"#);
        assert_eq!(redact("two\nlines", r#"{"x":"two\nlines"}"#), r#"{"x":"[redacted]"}"#);
    }

    #[test]
    fn base64_is_found_alone_and_inside() {
        for before in ["", "u", "us", "user:", "user1:", "user12:"] {
            for after in ["", "\n", "!!"] {
                let text = STANDARD.encode(format!("{before}tr0ub4dor{after}"));
                let redacted = redact("tr0ub4dor", &text);
                assert!(redacted.contains("[redacted]"), "{before:?} {after:?}: {redacted}");
                // At most the characters shared with the neighbours stay.
                let kept = redacted.replace("[redacted]", "").len();
                assert!(kept <= (before.len() + after.len()) * 4 / 3 + 6, "{redacted}");
            }
        }
        assert_eq!(redact("pa??word>>", &URL_SAFE.encode("pa??word>>")), "[redacted]");
    }

    #[test]
    fn short_secrets_are_not_looked_for() {
        assert_eq!(redact("abc", "abc"), "abc");
        assert_eq!(redact("abcd", "abcd"), "[redacted]");
    }

    #[test]
    fn debug_shows_no_secret() {
        let redactor = Redactor::builtin().with_secret("tr0ub4dor".into());
        assert!(!format!("{redactor:?}").contains("tr0ub4dor"));
    }
}
