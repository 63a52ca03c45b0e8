//! Building an orchestrator. The type says which decision is still owed, so
//! none of them is made by forgetting it.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use secrecy::SecretString;

use super::access::{Access, Overrides};
use super::labels::Labels;
use super::{BuildError, Inner, Orchestrator};
use crate::audit::AuditLog;
use crate::config::{Config, Environment};
use crate::hook::{Hook, Hooks};
use crate::policy::{Breaker, Policy};
use crate::prompt::{Prompter, RefusePrompter};
use crate::redact::Redactor;
use crate::run::{Counters, Engine, Recorder};
use crate::session::{Bounds, Circuits, SessionManager};
use crate::ssh::keys::Passphrases;
use crate::ssh::known_hosts::KnownHosts;
use crate::ssh::{Adjustments, Settings, SshConnector};
use crate::store::{self, Keeper};
use crate::transfer::Ledger;

/// Known host keys are owed.
pub struct NeedsKnownHosts;
/// A policy is owed.
pub struct NeedsPolicy;
/// An audit log is owed.
pub struct NeedsAudit;
/// Nothing is owed.
pub struct Ready;

/// An orchestrator in the making.
///
/// ```
/// use orchestrator::Orchestrator;
/// use orchestrator::config::Config;
/// use orchestrator::policy::Policy;
/// use orchestrator::ssh::known_hosts::KnownHosts;
///
/// let orchestrator = Orchestrator::builder(Config::default())
///     .known_hosts(KnownHosts::default())
///     .policy(Policy::allow_all())
///     .without_audit()
///     .build()?;
/// # Ok::<(), orchestrator::BuildError>(())
/// ```
///
/// Without the decision where to record, there is no `build`:
///
/// ```compile_fail,E0599
/// # use orchestrator::Orchestrator;
/// # use orchestrator::config::Config;
/// # use orchestrator::policy::Policy;
/// # use orchestrator::ssh::known_hosts::KnownHosts;
/// let orchestrator = Orchestrator::builder(Config::default())
///     .known_hosts(KnownHosts::default())
///     .policy(Policy::allow_all())
///     .build()?;
/// # Ok::<(), orchestrator::BuildError>(())
/// ```
pub struct Builder<Owed> {
    parts: Parts,
    owed: PhantomData<Owed>,
}

/// What was decided so far.
struct Parts {
    config: Config,
    known_hosts: KnownHosts,
    policy: Policy,
    audit: Option<AuditLog>,
    prompter: Arc<dyn Prompter>,
    passphrase: Option<SecretString>,
    agent_socket: Option<PathBuf>,
    operator: Option<String>,
    overrides: Overrides,
    redactor: Redactor,
    remember: bool,
    hooks: Vec<(String, Arc<dyn Hook>)>,
    labels: Labels,
}

impl Builder<NeedsKnownHosts> {
    pub(super) fn new(config: Config) -> Self {
        let parts = Parts {
            config,
            known_hosts: KnownHosts::default(),
            policy: Policy::allow_all(),
            audit: None,
            prompter: Arc::new(RefusePrompter),
            passphrase: None,
            agent_socket: None,
            operator: None,
            overrides: Overrides::default(),
            redactor: Redactor::builtin(),
            remember: true,
            hooks: Vec::new(),
            labels: Labels::default(),
        };
        Self { parts, owed: PhantomData }
    }

    /// Which host keys are known.
    pub fn known_hosts(mut self, known_hosts: KnownHosts) -> Builder<NeedsPolicy> {
        self.parts.known_hosts = known_hosts;
        self.next()
    }
}

impl Builder<NeedsPolicy> {
    /// Which policy decides. [`Policy::allow_all`] is one, by name. The machine's
    /// applies only if it is part of it: see [`Policy::machine`].
    pub fn policy(mut self, policy: Policy) -> Builder<NeedsAudit> {
        self.parts.policy = policy;
        self.next()
    }
}

impl Builder<NeedsAudit> {
    /// Where actions are recorded before they happen.
    pub fn audit(mut self, audit: AuditLog) -> Builder<Ready> {
        self.parts.audit = Some(audit);
        self.next()
    }

    /// Records nothing.
    pub fn without_audit(self) -> Builder<Ready> {
        self.next()
    }
}

impl<Owed> Builder<Owed> {
    fn next<Next>(self) -> Builder<Next> {
        Builder { parts: self.parts, owed: PhantomData }
    }

    /// Whom to ask for passphrases; nobody by default.
    pub fn prompter(mut self, prompter: Arc<dyn Prompter>) -> Self {
        self.parts.prompter = prompter;
        self
    }

