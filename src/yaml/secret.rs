//! Which parts of a file must not be shown.

use std::ops::Range;

use serde_yaml::granit_parser::{Event, Parser};

/// Whether the value of a setting with this name may be a secret.
///
/// Names of places and kinds (`key_storage_path`) and public keys (`host_key`)
/// are not; everything else that speaks of a password, secret, token or key is.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let secret = ["pass", "secret", "token", "key"].iter().any(|word| name.contains(word));
    let harmless = name.starts_with("host_key")
        || ["_path", "_file", "_type", "_days"].iter().any(|end| name.ends_with(end));
    secret && !harmless
}

/// The byte ranges of all values under secret-looking keys, in order. Where the
/// text stops being YAML inside such a value, everything from there is secret.
pub(super) fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut open: Vec<Frame> = Vec::new();
    let mut reached = 0;
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else {
            if open.last().is_some_and(Frame::hides_next) {
                ranges.push(reached..text.len());
            }
            break;
        };
        let hidden = open.last().is_some_and(Frame::hides_next);
        let range = span.byte_range().unwrap_or(0..0);
        reached = reached.max(range.end);
        match event {
            Event::Scalar(value, ..) => {
                if hidden {
                    ranges.push(range);
                }
                step(&mut open, Some(&value));
            }
            Event::Alias(_) => step(&mut open, None),
            Event::SequenceStart(..) => open.push(Frame::new(false, hidden)),
            Event::MappingStart(..) => open.push(Frame::new(true, hidden)),
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                step(&mut open, None);
            }
            _ => {}
        }
    }
    ranges
}

/// A collection that has begun and not ended.
struct Frame {
    mapping: bool,
    /// It stands under a secret-looking key itself.
    hidden: bool,
    /// The key that waits for its value: whether it looks secret.
    key: Option<bool>,
}

impl Frame {
    fn new(mapping: bool, hidden: bool) -> Self {
        Self { mapping, hidden, key: None }
    }

    fn hides_next(&self) -> bool {
        self.hidden || self.key == Some(true)
    }
}

/// Takes one node into the innermost collection: a key, a value or an item.
fn step(open: &mut [Frame], scalar: Option<&str>) {
    if let Some(frame) = open.last_mut().filter(|frame| frame.mapping) {
        frame.key = match frame.key {
            None => Some(scalar.is_some_and(is_secret_name)),
            Some(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for secret in ["password", "db_PASS", "api_key", "token", "client-secret", "passphrase_env"]
        {
            assert!(is_secret_name(secret), "{secret}");
        }
        for harmless in ["ip", "host_key", "host_keys", "key_storage_path", "key_rotation_days"] {
            assert!(!is_secret_name(harmless), "{harmless}");
        }
    }

    #[test]
    fn ranges() {
        let hidden = |text: &'static str| -> Vec<&str> {
            secret_ranges(text).into_iter().map(|range| &text[range]).collect()
        };
        assert_eq!(hidden("a: 1\npassword: hunter2\nb: 2\n"), ["hunter2"]);
        assert_eq!(hidden("{a: x, token: \"y\n z\", b: [1]}"), ["\"y\n z\""]);
        assert_eq!(hidden("keys: [one, {a: two}]\nb: 2"), ["one", "a", "two"]);
        assert_eq!(hidden("a:\n  secret:\n    [one, two: {\n"), [":\n    [one, two: {\n"]);
        assert!(hidden("a: 1\nb: {").is_empty());
    }
}
