//! From a host of the inventory to the way to reach it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::RemoteExecution;
use crate::inventory::{Host, InvalidJump, Inventory, Jump, Os};
use crate::outcome::{Failure, Phase};
use crate::remote::Action;
use crate::ssh::keys::{self, KeyError};
use crate::store::Way;
use crate::transport::{Endpoint, Identity, Route, Trust};

/// What a request may set in place of the inventory, for every host of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The user to log in as.
    pub user: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// The private key.
    pub identity_file: Option<PathBuf>,
    /// The jump hosts; an empty list is none.
    pub proxy_jump: Option<Vec<Jump>>,
}

impl Overrides {
    /// What a remembered run set.
    ///
    /// # Errors
    /// Its jump hosts cannot be read.
    pub fn of(way: &Way) -> Result<Self, InvalidJump> {
        let jumps = way.proxy_jump.as_deref().map(Jump::parse_chain).transpose()?;
        Ok(Self {
            user: way.user.clone(),
            port: way.port,
            identity_file: way.identity_file.clone(),
            proxy_jump: jumps,
        })
    }
}

/// Where keys are and what is offered.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) key_dir: Option<PathBuf>,
    pub(super) key_dir_configured: bool,
    pub(super) agent: bool,
    pub(super) overrides: Overrides,
}

impl Access {
    pub(super) fn new(settings: &RemoteExecution, agent: bool, overrides: Overrides) -> Self {
        Self {
            key_dir: settings.key_storage_path.clone(),
            key_dir_configured: settings.key_storage_configured,
            agent,
            overrides,
        }
    }

    /// How a host is reached.
    pub(super) fn endpoint(&self, inventory: &Inventory, host: &Host) -> Result<Endpoint, Failure> {
        self.endpoint_with(inventory, host, self.identity(host)?)
    }

    /// How a host is reached with another identity than its own.
    pub(super) fn endpoint_with(
        &self,
        inventory: &Inventory,
        host: &Host,
        identity: Identity,
    ) -> Result<Endpoint, Failure> {
        if host.os == Os::Windows {
            return Err(Failure {
                code: "unsupported_os",
                phase: Phase::Config,
                message: "this host's os is windows, and everything here needs a POSIX system"
                    .into(),
                hint: None,
                retryable: false,
            });
        }
        self.reached(inventory, host, identity)
    }

    /// Where a host's own key is, or would be.
    pub(super) fn key_path(&self, host: &Host) -> Result<PathBuf, Failure> {
        if let Some(path) = &host.identity_file {
            return Ok(path.clone());
        }
        let Some(dir) = &self.key_dir else {
            return Err(no_directory("there is no home directory"));
        };
        let new = || dir.join(format!("id_ed25519_{}", host.id));
        Ok(keys::find(dir, &host.id).unwrap_or_else(|_| new()))
    }

    /// How a host is reached by somebody who does not log in, and so needs no
    /// key but for the hosts on the way.
    pub(super) fn outside(&self, inventory: &Inventory, host: &Host) -> Result<Endpoint, Failure> {
        self.reached(inventory, host, self.identity(host).unwrap_or_default())
    }

    fn reached(
        &self,
        inventory: &Inventory,
        host: &Host,
        identity: Identity,
    ) -> Result<Endpoint, Failure> {
        let mut endpoint = direct(host, identity);
        let overrides = &self.overrides;
        endpoint.user = overrides.user.clone().unwrap_or(endpoint.user);
        endpoint.port = overrides.port.unwrap_or(endpoint.port);
        let jumps = overrides.proxy_jump.as_ref().unwrap_or(&host.proxy_jump);
        endpoint.route = self.route(inventory, host, &endpoint, jumps)?;
        Ok(endpoint)
    }

    /// What proves us there.
    pub(super) fn identity(&self, host: &Host) -> Result<Identity, Failure> {
        let key_file = match self.overrides.identity_file.as_ref().or(host.identity_file.as_ref()) {
            Some(path) => Some(path.clone()),
            None => self.key(host)?,
        };
        Ok(Identity { key_file, agent: self.agent })
    }