    /// The passphrase of encrypted keys; `ssh.passphrase_file` by default.
    pub fn passphrase(mut self, passphrase: SecretString) -> Self {
        self.parts.passphrase = Some(passphrase);
        self
    }

    /// The ssh-agent's socket, used where `ssh.use_agent` is set.
    pub fn agent_socket(mut self, socket: impl Into<PathBuf>) -> Self {
        self.parts.agent_socket = Some(socket.into());
        self
    }

    /// Who asks, as the records will say; the name of the process's user by
    /// default.
    pub fn operator(mut self, name: impl Into<String>) -> Self {
        self.parts.operator = Some(name.into());
        self
    }

    /// Puts a name and a text into the records of everything that is asked for,
    /// beside what each request has ([`Request::metadata`](super::Request::metadata)).
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.labels.add(name, value);
        self
    }

    /// Asks this hook before anything is done on a host, after those that were
    /// given before it, and tells it what came of it. Denials name it `hook/NAME`.
    pub fn hook(mut self, name: impl Into<String>, hook: impl Hook + 'static) -> Self {
        self.parts.hooks.push((name.into(), Arc::new(hook)));
        self
    }

    /// What to use in place of the inventory's own, for every host.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.parts.overrides = overrides;
        self
    }

    /// Remembers no runs. By default they are, where the configuration says so
    /// and has a path ([`config::Runs`](crate::config::Runs)).
    pub fn without_store(mut self) -> Self {
        self.parts.remember = false;
        self
    }

    /// Keeps this secret out of every record.
    pub fn secret(mut self, secret: SecretString) -> Self {
        self.parts.redactor = self.parts.redactor.with_secret(secret);
        self
    }
}

impl Builder<Ready> {
    /// Builds it. Nothing is connected to yet.
    ///
    /// # Errors
    /// An algorithm in the settings is not allowed, a name or text for the records
    /// cannot be one, or the passphrase file cannot be read.
    pub fn build(self) -> Result<Orchestrator, BuildError> {
        let parts = self.parts;
        let metadata = parts.labels.check()?.clone();
        let ssh = &parts.config.ssh;
        let known_hosts = Arc::new(parts.known_hosts);
        let given = match parts.passphrase {
            Some(passphrase) => Some(passphrase),
            None => ssh.passphrase_file.as_deref().map(read_passphrase).transpose()?,
        };
        let settings = Settings {
            profile: ssh.profile,
            adjustments: adjustments(&parts.config)?,
            known_hosts: Arc::clone(&known_hosts),
            passphrases: Passphrases { given: given.map(Arc::new), prompter: parts.prompter },
            agent_socket: parts.agent_socket,
            auth_timeout: ssh.auth_timeout,
            keepalive: ssh.keepalive,
            rekey_bytes: ssh
                .rekey_bytes
                .map_or(1 << 30, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        };
        let bounds = Bounds {
            channels_max: ssh.max_channels as usize,
            handshakes_max: ssh.connect_gate_per_host as usize,
            idle_max: parts.config.remote_execution.connection_pool_size as usize,
            sockets_max: sockets_max(),
            connect_timeout: ssh.connect_timeout,
            circuits: circuits(&parts.policy),
            ..Bounds::default()
        };
        let connector = Arc::new(SshConnector::new(settings));
        let sessions = Arc::new(SessionManager::new(connector.clone(), bounds));
        let access = Access::new(&parts.config.remote_execution, ssh.use_agent, parts.overrides);
        let environment = Environment::from_process();
        let os_user = environment.user;
        let redactor = Arc::new(parts.redactor);
        let keeper = store_options(&parts.config).filter(|_| parts.remember);
        let keeper = keeper.map(|options| Keeper::new(options, Arc::clone(&redactor)));
        let recorder = Recorder::new(parts.audit.clone(), redactor, os_user.clone());
        let ledger = Ledger::new(parts.config.state_dir.as_ref().map(|dir| dir.join("parts")));
        let counters = Counters::new(parts.config.state_dir.as_ref().map(|dir| dir.join("limits")));
        let operator = parts.operator.or(os_user.clone()).unwrap_or_else(|| "unknown".into());
        Ok(Orchestrator {
            inner: Arc::new(Inner {
                engine: Engine::new(Arc::clone(&sessions), recorder, ledger)
                    .counting_by(counters)
                    .with_hooks(Hooks::new(parts.hooks)),
                config: parts.config,
                policy: Arc::new(RwLock::new(parts.policy)),
                access,
                connector,
                sessions,
                known_hosts,
                audit: parts.audit,
                keeper,
                cwd: environment.cwd,
                operator,
                metadata,
                os_user,
                closing: tokio_util::sync::CancellationToken::new(),
                running: tokio_util::task::TaskTracker::new(),
            }),
        })
    }
}

/// When hosts are left alone. Of several policies that say so the narrower
/// holds; a failure for one program is no more than one for all.
fn circuits(policy: &Policy) -> Circuits {
    let narrower = |one: Circuits, other: Circuits| Circuits {
        failures: one.failures.min(other.failures),
        successes: one.successes.max(other.successes),
        rest: one.rest.max(other.rest),
        by_purpose: one.by_purpose && other.by_purpose,
    };
    let of = |breaker: Breaker| Circuits {
        failures: breaker.failure_threshold,
        successes: breaker.success_threshold,
        rest: breaker.timeout,
        by_purpose: breaker.per_binary,
    };
    policy.breakers().map(of).reduce(narrower).unwrap_or_default()
}

/// What the settings ask for beyond a profile.
pub(crate) fn adjustments(config: &Config) -> Result<Adjustments, BuildError> {
    config.check_names(&|kind, name| crate::ssh::check_name(kind, name))?;
    let ssh = &config.ssh;
    Ok(Adjustments {
        kex: ssh.kex.clone(),
        host_keys: ssh.host_keys.clone(),
        ciphers: ssh.ciphers.clone(),
        macs: ssh.macs.clone(),
        rsa_min_bits: ssh.rsa_min_bits,
        require_strict_kex: ssh.require_strict_kex,
        require_pq: ssh.require_pq,
    })
}

/// The passphrase in a file that only its owner can read.
pub(crate) fn read_passphrase(path: &std::path::Path) -> Result<SecretString, BuildError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |cause: String| BuildError::Passphrase { path: path.display().to_string(), cause };
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(failed("others can read it; run chmod 600".into()));
    }
    let text = zeroize::Zeroizing::new(
        std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?,
    );
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// Where the configuration says that runs are remembered.
fn store_options(config: &Config) -> Option<store::Options> {
    let runs = &config.runs;
    let path = runs.path.clone().filter(|_| runs.enabled);
    if path.is_none() {
        tracing::debug!("runs are not remembered: there is no place for that");
    }
    Some(store::Options {
        path: path?,
        output_max: usize::try_from(runs.output_max).unwrap_or(usize::MAX),
        retention: store::Retention { keep: runs.keep, size_max: runs.max_size },
    })
}

