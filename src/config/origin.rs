//! Where every setting came from (`config show --origin`).

use std::fmt;
use std::path::Path;

use crate::yaml::Location;

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key with its sections: `ssh.profile`, `vms.vm01.ip`.
    pub key: String,
    /// Its value as text; no setting holds a secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file does not give it.
    Default,
    /// A place in the file.
    File(Location),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File(location) => location.fmt(f),
        }
    }
}

/// The settings of one section: key and value as text.
pub(super) type Values = Vec<(&'static str, String)>;

pub(super) fn path(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

pub(super) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