    fn key(&self, host: &Host) -> Result<Option<PathBuf>, Failure> {
        let Some(dir) = &self.key_dir else {
            return if self.agent {
                Ok(None)
            } else {
                Err(no_directory("there is no home directory"))
            };
        };
        if self.key_dir_configured && !dir.is_dir() {
            let message = format!("key_storage_path {} is not a directory", dir.display());
            return Err(no_directory(&message));
        }
        match keys::find(dir, &host.id) {
            Ok(path) => Ok(Some(path)),
            Err(KeyError::NotFound { .. }) if self.agent => Ok(None),
            Err(error) => Err(Failure {
                code: "key_not_found",
                phase: Phase::Config,
                message: error.to_string(),
                hint: Some(error.hint()),
                retryable: false,
            }),
        }
    }

    /// The chain of jumps, the first of which is dialled directly.
    fn route(
        &self,
        inventory: &Inventory,
        target: &Host,
        endpoint: &Endpoint,
        jumps: &[Jump],
    ) -> Result<Route, Failure> {
        let mut route = Route::Direct;
        for jump in jumps {
            let mut hop = match jump {
                Jump::Vm(vm) => {
                    let host = inventory.get(vm).ok_or_else(|| unknown_jump(vm.as_str()))?;
                    let own = Access { overrides: Overrides::default(), ..self.clone() };
                    let mut hop = direct(host, own.identity(host)?);
                    if matches!(route, Route::Direct) && host.id != target.id {
                        hop.route = self.route(inventory, host, &hop, &host.proxy_jump)?;
                    }
                    hop
                }
                Jump::Address { user, host, port } => {
                    let user = user.clone().unwrap_or_else(|| endpoint.user.clone());
                    Endpoint {
                        label: format!("{user}@{host}:{port}"),
                        address: host.clone(),
                        port: *port,
                        user,
                        trust: Trust::default(),
                        ..endpoint.clone()
                    }
                }
            };
            if !matches!(route, Route::Direct) {
                hop.route = route;
            }
            route = Route::Via(Arc::new(hop));
        }
        Ok(route)
    }
}

/// Refuses what a host's system cannot run.
pub(super) fn runnable(action: &Action, os: Os) -> Result<(), Failure> {
    let Action::Script(script) = action else { return Ok(()) };
    if !script.systems.is_empty() && !script.systems.iter().any(|name| name == os.as_str()) {
        return Err(Failure {
            code: "unsupported_os",
            phase: Phase::Config,
            message: format!("Script not supported on target environment: {os}"),
            hint: Some(format!("it says of itself that it runs on {}", script.systems.join(", "))),
            retryable: false,
        });
    }
    let Some(ending) = script.windows_ending() else { return Ok(()) };
    Err(Failure {
        code: "unsupported_os",
        phase: Phase::Config,
        message: format!("a Windows script (.{ending}) cannot run here: this host's os is {os}"),
        hint: Some("name what reads it, such as --interpreter pwsh".into()),
        retryable: false,
    })
}

/// The endpoint as if nothing stood between.
fn direct(host: &Host, identity: Identity) -> Endpoint {
    Endpoint {
        label: host.id.to_string(),
        address: host.address.clone(),
        port: host.port,
        user: host.ssh_user.clone(),
        route: Route::Direct,
        trust: Trust { alias: host.host_key_alias.clone(), pins: host.host_key.clone() },
        identity,
        profile: host.profile.clone(),
    }
}

fn no_directory(message: &str) -> Failure {
    Failure {
        code: "key_not_found",
        phase: Phase::Config,
        message: message.to_owned(),
        hint: Some("set remote_execution.key_storage_path".into()),
        retryable: false,
    }
}

fn unknown_jump(vm: &str) -> Failure {
    Failure {
        code: "unknown_jump_host",
        phase: Phase::Config,
        message: format!("jump host {vm} not found in config"),
        hint: Some("a host outside the inventory is written user@host[:port]".into()),
        retryable: false,
    }
}
