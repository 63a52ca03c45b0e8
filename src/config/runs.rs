//! `runs:`, what is remembered of runs.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::reading::Reading;
use super::{duration, origin, size};
use crate::yaml::{Diagnostic, Value};

const DAY: Duration = Duration::from_secs(86_400);

/// Where runs are remembered, how much of them, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Whether they are.
    pub enabled: bool,
    /// The file; `None` if neither the configuration nor a home directory tells.
    pub path: Option<PathBuf>,
    /// Runs that began longer ago are forgotten.
    pub keep: Duration,
    /// The oldest runs are forgotten while the file holds more bytes than this.
    pub max_size: u64,
    /// How many bytes of each stream of a host are kept.
    pub output_max: u64,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            keep: 90 * DAY,
            max_size: 512 << 20,
            output_max: 64 << 10,
        }
    }
}

impl Runs {
    /// The defaults where the user's directories are known: `orchestrator/runs.db`
    /// in `$XDG_STATE_HOME` or `~/.local/state`.
    pub fn defaults(environment: &Environment) -> Self {
        let path = environment.state_dir().map(|dir| dir.join("runs.db"));
        Self { path, ..Self::default() }
    }

    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<Self, Diagnostic> {
        let mut settings = Self::defaults(reading.environment);
        let Some(value) = value else { return Ok(settings) };
        let mut section = value.section()?;
        if let Some(value) = section.get("enabled") {
            settings.enabled = value.boolean()?;
        }
        if let Some(value) = section.get("path") {
            settings.path = Some(reading.path(value)?);
        }
        if let Some(value) = section.get("keep") {
            settings.keep = value.duration(Duration::from_secs(3600), 366 * DAY)?;
        }
        if let Some(value) = section.get("max_size") {
            settings.max_size = value.size(1 << 20, 1 << 40)?;
        }
        if let Some(value) = section.get("output_max") {
            settings.output_max = value.size(0, 64 << 20)?;
        }
        section.refuse_unknown()?;
        reading.record("runs", section);
        Ok(settings)
    }

    pub(super) fn settings(&self) -> origin::Values {
        vec![
            ("enabled", self.enabled.to_string()),
            ("path", origin::path(self.path.as_deref())),
            ("keep", duration::format(self.keep)),
            ("max_size", size::format(self.max_size)),
            ("output_max", size::format(self.output_max)),
        ]
    }
}
