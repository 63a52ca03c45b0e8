//! From a pattern to the hosts that exist.

use crate::ids::VmId;

use super::pattern::{HostPattern, Part, Term, TermKind};
use super::set::NodeSet;

/// The hosts that exist, as far as a pattern needs to know them.
pub trait Known {
    /// The hosts that `all` stands for, in the inventory's order.
    fn all(&self) -> Vec<VmId>;

    /// Whether there is such a host, whether or not `all` selects it.
    fn contains(&self, id: &VmId) -> bool;

    /// The existing name most like `name`, if one is like it.
    fn nearest(&self, name: &str) -> Option<String>;
}

/// Why a well-formed pattern names no usable set of hosts.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResolveError {
    /// The pattern selects no host.
    #[error("{pattern:?} selects no host")]
    Empty {
        /// The pattern.
        pattern: String,
    },
    /// Hosts are named that do not exist.
    #[error("{}", unknown(.name, *.others, .piece, *.at))]
    Unknown {
        /// The first such name.
        name: VmId,
        /// How many other such names the pattern has.
        others: usize,
        /// The piece of the pattern that holds `name`.
        piece: String,
        /// Position of the piece's first character in the pattern, counted from 1.
        at: usize,
        /// The existing name most like `name`.
        nearest: Option<String>,
    },
}

impl HostPattern {
    /// The hosts that the pattern names, in the order in which it names them.
    ///
    /// Fails when it names a host that is not known, or none at all.
    pub fn resolve(&self, known: &dyn Known) -> Result<NodeSet, ResolveError> {
        let mut ids = Vec::new();
        let mut unknown: Option<(VmId, &Term)> = None;
        let mut others = 0;
        for term in &self.terms {
            for id in term.expand(known) {
                if known.contains(&id) {
                    ids.push(id);
                } else if unknown.is_none() {
                    unknown = Some((id, term));
                } else {
                    others += 1;
                }
            }
        }
        if let Some((name, term)) = unknown {
            let nearest = known.nearest(name.as_str());
            let (piece, at) = (term.text.clone(), term.at);
            return Err(ResolveError::Unknown { name, others, piece, at, nearest });
        }
        if ids.is_empty() {
            return Err(ResolveError::Empty { pattern: self.as_str().to_owned() });
        }
        Ok(ids.into_iter().collect())
    }
}

impl Term {
    fn expand(&self, known: &dyn Known) -> Vec<VmId> {
        let parts = match &self.kind {
            TermKind::All => return known.all(),
            TermKind::Names(parts) => parts,
        };
        let names = parts.iter().fold(vec![String::new()], |names, part| match part {
            Part::Literal(literal) => names.into_iter().map(|name| name + literal).collect(),
            Part::Ranges(ranges) => names
                .iter()
                .flat_map(|name| {
                    ranges
                        .iter()
                        .flat_map(|range| range.expand())
                        .map(move |number| format!("{name}{number}"))
                })
                .collect(),
        });
        // Every name was found to be an id when the pattern was read.
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }
}

