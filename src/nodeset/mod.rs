//! Sets of hosts: how they are written, and how they are written back.
//!
//! A [`HostPattern`] is what somebody wrote (`vm[01-03],@web!vm02`); resolved
//! against the hosts that exist it is a [`NodeSet`], whose ids fold back into
//! the short form. Ranges, operators and folding mean what ClusterShell's
//! `nodeset` takes them to mean; what differs is refused here
//! ([`Problem`]), never read in another way.

mod fold;
mod glob;
mod includes;
mod name;
mod pattern;
mod problem;
mod range;
mod resolve;
mod scan;
mod selection;
mod set;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use glob::matches as glob_matches;
pub use includes::Member;
pub use pattern::{EXPANSION_MAX, HostPattern};
pub use problem::{PatternError, Place, Problem};
pub use resolve::{Known, NameKind, ResolveError};
pub use selection::Selection;
pub use set::NodeSet;
pub use source::{Content, LIST_MAX, PastResult, Source};
