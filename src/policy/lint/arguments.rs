//! Patterns of arguments.

use super::super::decide::accepts;
use super::super::escapes::{self, Kind};
use super::super::rules::{ArgRule, Binary, Rules, Terms};
use super::super::shell;
use super::{Check, Found, Severity, enabled, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "escape-option",
        severity: Severity::High,
        hint: "name the options that are needed, one by one, instead of a pattern for all of them",
        find: escape_options,
    },
    Check {
        name: "escape-example",
        severity: Severity::High,
        hint: "narrow allowed_args until this command is denied: `orchestrator policy explain` \
               says whether it is",
        find: escape_examples,
    },
    Check {
        name: "denied-args-only",
        severity: Severity::High,
        hint: "say what is allowed, by allowed_args; denied_args only takes out what was thought of",
        find: denied_only,
    },
    Check {
        name: "matches-everything",
        severity: Severity::Medium,
        hint: "say what the argument may be; to allow any arguments, leave allowed_args out",
        find: everything,
    },
    Check {
        name: "redundant-anchor",
        severity: Severity::Low,
        hint: "leave ^ and $ out: a pattern always speaks of the whole argument",
        find: anchors,
    },
    Check {
        name: "denied-anyway",
        severity: Severity::Medium,
        hint: "take it out of allowed_args or out of denied_args",
        find: denied_anyway,
    },
    Check {
        name: "never-allows",
        severity: Severity::Medium,
        hint: "give a pattern for every position before it, or leave the position out",
        find: never_allows,
    },
];

/// Options by which programs run others or write files: program and words.
pub(super) const OPTIONS: &str = include_str!("options.txt");

/// Texts that no pattern for a purpose has in common.
const ANYTHING: [&str; 9] =
    ["", "x", "-x", "--x=y", "/etc/shadow", "a b", "../..", "zq9#!", "$(é)"];

/// Options of a program of this name.
pub(super) fn options(program: &str) -> impl Iterator<Item = &'static str> {
    let known = escapes::find(program).map(|escape| escape.name);
    let lines = OPTIONS.lines().filter_map(|line| line.split_once('|'));
    lines.filter(move |(name, _)| Some(*name) == known).map(|(_, words)| words)
}

fn escape_options(rules: &Rules) -> Vec<Found> {
    let ruled = enabled(rules).filter(|binary| binary.terms.allowed_args.is_some());
    let found = ruled.filter_map(|binary| {
        let all_possible =
            |words: &&str| words.split(' ').all(|word| possible(&binary.terms, word).is_some());
        let options: Vec<&str> = options(name(binary)).filter(all_possible).collect();
        let first = options.first()?;
        let more = match options.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more of that kind"),
        };
        let word = first.split(' ').next().unwrap_or_default();
        let rule = possible(&binary.terms, word)?;
        let reason = format!(
            "{} allows `{first}`{more}, by which {} runs other programs or writes any file",
            rule.described(),
            name(binary)
        );
        Some(Found::of(binary, reason).at(&rule.at))
    });
    found.collect()
}

/// The pattern by which a word may stand at some position.
fn possible<'r>(terms: &'r Terms, word: &str) -> Option<&'r ArgRule> {
    let allowed = terms.allowed_args.as_deref()?;
    let last = allowed.iter().filter_map(|rule| rule.position).max().map_or(0, |last| last + 1);
    (0..=last).find_map(|position| {
        let here = |rule: &&ArgRule| rule.speaks_of(position);
        let denied = |rule: &ArgRule| rule.speaks_of(position) && rule.pattern.forbids(word);
        let rule = allowed.iter().filter(here).find(|rule| rule.pattern.matches(word))?;
        (!terms.denied_args.iter().any(denied)).then_some(rule)
    })
}

