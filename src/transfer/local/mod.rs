//! Files of this machine, read and written without leaving the place that the
//! operator named, whatever a host calls its files.
//!
//! A path that the operator named may lead through symbolic links. Below it,
//! every step is taken from an open directory, and none follows a link.

mod error;
mod found;
mod link;
mod part;
mod relative;
mod root;
mod sink;
mod target;

pub(crate) use error::LocalError;
pub(crate) use found::Found;
pub(crate) use link::Link;
pub(crate) use part::Part;
pub(crate) use relative::{RelativePath, SuspectName, check_name};
pub(crate) use root::Root;
pub(crate) use sink::{Sink, Written};
pub(crate) use target::Target;

#[cfg(test)]
mod tests;