fn unknown(name: &VmId, others: usize, piece: &str, at: usize) -> String {
    let place = match piece == name.as_str() {
        true => String::new(),
        false => format!(" ({piece:?}, character {at} of the targets)"),
    };
    match others {
        0 => format!("vm_id {name} not found in config{place}"),
        1 => format!("vm_id {name} and 1 other not found in config{place}"),
        _ => format!("vm_id {name} and {others} others not found in config{place}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::nodeset::PatternError;

    /// Any name exists, but those that begin with `no`; `all` is two hosts.
    struct Any;

    impl Known for Any {
        fn all(&self) -> Vec<VmId> {
            vec!["vm01".parse().unwrap(), "db".parse().unwrap()]
        }

        fn contains(&self, id: &VmId) -> bool {
            !id.as_str().starts_with("no")
        }

        fn nearest(&self, name: &str) -> Option<String> {
            (name == "nod").then(|| "node".into())
        }
    }

    struct Nothing;

    impl Known for Nothing {
        fn all(&self) -> Vec<VmId> {
            Vec::new()
        }

        fn contains(&self, _: &VmId) -> bool {
            false
        }

        fn nearest(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn resolve(pattern: &str) -> NodeSet {
        pattern.parse::<HostPattern>().unwrap().resolve(&Any).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        let names: Vec<String> = resolve(pattern).iter().map(VmId::to_string).collect();
        assert_eq!(names.join(" "), expected, "{pattern}");
    }

    #[track_caller]
    fn refused(pattern: &str, piece: &str, at: usize, message: &str) {
        let error: PatternError = pattern.parse::<HostPattern>().unwrap_err();
        assert_eq!((error.piece.as_str(), error.at), (piece, at), "{pattern}: {error}");
        assert!(error.to_string().contains(message), "{pattern}: {error}");
    }

    #[test]
    fn names_and_unions_keep_their_order() {
        check("vm01", "vm01");
        check("web,vm01, db ,vm01", "web vm01 db");
        check("all", "vm01 db");
        check("db,all", "db vm01");
        check("all-in-one", "all-in-one");
    }

    // What ClusterShell 1.10 answers to the same expressions.
    #[test]
    fn ranges_mean_what_clustershell_says() {
        check("vm[01-03,33]", "vm01 vm02 vm03 vm33");
        check("n[9-11]", "n9 n10 n11");
        check("n[09-10]", "n09 n10");
        check("n[00-03]", "n00 n01 n02 n03");
        check("n[098-101]", "n098 n099 n100 n101");
        check("n[1,01,001]", "n1 n01 n001");
        check("n[0-10/3]", "n0 n3 n6 n9");
        check("n[01-10/3]", "n01 n04 n07 n10");
        check("n[1-9/02]", "n1 n3 n5 n7 n9");
        check("n[1-3,2-5]", "n1 n2 n3 n4 n5");
        check("rack[1-2]-n[1-2]", "rack1-n1 rack1-n2 rack2-n1 rack2-n2");
        check("n[1-2]x", "n1x n2x");
        check("n[2-3]4", "n24 n34");
        check("n[08-11]5", "n085 n095 n105 n115");
        check("n01[2-3]", "n012 n013");
        check("n0[1-3]", "n01 n02 n03");
        check("n[1-2]-1[3-4]", "n1-13 n1-14 n2-13 n2-14");
        check("[1-3]", "1 2 3");
        check("n[1 - 3]", "n1 n2 n3");
        check("n[00]", "n00");
    }

    #[test]
    fn errors_name_the_piece_and_its_place() {
        refused("", "", 1, "no host is named");
        refused("vm01,,vm02", "", 6, "no host is named");
        refused("vm01, ", " ", 6, "no host is named");
        refused("vm01,n[5-1]", "5-1", 8, "ends before it begins");
        refused("n[1,5-1]", "5-1", 5, "ends before it begins");
        refused("n[1-010]", "1-010", 3, "zero-padded");
        refused("n[001-10]", "001-10", 3, "zero-padded");
        refused("n[]", "", 3, "range is empty");
        refused("n[1,]", "", 5, "range is empty");
        refused("n[1-]", "1-", 3, "numbers");
        refused("n[a-b]", "a-b", 3, "numbers");
        refused("n[-1]", "-1", 3, "numbers");
        refused("n[+1]", "+1", 3, "numbers");
        refused("n[1-2-3]", "1-2-3", 3, "numbers");
        refused("n[1/2/3]", "1/2/3", 3, "step needs a range");
        refused("n[0-9/0]", "0-9/0", 3, "at least 1");
        refused("n[5/2]", "5/2", 3, "needs a range");
        refused("n[1-9999999999999999999]", "1-9999999999999999999", 3, "too long");
        refused("n[1-2][3-4]", "[3-4]", 7, "two brackets");
        refused("n[1]1[1]", "[1]", 6, "two brackets");
        refused("n1[9-10]", "9-10", 4, "same length");
        refused("web,n[1", "[1", 6, "not closed");
        refused("web,n1]", "n1]", 5, "not opened");
        refused("n[[1]]", "n[[1]]", 1, "not opened");
        refused("vm 1", "vm 1", 1, "no host has such a name");
        refused("é,n[5-1]", "é", 1, "no host has such a name");
        refused("n[1-3]é", "n[1-3]é", 1, "no host has such a name");
        refused(
            &format!("{}[1-100]", "x".repeat(126)),
            &format!("{}[1-100]", "x".repeat(126)),
            1,
            "128",
        );
    }

    #[test]
    fn later_forms_are_named() {
        for (pattern, piece, at) in [
            ("vm01,@web", "@web", 6),
            ("@file:hosts.txt", "@file:hosts.txt", 1),
            ("-", "-", 1),
            ("tag=prod", "tag=prod", 1),
            ("web*", "web*", 1),
            ("web?", "web?", 1),
            ("vm[01-03]!vm02", "!vm02", 10),
            ("@a&@b", "&@b", 3),
            ("a^b", "^b", 2),
        ] {
            refused(pattern, piece, at, "not supported yet");
        }
    }

    #[test]
    fn expansion_is_bounded_before_it_happens() {
        check(
            "vm[1-100000]",
            &(1..=100_000).map(|n| format!("vm{n}")).collect::<Vec<_>>().join(" "),
        );
        refused(
            "vm[0-999999999]",
            "vm[0-999999999]",
            1,
            "1000000000 hosts, and the limit is 100000",
        );
        refused("a,vm[1-100000]", "vm[1-100000]", 3, "100001 hosts");
        let wide = "a[0-999999999999999999]-".repeat(6);
        refused(&format!("a,{wide}"), &wide, 3, "hosts, and the limit");
    }

    #[test]
    fn unknown_names_and_empty_sets_are_errors() {
        let error = "vm01,nod".parse::<HostPattern>().unwrap().resolve(&Any).unwrap_err();
        assert_eq!(error.to_string(), "vm_id nod not found in config");
        assert!(
            matches!(error, ResolveError::Unknown { nearest: Some(name), at: 6, .. } if name == "node")
        );
        let error = "vm01,no[1-3]".parse::<HostPattern>().unwrap().resolve(&Any).unwrap_err();
        assert_eq!(
            error.to_string(),
            "vm_id no1 and 2 others not found in config (\"no[1-3]\", character 6 of the targets)"
        );
        let error = "all".parse::<HostPattern>().unwrap().resolve(&Nothing).unwrap_err();
        assert_eq!(error.to_string(), "\"all\" selects no host");
    }

    #[test]
    fn only_one_plain_id_is_literal() {
        let literal = |text: &str| text.parse::<HostPattern>().unwrap().is_single_literal();
        assert!(literal("vm01") && literal(" vm01 "));
        for other in ["all", "vm[1]", "[1]", "vm[01-02]", "vm01,vm02", "vm01,vm01"] {
            assert!(!literal(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn folding_and_expanding_is_identity(
            names in proptest::collection::vec("[a-c]{0,1}[0-9]{1,3}(-[a-b][0-9]{0,2})?|[a-c]{1,2}", 1..60),
        ) {
            let names: NodeSet = names.iter().map(|name| name.parse::<VmId>().unwrap()).collect();
            let folded = names.fold();
            let back = resolve(&folded);
            let set = |names: &NodeSet| names.iter().cloned().collect::<BTreeSet<_>>();
            prop_assert_eq!(set(&back), set(&names), "{}", &folded);
            prop_assert_eq!(back.len(), names.len());
            prop_assert_eq!(back.fold(), folded);
        }

        #[test]
        fn no_text_makes_the_parser_fail_badly(text in "[vn0-9a\\[\\]\\-,/ @!é]{0,24}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert!(pattern.resolve(&Any).map_or(0, |set| set.len()) as u64 <= super::super::EXPANSION_MAX);
            }
        }
    }
}
