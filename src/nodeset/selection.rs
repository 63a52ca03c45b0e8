//! A pattern and what is done to its hosts afterwards.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::pattern::HostPattern;
use super::resolve::{Known, ResolveError};
use super::set::NodeSet;
use crate::ids::VmId;

/// The hosts of a pattern, less some, within some, and of those a few.
#[derive(Clone, Debug)]
pub struct Selection {
    hosts: HostPattern,
    exclude: Vec<HostPattern>,
    limit: Vec<HostPattern>,
    pick: Option<Pick>,
}

/// How many hosts are taken, and the chance that decides which. It is decided
/// once: what is shown, planned and done are the same hosts.
#[derive(Clone, Debug)]
struct Pick {
    count: usize,
    chance: RandomState,
}

impl Selection {
    /// All hosts of the pattern.
    pub fn new(hosts: HostPattern) -> Self {
        Self { hosts, exclude: Vec::new(), limit: Vec::new(), pick: None }
    }

    /// Without these hosts. Several exclude all of theirs.
    pub fn exclude(mut self, hosts: HostPattern) -> Self {
        self.exclude.push(hosts);
        self
    }

    /// Only those among these hosts. Several limit one after the other.
    pub fn limit(mut self, hosts: HostPattern) -> Self {
        self.limit.push(hosts);
        self
    }

    /// At most `count` of what is left, at random.
    pub fn pick(mut self, count: usize) -> Self {
        self.pick = Some(Pick { count, chance: RandomState::new() });
        self
    }

    /// The same without [`pick`](Self::pick): what was to choose from.
    pub fn without_pick(mut self) -> Self {
        self.pick = None;
        self
    }

    /// The pattern.
    pub fn hosts(&self) -> &HostPattern {
        &self.hosts
    }

    /// The hosts in the order of the pattern.
    ///
    /// # Errors
    /// One of the patterns names what is not known, or no host is left.
    pub fn resolve(&self, known: &dyn Known) -> Result<NodeSet, ResolveError> {
        let named = |patterns: &[HostPattern]| -> Result<Vec<HashSet<VmId>>, ResolveError> {
            let sets = patterns.iter().map(|pattern| pattern.resolve_any(known));
            sets.map(|set| Ok(set?.into_iter().collect())).collect()
        };
        let hosts = self.hosts.resolve_any(known)?;
        let (exclude, limit) = (named(&self.exclude)?, named(&self.limit)?);
        let left = hosts.into_iter().filter(|id| {
            !exclude.iter().any(|set| set.contains(id)) && limit.iter().all(|set| set.contains(id))
        });
        let mut left: Vec<VmId> = left.collect();
        if let Some(pick) = &self.pick {
            pick.apply(&mut left);
        }
        if left.is_empty() {
            return Err(ResolveError::Empty { pattern: self.describe() });
        }
        Ok(left.into_iter().collect())
    }

    fn describe(&self) -> String {
        let mut text = format!("{:?}", self.hosts.as_str());
        for pattern in &self.exclude {
            text.push_str(&format!(" without {:?}", pattern.as_str()));
        }
        for pattern in &self.limit {
            text.push_str(&format!(" within {:?}", pattern.as_str()));
        }
        text
    }
}

impl From<HostPattern> for Selection {
    fn from(hosts: HostPattern) -> Self {
        Self::new(hosts)
    }
}

impl Pick {
    fn apply(&self, hosts: &mut Vec<VmId>) {
        if hosts.len() <= self.count {
            return;
        }
        let mut drawn: Vec<(u64, &VmId)> =
            hosts.iter().map(|id| (self.chance.hash_one(id), id)).collect();
        drawn.sort_unstable();
        let drawn: HashSet<VmId> =
            drawn.into_iter().take(self.count).map(|(_, id)| id.clone()).collect();
        hosts.retain(|id| drawn.contains(id));
    }
}
