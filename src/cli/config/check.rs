//! `config check`.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Overrides;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::print;
use crate::config::{Config, KeyStorageType};
use crate::inventory::Inventory;
use crate::orchestrator::{adjustments, endpoint, policy_or_none, read_passphrase};
use crate::policy::Policy;
use crate::report::{escape, exit::Exit};
use crate::ssh::keys;
use crate::ssh::known_hosts::KnownHosts;
use crate::transport::{Endpoint, Route};

/// Findings that are told one by one.
const TOLD_MAX: usize = 20;

/// What is wrong, in the order in which it was found. The same mistake on
/// every VM is one mistake.
#[derive(Default)]
struct Findings(Vec<Finding>);

#[derive(PartialEq, Eq)]
struct Finding {
    wrong: bool,
    message: String,
    hint: Option<String>,
}

pub(super) fn run(context: &Context) -> Result<u8, Failure> {
    let config = context.config()?;
    let mut findings = Findings::default();
    if let Err(error) = adjustments(&config) {
        findings.wrong(chain(&error), None);
    }
    let known = known_hosts(&config, &mut findings);
    let keys = private_keys(&config, &mut findings);
    passphrase(&config, &mut findings);
    if config.audit.path.is_none() {
        let hint = "set audit.path".to_owned();
        findings.wrong("there is no place for the audit log".into(), Some(hint));
    }
    for trouble in policy_or_none(&config).troubles() {
        let hint = "until then everything is denied; `orchestrator policy check` tells all of it";
        findings.wrong(trouble.to_owned(), Some(hint.into()));
    }
    print(|out| tell(out, &config, known, keys, &findings))?;
    findings.tell(context);
    Ok(if findings.wrong_count() > 0 { Exit::Usage.code() } else { Exit::Ok.code() })
}

impl Findings {
    fn wrong(&mut self, message: String, hint: Option<String>) {
        self.add(Finding { wrong: true, message, hint });
    }

    fn odd(&mut self, message: String, hint: Option<String>) {
        self.add(Finding { wrong: false, message, hint });
    }

    fn add(&mut self, finding: Finding) {
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn wrong_count(&self) -> usize {
        self.0.iter().filter(|finding| finding.wrong).count()
    }

    fn tell(&self, context: &Context) {
        for finding in self.0.iter().take(TOLD_MAX) {
            if context.quiet() && !finding.wrong {
                continue;
            }
            let kind = if finding.wrong { "error" } else { "warning" };
            context.note(kind, &escape(finding.message.as_bytes()));
            if let Some(hint) = &finding.hint {
                context.note("  hint", &escape(hint.as_bytes()));
            }
        }
        let rest = self.0.len().saturating_sub(TOLD_MAX);
        if rest > 0 {
            context.note("and", &format!("{rest} more of that kind"));
        }
    }
}

fn tell(
    out: &mut dyn Write,
    config: &Config,
    known: Option<usize>,
    keys: usize,
    findings: &Findings,
) -> Result<(), Failure> {
    let path = |path: Option<&Path>| {
        path.map_or_else(|| "none".into(), |path| escape(path.display().to_string().as_bytes()))
    };
    let (total, allowed) = count(&config.inventory);
    writeln!(out, "config       {}", path(config.path()))?;
    writeln!(out, "hosts        {total}, {allowed} of them allowed")?;
    writeln!(out, "groups       {}", config.inventory.groups().len())?;
    writeln!(out, "profile      {}", config.ssh.profile)?;
    writeln!(out, "keys         {keys} in use")?;
    match known {
        Some(lines) => writeln!(out, "known hosts  {}", counted(lines, "key"))?,
        None => writeln!(out, "known hosts  unreadable")?,
    }
    writeln!(out, "audit log    {}", path(config.audit.path.as_deref()))?;
    writeln!(out, "policy       {}", path(config.policy.path.as_deref()))?;
    writeln!(out, "machine      {}", machine(&Policy::machine()))?;
    let wrong = findings.wrong_count();
    let odd = findings.0.len() - wrong + config.warnings().len();
    writeln!(out, "found        {}, {}", counted(wrong, "error"), counted(odd, "warning"))?;
    Ok(())
}

/// The machine's policy, in a few words.
pub(in crate::cli) fn machine(policy: &Policy) -> String {
    match (policy.sources().first(), policy.troubles().first()) {
        (_, Some(_)) => "a policy that cannot be used, so everything is denied".into(),
        (Some((file, sha256)), None) => format!("policy {file} sha256 {sha256}"),
        (None, None) => "no policy of its own".into(),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn count(inventory: &Inventory) -> (usize, usize) {
    (inventory.len(), inventory.allowed().count())
}

/// How many host keys are known.
fn known_hosts(config: &Config, findings: &mut Findings) -> Option<usize> {
    match KnownHosts::load(&config.ssh.known_hosts) {
        Ok(known) => {
            for warning in known.warnings() {
                findings.odd(warning.to_string(), None);
            }
            Some(known.len())
        }
        Err(error) => {
            let hint = "nothing is connected to while a revoked key could be missed".to_owned();
            findings.wrong(chain(&error), Some(hint));
            None
        }
    }
}

/// Looks at the key of every host that may be used, and of those on the way;
/// how many different keys there are.
fn private_keys(config: &Config, findings: &mut Findings) -> usize {
    let mut seen = HashSet::new();
    for host in config.inventory.allowed() {
        match endpoint(config, host, Overrides::default()) {
            Err(failure) => findings.wrong(failure.message, failure.hint),
            Ok(endpoint) => {
                for path in key_files(&endpoint) {
                    if seen.insert(path.clone()) {
                        private_key(config, &path, findings);
                    }
                }
            }
        }
    }
    seen.len()
}

fn key_files(endpoint: &Endpoint) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = endpoint.identity.key_file.iter().cloned().collect();
    if let Route::Via(jump) = &endpoint.route {
        files.extend(key_files(jump));
    }
    files
}

fn private_key(config: &Config, path: &Path, findings: &mut Findings) {
    match keys::is_encrypted(path) {
        Err(error) => findings.wrong(error.to_string(), Some(error.hint())),
        Ok(true) => {}
        Ok(false) => {
            if config.remote_execution.key_storage_type == KeyStorageType::EncryptedDir {
                let message = format!(
                    "the private key {} is not encrypted, and key_storage_type is encrypted_dir",
                    path.display()
                );
                let hint = format!(
                    "encrypt it: ssh-keygen -p -f {}; or set key_storage_type: plain_dir",
                    path.display()
                );
                findings.odd(message, Some(hint));
            }
        }
    }
}

fn passphrase(config: &Config, findings: &mut Findings) {
    if let Some(path) = &config.ssh.passphrase_file
        && let Err(error) = read_passphrase(path)
    {
        findings.wrong(chain(&error), None);
    }
    if let Some(name) = &config.ssh.passphrase_env
        && std::env::var_os(name).is_none()
    {
        let message = format!("ssh.passphrase_env names {name}, which is not set");
        findings.wrong(message, Some(format!("export {name}, or take it out")));
    }
}
