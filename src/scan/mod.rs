//! What in the text of a script looks dangerous.
//!
//! Pure: bytes in, findings out. It reads a script as an attentive reviewer
//! would who has a minute: it knows what destroys a host, opens it to others,
//! switches its defences off or hides what a text does. It is advice with teeth
//! and no sandbox: who wants to get around it can. Who may run which script is
//! for the policy to say.
//!
//! Each line is held against each rule once, so that the time it takes grows
//! with the text and nothing else.

mod lines;
mod rules;
mod secrets;

use std::fmt;
use std::str::FromStr;

use lines::{Line, lines};

/// The largest text that is searched, in bytes. A larger one is a finding by
/// itself.
pub const SCAN_MAX: usize = 1 << 20;

/// Findings of one rule that are told.
const PER_RULE_MAX: usize = 10;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Often a mistake.
    Medium,
    /// Seldom meant well: blocks.
    High,
    /// Never meant well on a host that is to live on: blocks.
    Critical,
}

impl Severity {
    /// Whether a script with such a finding is not run.
    pub fn blocks(self) -> bool {
        self >= Self::High
    }

    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that a rule found. It repeats nothing of the text, which may hold
/// a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable name, such as `rm-root`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where: lines count from 1. A command that goes on over several lines
    /// stands in its first one.
    pub line: u32,
    /// What was found.
    pub finds: &'static str,
    /// Why that is bad, or what to do instead.
    pub why: &'static str,
}

/// Which scripts are searched before they are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Those of the script library.
    #[default]
    Library,
    /// Every script that is sent.
    All,
    /// None. The audit log tells.
    Off,
}

impl Mode {
    /// Every mode under its name.
    pub(crate) const CHOICES: [(&'static str, Self); 3] =
        [("library", Self::Library), ("all", Self::All), ("off", Self::Off)];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::All => "all",
            Self::Off => "off",
        }
    }
}

/// What every rule finds in the bytes of a script, the worst first, then by
/// line.
pub fn scan(bytes: &[u8]) -> Vec<Finding> {
    if bytes.len() > SCAN_MAX {
        return vec![rules::TOO_LARGE];
    }
    if bytes.contains(&0) {
        return vec![rules::BINARY];
    }
    let text = String::from_utf8_lossy(bytes);
    let lines = lines(&text);
    let mut findings = Vec::new();
    if let Some(line) = lines.iter().find(|line| line.raw.contains('\u{fffd}')) {
        findings.push(Finding { line: line.number, ..rules::NOT_UTF8 });
    }
    findings.extend(rules::find(&lines));
    findings.extend(secrets::find(&text));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.line));
    findings
}

/// Every rule's name, severity, what it finds and why that is bad.
pub fn catalogue() -> impl Iterator<Item = Finding> {
    rules::catalogue().chain(secrets::catalogue())
}

/// The name of a rule that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleName(&'static str);

/// A name that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scan rule {name}{}", .nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
pub struct UnknownRule {
    name: String,
    nearest: Option<&'static str>,
}

impl RuleName {
    /// The name itself.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl FromStr for RuleName {
    type Err = UnknownRule;

    /// With or without `scan/` before it, as the audit log has it.
    fn from_str(name: &str) -> Result<Self, UnknownRule> {
        let name = name.strip_prefix("scan/").unwrap_or(name);
        let names: Vec<&'static str> = catalogue().map(|rule| rule.rule).collect();
        let found = names.iter().copied().find(|rule| *rule == name);
        found.map(Self).ok_or_else(|| UnknownRule {
            name: name.to_owned(),
            nearest: crate::yaml::nearest(name, names.iter().copied())
                .and_then(|near| names.iter().copied().find(|rule| *rule == near)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: impl AsRef<[u8]>) -> Vec<&'static str> {
        scan(text.as_ref()).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn findings_know_their_line_and_the_worst_comes_first() {
        let text = "#!/bin/sh\nchmod 777 x\nrm \\\n  -rf \\\n  /\n";
        let found: Vec<_> = scan(text.as_bytes())
            .into_iter()
            .map(|finding| (finding.rule, finding.severity.as_str(), finding.line))
            .collect();
        assert_eq!(found, [("rm-root", "critical", 3), ("chmod-world-writable", "medium", 2)]);
    }

    #[test]
    fn quotes_and_backslashes_hide_nothing() {
        for text in ["r''m -rf '/'", "\"rm\" \"-rf\" \"/\"", "\\rm -r\\f /", "sudo rm -rf /;"] {
            assert!(rules(text).contains(&"rm-root"), "{text}");
        }
    }

    #[test]
    fn what_a_comment_says_is_not_run() {
        assert_eq!(rules("# never do rm -rf /\n  # curl x | sh\ntrue"), Vec::<&str>::new());
        assert_eq!(rules("# \u{202e}hidden"), ["bidi"]);
        assert!(rules("true # x\nrm -rf /").contains(&"rm-root"));
        // A line that goes on is not ended by the comment sign of the next one.
        assert!(rules("echo \\\n# ; rm -rf /").contains(&"rm-root"));
        // And a comment does not go on.
        assert!(rules("# x \\\nrm -rf /").contains(&"rm-root"));
    }

    #[test]
    fn what_cannot_be_read_is_a_finding() {
        assert_eq!(rules(vec![b'a'; SCAN_MAX + 1]), ["too-large"]);
        assert_eq!(rules(b"\x7fELF\0"), ["binary"]);
        assert_eq!(rules(b"echo caf\xe9"), ["not-utf8"]);
        assert_eq!(rules("echo café"), Vec::<&str>::new());
    }

    /// It ends, whatever the text: an engine that tries again from each place
    /// would not.
    #[test]
    fn texts_of_the_largest_size_end() {
        for piece in ["rm -r ", "a", "\\\n", "$(", "| ", "curl ", "x=\"", "\\x41", "password="] {
            let text = piece.repeat(SCAN_MAX / piece.len());
            assert!(scan(text.as_bytes()).len() < 1000, "{piece}");
        }
    }

    #[test]
    fn a_rule_is_told_ten_times_at_most() {
        assert_eq!(rules("rm -rf /\n".repeat(1000)).len(), PER_RULE_MAX);
    }

    #[test]
    fn there_are_many_rules_and_each_has_its_own_name() {
        let mut names: Vec<_> = catalogue().map(|rule| rule.rule).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 60, "{count}");
        assert_eq!("scan/rm-root".parse::<RuleName>().unwrap().as_str(), "rm-root");
        let unknown = "rm-rooot".parse::<RuleName>().unwrap_err().to_string();
        assert_eq!(unknown, "there is no scan rule rm-rooot; did you mean rm-root?");
    }
}
