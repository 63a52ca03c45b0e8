//! `policy:`, which file decides.

use std::path::PathBuf;

use super::origin;
use super::reading::Reading;
use crate::yaml::{Diagnostic, Value};

/// Which policy decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// The file; without one, only the built-in rules deny.
    pub path: Option<PathBuf>,
}

impl PolicyFile {
    /// `value` is there as soon as the key is: a section without a path was
    /// meant to deny something.
    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<Self, Diagnostic> {
        let Some(value) = value else { return Ok(Self::default()) };
        let mut section = value.section()?;
        let path = section.get("path").map(|value| reading.path(value)).transpose()?;
        section.refuse_unknown()?;
        if path.is_none() {
            return Err(value.diagnostic("path is missing: name the policy, or remove the section"));
        }
        reading.record("policy", section);
        Ok(Self { path })
    }

    pub(super) fn settings(&self) -> origin::Values {
        vec![("path", origin::path(self.path.as_deref()))]
    }
}
