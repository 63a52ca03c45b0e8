//! The resolved set.

use std::collections::HashSet;
use std::fmt;

use crate::ids::VmId;

use super::fold::fold;

/// Hosts in the order in which they were first named, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    ids: Vec<VmId>,
}

impl NodeSet {
    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The hosts in order.
    pub fn iter(&self) -> std::slice::Iter<'_, VmId> {
        self.ids.iter()
    }

    /// The hosts in order.
    pub fn as_slice(&self) -> &[VmId] {
        &self.ids
    }

    /// The short form (`vm[01-19],web01`), sorted, in which runs of the last
    /// number of a name become ranges. Read as a pattern it names the same hosts.
    pub fn fold(&self) -> String {
        fold(self.ids.iter().map(VmId::as_str))
    }
}

impl FromIterator<VmId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = VmId>>(ids: I) -> Self {
        let mut seen = HashSet::new();
        Self { ids: ids.into_iter().filter(|id| seen.insert(id.clone())).collect() }
    }
}

impl IntoIterator for NodeSet {
    type Item = VmId;
    type IntoIter = std::vec::IntoIter<VmId>;

    fn into_iter(self) -> Self::IntoIter {
        self.ids.into_iter()
    }
}

impl<'a> IntoIterator for &'a NodeSet {
    type Item = &'a VmId;
    type IntoIter = std::slice::Iter<'a, VmId>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Shows the [folded](NodeSet::fold) form.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.fold())
    }
}
