//! No secret reaches the file: every string that did not come from this
//! program passes through the redactor first.

use std::borrow::Cow;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::hex::hex;

/// Replaces what is secret in a text by `[redacted]`; a text without secrets
/// comes back borrowed.
pub type Redact = Arc<dyn Fn(&str) -> Cow<'_, str> + Send + Sync>;

const MARK: &str = "[redacted]";

/// Values this program chose itself from a fixed set.
const FIXED: [&str; 6] =
    ["/event", "/run_id", "/op_id", "/action/kind", "/result/status", "/result/phase"];

/// A redactor with the key that lets equal secrets be recognised.
pub(super) struct Redactor {
    redact: Redact,
    key: [u8; 32],
}

impl Redactor {
    pub(super) fn new(redact: Redact, key: [u8; 32]) -> Self {
        Self { redact, key }
    }

    /// Redacts every string of `body` and lists their JSON pointers in its
    /// last member, `redactions`.
    pub(super) fn apply(&self, body: &mut Map<String, Value>) {
        let mut found = Vec::new();
        for (key, value) in body.iter_mut() {
            self.walk(value, &format!("/{}", escape(key)), &mut found);
        }
        if !found.is_empty() {
            body.insert("redactions".into(), found.into());
        }
    }

    fn walk(&self, value: &mut Value, pointer: &str, found: &mut Vec<String>) {
        match value {
            Value::String(text) if !FIXED.contains(&pointer) => {
                let redacted = match (self.redact)(text) {
                    Cow::Owned(new) if new != *text => self.mark(text, &new),
                    _ => return,
                };
                *text = redacted;
                found.push(pointer.into());
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.walk(item, &format!("{pointer}/{index}"), found);
                }
            }
            Value::Object(members) => {
                for (key, member) in members.iter_mut() {
                    self.walk(member, &format!("{pointer}/{}", escape(key)), found);
                }
            }
            _ => {}
        }
    }

    /// Tags each mark in `redacted` with the secret of `original` it hides. A
    /// text that cannot be laid over the original is hidden as a whole.
    fn mark(&self, original: &str, redacted: &str) -> String {
        self.overlay(original, redacted).unwrap_or_else(|| self.tag(original))
    }

    fn overlay(&self, original: &str, redacted: &str) -> Option<String> {
        let (head, tail) = redacted.split_once(MARK)?;
        let mut rest = original.strip_prefix(head)?;
        let mut out = head.to_owned();
        let mut kept = tail.split(MARK).peekable();
        while let Some(text) = kept.next() {
            let last = kept.peek().is_none();
            let end = if last { rest.strip_suffix(text)?.len() } else { rest.find(text)? };
            out.push_str(&self.tag(&rest[..end]));
            out.push_str(text);
            rest = &rest[end + text.len()..];
        }
        Some(out)
    }

    fn tag(&self, secret: &str) -> String {
        let code = Hmac::<Sha256>::new_from_slice(&self.key).map(|mut mac| {
            mac.update(secret.as_bytes());
            hex(&mac.finalize().into_bytes()[..8])
        });
        format!("{MARK}#{}", code.unwrap_or_default())
    }
}

/// RFC 6901, section 3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redacted(body: Value) -> Value {
        let hide = |text: &str| text.replace("hunter2", MARK).replace("s3cret", MARK);
        let redact: Redact = Arc::new(move |text| match hide(text) {
            new if new == text => Cow::Borrowed(text),
            new => Cow::Owned(new),
        });
        let Value::Object(mut body) = body else { panic!("an object") };
        Redactor::new(redact, [7; 32]).apply(&mut body);
        body.into()
    }

    #[test]
    fn every_string_is_redacted_and_listed() {
        let out = redacted(json!({
            "event": "exec.attempt",
            "action": {"argv": ["mysql", "-phunter2", "-uhunter2"], "cwd": "/"},
            "result": {"message": "access denied for hunter2"},
            "metadata": {"a/b": "hunter2"},
        }));
        assert!(!out.to_string().contains("hunter2"));
        assert_eq!(out["action"]["argv"][0], "mysql");
        assert_eq!(
            out["redactions"],
            json!(["/action/argv/1", "/action/argv/2", "/result/message", "/metadata/a~1b"])
        );
    }

    #[test]
    fn equal_secrets_are_recognised_and_different_ones_told_apart() {
        let out = redacted(json!({"reason": "hunter2 then s3cret then hunter2"}));
        let text = out["reason"].as_str().unwrap();
        let tags: Vec<&str> = text.split(" then ").collect();
        assert_eq!(tags[0], tags[2]);
        assert_ne!(tags[0], tags[1]);
        assert_eq!(tags[0].len(), MARK.len() + 1 + 16);
    }

    #[test]
    fn a_text_that_was_rewritten_is_hidden_as_a_whole() {
        let redact: Redact = Arc::new(|_| Cow::Owned("gone".into()));
        let redactor = Redactor::new(redact, [7; 32]);
        let mut body = Map::from_iter([("reason".to_owned(), Value::from("hunter2"))]);
        redactor.apply(&mut body);
        assert_eq!(body["reason"], redactor.tag("hunter2"));
    }

    #[test]
    fn names_from_a_fixed_set_stay() {
        let redact: Redact = Arc::new(|_| Cow::Owned(MARK.into()));
        let mut body = Map::from_iter([("event".to_owned(), Value::from("exec.result"))]);
        Redactor::new(redact, [7; 32]).apply(&mut body);
        assert_eq!(body["event"], "exec.result");
    }
}
