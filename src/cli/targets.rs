//! What the targets leave out.

use std::collections::HashSet;

use crate::ids::VmId;
use crate::inventory::Inventory;
use crate::nodeset::{HostPattern, Known, NodeSet};
use crate::orchestrator::Names;

/// The hosts that `all` leaves out because they may not be used.
pub(super) fn skipped(inventory: &Inventory, hosts: &HostPattern) -> NodeSet {
    let named = |known: &dyn Known| hosts.resolve(known).unwrap_or_default();
    let used = named(&Names(inventory));
    let used: HashSet<&VmId> = used.iter().collect();
    named(&Everything(inventory)).into_iter().filter(|vm| !used.contains(vm)).collect()
}

/// The inventory as a pattern would see it if every host might be used.
struct Everything<'a>(&'a Inventory);

impl Known for Everything<'_> {
    fn all(&self) -> Vec<VmId> {
        self.0.iter().map(|host| host.id.clone()).collect()
    }

    fn contains(&self, vm: &VmId) -> bool {
        self.0.get(vm).is_some()
    }

    fn nearest(&self, _: &str) -> Option<String> {
        None
    }
}
