//! `ssh:`, where security is tightened and never loosened below `strong`.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::reading::Reading;
use super::{duration, origin, size};
use crate::ssh::{InvalidProfile, Profile};
use crate::yaml::{Diagnostic, Section, Value};

/// How connections are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// Which algorithms are offered.
    pub profile: Profile,
    /// Files with known host keys, in the order they are read.
    pub known_hosts: Vec<PathBuf>,
    /// Whether keys of an ssh-agent are offered.
    pub use_agent: bool,
    /// How long name resolution, TCP and key exchange may take together.
    pub connect_timeout: Duration,
    /// How long user authentication may take.
    pub auth_timeout: Duration,
    /// How long a connection may be silent before it is asked for a sign of life;
    /// after three without an answer it is dead.
    pub keepalive: Duration,
    /// Channels on one connection at once.
    pub max_channels: u32,
    /// Handshakes with one address at once.
    pub connect_gate_per_host: u32,
    /// Key exchange algorithms in place of the profile's, not yet checked.
    pub kex: Option<Vec<String>>,
    /// Host key algorithms in place of the profile's, not yet checked.
    pub host_keys: Option<Vec<String>>,
    /// Ciphers in place of the profile's, not yet checked.
    pub ciphers: Option<Vec<String>>,
    /// MACs in place of the profile's, not yet checked.
    pub macs: Option<Vec<String>>,
    /// The smallest RSA key that is accepted, in bits, if larger than the profile's.
    pub rsa_min_bits: Option<u32>,
    /// Whether a post-quantum key exchange must be negotiated.
    pub require_pq: bool,
    /// Whether strict key exchange must be negotiated; as the profile has it if `None`.
    pub require_strict_kex: Option<bool>,
    /// Bytes after which keys are renewed; as the profile has it if `None`.
    pub rekey_bytes: Option<u64>,
    /// A file that holds the passphrase of encrypted keys.
    pub passphrase_file: Option<PathBuf>,
    /// The name of the environment variable that holds the passphrase.
    pub passphrase_env: Option<String>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            known_hosts: vec!["/etc/ssh/ssh_known_hosts".into()],
            use_agent: false,
            connect_timeout: Duration::from_secs(15),
            auth_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(15),
            max_channels: 8,
            connect_gate_per_host: 8,
            kex: None,
            host_keys: None,
            ciphers: None,
            macs: None,
            rsa_min_bits: None,
            require_pq: false,
            require_strict_kex: None,
            rekey_bytes: None,
            passphrase_file: None,
            passphrase_env: None,
        }
    }
}

impl Ssh {
    /// The defaults where a home directory is known: its known_hosts comes first.
    pub fn defaults(environment: &Environment) -> Self {
        let mut settings = Self::default();
        if let Some(home) = &environment.home {
            settings.known_hosts.insert(0, home.join(".ssh/known_hosts"));
        }
        settings
    }

    /// The lists of algorithms that are given, by the name of their setting.
    pub fn algorithm_lists(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let lists = [
            ("kex", &self.kex),
            ("host_keys", &self.host_keys),
            ("ciphers", &self.ciphers),
            ("macs", &self.macs),
        ];
        lists.into_iter().filter_map(|(kind, list)| Some((kind, list.as_deref()?)))
    }

