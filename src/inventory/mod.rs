//! What exists: hosts and groups, as written in the configuration.
//!
//! An [`Inventory`] keeps the order of the file. A host may be acted on only if
//! it is [`allowed`](Host::allowed); asking for one by its id goes through
//! [`Inventory::require`], which says why not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ids::VmId;

mod host;
mod jump;
mod pin;
mod read;
mod select;
mod targets;

pub use crate::yaml::Location;
pub use host::{Host, Os};
#[cfg(feature = "cli")]
pub(crate) use jump::is_address;
pub use jump::{InvalidJump, Jump, JumpError};
pub use pin::InvalidPin;
pub use select::SelectError;
pub use targets::{GroupError, Memberships, Targets};

/// All hosts and groups, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    hosts: Vec<Host>,
    index: HashMap<VmId, usize>,
    groups: Vec<Group>,
    allow_list: Option<Vec<VmId>>,
    file: Option<Arc<str>>,
}

/// A name for a set of hosts (`@web`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name, without `@`.
    pub name: String,
    /// Which hosts are meant, as a target expression that is not yet resolved.
    pub expression: String,
    /// Where the expression stands; `None` if it comes from code.
    pub location: Option<Location>,
}

/// Why hosts and groups make no inventory.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidInventory {
    /// Two groups have the same name.
    #[error("the group {0} is given twice")]
    DuplicateGroup(String),
    /// Two hosts have the same id.
    #[error("vm_id {0} is given twice")]
    DuplicateHost(VmId),
    /// What a group stands for cannot be known.
    #[error("the group {name}: {error}")]
    Group {
        /// The group.
        name: String,
        /// What is wrong with it.
        error: GroupError,
    },
    /// A host cannot be reached the way it says.
    #[error("vm_id {host}: proxy_jump: {error}")]
    Jump {
        /// The host with the faulty `proxy_jump`.
        host: VmId,
        /// What is wrong with it.
        error: JumpError,
    },
}

impl Inventory {
    /// An inventory made in code.
    ///
    /// # Errors
    /// If an id or a group's name is given twice, a group's expression cannot be
    /// read, or a `proxy_jump` or a group names an unknown one or leads in a
    /// circle.
    pub fn new(hosts: Vec<Host>, groups: Vec<Group>) -> Result<Self, InvalidInventory> {
        let inventory = Self::index(hosts, groups)?;
        inventory.check_jumps()?;
        targets::check(&inventory.groups).map_err(|(at, error)| InvalidInventory::Group {
            name: inventory.groups[at].name.clone(),
            error,
        })?;
        Ok(inventory)
    }

    /// The host with this id, whether it is allowed or not.
    pub fn get(&self, id: &VmId) -> Option<&Host> {
        self.index.get(id).map(|position| &self.hosts[*position])
    }

    /// The host with this id, if something may be done on it.
    ///
    /// # Errors
    /// If there is no such host, or it is not allowed.
    pub fn require(&self, id: &VmId) -> Result<&Host, SelectError> {
        let host = self.get(id).ok_or_else(|| SelectError::not_found(id, self))?;
        if host.allowed { Ok(host) } else { Err(SelectError::not_allowed(host, self)) }
    }

    /// Allows exactly these hosts, whether they are enabled or not
    /// (`remote_execution.allowed_vm_ids`).
    pub fn allow_only(&mut self, ids: Vec<VmId>) {
        let listed: HashSet<&VmId> = ids.iter().collect();
        for host in &mut self.hosts {
            host.allowed = listed.contains(&host.id);
        }
        self.allow_list = Some(ids);
    }

    /// The list given to [`allow_only`](Self::allow_only), if there is one.
    pub fn allow_list(&self) -> Option<&[VmId]> {
        self.allow_list.as_deref()
    }

    /// Every host, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Host> {
        self.hosts.iter()
    }

    /// The hosts on which something may be done, in the order of the file.
    pub fn allowed(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.allowed)
    }

    /// Every group, in the order of the file.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group with this name, without `@`.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host at all.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Where the value of a host's setting stands; `None` if the file does not
    /// give it, or the host comes from code.
    pub fn origin(&self, host: &Host, setting: &str) -> Option<Location> {
        let file = self.file.as_ref()?;
        let at = host.written_at(setting)?;
        Some(Location::new(file.clone(), at.line, at.column))
    }

    /// All hosts, to settle what only the configuration knows. Ids and jumps
    /// must stay as they are.
    pub(crate) fn hosts_mut(&mut self) -> &mut [Host] {
        &mut self.hosts
    }

    fn index(hosts: Vec<Host>, groups: Vec<Group>) -> Result<Self, InvalidInventory> {
        let mut index = HashMap::with_capacity(hosts.len());
        for (position, host) in hosts.iter().enumerate() {
            if index.insert(host.id.clone(), position).is_some() {
                return Err(InvalidInventory::DuplicateHost(host.id.clone()));
            }
        }
        let mut names = HashSet::new();
        if let Some(group) = groups.iter().find(|group| !names.insert(group.name.as_str())) {
            return Err(InvalidInventory::DuplicateGroup(group.name.clone()));
        }
        Ok(Self { hosts, index, groups, allow_list: None, file: None })
    }

    fn check_jumps(&self) -> Result<(), InvalidInventory> {
        jump::check(&self.hosts, &self.index)
            .map_err(|(host, error)| InvalidInventory::Jump { host, error })
    }
}

impl<'a> IntoIterator for &'a Inventory {
    type Item = &'a Host;
    type IntoIter = std::slice::Iter<'a, Host>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
