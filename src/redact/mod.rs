//! Taking secrets out of text before it is stored or shown.
//!
//! What is removed is the value, never its name: `password=x` becomes
//! `password=[redacted]`. The rules know the common shapes of a secret and
//! cannot know them all; a secret that the program holds itself is therefore
//! given to [`Redactor::with_secret`], and found by its value.
//!
//! Redact the whole text, then cut it: half a quoted value is not recognised.
//! The regular expressions are of the linear kind, so the cost of a text grows
//! with its length and nothing else.

mod argv;
mod known;
mod rules;

use std::borrow::Cow;
use std::ops::Range;

use secrecy::SecretString;

use known::Known;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// The name under which a value given to [`Redactor::with_secret`] is reported.
pub const KNOWN_SECRET: &str = "known-secret";

/// Finds secrets in text.
#[derive(Clone, Debug)]
pub struct Redactor {
    known: Vec<Known>,
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text with each secret replaced by [`REDACTED`]; borrowed if it had none.
    pub text: Cow<'a, str>,
    /// Which rule removed what: byte ranges of the original text, in order,
    /// none overlapping another.
    pub hits: Vec<(&'static str, Range<usize>)>,
}

impl Redactor {
    /// The built-in rules.
    pub fn builtin() -> Self {
        Self { known: Vec::new() }
    }

    /// Removes this value too, wherever it stands: as it is, in base64, and
    /// quoted for a shell or for JSON.
    ///
    /// A value of less than four characters is not taken: it would be found
    /// in ordinary words.
    #[must_use]
    pub fn with_secret(mut self, secret: SecretString) -> Self {
        self.known.extend(Known::new(&secret));
        self
    }

    /// The text with each secret replaced by [`REDACTED`].
    pub fn redact<'a>(&self, text: &'a str) -> Redacted<'a> {
        let hits = self.find(text);
        Redacted { text: splice(text, &hits), hits }
    }

    /// The words of a command line without their secrets, word by word.
    ///
    /// It sees what the words alone do not say: that a word is the value of the
    /// flag before it, and that a value may hold spaces.
    pub fn redact_argv<'a, S: AsRef<str>>(&self, argv: &'a [S]) -> Vec<Redacted<'a>> {
        let words = argv.iter().map(AsRef::as_ref).zip(self.find_in_argv(argv));
        words.map(|(word, hits)| Redacted { text: splice(word, &hits), hits }).collect()
    }

    fn find(&self, text: &str) -> Vec<Hit> {
        let mut hits = rules::find(text);
        hits.extend(self.known.iter().flat_map(|known| known.find(text)));
        merge(text, hits)
    }

    fn find_in_argv<S: AsRef<str>>(&self, argv: &[S]) -> Vec<Vec<Hit>> {
        let words: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
        let find = |(index, word): (usize, &&str)| {
            let mut hits = self.find(word);
            hits.extend(argv::value_of_flag(&words, index));
            merge(word, hits)
        };
        words.iter().enumerate().map(find).collect()
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::builtin()
    }
}

/// The rule that found a secret, and where.
type Hit = (&'static str, Range<usize>);

/// Joins hits that overlap, under the name of the one that begins first; the
/// longer one when two begin together. Drops what has been redacted before.
fn merge(text: &str, mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.retain(|(_, range)| !range.is_empty() && &text[range.clone()] != REDACTED);
    hits.sort_by_key(|(_, range)| (range.start, std::cmp::Reverse(range.end)));
    let mut merged: Vec<Hit> = Vec::new();
    for (rule, range) in hits {
        match merged.last_mut() {
            Some((_, last)) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push((rule, range)),
        }
    }
    merged
}

fn splice<'a>(text: &'a str, hits: &[Hit]) -> Cow<'a, str> {
    if hits.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut spliced = String::with_capacity(text.len());
    let mut kept = 0;
    for (_, range) in hits {
        spliced.push_str(&text[kept..range.start]);
        spliced.push_str(REDACTED);
        kept = range.end;
    }
    spliced.push_str(&text[kept..]);
    Cow::Owned(spliced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_name_the_rule_and_the_place() {
        let text = "curl https://u:pw@h && mysql --password=abc";
        let redacted = Redactor::builtin().redact(text);
        assert_eq!(redacted.text, "curl https://u:[redacted]@h && mysql --password=[redacted]");
        let secrets: Vec<_> =
            redacted.hits.iter().map(|(rule, range)| (*rule, &text[range.clone()])).collect();
        assert_eq!(secrets, [("url", "pw"), ("assignment", "abc")]);
    }

    #[test]
    fn text_without_secrets_is_borrowed() {
        let redacted = Redactor::builtin().redact("uptime");
        assert!(matches!(redacted.text, Cow::Borrowed("uptime")));
        assert!(redacted.hits.is_empty());
    }

    #[test]
    fn redacting_twice_changes_nothing() {
        let redactor = Redactor::builtin();
        let once = redactor.redact("token=abc https://u:pw@h Authorization: Bearer xyz").text;
        let twice = redactor.redact(&once);
        assert_eq!((twice.text.as_ref(), twice.hits.len()), (once.as_ref(), 0));
    }

    #[test]
    fn quotes_around_a_secret_stay() {
        let text = "token='a b' x";
        let redacted = Redactor::builtin().redact(text);
        assert_eq!(redacted.text, "token='[redacted]' x");
        let [(rule, range)] = redacted.hits.as_slice() else { panic!("{:?}", redacted.hits) };
        assert_eq!((*rule, &text[range.clone()]), ("assignment", "a b"));
    }

    #[test]
    fn overlapping_hits_become_one() {
        let token = format!("ghp_{}", "a".repeat(36));
        let text = format!("token={token} ok");
        let redacted = Redactor::builtin().redact(&text);
        assert_eq!(redacted.text, "token=[redacted] ok");
        assert_eq!(redacted.hits.len(), 1);
    }
}
