//! The policy of the machine, which no configuration can drop.
//!
//! Whoever chooses the configuration chooses an inventory, and so what groups
//! and tags a host is in. For this policy they are therefore those of the
//! machine's own inventory, and of a host only that is reached as it is there.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::decide;
use super::decision::Decision;
use super::file::{self, PolicyError};
use super::request::{HostView, Request};
use super::rules::Rules;
use super::unknown_hosts;
use crate::ids::VmId;
use crate::inventory::{Host, Inventory, Jump};
use crate::transport::{Endpoint, Route};
use crate::yaml::{Document, Owner, Warnings};

/// Where the machine's files are.
pub(super) const DIRECTORY: &str = "/etc/orchestrator";
/// Its policy there.
const POLICY: &str = "policy.yml";
/// The configuration there, of which the inventory counts.
const CONFIG: &str = "config.yml";
/// What the machine's rules are called by, in front of their names.
const PREFIX: &str = "machine:";
/// The rule about hosts that the machine does not know.
const UNKNOWN_HOST: &str = "builtin/machine-host";

/// The machine's policy.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) rules: Rules,
    /// The hosts that the machine knows; `None` if the policy chooses no hosts.
    hosts: Option<BTreeMap<VmId, Known>>,
    /// The SHA-256 of the configuration that they come from.
    hosts_sha256: Option<String>,
}

/// A host of the machine's inventory.
#[derive(Debug)]
struct Known {
    way: Vec<Stop>,
    groups: Vec<String>,
    tags: Vec<String>,
}

/// What is dialled: an address and a port.
type Stop = (String, u16);

/// Where the machine's policy is, if there is one.
pub(super) fn path() -> PathBuf {
    Path::new(DIRECTORY).join(POLICY)
}

/// Reads the machine's policy, if there is one.
pub(super) fn load(dir: &Path) -> Result<Option<Machine>, PolicyError> {
    let path = dir.join(POLICY);
    if is_absent(dir, &path) {
        return Ok(None);
    }
    let rules = file::load(&path, Owner::Root)?;
    Machine::new(rules, &dir.join(CONFIG)).map(Some)
}

/// Reads a file that is to become the machine's policy.
pub(super) fn candidate(path: &Path) -> Result<Machine, PolicyError> {
    let rules = file::load(path, Owner::Us)?;
    Machine::new(rules, &Path::new(DIRECTORY).join(CONFIG))
}

/// Refuses an ordinary policy that says where to record: there can be one log
/// only, and the configuration names it.
pub(super) fn refuse_log(rules: &Rules) -> Result<(), PolicyError> {
    let Some(log) = rules.log.as_ref().filter(|log| log.path.is_some()) else { return Ok(()) };
    let message = format!(
        "audit.path: only the machine's policy, {}, says where to record: set audit.path in the \
         configuration instead",
        path().display()
    );
    Err(PolicyError::Invalid(vec![log.at.with_message(message)]))
}

/// Whether there is no such file. Whatever else keeps us from looking is no
/// absence, and neither is a directory that is a link to nothing.
fn is_absent(dir: &Path, path: &Path) -> bool {
    let not_there =
        |found: io::Result<_>| found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let no_dir = not_there(fs::symlink_metadata(dir));
    no_dir || not_there(fs::symlink_metadata(path)) && fs::metadata(dir).is_ok()
}

impl Machine {
    fn new(rules: Rules, config: &Path) -> Result<Self, PolicyError> {
        if let Some(log) = rules.log.as_ref().filter(|log| log.path.is_none()) {
            let message = "required: path is missing: any configuration could name any log";
            return Err(PolicyError::Invalid(vec![log.at.with_message(message.into())]));
        }
        if rules.selectors().next().is_none() {
            return Ok(Self { rules, hosts: None, hosts_sha256: None });
        }
        let (inventory, sha256) = inventory(config)?;
        let unknown = unknown_hosts(&rules, &inventory);
        if !unknown.is_empty() {
            return Err(PolicyError::Invalid(unknown));
        }
        let memberships = inventory.memberships();
        let hosts = inventory.iter().map(|host| {
            let known = Known {
                way: way_in(&inventory, host),
                groups: memberships.of(host),
                tags: host.tags.clone(),
            };
            (host.id.clone(), known)
        });
        Ok(Self { hosts: Some(hosts.collect()), hosts_sha256: Some(sha256), rules })
    }

