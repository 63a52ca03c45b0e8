//! A host and how to reach it.

use std::fmt;
use std::path::PathBuf;

use super::jump::Jump;
use crate::ids::VmId;
use crate::yaml::{Position, Written};

/// One VM of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its id, by which people name it.
    pub id: VmId,
    /// A name for display (`name`).
    pub name: Option<String>,
    /// IPv4, IPv6 (without brackets) or a resolvable name (`ip`).
    pub address: String,
    /// The port of its sshd (`ssh_port`).
    pub port: u16,
    /// Who logs in (`ssh_user`).
    pub ssh_user: String,
    /// What it is for.
    pub role: Option<String>,
    /// Whether it takes part; see [`allowed`](Self::allowed).
    pub enabled: bool,
    /// Whether something may be done on it: it is listed in
    /// `remote_execution.allowed_vm_ids` or, where there is no such list, enabled.
    pub allowed: bool,
    /// Words by which a set of hosts can be named (`tag=prod`).
    pub tags: Vec<String>,
    /// The operating system.
    pub os: Os,
    /// A shell to run shell strings with, in place of `/bin/sh`.
    pub shell: Option<String>,
    /// The private key to log in with, in place of one from the key directory.
    pub identity_file: Option<PathBuf>,
    /// The way to it, the hop nearest to us first; empty for a direct connection.
    pub proxy_jump: Vec<Jump>,
    /// If not empty, only these host keys are accepted: fingerprints
    /// (`SHA256:…`) or public keys (`ssh-ed25519 AAAA…`).
    pub host_key: Vec<String>,
    /// The name to look up in known_hosts in place of the address.
    pub host_key_alias: Option<String>,
    /// An algorithm profile in place of `ssh.profile`.
    pub profile: Option<String>,
    /// Which settings the file gives, and where.
    pub(super) written: Written,
}

/// An operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // their names say it
pub enum Os {
    #[default]
    Linux,
    Macos,
    Windows,
}

impl Host {
    /// Who logs in where the configuration does not say.
    pub const SSH_USER_DEFAULT: &'static str = "thadmin";

    /// A host with everything at its default: port 22, user
    /// [`SSH_USER_DEFAULT`](Self::SSH_USER_DEFAULT), enabled and allowed.
    pub fn new(id: VmId, address: impl Into<String>) -> Self {
        Self {
            id,
            name: None,
            address: address.into(),
            port: 22,
            ssh_user: Self::SSH_USER_DEFAULT.into(),
            role: None,
            enabled: true,
            allowed: true,
            tags: Vec::new(),
            os: Os::Linux,
            shell: None,
            identity_file: None,
            proxy_jump: Vec::new(),
            host_key: Vec::new(),
            host_key_alias: None,
            profile: None,
            written: Written::new(),
        }
    }

    /// Where the file gives this setting.
    pub(crate) fn written_at(&self, setting: &str) -> Option<Position> {
        self.written.iter().find(|(name, _)| *name == setting).map(|(_, at)| *at)
    }

    /// Every setting that has a value, by its name in the file, as text.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let path = self.identity_file.as_ref().map(|path| path.display().to_string());
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
        let jumps: Vec<_> = self.proxy_jump.iter().map(Jump::to_string).collect();
        let settings = [
            ("name", self.name.clone()),
            ("ip", Some(self.address.clone())),
            ("ssh_user", Some(self.ssh_user.clone())),
            ("ssh_port", Some(self.port.to_string())),
            ("role", self.role.clone()),
            ("enabled", Some(self.enabled.to_string())),
            ("tags", list(&self.tags)),
            ("os", Some(self.os.to_string())),
            ("shell", self.shell.clone()),
            ("identity_file", path),
            ("proxy_jump", list(&jumps)),
            ("host_key", list(&self.host_key)),
            ("host_key_alias", self.host_key_alias.clone()),
            ("profile", self.profile.clone()),
        ];
        settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Os {
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("linux", Self::Linux), ("macos", Self::Macos), ("windows", Self::Windows)];

    /// The name used in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
