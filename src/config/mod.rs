//! From a file to typed settings.
//!
//! [`Config::load`] reads a file as the source system has it, and our additions.
//! Unknown sections are other programs' business and are ignored; unknown keys
//! in `vms` and `remote_execution` are [warnings](Config::warnings); in `ssh`,
//! `audit`, `runs` and `groups`, where a typing error could weaken something, they are
//! errors. Each names file, line and column.

use std::io;
use std::path::{Path, PathBuf};

use crate::inventory::{Host, Inventory};
use crate::yaml::{Document, Warnings};

mod audit;
mod environment;
mod file;
mod origin;
mod policy;
mod reading;
mod remote_execution;
mod runs;
mod scripts;
mod sections;
mod ssh;

pub use crate::units::{duration, size};
pub use crate::yaml::{Diagnostic, Location};
pub use audit::Audit;
pub use environment::{Environment, InvalidPath};
pub use origin::{Origin, Setting};
pub use policy::PolicyFile;
pub use remote_execution::{KeyStorageType, RemoteExecution};
pub use runs::Runs;
pub use scripts::Scripts;
pub use ssh::Ssh;

use reading::{Origins, Reading};
use sections::{check_sections, read_inventory};
use ssh::NamedAt;

/// Everything that a configuration decides.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Hosts and groups.
    pub inventory: Inventory,
    /// How commands are run.
    pub remote_execution: RemoteExecution,
    /// How connections are made.
    pub ssh: Ssh,
    /// Where actions are recorded.
    pub audit: Audit,
    /// What is remembered of runs.
    pub runs: Runs,
    /// Which policy decides.
    pub policy: PolicyFile,
    /// Where the script library is, and which scripts are searched.
    pub scripts: Scripts,
    /// Where what must outlive a process is kept: `orchestrator` in
    /// `$XDG_STATE_HOME` or `~/.local/state`. Without it, files that a killed
    /// transfer left on a host are not found again, and output that is too large
    /// for memory is cut.
    pub state_dir: Option<PathBuf>,
    path: Option<PathBuf>,
    warnings: Vec<Diagnostic>,
    origins: Origins,
    names: Vec<NamedAt>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An algorithm that is not allowed is named in settings made in code.
    #[error("ssh.{kind}: {reason}")]
    Algorithm {
        /// The setting: `kex`, `host_keys`, `ciphers` or `macs`.
        kind: &'static str,
        /// Why it is not allowed.
        reason: String,
    },
    /// The file belongs to somebody who could change what we do.
    #[error("{} belongs to user id {owner}, not to you ({user}) or root: run `chown {user} {}`", .path.display(), .path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Something in the file is wrong.
    #[error(transparent)]
    Invalid(#[from] Diagnostic),
    /// There is no such file.
    #[error("Config not found: {}", places(.tried))]
    NotFound {
        /// Every place that was looked at, in order.
        tried: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could change what we do.
    #[error("{} can be written by others (mode {mode:04o}): run `chmod go-w {}`", .path.display(), .path.display())]
    WritableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl Config {
    /// A configuration made in code: every setting at its default. Paths in the
    /// home directory are not among them; see [`with_defaults`](Self::with_defaults).
    pub fn new(inventory: Inventory) -> Self {
        Self { inventory, ..Self::default() }
    }

    /// A configuration made in code, with the default paths that `environment` knows.
    pub fn with_defaults(inventory: Inventory, environment: &Environment) -> Self {
        Self {
            inventory,
            remote_execution: RemoteExecution::defaults(environment),
            ssh: Ssh::defaults(environment),
            audit: Audit::defaults(environment),
            runs: Runs::defaults(environment),
            state_dir: environment.state_dir(),
            ..Self::default()
        }
    }

    /// Reads a file, with `~` and default paths as [`Environment::from_process`]
    /// has them.
    ///
    /// # Errors
    /// If the file is missing, unreadable, not ours, writable by others or wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::load_with(path, &Environment::from_process())
    }

    /// As [`load`](Self::load), without reading the environment.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        path: impl AsRef<Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let absolute = environment.absolute(path);
        let text = file::read(&absolute)?;
        let mut config = Self::from_yaml_str_with(&path.display().to_string(), &text, environment)?;
        config.scripts.settle(absolute.parent());
        config.path = Some(absolute);
        Ok(config)
    }

    /// Reads a text; `name` stands for the file in errors. `~` and default paths
    /// are as [`Environment::from_process`] has them.
    ///
    /// # Errors
    /// If something in the text is wrong.
    pub fn from_yaml_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        Self::from_yaml_str_with(name, text, &Environment::from_process())
    }

    /// As [`from_yaml_str`](Self::from_yaml_str), without reading the environment.
    ///
    /// # Errors
    /// As [`from_yaml_str`](Self::from_yaml_str).
    pub fn from_yaml_str_with(
        name: &str,
        text: &str,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let document = Document::parse(name, text)?;
        let mut reading = Reading {
            document: &document,
            environment,
            warnings: Warnings::default(),
            origins: Origins::default(),
        };
        let mut root = document.root().section()?;
        check_sections(&root, &mut reading.warnings);
        let (remote_execution, allowed) =
            RemoteExecution::read(root.get("remote_execution"), &mut reading)?;
        let (ssh, names) = Ssh::read(root.get("ssh"), &mut reading)?;
        let audit = Audit::read(root.get("audit"), &mut reading)?;
        let runs = Runs::read(root.get("runs"), &mut reading)?;
        let policy = PolicyFile::read(root.get_or_null("policy"), &mut reading)?;
        let scripts = Scripts::read(root.get("scripts"), &mut reading)?;
        let inventory = read_inventory(&mut root, allowed, &mut reading)?;
        let Reading { warnings, origins, .. } = reading;
        let warnings = warnings.into_vec();
        let state_dir = environment.state_dir();
        Ok(Self {
            inventory,
            remote_execution,
            ssh,
            audit,
            runs,
            policy,
            scripts,
            state_dir,
            path: None,
            warnings,
            origins,
            names,
        })
    }

    /// Has everything recorded in this file, because it says so there.
    pub(crate) fn record_at(&mut self, path: &Path, at: &Location) {
        self.audit.path = Some(path.into());
        for key in ["audit.path", "audit.required"] {
            self.origins.insert(key.into(), at.clone());
        }
    }

    /// The file this came from, absolute.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is odd in the file, but no error: unknown keys and the like.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Has every algorithm that `ssh` names checked: `allowed` is given the
    /// setting (`kex`, `host_keys`, `ciphers`, `macs`) and the name, and says why
    /// it will not have it.
    ///
    /// # Errors
    /// The first refusal, with its place where the name comes from a file.
    pub fn check_names(
        &self,
        allowed: &dyn Fn(&str, &str) -> Result<(), String>,
    ) -> Result<(), ConfigError> {
        for (kind, names) in self.ssh.algorithm_lists() {
            for name in names {
                let Err(reason) = allowed(kind, name) else { continue };
                let written = self.names.iter().find(|at| at.kind == kind && at.name == *name);
                return Err(match written {
                    Some(at) => at.place.with_message(format!("{kind}: {reason}")).into(),
                    None => ConfigError::Algorithm { kind, reason },
                });
            }
        }
        Ok(())
    }

    /// Every setting in force and where it came from, section by section.
    pub fn settings(&self) -> impl Iterator<Item = Setting> {
        let sections = [
            ("remote_execution", self.remote_execution.settings()),
            ("ssh", self.ssh.settings()),
            ("audit", self.audit.settings()),
            ("runs", self.runs.settings()),
            ("policy", self.policy.settings()),
            ("scripts", self.scripts.settings()),
        ];
        let sections = sections.into_iter().flat_map(|(section, values)| {
            values.into_iter().map(move |(key, value)| (format!("{section}.{key}"), value))
        });
        let allowed = self.inventory.allow_list();
        let allowed =
            allowed.map(|ids| ("remote_execution.allowed_vm_ids".to_owned(), origin::list(ids)));
        let groups = self.inventory.groups().iter().map(|group| Setting {
            key: format!("groups.{}", group.name),
            value: group.expression.clone(),
            origin: group.location.clone().map_or(Origin::Default, Origin::File),
        });
        let located = move |(key, value): (String, String)| {
            let origin = self.origins.get(&key).cloned().map_or(Origin::Default, Origin::File);
            Setting { key, value, origin }
        };
        let hosts = self.inventory.iter().flat_map(|host| self.host_settings(host));
        sections.chain(allowed).map(located).chain(groups).chain(hosts)
    }

    fn host_settings(&self, host: &Host) -> Vec<Setting> {
        let settings = host.settings().into_iter().map(|(name, value)| {
            let origin = self.inventory.origin(host, name).map_or(Origin::Default, Origin::File);
            Setting { key: format!("vms.{}.{name}", host.id), value, origin }
        });
        settings.collect()
    }
}

fn places(tried: &[PathBuf]) -> String {
    let mut names = tried.iter().map(|path| path.display().to_string());
    let first = names.next().unwrap_or_default();
    let others: Vec<_> = names.collect();
    if others.is_empty() { first } else { format!("{first} (also tried {})", others.join(", ")) }
}
