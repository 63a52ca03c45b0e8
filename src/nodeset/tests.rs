use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ids::VmId;

/// Any name exists, but those that begin with `no`; `all` is a few, and those
/// that begin with `off` may not be used.
struct Any;

impl Known for Any {
    fn all(&self) -> Vec<VmId> {
        ids("vm01 db web1 web2 web10")
    }

    fn contains(&self, id: &VmId) -> bool {
        !id.as_str().starts_with("no")
    }

    fn selects(&self, id: &VmId) -> bool {
        !id.as_str().starts_with("off")
    }

    fn group(&self, name: &str) -> Option<String> {
        let expression = match name {
            "web" => "web[1-2],off1",
            "most" => "@web!web2,db",
            "nested1" => "@most&@web",
            "circle" => "x,@round",
            "round" => "@circle",
            "typo" => "x,n[5-1]",
            "stray" => "nobody",
            _ if name.starts_with("deep") => {
                let depth: u32 = name.strip_prefix("deep")?.parse().ok()?;
                return Some(format!("@deep{0},@deep{0},x{depth}", depth + 1));
            }
            _ => return None,
        };
        Some(expression.into())
    }

    fn tagged(&self, tag: &str) -> Option<Vec<VmId>> {
        match tag {
            "prod" => Some(ids("vm01 web1")),
            "rack1" => Some(ids("db")),
            "idle" => Some(Vec::new()),
            _ => None,
        }
    }

