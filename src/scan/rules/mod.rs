//! The rules, one row each, with a text that each finds and one that looks
//! alike and is left alone.

mod destruction;
mod hiding;
mod intrusion;
mod weakening;

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::{Finding, Line, PER_RULE_MAX, Severity};

/// What a rule looks for.
pub(super) struct Rule {
    id: &'static str,
    severity: Severity,
    finds: &'static str,
    why: &'static str,
    /// Held against each line, as it stands and without its quotes. `{…}` is one
    /// of [`PARTS`].
    pattern: &'static str,
    /// Whether comments are looked at, too.
    everywhere: bool,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of the table"))]
    hits: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of the table"))]
    misses: &'static [&'static str],
}

/// What the patterns share.
const PARTS: &[(&str, &str)] = &[
    // The rest of one command.
    ("{ARGS}", r"[^;&|\n]*"),
    // Where a word ends.
    ("{END}", r#"(?:["'\s;&|)]|$)"#),
    // A directory that a system needs.
    ("{SYSTEM}", r"/(?:bin|boot|dev|etc|home|lib|lib32|lib64|opt|proc|root|sbin|srv|sys|usr|var)"),
    // A device that holds file systems.
    ("{DISK}", r"/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|md|dm-|mapper/|disk/|loop|nbd)"),
    // Something that executes what it reads.
    (
        "{SHELL}",
        r"(?:sudo\s+(?:-\S+\s+)*)?(?:env\s+)?(?:/\S*/)?(?:(?:ba|da|z|k|mk|a|c|tc|fi)?sh|python[0-9.]*|perl|ruby|php|node|pwsh)\b",
    ),
    // A command that writes to the file named behind it.
    ("{WRITE}", r"(?:>\s*|\b(?:tee|cp|mv|install|ln|dd|sed|rsync|curl|wget)\b[^;&|\n]*[\s=])"),
    ("{FETCH}", r"\b(?:curl|wget|fetch|lwp-download|aria2c)\b"),
    // A service that is stopped, by whatever manages services.
    (
        "{STOP}",
        r"(?:systemctl\s+(?:-\S+\s+)*(?:stop|disable|mask|kill)|service|chkconfig|update-rc\.d)\b[^;&|\n]*\b",
    ),
];

/// The tables.
const TABLES: [&[Rule]; 4] =
    [destruction::RULES, intrusion::RULES, weakening::RULES, hiding::RULES];

const WHOLE: Finding = Finding { rule: "", severity: Severity::High, line: 1, finds: "", why: "" };

/// More than is searched.
pub(super) const TOO_LARGE: Finding = Finding {
    rule: "too-large",
    finds: "a text of more than 1 MiB",
    why: "so much is not searched: push data as files of their own",
    ..WHOLE
};

/// No text.
pub(super) const BINARY: Finding = Finding {
    rule: "binary",
    finds: "bytes that are no text",
    why: "nobody can read what it does: push programs as files, and run them by a script",
    ..WHOLE
};

/// Text in another encoding.
pub(super) const NOT_UTF8: Finding = Finding {
    rule: "not-utf8",
    severity: Severity::Medium,
    finds: "bytes that are not UTF-8",
    why: "what they say depends on who reads them: save it as UTF-8",
    ..WHOLE
};

/// The patterns, compiled when the first script is searched. A test proves that
/// every one compiles.
static COMPILED: LazyLock<Vec<(&'static Rule, Regex)>> = LazyLock::new(|| {
    let rules = TABLES.into_iter().flatten();
    rules.filter_map(|rule| Some((rule, compile(rule).ok()?))).collect()
});

fn compile(rule: &Rule) -> Result<Regex, regex::Error> {
    let pattern = PARTS
        .iter()
        .fold(rule.pattern.to_owned(), |pattern, (name, part)| pattern.replace(name, part));
    RegexBuilder::new(&pattern).size_limit(4 << 20).build()
}

pub(super) fn find(lines: &[Line<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (rule, regex) in COMPILED.iter() {
        let speaks = |line: &&Line<'_>| {
            let looked_at = rule.everywhere || !line.comment;
            looked_at
                && (regex.is_match(&line.raw)
                    || line.plain.as_ref().is_some_and(|plain| regex.is_match(plain)))
        };
        let found = lines.iter().filter(speaks).take(PER_RULE_MAX);
        findings.extend(found.map(|line| rule.finding(line.number)));
    }
    findings
}

pub(super) fn catalogue() -> impl Iterator<Item = Finding> {
    let whole = [TOO_LARGE, BINARY, NOT_UTF8].into_iter();
    TABLES.into_iter().flatten().map(|rule| rule.finding(0)).chain(whole)
}

impl Rule {
    fn finding(&self, line: u32) -> Finding {
        let Self { id, severity, finds, why, .. } = *self;
        Finding { rule: id, severity, line, finds, why }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[test]
    fn every_rule_finds_and_leaves_what_it_says() {
        for rule in TABLES.into_iter().flatten() {
            let Rule { id, hits, misses, .. } = rule;
            if let Err(error) = compile(rule) {
                panic!("{id}: {error}");
            }
            assert!(!hits.is_empty() && !misses.is_empty(), "{id} has no examples");
            let found = |text: &str| scan(text.as_bytes()).iter().any(|found| found.rule == *id);
            for text in *hits {
                assert!(found(text), "{id} missed {text:?}");
            }
            for text in *misses {
                assert!(!found(text), "{id} found {text:?}");
            }
        }
    }
}
