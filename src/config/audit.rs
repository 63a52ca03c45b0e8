//! `audit:`, which cannot be switched off here.

use std::path::PathBuf;

use super::environment::Environment;
use super::origin;
use super::reading::Reading;
use crate::yaml::{Diagnostic, Value};

/// Where actions are recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The log file; `None` if neither the configuration nor a home directory tells.
    pub path: Option<PathBuf>,
}

impl Audit {
    /// The defaults where the user's directories are known:
    /// `orchestrator/audit.jsonl` in `$XDG_STATE_HOME` or `~/.local/state`.
    pub fn defaults(environment: &Environment) -> Self {
        Self { path: environment.state_dir().map(|dir| dir.join("audit.jsonl")) }
    }

    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<Self, Diagnostic> {
        let mut settings = Self::defaults(reading.environment);
        let Some(value) = value else { return Ok(settings) };
        let mut section = value.section()?;
        if let Some(value) = section.get("path") {
            settings.path = Some(reading.path(value)?);
        }
        for key in ["required", "enabled"] {
            if let Some(value) = section.get_or_null(key)
                && !value.boolean()?
            {
                return Err(value.diagnostic("actions are always recorded: remove this line"));
            }
        }
        section.refuse_unknown()?;
        reading.record("audit", section);
        Ok(settings)
    }

    pub(super) fn settings(&self) -> origin::Values {
        vec![("path", origin::path(self.path.as_deref())), ("required", "true".into())]
    }
}
