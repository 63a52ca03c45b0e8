//! Regular expressions on whole words, and path patterns by component.

use regex::{Regex, RegexBuilder};

use super::validate::{InvalidInput, validate_path};
use crate::nodeset::glob_matches;

/// Bytes that a compiled expression takes at most.
const COMPILED_MAX: usize = 1 << 20;
/// Bytes of an expression as written.
const WRITTEN_MAX: usize = 4096;

/// A regular expression that speaks of a whole word, in time linear in its
/// length.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    written: String,
    regex: Regex,
}

impl Pattern {
    pub(crate) fn new(written: &str) -> Result<Self, String> {
        if written.len() > WRITTEN_MAX {
            return Err(format!("a pattern has at most {WRITTEN_MAX} bytes"));
        }
        let compile = |text: &str| {
            let built = RegexBuilder::new(text).size_limit(COMPILED_MAX).nest_limit(50).build();
            built.map_err(|error| explain(&error))
        };
        // By itself first: `a)|(b` must not become right by what is put around.
        compile(written)?;
        let whole = compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self { written: written.to_owned(), regex: whole })
    }

    pub(crate) fn matches(&self, word: &str) -> bool {
        self.regex.is_match(word)
    }

    /// Whether it speaks of this word or, where that is `--name=value`, of
    /// `--name`. What is forbidden stays forbidden with a value behind it.
    pub(super) fn forbids(&self, word: &str) -> bool {
        let name = word.split_once('=').map(|(name, _)| name);
        self.matches(word) || name.is_some_and(|name| name.starts_with('-') && self.matches(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.written
    }
}

/// The last line of the crate's drawing, which says what is wrong.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large when it is compiled".into(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

/// A path and everything below it, with `*` and `?` within a component and `**`
/// for any number of components.
#[derive(Clone, Debug)]
pub(super) struct PathPattern {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Any,
    Glob(String),
}

impl PathPattern {
    /// A `/` at the end changes nothing.
    pub(super) fn new(written: &str) -> Result<Self, InvalidInput> {
        let path = if written.len() > 1 { written.strip_suffix('/') } else { None };
        let path = path.unwrap_or(written);
        validate_path(path)?;
        let parts = components(path).map(|part| match part {
            "**" => Part::Any,
            part => Part::Glob(part.to_owned()),
        });
        Ok(Self { written: written.to_owned(), parts: parts.collect() })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether a clean path is this one or below it.
    pub(super) fn covers(&self, path: &str) -> bool {
        let path: Vec<&str> = components(path).collect();
        walk(&self.parts, &path, false)
    }

    /// Whether something at or below a clean path could be covered.
    pub(super) fn reaches(&self, path: &str) -> bool {
        let path: Vec<&str> = components(path).collect();
        walk(&self.parts, &path, true)
    }
}

/// Goes along pattern and path. `below`: what follows the path is open, so that
/// its end is no end.
fn walk(parts: &[Part], path: &[&str], below: bool) -> bool {
    // For each component of the path, the places in the pattern at which one
    // may stand behind it; places are few and grow only at `**`.
    let mut places = vec![false; parts.len() + 1];
    places[0] = true;
    skip_any(parts, &mut places);
    for component in path {
        if places[parts.len()] {
            return true;
        }
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| places[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::Glob(glob) if glob_matches(glob, component) => next[at + 1] = true,
                Part::Glob(_) => {}
            }
        }
        skip_any(parts, &mut next);
        places = next;
    }
    places[parts.len()] || below && places.contains(&true)
}

/// `**` stands for no component, too.
fn skip_any(parts: &[Part], places: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if places[at] && matches!(part, Part::Any) {
            places[at + 1] = true;
        }
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_only() {
        for (pattern, word, expected) in [
            ("status", "status", true),
            ("status", "status2", false),
            ("status", "xstatus", false),
            ("^(a|b)$", "a", true),
            ("a|b", "ab", false),
            ("a|b", "b", true),
            ("^a$", "a\n", false),
            ("(?m)^a$", "a\nb", false),
            (".*", "a\nb", false),
            ("(?s).*", "a\nb", true),
            ("(?i)ab", "AB", true),
            ("x+", "xx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(word),
                expected,
                "{pattern} {word:?}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for bad in ["(", "a)|(b", "[", "(?=a)", r"(a)\1", "a{1000}{1000}", "(?x)a #"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"(".repeat(60)).is_err());
        assert!(Pattern::new(&"a".repeat(5000)).is_err());
    }

    /// Its time is linear, so a megabyte is as good as nothing; a backtracking
    /// engine would not end in the life of this test.
    #[test]
    fn what_would_explode_elsewhere_is_linear() {
        let word = format!("{}!", "a".repeat(1 << 20));
        for pattern in ["(a+)+", "(a|a)*", "(a*)*b", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$"] {
            assert!(!Pattern::new(pattern).unwrap().matches(&word), "{pattern}");
        }
    }

    #[test]
    fn a_forbidden_option_is_forbidden_with_a_value() {
        let exec = Pattern::new("^--exec$").unwrap();
        for (word, expected) in [
            ("--exec", true),
            ("--exec=sh", true),
            ("--exec-path", false),
            ("x--exec", false),
            ("exec=--exec", false),
        ] {
            assert_eq!(exec.forbids(word), expected, "{word}");
        }
    }

    #[test]
    fn paths_and_what_is_below() {
        for (pattern, path, covers, reaches) in [
            ("/opt/app", "/opt/app", true, true),
            ("/opt/app/", "/opt/app/x/y", true, true),
            ("/opt/app", "/opt/apple", false, false),
            ("/opt/app", "/opt", false, true),
            ("/opt/app", "/", false, true),
            ("/", "/etc/passwd", true, true),
            ("/srv/*/conf.yml", "/srv/a/conf.yml", true, true),
            ("/srv/*/conf.yml", "/srv/a/b/conf.yml", false, false),
            ("/srv/*/conf.yml", "/srv/a", false, true),
            ("/srv/**/conf.yml", "/srv/conf.yml", true, true),
            ("/srv/**/conf.yml", "/srv/a/b/conf.yml", true, true),
            ("/srv/**/conf.yml", "/srv/a/b", false, true),
            ("/srv/**/conf.yml", "/etc", false, false),
            ("/var/log/*.log", "/var/log/a.log", true, true),
            ("/var/log/*.log", "/var/log/a.txt", false, false),
            ("/var/log/**", "/var/log", true, true),
        ] {
            let pattern = PathPattern::new(pattern).unwrap();
            assert_eq!(pattern.covers(path), covers, "{} {path}", pattern.as_str());
            assert_eq!(pattern.reaches(path), reaches, "{} {path}", pattern.as_str());
        }
        for bad in ["", "opt", "/a/../b", "/a//b", "/a/./b", "~/x"] {
            assert!(PathPattern::new(bad).is_err(), "{bad}");
        }
    }
}
