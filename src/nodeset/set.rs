//! The resolved set.

use std::collections::{HashMap, HashSet};
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

    /// The short form (`vm[01-19],web01`), sorted, in which the numbers of
    /// names become ranges. Read as a pattern it names the same hosts.
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

/// A set being made: it keeps the order, and each change costs the same however
/// many hosts it has.
#[derive(Default)]
pub(super) struct Ordered {
    slots: Vec<Option<VmId>>,
    index: HashMap<VmId, usize>,
}

impl Ordered {
    pub(super) fn insert(&mut self, id: VmId) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.index.entry(id) {
            self.slots.push(Some(entry.key().clone()));
            entry.insert(self.slots.len() - 1);
        }
    }

    pub(super) fn remove(&mut self, id: &VmId) {
        if let Some(slot) = self.index.remove(id) {
            self.slots[slot] = None;
        }
    }

    pub(super) fn toggle(&mut self, id: VmId) {
        if self.index.contains_key(&id) { self.remove(&id) } else { self.insert(id) }
    }

    pub(super) fn keep(&mut self, ids: &HashSet<VmId>) {
        let kept = std::mem::take(self).slots.into_iter().flatten();
        kept.filter(|id| ids.contains(id)).for_each(|id| self.insert(id));
    }
}

impl From<Ordered> for NodeSet {
    fn from(set: Ordered) -> Self {
        Self { ids: set.slots.into_iter().flatten().collect() }
    }
}
