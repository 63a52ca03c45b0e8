//! YAML as a tree of values that know where they stand.
//!
//! Every error made from such a value names file, line and column, shows the
//! line and, where a name is wrong, the nearest valid one. What stands under a
//! key that looks like a secret is never shown.
//!
//! The tree is built from parser events instead of through serde: a setting
//! keeps the text it was written as (`022`, `yes`, `1.10`), so that each reader
//! decides what it means, and a duplicate key is found with both its places.

mod builder;
mod diagnostic;
mod document;
mod nearest;
mod secret;
mod section;
mod snippet;
mod trusted;
mod value;
mod warnings;

pub use diagnostic::{Diagnostic, Location};
pub(crate) use document::{Document, Position, SIZE_MAX};
pub(crate) use nearest::nearest;
pub(crate) use section::{Key, Section, Written};
pub(crate) use trusted::{Owner, Untrusted, check_trusted, check_way, read_owned, read_trusted};
pub(crate) use value::Value;
pub(crate) use warnings::Warnings;

#[cfg(test)]
mod tests;
