//! The only module that names the SSH crates.

mod ahead;
mod algorithms;
mod auth;
mod connect;
mod connection;
mod handler;
mod host_key;
pub mod key_file;
pub mod keys;
pub mod known_hosts;
mod password;
mod probe;
mod profile;
mod scan;
mod server_offer;
pub mod signature;
mod socket;
mod stream;
mod trace;

pub use algorithms::{Adjustments, Algorithms, check_name};
pub use connect::{Settings, SshConnector};
pub(crate) use host_key::{name as host_key_name, pins as host_key_pins};
pub use probe::Probe;
pub use profile::{InvalidProfile, Profile};
pub use server_offer::ServerOffer;
pub use trace::Proven;
