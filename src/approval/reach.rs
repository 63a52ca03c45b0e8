//! How a host is reached, as far as that decides which machine it is.

use serde::{Deserialize, Serialize};

use crate::transport::{Endpoint, Route, Trust};

/// An endpoint without what proves us there: that is whoever applies the plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reach {
    address: String,
    port: u16,
    user: String,
    /// The name to look up in known_hosts instead of the address.
    alias: Option<String>,
    /// The only keys that are accepted there.
    pins: Vec<String>,
    profile: Option<String>,
    /// The jump host.
    via: Option<Box<Reach>>,
}

impl Reach {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let Trust { alias, pins } = endpoint.trust.clone();
        Self {
            address: endpoint.address.clone(),
            port: endpoint.port,
            user: endpoint.user.clone(),
            alias,
            pins,
            profile: endpoint.profile.clone(),
            via: match &endpoint.route {
                Route::Direct => None,
                Route::Via(hop) => Some(Box::new(Self::of(hop))),
            },
        }
    }

    /// What has changed between this and how the host is reached now.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        let changed =
            |what: &str, was: &str, is: &str| Some(format!("its {what} was {was} and is {is} now"));
        if self.address != now.address {
            return changed("address", &self.address, &now.address);
        }
        if self.port != now.port {
            return changed("port", &self.port.to_string(), &now.port.to_string());
        }
        if self.user != now.user {
            return changed("user", &self.user, &now.user);
        }
        if (&self.alias, &self.pins) != (&now.alias, &now.pins) {
            return Some("another host key is accepted there now".into());
        }
        if self.profile != now.profile {
            return Some("its algorithm profile is another one now".into());
        }
        match (&self.via, &now.via) {
            (None, None) => None,
            (Some(one), Some(other)) => {
                let how = one.difference(other)?;
                Some(format!("of its jump host: {how}"))
            }
            _ => Some("the jump hosts on the way are others now".into()),
        }
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, port, user, .. } = self;
        match address.contains(':') {
            true => write!(f, "{user}@[{address}]:{port}")?,
            false => write!(f, "{user}@{address}:{port}")?,
        }
        match &self.via {
            Some(hop) => write!(f, " via {hop}"),
            None => Ok(()),
        }
    }
}
