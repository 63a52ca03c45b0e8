//! Whether a pattern names one host that is known, without resolving it for
//! all of them.

use super::glob;
use super::pattern::{HostPattern, Term, TermKind};
use super::scan::Operator;

/// One host, as far as a pattern needs to know it.
pub trait Member {
    /// Its id.
    fn id(&self) -> &str;

    /// Whether it is in the group with this name, without `@`.
    fn in_group(&self, name: &str) -> bool;

    /// Whether it has this tag.
    fn has_tag(&self, tag: &str) -> bool;
}

impl HostPattern {
    /// Whether the pattern names this host. `all` and globs name it whether it
    /// may be used or not; names that the inventory does not have name nothing,
    /// and neither do lists and earlier results that were not read.
    pub fn includes(&self, host: &dyn Member) -> bool {
        self.terms.iter().fold(false, |inside, term| {
            let named = term.names(host);
            match term.operator {
                Operator::Union => inside || named,
                Operator::Minus => inside && !named,
                Operator::And => inside && named,
                Operator::Xor => inside != named,
            }
        })
    }
}

impl Term {
    fn names(&self, host: &dyn Member) -> bool {
        match &self.kind {
            TermKind::All => true,
            TermKind::Globs(name) => name.expand().any(|glob| glob::matches(&glob, host.id())),
            TermKind::Groups(name) => name.expand().any(|group| host.in_group(&group)),
            TermKind::List(lines) => lines.iter().any(|line| line.includes(host)),
            TermKind::Names(name) => name.expand().any(|name| name == host.id()),
            TermKind::Past(hosts) => hosts.iter().any(|vm| vm.as_str() == host.id()),
            TermKind::Tags(name) => name.expand().any(|tag| host.has_tag(&tag)),
            TermKind::Unread(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Web01;

    impl Member for Web01 {
        fn id(&self) -> &str {
            "web01"
        }

        fn in_group(&self, name: &str) -> bool {
            name == "web"
        }

        fn has_tag(&self, tag: &str) -> bool {
            tag == "prod"
        }
    }

    #[test]
    fn one_host() {
        for (pattern, expected) in [
            ("all", true),
            ("web01", true),
            ("web[01-03]", true),
            ("web[02-03]", false),
            ("db*", false),
            ("w?b*", true),
            ("@web", true),
            ("@db", false),
            ("tag=prod", true),
            ("tag=test", false),
            ("all!web01", false),
            ("all!web02", true),
            ("@db,@web", true),
            ("@web&tag=test", false),
            ("@web^web01", false),
            ("@db^web01", true),
            ("-", false),
            ("@failed", false),
        ] {
            let pattern: HostPattern = pattern.parse().unwrap();
            assert_eq!(pattern.includes(&Web01), expected, "{pattern}");
        }
    }
}
