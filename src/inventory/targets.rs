//! The inventory as target expressions see it.

use std::collections::{HashMap, HashSet};

use super::{Group, Host, Inventory, SelectError};
use crate::ids::VmId;
use crate::nodeset::{HostPattern, Known, Member, NameKind};
use crate::yaml::nearest;

/// The names of an inventory, for resolving patterns.
///
/// `all`, groups, tags and globs select the hosts that are allowed; a host that
/// is named by its id is given whether it is allowed or not.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    inventory: &'a Inventory,
    everything: bool,
}

impl Inventory {
    /// Its names, for resolving patterns.
    pub fn targets(&self) -> Targets<'_> {
        Targets { inventory: self, everything: false }
    }

    /// Its names as if every host were allowed.
    pub fn targets_if_allowed(&self) -> Targets<'_> {
        Targets { inventory: self, everything: true }
    }
}

impl Targets<'_> {
    fn selectable(&self, host: &Host) -> bool {
        self.everything || host.allowed
    }
}

impl Known for Targets<'_> {
    fn all(&self) -> Vec<VmId> {
        let hosts = self.inventory.iter().filter(|host| self.selectable(host));
        hosts.map(|host| host.id.clone()).collect()
    }

    fn contains(&self, vm: &VmId) -> bool {
        self.inventory.get(vm).is_some()
    }

    fn selects(&self, vm: &VmId) -> bool {
        self.inventory.get(vm).is_some_and(|host| self.selectable(host))
    }

    fn group(&self, name: &str) -> Option<String> {
        self.inventory.group(name).map(|group| group.expression.clone())
    }

    fn tagged(&self, tag: &str) -> Option<Vec<VmId>> {
        let has = |host: &&Host| host.tags.iter().any(|own| own == tag);
        let mut tagged = self.inventory.iter().filter(has).peekable();
        tagged.peek()?;
        Some(tagged.filter(|host| self.selectable(host)).map(|host| host.id.clone()).collect())
    }

    fn nearest(&self, kind: NameKind, name: &str) -> Option<String> {
        let hosts = self.inventory.iter();
        let found = match kind {
            NameKind::Host => nearest(name, hosts.map(|host| host.id.as_str())),
            NameKind::Group => {
                nearest(name, self.inventory.groups().iter().map(|group| group.name.as_str()))
            }
            NameKind::Tag => nearest(name, hosts.flat_map(|host| &host.tags).map(String::as_str)),
        };
        found.map(str::to_owned)
    }
}

/// Which groups each host is in.
#[derive(Clone, Debug)]
pub struct Memberships<'a> {
    groups: Vec<(&'a str, HostPattern)>,
}

impl Inventory {
    /// Reads every group once, to tell which hosts are in it.
    pub fn memberships(&self) -> Memberships<'_> {
        // That every expression can be read was found out when the inventory
        // was made.
        let read = |group: &'_ Group| group.expression.parse().ok();
        let groups = self.groups.iter();
        let groups = groups.filter_map(|group| Some((group.name.as_str(), read(group)?)));
        Memberships { groups: groups.collect() }
    }
}

impl Memberships<'_> {
    /// The groups that a host is in, whether or not it may be used.
    pub fn of(&self, host: &Host) -> Vec<String> {
        let host = InGroups { host, groups: &self.groups };
        let names = self.groups.iter().map(|(name, _)| *name);
        names.filter(|name| host.in_group(name)).map(str::to_owned).collect()
    }
}

/// A host whose groups are looked up as they are asked for; that they name each
/// other in no circle was found out when the inventory was made.
struct InGroups<'a> {
    host: &'a Host,
    groups: &'a [(&'a str, HostPattern)],
}

impl Member for InGroups<'_> {
    fn id(&self) -> &str {
        self.host.id.as_str()
    }

    fn in_group(&self, name: &str) -> bool {
        let group = self.groups.iter().find(|(group, _)| *group == name);
        group.is_some_and(|(_, pattern)| pattern.includes(self))
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.host.tags.iter().any(|own| own == tag)
    }
}

/// Why a group is none.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// Groups name each other in a circle.
    #[error("the groups name each other in a circle: {0}")]
    Circle(String),
    /// `failed` and `unreachable` have a meaning already.
    #[error("@{0} stands for the hosts of an earlier run: choose another name")]
    Reserved(String),
    /// The expression cannot be read.
    #[error(transparent)]
    Syntax(#[from] crate::nodeset::PatternError),
    /// It names a group that does not exist.
    #[error("there is no group @{name}{}", hint(.nearest.as_deref()))]
    Unknown {
        /// The group that is named.
        name: String,
        /// The one that may have been meant.
        nearest: Option<String>,
    },
}

/// Reads every group's expression; gives the first that is wrong.
pub(super) fn check(groups: &[Group]) -> Result<(), (usize, GroupError)> {
    let places: HashMap<&str, usize> =
        groups.iter().enumerate().map(|(at, group)| (group.name.as_str(), at)).collect();
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(groups.len());
    for (at, group) in groups.iter().enumerate() {
        edges.push(named(group, &places).map_err(|error| (at, error))?);
    }
    match super::jump::find_circle(&edges) {
        None => Ok(()),
        Some(circle) => {
            let chain = circle.iter().chain(circle.first());
            let chain: Vec<String> = chain.map(|at| format!("@{}", groups[*at].name)).collect();
            let at = circle.first().copied().unwrap_or(0);
            Err((at, GroupError::Circle(chain.join(" -> "))))
        }
    }
}

/// For each group that names hosts which do not exist, the first of them: what
/// is no error before the group is used.
pub(super) fn strangers(inventory: &Inventory) -> Vec<(usize, SelectError)> {
    let groups = inventory.groups.iter().enumerate();
    let found = groups.filter_map(|(at, group)| {
        let pattern: HostPattern = group.expression.parse().ok()?;
        let mut ids = pattern.names().filter_map(|name| name.parse::<VmId>().ok());
        let stranger = ids.find(|id| inventory.get(id).is_none())?;
        Some((at, SelectError::not_found(&stranger, inventory)))
    });
    found.collect()
}

/// The groups that a group names.
fn named(group: &Group, places: &HashMap<&str, usize>) -> Result<Vec<usize>, GroupError> {
    if crate::nodeset::PastResult::reserves(&group.name) {
        return Err(GroupError::Reserved(group.name.clone()));
    }
    let pattern = HostPattern::from_origin(&group.expression, format!("@{}", group.name))?;
    pattern.refuse_outside()?;
    let mut named = HashSet::new();
    for name in pattern.groups() {
        match places.get(name.as_str()) {
            Some(at) => _ = named.insert(*at),
            None => {
                let nearest = nearest(&name, places.keys().copied()).map(str::to_owned);
                return Err(GroupError::Unknown { name, nearest });
            }
        }
    }
    let mut named: Vec<usize> = named.into_iter().collect();
    named.sort_unstable();
    Ok(named)
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean @{name}?"))
}
