//! Named sets of algorithms.

use std::fmt;
use std::str::FromStr;

use crate::yaml::nearest;

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// NIST curves, group16 and up, AES and SHA-2 only, as FIPS mode has it. Not
    /// a validated module.
    FipsLike,
    /// Post-quantum key exchange only.
    Pq,
    /// As `strong`, less what some auditors object to.
    Strict,
    /// Everything that is considered strong.
    #[default]
    Strong,
}

impl Profile {
    /// Every profile, the default first.
    pub const ALL: [Self; 4] = [Self::Strong, Self::Strict, Self::Pq, Self::FipsLike];

    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FipsLike => "fips-like",
            Self::Pq => "pq",
            Self::Strict => "strict",
            Self::Strong => "strong",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text names no [`Profile`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{name}` is none of strong, strict, pq and fips-like{}", meant_note(*.nearest))]
pub struct InvalidProfile {
    name: String,
    nearest: Option<&'static str>,
}

impl FromStr for Profile {
    type Err = InvalidProfile;

    fn from_str(text: &str) -> Result<Self, InvalidProfile> {
        let named = Self::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(text.trim()));
        named.ok_or_else(|| InvalidProfile {
            name: text.into(),
            nearest: nearest(text, Self::ALL.map(Self::as_str)),
        })
    }
}

fn meant_note(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        assert_eq!("STRONG ".parse(), Ok(Profile::Strong));
        let error = "fipslike".parse::<Profile>().unwrap_err().to_string();
        let expected =
            "`fipslike` is none of strong, strict, pq and fips-like; did you mean `fips-like`?";
        assert_eq!(error, expected);
    }
}
