//! Sets of hosts: how they are written, and how they are written back.
//!
//! A [`HostPattern`] is what somebody wrote (`vm[01-03],web`); resolved against
//! the hosts that exist it is a [`NodeSet`], whose ids fold back into the short
//! form. A range means what ClusterShell's `nodeset` takes it to mean.

mod fold;
mod pattern;
mod range;
mod resolve;
mod set;

pub use pattern::{EXPANSION_MAX, HostPattern, PatternError, Problem};
pub use resolve::{Known, ResolveError};
pub use set::NodeSet;