/// What decides under a configuration: the machine's policy, which it cannot
/// drop, and the one that it names, which speaks of its hosts. One that cannot be
/// used denies everything.
pub(crate) fn policy_or_none(config: &Config) -> Policy {
    let named = config.policy.path.as_deref();
    let named = named.map(|path| Policy::load_or_deny(path, &config.inventory));
    Policy::all_of(std::iter::once(Policy::machine()).chain(named))
}

/// Has everything recorded where the machine's policy says, if it does.
pub(crate) fn record_as_machine(config: &mut Config) {
    if let Some((path, at)) = Policy::machine().log() {
        config.record_at(path, at);
    }
}

/// Opens the log that the configuration names.
pub(crate) fn open_audit(config: &Config) -> Result<AuditLog, BuildError> {
    let path = config.audit.path.clone().ok_or(BuildError::AuditNowhere)?;
    let redactor = Redactor::builtin();
    let redact: crate::audit::Redact = Arc::new(move |text| redactor.redact(text).text);
    Ok(AuditLog::open(path, crate::audit::Options::new(redact))?)
}

/// How many sockets this process may have at once: each host may need a file of
/// this machine's too, and some are for the rest.
fn sockets_max() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    (files / 2).saturating_sub(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_breakers_the_narrower_holds() {
        let policy = |text: &str| Policy::from_yaml_str(text, "p.yml").unwrap();
        assert_eq!(circuits(&Policy::allow_all()), Circuits::default());
        assert_eq!(circuits(&policy("binaries: []")), Circuits::default());
        let one = policy("circuit_breaker: {failure_threshold: 9, timeout: 9s, per_binary: true}");
        let other = policy("circuit_breaker: {success_threshold: 1, timeout: 7s}");
        let of = |failures, successes, seconds, by_purpose| Circuits {
            failures,
            successes,
            rest: std::time::Duration::from_secs(seconds),
            by_purpose,
        };
        assert_eq!(circuits(&one), of(9, 2, 9, true));
        assert_eq!(circuits(&other), of(5, 1, 7, false));
        assert_eq!(circuits(&Policy::all_of([one, other])), of(5, 2, 9, false));
        let off = policy("circuit_breaker: {enabled: false, failure_threshold: 1}");
        assert_eq!(circuits(&off), Circuits::default());
    }
}
