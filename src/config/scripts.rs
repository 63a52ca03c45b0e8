//! `scripts:`, the script library and what is looked for in scripts.

use std::path::{Path, PathBuf};

use super::origin;
use super::reading::Reading;
use crate::scan::Mode;
use crate::yaml::{Diagnostic, Value};

/// Where the script library is, and which scripts are searched for what is
/// dangerous before they are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// The folder; there is no library without one.
    pub path: Option<PathBuf>,
    /// Which scripts are searched.
    pub scan: Mode,
}

impl Scripts {
    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<Self, Diagnostic> {
        let mut settings = Self::default();
        let Some(value) = value else { return Ok(settings) };
        let mut section = value.section()?;
        if let Some(value) = section.get("path") {
            let text = value.word()?;
            // A library belongs to its configuration, wherever we are called.
            settings.path = Some(match text.starts_with('~') {
                true => reading.path(value)?,
                false => PathBuf::from(text),
            });
        }
        if let Some(value) = section.get("scan") {
            settings.scan = value.choice(&Mode::CHOICES)?;
        }
        section.refuse_unknown()?;
        reading.record("scripts", section);
        Ok(settings)
    }

    /// Begins a relative path at the directory of the configuration.
    pub(super) fn settle(&mut self, directory: Option<&Path>) {
        if let (Some(path), Some(directory)) = (&mut self.path, directory) {
            *path = directory.join(path.strip_prefix(".").unwrap_or(path));
        }
    }

    pub(super) fn settings(&self) -> origin::Values {
        vec![("path", origin::path(self.path.as_deref())), ("scan", self.scan.as_str().to_owned())]
    }
}
