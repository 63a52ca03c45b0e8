//! A line of an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use russh::keys::ssh_key::public::KeyData;

use super::SignerKey;
use crate::ssh::known_hosts::pattern_list_matches;

/// Whose a key is, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Patterns, by commas.
    principals: String,
    /// Patterns, by commas; without any, all.
    namespaces: Option<String>,
    pub(super) valid_after: Option<Timestamp>,
    pub(super) valid_before: Option<Timestamp>,
    pub(super) key: SignerKey,
}

impl Line {
    /// Reads a line; `None` if it says nothing.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim_matches([' ', '\t', '\r']);
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let (principals, rest) = quoted_field(text)?;
        if principals.is_empty() {
            return Err("there is no principal before the key".into());
        }
        // A line without options goes on with the key.
        let (options, key) = match key(rest) {
            Some(key) => ("", key),
            None => {
                let (options, rest) = field(rest);
                let unreadable = "there is no key that can be read: PRINCIPALS [OPTIONS] TYPE KEY";
                (options, key(rest).ok_or(unreadable)?)
            }
        };
        let mut line = Self {
            principals: principals.into(),
            namespaces: None,
            valid_after: None,
            valid_before: None,
            key,
        };
        line.take_options(options)?;
        Ok(Some(line))
    }

    /// Whether it says that the key is this principal's.
    pub(super) fn names(&self, principal: &str) -> bool {
        pattern_list_matches(&self.principals, principal)
    }

    /// Its principals, for messages.
    pub(super) fn principals(&self) -> &str {
        &self.principals
    }

    /// Whether the key may sign for this.
    pub(super) fn signs_for(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|list| pattern_list_matches(list, namespace))
    }

    fn take_options(&mut self, text: &str) -> Result<(), String> {
        for option in split_options(text)? {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(unquoted(value)?)),
                None => (option, None),
            };
            match (name.to_ascii_lowercase().as_str(), value) {
                ("namespaces", Some(value)) => once(&mut self.namespaces, name, value.into())?,
                ("valid-after", Some(value)) => once(&mut self.valid_after, name, time(value)?)?,
                ("valid-before", Some(value)) => once(&mut self.valid_before, name, time(value)?)?,
                ("cert-authority", _) => {
                    return Err("cert-authority is not supported: name the keys themselves".into());
                }
                _ => return Err(format!("the option {name:?} is not known, or lacks its value")),
            }
        }
        match (self.valid_after, self.valid_before) {
            (Some(after), Some(before)) if after >= before => {
                Err("it is never valid: valid-before is not after valid-after".into())
            }
            _ => Ok(()),
        }
    }
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("the option {name} stands there twice")),
    }
}

/// `TYPE BASE64 [COMMENT]`.
fn key(text: &str) -> Option<SignerKey> {
    let (label, rest) = field(text);
    let (blob, _comment) = field(rest);
    let key = SignerKey::from_public_line(&format!("{label} {blob}"))?;
    match key.0 {
        KeyData::Certificate(_) | KeyData::Other(_) => None,
        _ => Some(key),
    }
}

/// The text up to a blank outside of quotes, and what follows the blanks.
fn field(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        !quoted && matches!(c, ' ' | '\t')
    });
    let (field, rest) = text.split_at(end.unwrap_or(text.len()));
    (field, rest.trim_start_matches([' ', '\t']))
}

fn quoted_field(text: &str) -> Result<(&str, &str), String> {
    let (field, rest) = field(text);
    Ok((unquoted(field)?, rest))
}

fn unquoted(text: &str) -> Result<&str, String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if inner.contains(['"', '\\']) {
        return Err("a quote is not closed, or stands within a word".into());
    }
    Ok(inner)
}

/// The options, which commas outside of quotes part.
fn split_options(text: &str) -> Result<Vec<&str>, String> {
    let mut quoted = false;
    let options = text.split(|c| {
        quoted ^= c == '"';
        !quoted && c == ','
    });
    let options: Vec<&str> = options.collect();
    match options.as_slice() {
        [""] => Ok(Vec::new()),
        options if options.contains(&"") => Err("an option is empty".into()),
        _ => Ok(options),
    }
}

/// `YYYYMMDD[HHMM[SS]]Z`. Without the Z it would mean another moment wherever
/// the file is read.
fn time(text: &str) -> Result<Timestamp, String> {
    let form = || format!("{text:?} is no time: write YYYYMMDDZ or YYYYMMDDHHMM[SS]Z, in UTC");
    let digits = text.strip_suffix(['Z', 'z']).ok_or_else(form)?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(form());
    }
    let part = |from: usize, to: usize| {
        digits.get(from..to).map_or(Ok(0), str::parse::<i16>).map_err(|_| form())
    };
    let small = |from, to| part(from, to)?.try_into().map_err(|_| form());
    let (month, day, hour) = (small(4, 6)?, small(6, 8)?, small(8, 10)?);
    let (minute, second) = (small(10, 12)?, small(12, 14)?);
    let time = DateTime::new(part(0, 4)?, month, day, hour, minute, second, 0);
    let time = time.and_then(|time| time.to_zoned(TimeZone::UTC)).map_err(|_| form())?;
    Ok(time.timestamp())
}
