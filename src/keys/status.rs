//! How old our keys are, and whether they can be used.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::ssh::key_file::{self, KeyFacts};
use crate::ssh::keys::KeyError;

/// From how many days before the limit on a key is said to expire.
const WARNING_DAYS: u64 = 14;

/// What can be said of one VM's key.
#[derive(Clone, Debug)]
pub struct KeyState {
    /// What the file is, if it is a key.
    pub facts: Option<KeyFacts>,
    /// How old it is, if it is there.
    pub age: Option<Age>,
    /// What to think of it.
    pub verdict: Verdict,
}

/// The age of a key: the time since its file was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// In whole days.
    pub days: u64,
    /// How many it may have.
    pub limit: u64,
}

/// What to think of a key.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is too old.
    Expired,
    /// It will be too old in at most 14 days.
    Expiring,
    /// There is none.
    Missing(String),
    /// It can be used, and for long.
    Ok,
    /// It is there and cannot be used.
    Unusable(KeyError),
}

impl Verdict {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::Missing(_) => "missing",
            Self::Ok => "ok",
            Self::Unusable(_) => "unusable",
        }
    }

    /// Whether nothing has to be done now.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Expiring | Self::Ok)
    }
}

impl Age {
    fn verdict(self) -> Verdict {
        match self.limit.checked_sub(self.days) {
            None => Verdict::Expired,
            Some(left) if left <= WARNING_DAYS => Verdict::Expiring,
            Some(_) => Verdict::Ok,
        }
    }
}

/// Looks at a key file, without its passphrase. Blocks.
pub fn look(path: &Path, limit_days: u32, now: SystemTime) -> KeyState {
    let written = match path.metadata().and_then(|metadata| metadata.modified()) {
        Ok(written) => written,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let verdict = Verdict::Missing(format!("{} is not there", path.display()));
            return KeyState { facts: None, age: None, verdict };
        }
        Err(error) => {
            let (path, cause) = (path.display().to_string(), error.to_string());
            let verdict = Verdict::Unusable(KeyError::Io { path, cause });
            return KeyState { facts: None, age: None, verdict };
        }
    };
    // A file from the future is as good as new.
    let age = now.duration_since(written).unwrap_or(Duration::ZERO);
    let age = Age { days: age.as_secs() / 86_400, limit: limit_days.into() };
    match key_file::inspect(path) {
        Ok(facts) => KeyState { facts: Some(facts), age: Some(age), verdict: age.verdict() },
        Err(error) => KeyState { facts: None, age: Some(age), verdict: Verdict::Unusable(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_by_age() {
        let check = |days, limit, expected: &str| {
            assert_eq!(Age { days, limit }.verdict().as_str(), expected, "{days} of {limit}");
        };
        check(0, 90, "ok");
        check(75, 90, "ok");
        check(76, 90, "expiring");
        check(90, 90, "expiring");
        check(91, 90, "expired");
        check(0, 1, "expiring");
        check(2, 1, "expired");
    }
}
