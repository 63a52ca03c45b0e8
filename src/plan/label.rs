//! Names and texts that whoever asks puts into the records.

use std::fmt;
use std::str::FromStr;

/// How long a name may be.
const NAME_MAX: usize = 63;
/// How long a value may be, in bytes.
const VALUE_MAX: usize = 1024;
/// How many labels a request may have.
pub(crate) const LABELS_MAX: usize = 32;

/// What the records have under these names, the program itself writes.
const RESERVED: &[&str] = &[
    "change",
    "check",
    "did",
    "key",
    "known_hosts",
    "method",
    "origin",
    "rerun_of",
    "spooled_at",
    "torn_bytes",
    "torn_sha256",
    "verdict",
];

/// A name and a text for the records: `ticket=CHG-7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Why it is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// There is no `=`.
    #[error("`{0}` is no label: write NAME=VALUE")]
    Form(String),
    /// The name is not made of what names are made of.
    #[error(
        "`{0}` cannot be the name of a label: begin with a to z, go on with a to z, 0 to 9, `_`, \
         `.` and `-`, 63 characters at most"
    )]
    Name(String),
    /// The records have this name for something else.
    #[error("the program itself records `{0}`: give the label another name")]
    Reserved(String),
    /// There are more than 32.
    #[error("there are more than {LABELS_MAX} labels: leave some out")]
    TooMany,
    /// The value is longer than 1024 bytes.
    #[error("the value of the label `{0}` is longer than {VALUE_MAX} bytes: shorten it")]
    TooLong(String),
    /// The value holds a control character.
    #[error("the value of the label `{0}` holds a control character: take it out")]
    Value(String),
}

impl Label {
    /// A label.
    ///
    /// # Errors
    /// The name or the value cannot be one.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidLabel> {
        let (name, value) = (name.into(), value.into());
        let inner =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        let good = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(inner);
        if !good || name.len() > NAME_MAX {
            return Err(InvalidLabel::Name(name.chars().take(NAME_MAX + 1).collect()));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(InvalidLabel::Reserved(name));
        }
        if value.len() > VALUE_MAX {
            return Err(InvalidLabel::TooLong(name));
        }
        if value.chars().any(char::is_control) {
            return Err(InvalidLabel::Value(name));
        }
        Ok(Self { name, value })
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        match text.split_once('=') {
            Some((name, value)) => Self::new(name, value),
            None => Err(InvalidLabel::Form(text.chars().take(NAME_MAX + 1).collect())),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_may_be() {
        let long = "x".repeat(NAME_MAX);
        for text in
            ["ticket=CHG-7", "a=", "a=b=c", "client_id=é", "a.b-c_0=x y", &format!("{long}=")]
        {
            assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
        }
        for name in ["", "A", "0a", "_a", "a b", "a/b", "é", "a\n", &format!("{long}x")] {
            assert!(matches!(Label::new(name, ""), Err(InvalidLabel::Name(_))), "{name}");
        }
        assert_eq!("ticket".parse::<Label>(), Err(InvalidLabel::Form("ticket".into())));
        for name in RESERVED {
            assert_eq!(Label::new(*name, "x"), Err(InvalidLabel::Reserved((*name).into())));
        }
        assert!(Label::new("a", "x".repeat(VALUE_MAX)).is_ok());
        let long = Label::new("a", "x".repeat(VALUE_MAX + 1));
        assert_eq!(long, Err(InvalidLabel::TooLong("a".into())));
        for value in ["a\nb", "\u{1b}[0m", "\0"] {
            assert_eq!(Label::new("a", value), Err(InvalidLabel::Value("a".into())));
        }
    }
}
