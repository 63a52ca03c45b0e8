//! Where to dial, and whom to believe there.

use std::path::PathBuf;
use std::sync::Arc;

/// An address to reach, the user to log in as, and what proves both sides.
///
/// Two endpoints that are equal may share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What messages call this host: the VM's id, or `user@host:port`.
    pub label: String,
    /// A name or an IP address, without brackets.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// How the address is reached.
    pub route: Route,
    /// What proves the host.
    pub trust: Trust,
    /// What proves us.
    pub identity: Identity,
    /// The algorithm profile, where it differs from the connector's own.
    pub profile: Option<String>,
}

/// How an address is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Route {
    /// By TCP from here.
    #[default]
    Direct,
    /// Through another host.
    Via(Arc<Endpoint>),
}

/// What proves the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// The name to look up in known_hosts instead of the address.
    pub alias: Option<String>,
    /// The only acceptable keys: fingerprints (`SHA256:…`) or public keys.
    pub pins: Vec<String>,
}

/// What proves us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The private key file.
    pub key_file: Option<PathBuf>,
    /// Whether the keys of the ssh-agent are offered.
    pub agent: bool,
}

impl Endpoint {
    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}
