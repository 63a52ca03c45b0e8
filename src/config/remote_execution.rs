//! `remote_execution:`, the source system's section, with every promise kept.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::reading::Reading;
use super::{duration, origin, size};
use crate::ids::VmId;
use crate::yaml::{Diagnostic, Section, Value};

/// How commands are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteExecution {
    /// How long a command may run, counted from the exec request; no limit if `None`.
    pub default_timeout: Option<Duration>,
    /// Attempts in all, at least 1.
    pub default_retry: u32,
    /// Hosts that are worked on at once.
    pub max_parallel_commands: u32,
    /// Idle connections that are kept for later use; never limits the hosts at once.
    pub connection_pool_size: u32,
    /// The directory with the private keys; `None` if neither the configuration
    /// nor a home directory tells.
    pub key_storage_path: Option<PathBuf>,
    /// Whether the configuration gives [`key_storage_path`](Self::key_storage_path):
    /// then it must be a directory when keys are needed.
    pub key_storage_configured: bool,
    /// What kind of keys are expected there.
    pub key_storage_type: KeyStorageType,
    /// Days after which a key should be replaced.
    pub key_rotation_days: u32,
    /// How long a process has to end after the first signal, before it is killed.
    pub grace: Duration,
    /// How many bytes of each stream of a host are kept, at least 1.
    pub output_max: u64,
}

/// What kind of private keys are expected. Both kinds are accepted with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyStorageType {
    /// Keys are encrypted with a passphrase.
    #[default]
    EncryptedDir,
    /// Keys are protected by file permissions only.
    PlainDir,
}

/// The list of ids in `allowed_vm_ids`, each with its place.
pub(super) type AllowList<'d> = Vec<(VmId, Value<'d>)>;

impl Default for RemoteExecution {
    fn default() -> Self {
        Self {
            default_timeout: Some(Duration::from_secs(30)),
            default_retry: 3,
            max_parallel_commands: 32,
            connection_pool_size: 10,
            key_storage_path: None,
            key_storage_configured: false,
            key_storage_type: KeyStorageType::default(),
            key_rotation_days: 90,
            grace: Duration::from_secs(5),
            output_max: 1 << 30,
        }
    }
}

impl RemoteExecution {
    /// The defaults where a home directory is known: keys in `~/.ssh/th_timmy_keys`.
    pub fn defaults(environment: &Environment) -> Self {
        let home = environment.home.as_ref();
        Self {
            key_storage_path: home.map(|home| home.join(".ssh/th_timmy_keys")),
            ..Self::default()
        }
    }

    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<(Self, Option<AllowList<'d>>), Diagnostic> {
        let mut settings = Self::defaults(reading.environment);
        let Some(value) = value else { return Ok((settings, None)) };
        let mut section = value.section()?;
        settings.read_limits(&mut section)?;
        settings.read_keys(&mut section, reading)?;
        if let Some(value) = section.get("audit_log_destination") {
            value.choice(&[("file", ())])?;
        }
        if let Some(value) = section.get("checksum_algorithm") {
            value.choice(&[("sha256", ())])?;
        }
        // A list without items allows nothing; a key without a list says nothing.
        let allowed = section.get_or_null("allowed_vm_ids").map(read_allow_list).transpose()?;
        reading.warnings.extend(section.unknown());
        reading.record("remote_execution", section);
        Ok((settings, allowed))
    }

    fn read_limits(&mut self, section: &mut Section<'_>) -> Result<(), Diagnostic> {
        const DAY: Duration = Duration::from_secs(86_400);
        if let Some(value) = section.get("default_timeout") {
            let timeout = value.duration(Duration::ZERO, 366 * DAY)?;
            self.default_timeout = (!timeout.is_zero()).then_some(timeout);
        }
        if let Some(value) = section.get("default_retry") {
            self.default_retry = value.integer(1..=100)?;
        }
        if let Some(value) = section.get("max_parallel_commands") {
            self.max_parallel_commands = value.integer(1..=10_000)?;
        }
        if let Some(value) = section.get("connection_pool_size") {
            self.connection_pool_size = value.integer(0..=10_000)?;
        }
        if let Some(value) = section.get("grace") {
            self.grace = value.duration(Duration::ZERO, Duration::from_secs(600))?;
        }
        if let Some(value) = section.get("output_max") {
            self.output_max = value.size(1, 1 << 50)?;
        }
        Ok(())
    }

    fn read_keys(
        &mut self,
        section: &mut Section<'_>,
        reading: &Reading<'_>,
    ) -> Result<(), Diagnostic> {
        if let Some(value) = section.get("key_storage_path") {
            self.key_storage_path = Some(reading.path(value)?);
            self.key_storage_configured = true;
        }
        if let Some(value) = section.get("key_storage_type") {
            if value.text().is_ok_and(|text| text.eq_ignore_ascii_case("vault")) {
                return Err(value.diagnostic("vault is not supported: use encrypted_dir"));
            }
            self.key_storage_type = value.choice(&KeyStorageType::CHOICES)?;
        }
        if let Some(value) = section.get("key_rotation_days") {
            self.key_rotation_days = value.integer(1..=36_500)?;
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> origin::Values {
        vec![
            ("default_timeout", duration::format(self.default_timeout.unwrap_or_default())),
            ("default_retry", self.default_retry.to_string()),
            ("max_parallel_commands", self.max_parallel_commands.to_string()),
            ("connection_pool_size", self.connection_pool_size.to_string()),
            ("key_storage_path", origin::path(self.key_storage_path.as_deref())),
            ("key_storage_type", self.key_storage_type.as_str().into()),
            ("key_rotation_days", self.key_rotation_days.to_string()),
            ("audit_log_destination", "file".into()),
            ("checksum_algorithm", "sha256".into()),
            ("grace", duration::format(self.grace)),
            ("output_max", size::format(self.output_max)),
        ]
    }
}

impl KeyStorageType {
    const CHOICES: [(&'static str, Self); 2] =
        [("encrypted_dir", Self::EncryptedDir), ("plain_dir", Self::PlainDir)];

    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EncryptedDir => "encrypted_dir",
            Self::PlainDir => "plain_dir",
        }
    }
}

fn read_allow_list(value: Value<'_>) -> Result<AllowList<'_>, Diagnostic> {
    let read = |item: Value<'_>| {
        item.text()?.parse().map_err(|error| item.diagnostic(&format!("{error}")))
    };
    value.list()?.map(|item| Ok((read(item)?, item))).collect()
}
