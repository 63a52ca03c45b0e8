//! The name under which a host's key is recorded.

use std::fmt;

const DEFAULT_PORT: u16 = 22;

/// The name of a host as `known_hosts` spells it: `web1` on port 22,
/// `[web1]:2222` on any other, an alias without any port. Always lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName {
    exact: Box<str>,
    portless: Option<Box<str>>,
}

/// Why a string can be no name in `known_hosts`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} cannot be a host name in known_hosts: it is empty, begins with one of |#@!, or holds blanks, control characters, or one of ,*?"
)]
pub struct InvalidHostName(String);

impl HostName {
    /// The name of `host` (a DNS name or an address without brackets) on `port`.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidHostName> {
        let host = checked(host)?;
        Ok(if port == DEFAULT_PORT {
            Self { exact: host, portless: None }
        } else {
            Self { exact: format!("[{host}]:{port}").into(), portless: Some(host) }
        })
    }

    /// A name that stands for the host whatever its address and port
    /// (`HostKeyAlias` of OpenSSH).
    pub fn alias(alias: &str) -> Result<Self, InvalidHostName> {
        Ok(Self { exact: checked(alias)?, portless: None })
    }

    /// The name that is looked up first, and written by [`learn`](super::learn).
    pub fn as_str(&self) -> &str {
        &self.exact
    }

    /// The name without its port, which OpenSSH asks when no line names the port.
    pub(super) fn portless(&self) -> Option<&str> {
        self.portless.as_deref()
    }

    /// What a host certificate must list to be valid for this host.
    pub(super) fn principal(&self) -> &str {
        self.portless().unwrap_or(&self.exact)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.exact)
    }
}

/// A name is written into a file of patterns: it may carry nothing that means
/// something there.
fn checked(name: &str) -> Result<Box<str>, InvalidHostName> {
    let special = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '*' | '?');
    if name.is_empty() || name.starts_with(['|', '#', '@', '!']) || name.contains(special) {
        return Err(InvalidHostName(name.into()));
    }
    Ok(name.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_22_is_never_bracketed() {
        let name = HostName::new("web1", 22).unwrap();
        assert_eq!((name.as_str(), name.portless(), name.principal()), ("web1", None, "web1"));
    }

    #[test]
    fn another_port_is_bracketed_and_has_a_fallback() {
        let name = HostName::new("web1", 2222).unwrap();
        assert_eq!(name.as_str(), "[web1]:2222");
        assert_eq!((name.portless(), name.principal()), (Some("web1"), "web1"));
    }

    #[test]
    fn ipv6_addresses_are_bracketed_like_names() {
        assert_eq!(HostName::new("::1", 22).unwrap().as_str(), "::1");
        assert_eq!(HostName::new("fe80::1%eth0", 23).unwrap().as_str(), "[fe80::1%eth0]:23");
    }

    #[test]
    fn an_alias_has_no_port() {
        let name = HostName::alias("Web1").unwrap();
        assert_eq!((name.as_str(), name.portless()), ("web1", None));
    }

    #[test]
    fn names_are_lower_case() {
        assert_eq!(HostName::new("WEB1.Example", 22).unwrap().as_str(), "web1.example");
    }

    #[test]
    fn a_name_cannot_inject_a_pattern_or_a_line() {
        for bad in ["", "a b", "a\nb", "a\tb", "a,b", "*", "a?", "|1|x", "#a", "@revoked", "!a"] {
            assert!(HostName::new(bad, 22).is_err(), "{bad:?}");
            assert!(HostName::alias(bad).is_err(), "{bad:?}");
        }
    }
}