fn escape_examples(rules: &Rules) -> Vec<Found> {
    let ruled = enabled(rules).filter(|binary| binary.terms.allowed_args.is_some());
    let found = ruled.filter_map(|binary| {
        let escape = escapes::find(name(binary)).filter(|escape| escape.kind != Kind::Reads)?;
        let commands = shell::parse(escape.example).ok()?;
        let words: Vec<&str> = commands.first()?.words.iter().map(String::as_str).collect();
        let (_, args) = words.split_first()?;
        let allowed = !args.is_empty() && accepts(&binary.terms, args);
        let reason = || {
            let how = escape.how;
            format!("it allows `{}`, and {how}", escape.example)
        };
        allowed.then(|| Found::of(binary, reason()))
    });
    found.collect()
}

fn denied_only(rules: &Rules) -> Vec<Found> {
    let open = |binary: &&Binary| {
        binary.terms.allowed_args.is_none() && !binary.terms.denied_args.is_empty() && !binary.shell
    };
    let found = enabled(rules).filter(open).filter_map(|binary| {
        let escape = escapes::find(name(binary)).filter(|escape| escape.kind != Kind::Reads)?;
        let reason = format!(
            "whatever denied_args forgets is allowed, and {} (as in `{}`)",
            escape.how, escape.example
        );
        Some(Found::of(binary, reason))
    });
    found.collect()
}

fn everything(rules: &Rules) -> Vec<Found> {
    each_allowed(rules, |_, rule| {
        let any = ANYTHING.iter().all(|text| rule.pattern.matches(text));
        any.then(|| format!("{} matches everything", rule.described()))
    })
}

fn anchors(rules: &Rules) -> Vec<Found> {
    let redundant = |rule: &ArgRule| {
        let text = rule.pattern.as_str();
        let escaped = text.strip_suffix('$').is_some_and(|rest| rest.ends_with('\\'));
        // `^a|b$` means something else once its anchors are gone.
        let whole = text.starts_with('^') && text.ends_with('$') && !escaped;
        let one = !text.contains('|') && (text.starts_with('^') || text.ends_with('$') && !escaped);
        (whole || one).then(|| format!("`{text}` is anchored twice"))
    };
    let denied = rules.binaries.iter().flat_map(|binary| {
        let rules = binary.terms.denied_args.iter();
        rules.filter_map(move |rule| Some(Found::of(binary, redundant(rule)?).at(&rule.at)))
    });
    each_allowed(rules, |_, rule| redundant(rule)).into_iter().chain(denied).collect()
}

fn denied_anyway(rules: &Rules) -> Vec<Found> {
    each_allowed(rules, |terms, rule| {
        // Only of a pattern that is a plain word can this be told for certain.
        let word = rule.pattern.as_str();
        let plain = regex::escape(word).replace(r"\-", "-") == word;
        let covers = |denied: &ArgRule| {
            denied.pattern.forbids(word)
                && (denied.position.is_none() || denied.position == rule.position)
        };
        (plain && terms.denied_args.iter().any(covers))
            .then(|| format!("{} is allowed, and always denied by denied_args", rule.described()))
    })
}

fn never_allows(rules: &Rules) -> Vec<Found> {
    each_allowed(rules, |terms, rule| {
        let position = rule.position.filter(|_| rule.required)?;
        let allowed = terms.allowed_args.as_deref()?;
        let gap = (0..position).find(|at| !allowed.iter().any(|rule| rule.speaks_of(*at)))?;
        Some(format!(
            "{} is required, and position {gap} before it may hold nothing",
            rule.described()
        ))
    })
}

/// What is to be said of each pattern of each rule that is switched on.
fn each_allowed(rules: &Rules, say: impl Fn(&Terms, &ArgRule) -> Option<String>) -> Vec<Found> {
    let mut found = Vec::new();
    for binary in enabled(rules) {
        for rule in binary.terms.allowed_args.iter().flatten() {
            if let Some(reason) = say(&binary.terms, rule) {
                found.push(Found::of(binary, reason).at(&rule.at));
            }
        }
    }
    found
}
