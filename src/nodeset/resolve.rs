//! From a pattern to the hosts that exist.

use std::collections::HashMap;
use std::rc::Rc;

use super::glob;
use super::name::Name;
use super::pattern::{HostPattern, Term, TermKind};
use super::problem::{PatternError, Place};
use super::scan::Operator;
use super::set::{NodeSet, Ordered};
use crate::ids::VmId;

/// How deep groups may be nested.
const GROUP_DEPTH_MAX: usize = 64;

/// The hosts that exist, as far as a pattern needs to know them.
pub trait Known {
    /// The hosts that `all` stands for, in the inventory's order.
    fn all(&self) -> Vec<VmId>;

    /// Whether there is such a host, whether or not `all` selects it.
    fn contains(&self, id: &VmId) -> bool;

    /// Whether groups, tags and earlier results may select this host: whether
    /// `all` does.
    fn selects(&self, id: &VmId) -> bool;

    /// The expression of the group with this name.
    fn group(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The hosts with this tag, as far as `all` selects them; `None` if no host
    /// at all has it.
    fn tagged(&self, tag: &str) -> Option<Vec<VmId>> {
        let _ = tag;
        None
    }

    /// The existing name most like `name`, if one is like it.
    fn nearest(&self, kind: NameKind, name: &str) -> Option<String> {
        let _ = (kind, name);
        None
    }
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A host, `vm01`.
    Host,
    /// A group, `@web`.
    Group,
    /// A tag, `tag=prod`.
    Tag,
}

/// Why a well-formed pattern names no usable set of hosts.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// The pattern selects no host.
    #[error("{pattern} selects no host")]
    Empty {
        /// The pattern, in quotes, and what was taken from it.
        pattern: String,
    },
    /// Groups name each other in a circle.
    #[error("the groups name each other in a circle: {}", .0.join(" -> "))]
    GroupCircle(Vec<String>),
    /// Groups name each other too often.
    #[error("the groups are nested more than {GROUP_DEPTH_MAX} deep, at {0}")]
    GroupDepth(String),
    /// The expression of a group cannot be read.
    #[error(transparent)]
    Syntax(#[from] PatternError),
    /// Hosts are named that do not exist.
    #[error("{}", unknown(.name, *.others, .place))]
    Unknown {
        /// The first such name.
        name: VmId,
        /// How many other such names the pattern has.
        others: usize,
        /// The piece of the pattern that holds `name`.
        place: Box<Place>,
        /// The existing name most like `name`.
        nearest: Option<String>,
    },
    /// There is no such group.
    #[error("there is no group {name} ({place})")]
    UnknownGroup {
        /// The name, without `@`.
        name: String,
        /// Where it is named.
        place: Box<Place>,
        /// The existing name most like `name`.
        nearest: Option<String>,
    },
    /// No host has such a tag.
    #[error("no host has the tag {name} ({place})")]
    UnknownTag {
        /// The tag.
        name: String,
        /// Where it is named.
        place: Box<Place>,
        /// The existing tag most like `name`.
        nearest: Option<String>,
    },
    /// A list or an earlier result was not read; see [`HostPattern::settle`].
    #[error("{0}: nothing was read from there")]
    Unread(Box<Place>),
}

impl ResolveError {
    /// The piece of the expression that is to blame, if it is one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax(error) => Some(&error.place),
            Self::Unknown { place, .. }
            | Self::UnknownGroup { place, .. }
            | Self::UnknownTag { place, .. }
            | Self::Unread(place) => Some(place),
            Self::Empty { .. } | Self::GroupCircle(_) | Self::GroupDepth(_) => None,
        }
    }

    /// What was probably meant.
    pub fn nearest(&self) -> Option<&str> {
        match self {
            Self::Unknown { nearest, .. }
            | Self::UnknownGroup { nearest, .. }
            | Self::UnknownTag { nearest, .. } => nearest.as_deref(),
            _ => None,
        }
    }
}

impl HostPattern {
    /// The hosts that the pattern names, in the order in which it names them.
    ///
    /// # Errors
    /// It names something that is not known, be it only to take it away, or no
    /// host at all.
    pub fn resolve(&self, known: &dyn Known) -> Result<NodeSet, ResolveError> {
        let set = self.resolve_any(known)?;
        if set.is_empty() {
            return Err(ResolveError::Empty { pattern: format!("{:?}", self.as_str()) });
        }
        Ok(set)
    }

    /// As [`resolve`](Self::resolve), but no host is fine, too.
    pub(super) fn resolve_any(&self, known: &dyn Known) -> Result<NodeSet, ResolveError> {
        let mut resolver =
            Resolver { known, groups: HashMap::new(), chain: Vec::new(), unknown: None };
        let set = resolver.pattern(self)?;
        match resolver.unknown {
            None => Ok(set.into()),
            Some(Unknown { name, others, place }) => {
                let nearest = known.nearest(NameKind::Host, name.as_str());
                Err(ResolveError::Unknown { name, others, place, nearest })
            }
        }
    }
}

struct Resolver<'k> {
    known: &'k dyn Known,
    /// Each group is resolved once, however often it is named.
    groups: HashMap<String, Rc<[VmId]>>,
    /// The groups being resolved, the outermost first.
    chain: Vec<String>,
    unknown: Option<Unknown>,
}

