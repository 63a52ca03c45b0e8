//! What is counted, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::recorded::{Recorded, Why};
use crate::policy::Decision;

/// Requests whose decision is remembered.
const REMEMBERED_MAX: usize = 100_000;
/// Groups that are told one by one.
const GROUPS_MAX: usize = 10_000;
/// Characters of an example.
const EXAMPLE_MAX: usize = 200;

/// What came of a record.
#[derive(Clone)]
pub(super) enum Outcome {
    Undecidable(Why),
    Same,
    /// It would be denied by this rule.
    Denied(Difference),
    /// It would be allowed; this rule denied it.
    Allowed(Difference),
}

/// A decision that is not as it was.
#[derive(Clone)]
pub(super) struct Difference {
    rule: String,
    host: String,
    reason: Option<String>,
    example: String,
}

/// Differences of one kind, by rule and host.
#[derive(Default)]
pub(super) struct Groups {
    by_rule: BTreeMap<(String, String), Group>,
    pub(super) total: u64,
    /// How many belong to groups for which there was no room.
    untold: u64,
}

struct Group {
    count: u64,
    reason: Option<String>,
    example: String,
    seq: u64,
}

#[derive(Default)]
pub(super) struct Tally {
    known: HashMap<[u8; 32], Outcome>,
    pub(super) records: u64,
    pub(super) distinct: u64,
    pub(super) undecidable: BTreeMap<Why, u64>,
    pub(super) denied: Groups,
    pub(super) allowed: Groups,
}

impl Outcome {
    /// What the difference is between what was decided and what is.
    pub(super) fn between(recorded: &Recorded, was: (bool, &str), now: Decision) -> Self {
        let (allowed, old_rule) = was;
        let difference = |rule: String, reason| Difference {
            rule,
            host: recorded.host.to_string(),
            reason,
            example: clip(recorded.display()),
        };
        match (allowed, now.allow) {
            (true, false) => Self::Denied(difference(now.rule, now.reason)),
            (false, true) => Self::Allowed(difference(old_rule.to_owned(), None)),
            _ => Self::Same,
        }
    }
}

impl Tally {
    /// Counts a record; what comes of it is found out once for equal requests.
    pub(super) fn count(&mut self, seq: u64, key: [u8; 32], find: impl FnOnce() -> Outcome) {
        self.records += 1;
        let outcome = match self.known.get(&key) {
            Some(outcome) => outcome.clone(),
            None => {
                self.distinct += 1;
                let outcome = find();
                if self.known.len() < REMEMBERED_MAX {
                    self.known.insert(key, outcome.clone());
                }
                outcome
            }
        };
        match outcome {
            Outcome::Same => {}
            Outcome::Undecidable(why) => *self.undecidable.entry(why).or_default() += 1,
            Outcome::Denied(difference) => self.denied.add(difference, seq),
            Outcome::Allowed(difference) => self.allowed.add(difference, seq),
        }
    }

    pub(super) fn differs(&self) -> bool {
        self.denied.total + self.allowed.total > 0
    }
}

impl Groups {
    fn add(&mut self, difference: Difference, seq: u64) {
        let Difference { rule, host, reason, example } = difference;
        self.total += 1;
        let full = self.by_rule.len() >= GROUPS_MAX;
        match self.by_rule.get_mut(&(rule.clone(), host.clone())) {
            Some(group) => group.count += 1,
            None if full => self.untold += 1,
            None => {
                self.by_rule.insert((rule, host), Group { count: 1, reason, example, seq });
            }
        }
    }

    /// A line for each group, the largest first.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for ((rule, host), group) in self.sorted() {
            let reason = group.reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            lines.push(format!("{:>7}  {host}  {rule}{reason}", group.count));
            lines.push(format!("         such as record {}: {}", group.seq, group.example));
        }
        if self.untold > 0 {
            lines.push(format!("{:>7}  of other rules and hosts", self.untold));
        }
        lines
    }

    pub(super) fn document(&self) -> Value {
        let groups = self.sorted().into_iter().map(|((rule, host), group)| {
            json!({
                "rule": rule, "host": host, "count": group.count, "reason": group.reason,
                "example": group.example, "seq": group.seq,
            })
        });
        json!({"count": self.total, "groups": groups.collect::<Vec<_>>(), "untold": self.untold})
    }

    fn sorted(&self) -> Vec<(&(String, String), &Group)> {
        let mut groups: Vec<_> = self.by_rule.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        groups
    }
}

fn clip(text: String) -> String {
    match text.char_indices().nth(EXAMPLE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