    /// The SHA-256 of each file that it comes from.
    pub(super) fn content(&self) -> [Option<&str>; 2] {
        [Some(&self.rules.sha256), self.hosts_sha256.as_deref()]
    }

    /// What the machine's policy says, by its own names of hosts.
    pub(super) fn decide(&self, request: &Request<'_>) -> Decision {
        let decision = match self.host(request.host) {
            Ok(host) => decide::decide(&self.rules, &Request { host, ..*request }),
            Err(reason) => Decision {
                place: Some(self.rules.file.clone()),
                policy_sha256: Some(self.rules.sha256.clone()),
                ..Decision::deny(
                    UNKNOWN_HOST,
                    reason,
                    format!(
                        "let root add it to {DIRECTORY}/{CONFIG} as it is reached here, or use that \
                         configuration"
                    ),
                )
            },
        };
        Decision { rule: format!("{PREFIX}{}", decision.rule), ..decision }
    }

    /// The host as the machine knows it.
    fn host<'a>(&'a self, asked: HostView<'a>) -> Result<HostView<'a>, String> {
        let Some(hosts) = &self.hosts else { return Ok(asked) };
        let why = match (hosts.get(asked.id), asked.reached) {
            (None, _) => "does not have this host".to_owned(),
            (_, None) => {
                return Err(
                    "the machine's policy chooses hosts, and how this one would be reached \
                            is not known"
                        .into(),
                );
            }
            (Some(known), Some(endpoint)) => {
                let way = way_of(endpoint);
                if way == known.way {
                    return Ok(HostView { groups: &known.groups, tags: &known.tags, ..asked });
                }
                format!("has this host at {}, not at {}", shown(&known.way), shown(&way))
            }
        };
        Err(format!("the machine's policy chooses hosts, and the machine's inventory {why}"))
    }
}

/// The hosts and groups of the machine's configuration, and its SHA-256. Nothing
/// else in it matters here.
fn inventory(path: &Path) -> Result<(Inventory, String), PolicyError> {
    let text = file::read_text(path, Owner::Root).map_err(|error| {
        PolicyError::MachineInventory { path: path.into(), why: error.to_string() }
    })?;
    let read = || {
        let document = Document::parse(&path.display().to_string(), &text)?;
        let mut root = document.root().section()?;
        let (vms, groups) = (root.get("vms"), root.get("groups"));
        Inventory::read(&document, vms, groups, &mut Warnings::default())
    };
    let inventory = read().map_err(|problem| PolicyError::Invalid(vec![problem]))?;
    Ok((inventory, file::sha256(text.as_bytes())))
}

/// Everything that is dialled on the way to a host, the host first.
fn way_of(endpoint: &Endpoint) -> Vec<Stop> {
    let mut way = vec![(endpoint.address.clone(), endpoint.port)];
    let mut route = &endpoint.route;
    while let Route::Via(hop) = route {
        way.push((hop.address.clone(), hop.port));
        route = &hop.route;
    }
    way
}

/// The same, as an inventory has it: the first jump of a chain is reached as it
/// says of itself.
fn way_in(inventory: &Inventory, host: &Host) -> Vec<Stop> {
    let mut way = VecDeque::from([(host.address.clone(), host.port)]);
    let mut first = Vec::new();
    for (nth, jump) in host.proxy_jump.iter().enumerate() {
        match jump {
            Jump::Address { host, port, .. } => way.insert(1, (host.clone(), *port)),
            Jump::Vm(id) => {
                // That it is there was found out when the inventory was read.
                let Some(hop) = inventory.get(id) else { continue };
                way.insert(1, (hop.address.clone(), hop.port));
                if nth == 0 && hop.id != host.id {
                    first = way_in(inventory, hop).split_off(1);
                }
            }
        }
    }
    way.extend(first);
    way.into()
}

fn shown(way: &[Stop]) -> String {
    let stops: Vec<String> =
        way.iter().map(|(address, port)| format!("{address}:{port}")).collect();
    stops.join(" by way of ")
}

#[cfg(test)]
mod tests;