/// The first name that is not known, and how many more there are.
struct Unknown {
    name: VmId,
    others: usize,
    place: Box<Place>,
}

impl Resolver<'_> {
    fn pattern(&mut self, pattern: &HostPattern) -> Result<Ordered, ResolveError> {
        let mut set = Ordered::default();
        for term in &pattern.terms {
            let hosts = self.term(pattern, term)?;
            match term.operator {
                Operator::Union => hosts.into_iter().for_each(|id| set.insert(id)),
                Operator::Minus => hosts.iter().for_each(|id| set.remove(id)),
                Operator::And => set.keep(&hosts.into_iter().collect()),
                // Named twice is still named once.
                Operator::Xor => {
                    let hosts: NodeSet = hosts.into_iter().collect();
                    hosts.into_iter().for_each(|id| set.toggle(id));
                }
            }
        }
        Ok(set)
    }

    fn term(&mut self, pattern: &HostPattern, term: &Term) -> Result<Vec<VmId>, ResolveError> {
        match &term.kind {
            TermKind::All => Ok(self.known.all()),
            TermKind::Globs(name) => Ok(self.globs(name)),
            TermKind::Groups(name) => {
                let mut hosts = Vec::new();
                for name in name.expand() {
                    hosts.extend_from_slice(&self.group(name, || pattern.place(term))?);
                }
                Ok(hosts)
            }
            TermKind::List(lines) => {
                let mut hosts = Vec::new();
                for line in lines {
                    hosts.extend(NodeSet::from(self.pattern(line)?));
                }
                Ok(hosts)
            }
            TermKind::Names(name) => {
                // Every name was found to be an id when the pattern was read.
                let names = name.expand().filter_map(|name| name.parse().ok());
                Ok(self.existing(names, || pattern.place(term)))
            }
            TermKind::Past(hosts) => {
                let hosts = self.existing(hosts.iter().cloned(), || pattern.place(term));
                Ok(hosts.into_iter().filter(|id| self.known.selects(id)).collect())
            }
            TermKind::Tags(name) => self.tags(name, || pattern.place(term)),
            TermKind::Unread(_) => Err(ResolveError::Unread(pattern.place(term))),
        }
    }

    /// Those that exist; the others are remembered.
    fn existing(
        &mut self,
        names: impl Iterator<Item = VmId>,
        place: impl Fn() -> Box<Place>,
    ) -> Vec<VmId> {
        let mut hosts = Vec::new();
        for name in names {
            if self.known.contains(&name) {
                hosts.push(name);
            } else if let Some(unknown) = &mut self.unknown {
                unknown.others += 1;
            } else {
                self.unknown = Some(Unknown { name, others: 0, place: place() });
            }
        }
        hosts
    }

    fn globs(&self, name: &Name) -> Vec<VmId> {
        let mut hosts = self.known.all();
        let globs: Vec<String> = name.expand().collect();
        hosts.retain(|id| globs.iter().any(|glob| glob::matches(glob, id.as_str())));
        hosts
    }

    fn tags(&self, name: &Name, place: impl Fn() -> Box<Place>) -> Result<Vec<VmId>, ResolveError> {
        let mut hosts = Vec::new();
        for tag in name.expand() {
            match self.known.tagged(&tag) {
                Some(tagged) => hosts.extend(tagged),
                None => {
                    let nearest = self.known.nearest(NameKind::Tag, &tag);
                    return Err(ResolveError::UnknownTag { name: tag, place: place(), nearest });
                }
            }
        }
        Ok(hosts)
    }

    fn group(
        &mut self,
        name: String,
        place: impl Fn() -> Box<Place>,
    ) -> Result<Rc<[VmId]>, ResolveError> {
        if let Some(hosts) = self.groups.get(&name) {
            return Ok(Rc::clone(hosts));
        }
        if let Some(start) = self.chain.iter().position(|outer| *outer == name) {
            let chain = self.chain[start..].iter().chain([&name]);
            return Err(ResolveError::GroupCircle(chain.map(|name| format!("@{name}")).collect()));
        }
        if self.chain.len() >= GROUP_DEPTH_MAX {
            return Err(ResolveError::GroupDepth(format!("@{name}")));
        }
        let Some(expression) = self.known.group(&name) else {
            let nearest = self.known.nearest(NameKind::Group, &name);
            return Err(ResolveError::UnknownGroup { name, place: place(), nearest });
        };
        let pattern = HostPattern::from_origin(&expression, format!("@{name}"))?;
        self.chain.push(name.clone());
        let mut hosts: Vec<VmId> = NodeSet::from(self.pattern(&pattern)?).into_iter().collect();
        self.chain.pop();
        hosts.retain(|id| self.known.selects(id));
        let hosts: Rc<[VmId]> = hosts.into();
        self.groups.insert(name, Rc::clone(&hosts));
        Ok(hosts)
    }
}

fn unknown(name: &VmId, others: usize, place: &Place) -> String {
    let plain = place.piece == name.as_str() && place.origin.is_none();
    let place = if plain { String::new() } else { format!(" ({place})") };
    match others {
        0 => format!("vm_id {name} not found in config{place}"),
        1 => format!("vm_id {name} and 1 other not found in config{place}"),
        _ => format!("vm_id {name} and {others} others not found in config{place}"),
    }
}
