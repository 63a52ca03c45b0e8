//! Hosts on the way to a host.

use std::collections::HashMap;
use std::fmt;

use super::host::Host;
use super::select::nearest_host;
use crate::ids::VmId;

/// Hops of one chain at most; each costs a connection and a login.
const HOPS_MAX: usize = 8;

/// A host through which another is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Jump {
    /// A host outside the inventory.
    Address {
        /// Who logs in there; the target's `ssh_user` if `None`.
        user: Option<String>,
        /// An address or a name; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A host of the inventory, reached as the inventory says.
    Vm(VmId),
}

/// Why a text is no chain of jumps.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidJump {
    /// One hop of the chain is malformed.
    #[error("`{0}` is neither a VM id nor user@host[:port]")]
    Hop(String),
    /// The chain is too long.
    #[error("more than {HOPS_MAX} hops")]
    TooLong,
}

/// Why a well-formed `proxy_jump` leads nowhere.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JumpError {
    /// The way to the host leads through the host.
    #[error("leads in a circle: {}", circle(.0))]
    Circle(Vec<VmId>),
    /// A hop is not in the inventory.
    #[error("{id} not found in config; {}", unknown_hint(.nearest.as_ref()))]
    Unknown {
        /// The id of the hop.
        id: VmId,
        /// The host that may have been meant.
        nearest: Option<VmId>,
    },
}

impl Jump {
    /// Reads a chain as `ssh -J` takes it: `vm04`, `user@host:port`,
    /// `user@[::1]:22`, several of them joined by commas, or `none`. A word
    /// without `@` and `:` is a VM id.
    ///
    /// # Errors
    /// If a hop is malformed or there are more than eight.
    pub fn parse_chain(text: &str) -> Result<Vec<Self>, InvalidJump> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Vec::new());
        }
        let hops: Vec<_> =
            text.split(',').map(|hop| parse_hop(hop.trim())).collect::<Result<_, _>>()?;
        if hops.len() > HOPS_MAX { Err(InvalidJump::TooLong) } else { Ok(hops) }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vm(id) => id.fmt(f),
            Self::Address { user, host, port } => {
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]:{port}")
                } else {
                    write!(f, "{host}:{port}")
                }
            }
        }
    }
}

/// Finds hops that do not exist and ways that lead in a circle. Each host is
/// visited once, however the hosts depend on each other.
pub(super) fn check(hosts: &[Host], index: &HashMap<VmId, usize>) -> Result<(), (VmId, JumpError)> {
    let mut next: Vec<Vec<usize>> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let mut hops = Vec::new();
        for jump in &host.proxy_jump {
            let Jump::Vm(id) = jump else { continue };
            let Some(position) = index.get(id) else {
                let nearest = nearest_host(id, hosts);
                return Err((host.id.clone(), JumpError::Unknown { id: id.clone(), nearest }));
            };
            hops.push(*position);
        }
        next.push(hops);
    }
    match find_circle(&next) {
        None => Ok(()),
        Some(circle) => {
            let ids: Vec<_> = circle.iter().map(|position| hosts[*position].id.clone()).collect();
            Err((hosts[circle[0]].id.clone(), JumpError::Circle(ids)))
        }
    }
}

/// The first circle in a graph, found depth first with a stack of our own: a
/// chain may be as long as the inventory.
pub(super) fn find_circle(next: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut finished = vec![false; next.len()];
    let mut on_path = vec![false; next.len()];
    for start in 0..next.len() {
        let mut path = if finished[start] { Vec::new() } else { vec![(start, 0)] };
        on_path[start] = !path.is_empty();
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            let Some(&to) = next[node].get(*edge) else {
                finished[node] = true;
                on_path[node] = false;
                path.pop();
                continue;
            };
            *edge += 1;
            if on_path[to] {
                let circle = path.iter().map(|(node, _)| *node).skip_while(|node| *node != to);
                return Some(circle.collect());
            }
            if !finished[to] {
                on_path[to] = true;
                path.push((to, 0));
            }
        }
    }
    None
}

fn parse_hop(text: &str) -> Result<Jump, InvalidJump> {
    let invalid = || InvalidJump::Hop(text.into());
    if !text.contains(['@', ':']) {
        return text.parse().map(Jump::Vm).map_err(|_| invalid());
    }
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, text),
    };
    let (host, port) = split_port(place).ok_or_else(invalid)?;
    let user_valid = user.is_none_or(|user| !user.is_empty() && !user.contains([':', '@']));
    if !user_valid || !is_address(host) {
        return Err(invalid());
    }
    Ok(Jump::Address { user: user.map(Into::into), host: host.into(), port })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split_port(place: &str) -> Option<(&str, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    match port.strip_prefix(':') {
        None => port.is_empty().then_some((host, 22)),
        Some(port) => port.parse().ok().filter(|port| *port != 0).map(|port| (host, port)),
    }
}

/// Whether this can be an IPv4 or IPv6 address (with a zone) or a host name.
pub(crate) fn is_address(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "eth0"));
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=253).contains(&text.len()) && !text.starts_with(['-', '.']) && text.bytes().all(allowed)
}

fn circle(ids: &[VmId]) -> String {
    let names = ids.iter().chain(ids.first()).map(VmId::as_str);
    names.collect::<Vec<_>>().join(" -> ")
}

fn unknown_hint(nearest: Option<&VmId>) -> String {
    match nearest {
        Some(id) => format!("did you mean {id}?"),
        None => "a host outside the inventory is written user@host[:port]".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains() {
        for (text, shown) in [
            ("vm04", "vm04"),
            ("ops@bastion:2222", "ops@bastion:2222"),
            ("ops@bastion", "ops@bastion:22"),
            ("bastion:22", "bastion:22"),
            ("ops@[::1]:2222", "ops@[::1]:2222"),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:22"),
            ("vm04, ops@10.0.0.1", "vm04,ops@10.0.0.1:22"),
            ("none", ""),
        ] {
            let chain = Jump::parse_chain(text).unwrap();
            let found = chain.iter().map(Jump::to_string).collect::<Vec<_>>().join(",");
            assert_eq!(found, shown, "{text}");
        }
        for bad in [
            "", ",", "vm01,", "@h", "u@", "u@h:0", "u@h:x", "u:p@h", "u@[::1", "u@-h", "a b", "::1",
        ] {
            assert!(Jump::parse_chain(bad).is_err(), "{bad}");
        }
        assert_eq!(Jump::parse_chain(&["a"; 9].join(",")), Err(InvalidJump::TooLong));
    }

    #[test]
    fn circles() {
        assert_eq!(find_circle(&[vec![1], vec![2], vec![1]]), Some(vec![1, 2]));
        assert_eq!(find_circle(&[vec![0]]), Some(vec![0]));
        assert_eq!(find_circle(&[vec![1, 2], vec![2], vec![]]), None);
        let chain: Vec<Vec<usize>> = (1..100_000).map(|n| vec![n]).chain([vec![]]).collect();
        assert_eq!(find_circle(&chain), None);
    }

    #[test]
    fn addresses() {
        for good in ["10.0.0.1", "::1", "fe80::1%eth0", "vm01.example", "a_b"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a:b", "ü", "[::1]", "fe80::1%", "10.0.0.1%eth0"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