    pub(super) fn read<'d>(
        value: Option<Value<'d>>,
        reading: &mut Reading<'d>,
    ) -> Result<(Self, Vec<NamedAt>), Diagnostic> {
        let mut settings = Self::defaults(reading.environment);
        let mut names = Vec::new();
        let Some(value) = value else { return Ok((settings, names)) };
        let mut section = value.section()?;
        if let Some(value) = section.get("profile") {
            let profile = value.text()?.parse();
            settings.profile =
                profile.map_err(|error: InvalidProfile| value.diagnostic(&error.to_string()))?;
        }
        if let Some(value) = section.get("known_hosts") {
            settings.known_hosts = reading.paths(value)?;
        }
        settings.read_limits(&mut section)?;
        settings.read_algorithms(&mut section, &mut names)?;
        settings.read_credentials(&mut section, reading)?;
        section.refuse_unknown()?;
        reading.record("ssh", section);
        Ok((settings, names))
    }

    fn read_limits(&mut self, section: &mut Section<'_>) -> Result<(), Diagnostic> {
        const HOUR: Duration = Duration::from_secs(3600);
        for (key, setting, min) in [
            ("connect_timeout", &mut self.connect_timeout, Duration::from_millis(100)),
            ("auth_timeout", &mut self.auth_timeout, Duration::from_millis(100)),
            ("keepalive", &mut self.keepalive, Duration::from_secs(1)),
        ] {
            if let Some(value) = section.get(key) {
                *setting = value.duration(min, HOUR)?;
            }
        }
        for (key, setting) in [
            ("max_channels", &mut self.max_channels),
            ("connect_gate_per_host", &mut self.connect_gate_per_host),
        ] {
            if let Some(value) = section.get(key) {
                *setting = value.integer(1..=64)?;
            }
        }
        if let Some(value) = section.get("rekey_bytes") {
            // RFC 4253, section 9, recommends new keys after each gigabyte at the latest.
            self.rekey_bytes = Some(value.size(1 << 20, 1 << 30)?);
        }
        Ok(())
    }

    fn read_algorithms(
        &mut self,
        section: &mut Section<'_>,
        names: &mut Vec<NamedAt>,
    ) -> Result<(), Diagnostic> {
        for (kind, setting) in [
            ("kex", &mut self.kex),
            ("host_keys", &mut self.host_keys),
            ("ciphers", &mut self.ciphers),
            ("macs", &mut self.macs),
        ] {
            if let Some(value) = section.get(kind) {
                *setting = Some(read_names(kind, value, names)?);
            }
        }
        if let Some(value) = section.get("rsa_min_bits") {
            self.rsa_min_bits = Some(value.integer(2048..=16_384)?);
        }
        if let Some(value) = section.get("require_pq") {
            self.require_pq = value.boolean()?;
        }
        if let Some(value) = section.get("require_strict_kex") {
            self.require_strict_kex = Some(value.boolean()?);
        }
        Ok(())
    }

    fn read_credentials(
        &mut self,
        section: &mut Section<'_>,
        reading: &Reading<'_>,
    ) -> Result<(), Diagnostic> {
        if let Some(value) = section.get("use_agent") {
            self.use_agent = value.boolean()?;
        }
        if let Some(value) = section.get("passphrase_file") {
            self.passphrase_file = Some(reading.path(value)?);
        }
        if let Some(value) = section.get("passphrase_env") {
            // Never repeated: it may be the passphrase itself, put in the wrong place.
            let name = value.text().ok().filter(|name| is_variable_name(name));
            let name = name.ok_or_else(|| value.diagnostic("expected the name of a variable"))?;
            if self.passphrase_file.is_some() {
                return Err(value.diagnostic("passphrase_file is given, too: keep one of them"));
            }
            self.passphrase_env = Some(name.into());
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> origin::Values {
        let text = |value: Option<String>| value.unwrap_or_else(|| "(profile)".into());
        let names = |list: &Option<Vec<String>>| text(list.as_ref().map(origin::list));
        vec![
            ("profile", self.profile.as_str().into()),
            ("known_hosts", origin::list(self.known_hosts.iter().map(|path| path.display()))),
            ("use_agent", self.use_agent.to_string()),
            ("connect_timeout", duration::format(self.connect_timeout)),
            ("auth_timeout", duration::format(self.auth_timeout)),
            ("keepalive", duration::format(self.keepalive)),
            ("max_channels", self.max_channels.to_string()),
            ("connect_gate_per_host", self.connect_gate_per_host.to_string()),
            ("kex", names(&self.kex)),
            ("host_keys", names(&self.host_keys)),
            ("ciphers", names(&self.ciphers)),
            ("macs", names(&self.macs)),
            ("rsa_min_bits", text(self.rsa_min_bits.map(|bits| bits.to_string()))),
            ("require_pq", self.require_pq.to_string()),
            ("require_strict_kex", text(self.require_strict_kex.map(|it| it.to_string()))),
            ("rekey_bytes", text(self.rekey_bytes.map(size::format))),
            ("passphrase_file", origin::path(self.passphrase_file.as_deref())),
            ("passphrase_env", self.passphrase_env.clone().unwrap_or_default()),
        ]
    }
}

/// An algorithm that the file names, and what would be said of its place.
#[derive(Clone, Debug)]
pub(super) struct NamedAt {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) place: Diagnostic,
}

/// A list of algorithms, or names joined by commas as OpenSSH has them.
fn read_names(
    kind: &'static str,
    value: Value<'_>,
    names: &mut Vec<NamedAt>,
) -> Result<Vec<String>, Diagnostic> {
    let mut list = Vec::new();
    for item in value.one_or_many()? {
        for name in item.word()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            names.push(NamedAt { kind, name: name.into(), place: item.diagnostic("") });
            list.push(name.to_owned());
        }
    }
    if list.is_empty() { Err(value.unexpected("the name of an algorithm")) } else { Ok(list) }
}

fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