    fn nearest(&self, kind: NameKind, name: &str) -> Option<String> {
        match (kind, name) {
            (NameKind::Host, "nod") => Some("node".into()),
            (NameKind::Group, "wev") => Some("web".into()),
            (NameKind::Tag, "prid") => Some("prod".into()),
            _ => None,
        }
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

    fn selects(&self, _: &VmId) -> bool {
        false
    }
}

fn ids(names: &str) -> Vec<VmId> {
    names.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

fn parsed(pattern: &str) -> HostPattern {
    pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

fn resolve(pattern: &str) -> NodeSet {
    parsed(pattern).resolve(&Any).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

fn names(set: &NodeSet) -> String {
    set.iter().map(VmId::as_str).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(pattern: &str, expected: &str) {
    assert_eq!(names(&resolve(pattern)), expected, "{pattern}");
}

#[track_caller]
fn refused(pattern: &str, piece: &str, at: usize, message: &str) {
    let error: PatternError = pattern.parse::<HostPattern>().unwrap_err();
    let place = (error.place.piece.as_str(), error.place.at);
    assert_eq!(place, (piece, at), "{pattern}: {error}");
    assert!(error.to_string().contains(message), "{pattern}: {error}");
}

#[test]
fn names_and_unions_keep_their_order() {
    check("vm01", "vm01");
    check("web,vm01, db ,vm01", "web vm01 db");
    check("db,all", "db vm01 web1 web2 web10");
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
    refused("vm01, ", "", 7, "no host is named");
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
    refused("n[1/2/3]", "1/2/3", 3, "numbers");
    refused("n[0-9/0]", "0-9/0", 3, "at least 1");
    refused("n[5/2]", "5/2", 3, "needs a range");
    let long = "9".repeat(39);
    refused(&format!("n[1-{long}]"), &format!("1-{long}"), 3, "too long");
    refused("n[1-2][3-4]", "[3-4]", 7, "two brackets");
    refused("n[1]1[1]", "[1]", 6, "two brackets");
    refused("n1[9-10]", "9-10", 4, "same length");
    refused("web,n[1", "[1", 6, "not closed");
    refused("web,n1]", "n1]", 5, "not opened");
    refused("n[[1]]", "n[[1]]", 1, "not opened");
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
fn operators_work_from_left_to_right() {
    check("n[1-4]!n2", "n1 n3 n4");
    check("n[1-4]&n[3-9]", "n3 n4");
    check("n[1-2]^n[2-3]", "n1 n3");
    check("n1!n1,n1", "n1");
    check("a,b&b,c", "b c");
    check("a,b!a,b&b^c", "b c");
    check("a ! b , c", "a c");
    check("a b,c  d", "a b c d");
    check("a,b!a c", "b c");
    check("a^b,b^b^b", "a b");
    check("a ^ b[1,1]", "a b1");
    // Minus and xor change the order only by what they add.
    check("c,b,a!b,b", "c a b");
    check("n[1-3],!n2", "n1 n3");
    check("a,b , & b,c", "b c");
    refused(",!a", "", 1, "");
    refused("a,!,b", "", 4, "");
    refused("a!,b", "", 3, "");
}

#[test]
fn groups_tags_and_globs_select() {
    check("all", "vm01 db web1 web2 web10");
    check("@*!db", "vm01 web1 web2 web10");
    check("@web", "web1 web2");
    check("@web,off1", "web1 web2 off1");
    check("@most", "web1 db");
    check("@nested[1]", "web1");
    check("tag=prod", "vm01 web1");
    check("tag=rack[1]&all", "db");
    check("web*", "web1 web2 web10");
    check("web?", "web1 web2");
    check("all!web*", "vm01 db");
    check("*[1-2]", "vm01 web1 web2");
    check("web*!web[1-2]", "web10");
    check("zzz*,db", "db");
    check("tag=idle,db", "db");
}

#[test]
fn what_a_group_or_tag_stands_for_must_be_known() {
    let error = |pattern: &str| parsed(pattern).resolve(&Any).unwrap_err();
    let told = |pattern: &str| error(pattern).to_string();
    assert_eq!(
        told("@circle"),
        "the groups name each other in a circle: @circle -> @round -> @circle"
    );
    assert_eq!(told("x,@typo"), "\"5-1\" in @typo, character 5: the range ends before it begins");
    assert_eq!(
        told("@stray"),
        "vm_id nobody not found in config (\"nobody\" in @stray, character 1)"
    );
    assert!(told("@deep1").contains("nested more than 64 deep"));
    assert_eq!(error("x,@wev").nearest(), Some("web"));
    assert_eq!(error("x,@wev").place().unwrap().at, 3);
    assert_eq!(error("tag=prid").nearest(), Some("prod"));
    assert_eq!(
        told("tag=prid"),
        "no host has the tag prid (\"tag=prid\" in the targets, character 1)"
    );
    // Also what is only taken away.
    assert_eq!(error("all!nod").nearest(), Some("node"));
    assert_eq!(told("all!all"), "\"all!all\" selects no host");
}

#[test]
fn lists_are_read_once_and_line_by_line() {
    let settle = |pattern: &str, text: &str| {
        parsed(pattern).settle(|source| match source {
            Source::File(path) if path == "gone" => Err("gone cannot be read".into()),
            Source::File(_) | Source::Stdin => Ok(Content::Lines(text.into())),
            Source::Result(PastResult::Failed, None) => Ok(Content::Hosts(ids("web1 off1"))),
            Source::Result(_, Some(run)) if run == "0192" => Ok(Content::Hosts(ids("db"))),
            Source::Result(..) => Err("no run is remembered here".into()),
        })
    };
    let check = |pattern: &str, text: &str, expected: &str| {
        let settled = settle(pattern, text).unwrap();
        assert!(settled.is_settled());
        assert_eq!(names(&settled.resolve(&Any).unwrap()), expected, "{pattern}");
    };
    let lines = "# ours\n\n vm[01-02] # two\nn1 n2\r\nall!web*\n@failed\n";
    check("@file:hosts.txt", lines, "vm01 vm02 n1 n2 db web1");
    check("x,-!n1", lines, "x vm01 vm02 n2 db web1");
    check("@file:a/b[1].txt&n1", lines, "n1");
    check("@failed,@unreachable:0192", "", "web1 db");
    check("@file:empty,x", "# nobody\n", "x");

    let told = |pattern: &str, text: &str| settle(pattern, text).unwrap_err().to_string();
    assert_eq!(
        told("x,@file:h", "a\nb,n[1\n"),
        "\"[1\" in h line 2, character 4: the bracket is not closed"
    );
    assert!(
        told("-", "@file:x").contains("in stdin line 1, character 1: a list cannot name another")
    );
    assert!(told("-", "-").contains("a list cannot name another"));
    assert_eq!(
        told("@file:gone", ""),
        "\"@file:gone\" in the targets, character 1: gone cannot be read"
    );
    assert!(told("@unreachable", "").contains("no run is remembered here"));
    assert!(told("-", "n[1-999999]\na b\n").contains("1000001 names"));
    let error = parsed("@file:h").resolve(&Any).unwrap_err();
    assert!(matches!(error, ResolveError::Unread(_)), "{error}");
    let error = settle("@file:h", "vm01\nnod\n").unwrap().resolve(&Any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vm_id nod not found in config (\"nod\" in h line 2, character 1)"
    );
}

#[test]
fn a_selection_excludes_limits_and_picks() {
    let select = |hosts: &str| Selection::new(parsed(hosts));
    let names = |selection: &Selection| names(&selection.resolve(&Any).unwrap());
    let most = select("n[1-9]").exclude(parsed("n[2-3]")).exclude(parsed("n9"));
    assert_eq!(names(&most), "n1 n4 n5 n6 n7 n8");
    assert_eq!(names(&most.clone().limit(parsed("n[4-9]")).limit(parsed("n[1-5]"))), "n4 n5");
    let error = most.clone().limit(parsed("n2")).resolve(&Any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"n[1-9]\" without \"n[2-3]\" without \"n9\" within \"n2\" selects no host"
    );
    assert!(most.clone().exclude(parsed("nod")).resolve(&Any).is_err());

    let picked = most.clone().pick(2);
    assert_eq!(picked.resolve(&Any).unwrap().len(), 2);
    assert_eq!(picked.resolve(&Any), picked.clone().resolve(&Any));
    assert_eq!(names(&picked.without_pick()), names(&most));
    assert_eq!(names(&most.clone().pick(7)), names(&most));
    let seen: BTreeSet<String> = (0..500).map(|_| names(&most.clone().pick(1))).collect();
    assert_eq!(seen.len(), 6, "each of them is picked one day");
}

#[test]
fn expansion_is_bounded_before_it_happens() {
    check(
        "vm[1-1000000]",
        &(1..=1_000_000).map(|n| format!("vm{n}")).collect::<Vec<_>>().join(" "),
    );
    refused("vm[0-999999999]", "vm[0-999999999]", 1, "1000000000 names, and the limit is 1000000");
    refused("a,vm[1-1000000]", "vm[1-1000000]", 3, "1000001 names");
    let wide = "a[0-999999999999999999]-".repeat(6);
    refused(&format!("a,{wide}"), &wide, 3, "names, and the limit");
}

#[test]
fn unknown_names_and_empty_sets_are_errors() {
    let error = "vm01,nod".parse::<HostPattern>().unwrap().resolve(&Any).unwrap_err();
    assert_eq!(error.to_string(), "vm_id nod not found in config");
    assert!(
        matches!(&error, ResolveError::Unknown { nearest: Some(name), place, .. } if name == "node" && place.at == 6)
    );
    let error = "vm01,no[1-3]".parse::<HostPattern>().unwrap().resolve(&Any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vm_id no1 and 2 others not found in config (\"no[1-3]\" in the targets, character 6)"
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
    fn no_text_makes_the_parser_fail_badly(text in "[vn0-9a\\[\\]\\-,/ @!&^*?=é]{0,24}") {
        if let Ok(pattern) = text.parse::<HostPattern>() {
            prop_assert!(pattern.resolve(&Any).map_or(0, |set| set.len()) as u64 <= EXPANSION_MAX);
        }
    }
}
