//! Expressions mean what ClusterShell takes them to mean: the same questions
//! are put to it and to us.

mod expressions;
mod tool;

use std::collections::BTreeSet;

use orchestrator::ids::VmId;
use orchestrator::inventory::{Group, Host, Inventory};
use orchestrator::nodeset::{HostPattern, Known, NodeSet};
use serde_json::{Value, json};

use expressions::Expressions;

/// Generated expressions and lists.
const QUESTIONS: usize = 2_500;

/// The hosts that groups and globs choose from.
const HOSTS: &str = "n[0-12],n[01-12],web[1-5],db1,db2,r[1-3]-n[1-4],x";
const GROUPS: [(&str, &str); 4] =
    [("web", "web[1-3]"), ("db", "db1,db2"), ("most", "@web,n[1-5]!n3"), ("rack1", "r1-n[1-4]")];

/// Every name that is an id exists.
struct Any;

impl Known for Any {
    fn all(&self) -> Vec<VmId> {
        Vec::new()
    }

    fn contains(&self, _: &VmId) -> bool {
        true
    }

    fn selects(&self, _: &VmId) -> bool {
        true
    }
}

#[test]
fn expansion_and_algebra_agree_with_clustershell() {
    let mut expressions = Expressions::seeded(0x6e6f_6465);
    let expressions: Vec<String> = (0..QUESTIONS).map(|_| expressions.ranges()).collect();
    let (agreed, refused) = compare(&expressions, &Any);
    // Both kinds must be there, or the generator tests nothing.
    assert!(agreed > QUESTIONS / 2 && refused > QUESTIONS / 50, "{agreed} {refused}");
}

#[test]
fn groups_and_globs_agree_with_clustershell() {
    let inventory = inventory();
    let mut expressions = Expressions::seeded(0x676c_6f62);
    let expressions: Vec<String> = (0..QUESTIONS).map(|_| expressions.names()).collect();
    let (agreed, _) = compare(&expressions, &inventory.targets());
    assert!(agreed > QUESTIONS / 2, "{agreed}");
}

#[test]
fn folding_agrees_with_clustershell() {
    let mut expressions = Expressions::seeded(0x666f_6c64);
    let lists: Vec<Vec<String>> = (0..QUESTIONS).map(|_| expressions.list()).collect();
    let questions: Vec<Value> = lists.iter().map(|list| json!(["fold", list])).collect();
    let answers = tool::ask(HOSTS, &GROUPS, &questions);
    for (list, answer) in lists.iter().zip(answers) {
        let set: NodeSet = list.iter().map(|name| name.parse::<VmId>().unwrap()).collect();
        let folded = set.fold();
        assert_eq!(Value::from(folded.as_str()), answer, "{list:?}");
        let back = folded.parse::<HostPattern>().unwrap().resolve(&Any).unwrap();
        assert_eq!(names(&back), names(&set), "{folded}");
    }
}

/// What is refused by us and not by ClusterShell, each for a reason that the
/// guide gives.
#[test]
fn the_differences_are_these() {
    let ours = [
        // Its meaning surprises: the first is n19 to n110, 92 names.
        "n1[9-10]",
        "n1[8-9,10-11]",
        // Names that no host can have, or that look like options.
        "n[-1]",
        "n[-2-3]",
        "n[1-2-3]",
        "-n1",
        "a b[",
        "n%1",
    ];
    for text in ours {
        assert!(text.parse::<HostPattern>().is_err(), "{text}");
    }
    let questions: Vec<Value> = ours.iter().map(|text| json!(["expand", text])).collect();
    let answers = tool::ask(HOSTS, &GROUPS, &questions);
    assert_eq!(answers[0].as_array().unwrap().len(), 92);
    assert_eq!(answers[1].as_array().unwrap().len(), 94);
    assert_eq!(answers[2], json!(["n-1"]));
}

/// How many expressions gave the same set, and how many were refused by both.
#[track_caller]
fn compare(expressions: &[String], known: &dyn Known) -> (usize, usize) {
    let questions: Vec<Value> = expressions.iter().map(|text| json!(["expand", text])).collect();
    let answers = tool::ask(HOSTS, &GROUPS, &questions);
    let (mut agreed, mut refused) = (0, 0);
    for (text, answer) in expressions.iter().zip(answers) {
        // An empty set is no error there.
        let ours = match text.parse::<HostPattern>() {
            Err(_) => None,
            Ok(pattern) => match pattern.resolve(known) {
                Ok(set) => Some(names(&set)),
                Err(orchestrator::nodeset::ResolveError::Empty { .. }) => Some(BTreeSet::new()),
                Err(error) => panic!("{text}: {error}"),
            },
        };
        let theirs: Option<BTreeSet<String>> = serde_json::from_value(answer).unwrap();
        assert_eq!(ours, theirs, "{text}");
        match ours {
            Some(_) => agreed += 1,
            None => refused += 1,
        }
    }
    (agreed, refused)
}

fn names(set: &NodeSet) -> BTreeSet<String> {
    set.iter().map(VmId::to_string).collect()
}

fn inventory() -> Inventory {
    let hosts = HOSTS.parse::<HostPattern>().unwrap().resolve(&Any).unwrap();
    let hosts = hosts.into_iter().map(|id| Host::new(id, "h")).collect();
    let group = |(name, expression): &(&str, &str)| Group {
        name: (*name).into(),
        expression: (*expression).into(),
        location: None,
    };
    Inventory::new(hosts, GROUPS.iter().map(group).collect()).unwrap()
}
