//! Secrets in the text of a script. The shapes are those that are taken out of
//! records, too.

use super::{Finding, PER_RULE_MAX, Severity};
use crate::redact::Redactor;

/// A key or token that is one by its form.
const KEY: Finding = Finding {
    rule: "secret-key",
    severity: Severity::High,
    line: 0,
    finds: "a private key or an access token",
    why: "whoever can read the script has it: make it a secret parameter",
};

/// A value under a name that sounds secret.
const VALUE: Finding = Finding {
    rule: "secret-value",
    severity: Severity::Medium,
    line: 0,
    finds: "what looks like a password",
    why: "whoever can read the script has it: make it a secret parameter",
};

/// The shapes that nothing but a secret has.
const UNMISTAKABLE: [&str; 7] = [
    "aws-access-key",
    "github-token",
    "gitlab-token",
    "jwt",
    "orchestrator-token",
    "private-key",
    "slack-token",
];

pub(super) fn catalogue() -> impl Iterator<Item = Finding> {
    [KEY, VALUE].into_iter()
}

pub(super) fn find(text: &str) -> Vec<Finding> {
    let redacted = Redactor::builtin().redact(text);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for (shape, range) in redacted.hits {
        let between = &text.as_bytes()[counted..range.start];
        line += between.iter().fold(0u32, |count, &byte| count + u32::from(byte == b'\n'));
        counted = range.start;
        let value = &text[range];
        if UNMISTAKABLE.contains(&shape) {
            keys.push(Finding { line, ..KEY });
        } else if !stands_for_another(value) {
            values.push(Finding { line, ..VALUE });
        }
    }
    keys.truncate(PER_RULE_MAX);
    values.truncate(PER_RULE_MAX);
    keys.append(&mut values);
    keys
}

/// Whether the value is only a place where one is put: `$PASSWORD`, `$(cat …)`,
/// `<password>`, `{{ password }}`.
fn stands_for_another(value: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'']);
    value.starts_with(['$', '`', '<', '%', '*']) || value.starts_with("{{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(&'static str, u32)> {
        find(text).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn keys_and_values_with_their_lines() {
        let text = "true\nexport DB_PASSWORD=hunter2\nid=AKIAIOSFODNN7EXAMPLE\n";
        assert_eq!(rules(text), [("secret-key", 3), ("secret-value", 2)]);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(rules(key), [("secret-key", 1)]);
    }

    #[test]
    fn a_place_for_a_secret_is_none() {
        for text in [
            "PGPASSWORD=$PARAM_PASSWORD psql",
            "token=\"$(cat /run/token)\"",
            "password=<password>",
            "id=AKIASHORT",
        ] {
            assert_eq!(rules(text), [], "{text}");
        }
    }
}
