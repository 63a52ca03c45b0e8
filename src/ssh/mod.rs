//! The only module that names the SSH crates.

pub mod known_hosts;

