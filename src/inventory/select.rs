//! Why a host that was asked for is not given.

use super::{Host, Inventory};
use crate::ids::VmId;
use crate::yaml::nearest;

/// Ids of a list that an error names at most.
const NAMED_MAX: usize = 10;

/// Why nothing may be done on a host that was named by its id.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectError {
    /// The host exists but is disabled or not listed.
    #[error("vm_id {id} not in allowed list: [{allowed}]{}", disabled_note(*.disabled))]
    NotAllowed {
        /// The host that was asked for.
        id: VmId,
        /// The hosts that are allowed, the first ones by name.
        allowed: String,
        /// Whether the host itself says `enabled: false`.
        disabled: bool,
    },
    /// There is no such host.
    #[error("vm_id {id} not found in config{}", nearest_note(.nearest.as_ref()))]
    NotFound {
        /// The host that was asked for.
        id: VmId,
        /// The host that may have been meant.
        nearest: Option<VmId>,
    },
}

impl SelectError {
    pub(super) fn not_found(id: &VmId, inventory: &Inventory) -> Self {
        Self::NotFound { id: id.clone(), nearest: nearest_host(id, inventory.iter()) }
    }

    pub(super) fn not_allowed(host: &Host, inventory: &Inventory) -> Self {
        let mut ids: Vec<&str> = match inventory.allow_list() {
            Some(list) => list.iter().map(VmId::as_str).collect(),
            None => inventory.allowed().map(|host| host.id.as_str()).collect(),
        };
        let more = ids.len().saturating_sub(NAMED_MAX);
        ids.truncate(NAMED_MAX);
        let mut allowed = ids.join(", ");
        if more > 0 {
            allowed.push_str(&format!(", … and {more} more"));
        }
        Self::NotAllowed { id: host.id.clone(), allowed, disabled: !host.enabled }
    }
}

/// The host whose id differs least from `id`.
pub(super) fn nearest_host<'a>(
    id: &VmId,
    hosts: impl IntoIterator<Item = &'a Host>,
) -> Option<VmId> {
    let ids = hosts.into_iter().map(|host| host.id.as_str());
    nearest(id.as_str(), ids).and_then(|id| id.parse().ok())
}

fn disabled_note(disabled: bool) -> &'static str {
    if disabled { " (it is disabled: `enabled: false`)" } else { "" }
}

fn nearest_note(nearest: Option<&VmId>) -> String {
    nearest.map_or_else(String::new, |id| format!("; did you mean {id}?"))
}
