//! The first field of a line: which hosts the line speaks of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const HASH_LEN: usize = 20;
const SHA1_BLOCK_LEN: usize = 64;

/// A hosts field. Names are compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Plain names only: these can be indexed.
    Names(Vec<Box<[u8]>>),
    /// A list with wildcards or negations.
    Patterns(Vec<Pattern>),
    /// One name that only its owner can recognise.
    Hashed(HashedName),
}

/// `!web*`: whether it excludes, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    negated: bool,
    glob: Box<[u8]>,
}

/// `|1|salt|hash`: HMAC-SHA1 of the lower-case name, keyed by the salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HashedName {
    salt: [u8; HASH_LEN],
    hash: [u8; HASH_LEN],
}

impl Hosts {
    /// Reads a hosts field; `None` if it is a broken hash.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        if field.starts_with(b"|") {
            return HashedName::parse(field).map(Self::Hashed);
        }
        let field = field.to_ascii_lowercase();
        let parts = field.split(|&b| b == b',');
        let plain = !field.iter().any(|b| b"*?!".contains(b));
        Some(if plain {
            Self::Names(parts.map(Into::into).collect())
        } else {
            Self::Patterns(parts.map(Pattern::parse).collect())
        })
    }

    /// Whether the field names `name`, which is in lower case.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        match self {
            Self::Names(names) => names.iter().any(|n| **n == *name),
            Self::Patterns(patterns) => list_matches(patterns, name),
            Self::Hashed(hashed) => *hashed == HashedName::of(name, hashed.salt),
        }
    }
}

impl Pattern {
    fn parse(text: &[u8]) -> Self {
        match text.strip_prefix(b"!") {
            Some(glob) => Self { negated: true, glob: glob.into() },
            None => Self { negated: false, glob: text.into() },
        }
    }
}

impl HashedName {
    /// The hashed form of `name` under `salt`.
    pub(super) fn of(name: &[u8], salt: [u8; HASH_LEN]) -> Self {
        // HMAC pads a short key with zeros to the block, so padding it here
        // changes nothing and leaves no length that could be refused.
        let mut key = [0; SHA1_BLOCK_LEN];
        key[..HASH_LEN].copy_from_slice(&salt);
        let mac = Hmac::<Sha1>::new(&key.into()).chain_update(name);
        Self { salt, hash: mac.finalize().into_bytes().into() }
    }

    fn parse(field: &[u8]) -> Option<Self> {
        let (salt, hash) =
            std::str::from_utf8(field.strip_prefix(b"|1|")?).ok()?.split_once('|')?;
        let bytes = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self { salt: bytes(salt)?, hash: bytes(hash)? })
    }
}

impl std::fmt::Display for HashedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "|1|{}|{}", STANDARD.encode(self.salt), STANDARD.encode(self.hash))
    }
}

/// Whether a list of patterns, by commas, has `name` in it; letters count as
/// they stand (ssh_config(5), PATTERNS).
pub(in crate::ssh) fn pattern_list_matches(list: &str, name: &str) -> bool {
    let patterns: Vec<Pattern> =
        list.split(',').map(|one| Pattern::parse(one.as_bytes())).collect();
    list_matches(&patterns, name.as_bytes())
}

/// A negated pattern that matches wins over the whole line.
fn list_matches(patterns: &[Pattern], name: &[u8]) -> bool {
    let excluded = patterns.iter().any(|p| p.negated && glob_matches(&p.glob, name));
    !excluded && patterns.iter().any(|p| !p.negated && glob_matches(&p.glob, name))
}

/// `*` is any run of bytes, `?` any one byte. Only the last `*` is ever
/// retried, so a hostile pattern costs at most pattern times name.
fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, n));
                g += 1;
            }
            Some(&b) if b == b'?' || b == name[n] => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((after_star, start)) = retry else { return false };
                retry = Some((after_star, start + 1));
                g = after_star;
                n = start + 1;
            }
        }
    }
    glob[g..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(field: &str, name: &str) -> bool {
        Hosts::parse(field.as_bytes()).unwrap().matches(name)
    }

    #[test]
    fn plain_names() {
        assert!(matches("web1", "web1"));
        assert!(matches("web1,10.0.0.1", "10.0.0.1"));
        assert!(!matches("web1", "web10"));
        assert!(!matches("web10", "web1"));
    }

    #[test]
    fn patterns_ignore_case() {
        assert!(matches("WEB1", "web1"));
        assert!(matches("WEB*", "web1"));
    }

    #[test]
    fn empty_parts_match_nothing() {
        assert!(!matches(",,", "web1"));
        assert!(matches("web1,,", "web1"));
    }

    #[test]
    fn stars() {
        for glob in ["*", "**", "web*", "*1", "w*1", "w*b*1", "web1*", "*web1"] {
            assert!(matches(glob, "web1"), "{glob}");
        }
        for glob in ["web2*", "*2", "w*2*1", "web1*1", "x*"] {
            assert!(!matches(glob, "web1"), "{glob}");
        }
    }

    #[test]
    fn question_marks_are_exactly_one_byte() {
        assert!(matches("web?", "web1"));
        assert!(!matches("web?", "web"));
        assert!(!matches("web?", "web12"));
        assert!(matches("???1", "web1"));
    }

    #[test]
    fn brackets_are_literal() {
        assert!(matches("[web1]:*", "[web1]:2222"));
        assert!(!matches("[we]b1*", "web1"));
        assert!(!matches("[*]:22", "[web1]:2222"));
    }

    #[test]
    fn negation_wins_in_any_order() {
        assert!(!matches("*,!web1", "web1"));
        assert!(!matches("!web1,*", "web1"));
        assert!(!matches("web1,!web?", "web1"));
        assert!(matches("*,!web1", "web2"));
    }

    #[test]
    fn negation_alone_matches_nobody() {
        assert!(!matches("!web1", "web2"));
        assert!(!matches("!web1", "web1"));
    }

    #[test]
    fn a_hash_made_by_ssh_keygen() {
        // Made by `ssh-keygen -H` from a line for `web1`.
        let field = include_str!("../../../tests/fixtures/known_hosts/web1.hashed").trim();
        assert!(matches(field, "web1"));
        assert!(!matches(field, "web2"));
        assert!(!matches(field, "[web1]:2222"));
    }

    #[test]
    fn a_hash_is_written_as_it_is_read() {
        let hashed = HashedName::of(b"web1", [7; 20]);
        assert!(matches(&hashed.to_string(), "web1"));
        assert!(!matches(&hashed.to_string(), "web2"));
    }

    #[test]
    fn broken_hashes_are_refused() {
        let good = HashedName::of(b"web1", [7; 20]).to_string();
        for bad in ["|", "|1|", "|1|x|y", "|2|AAAA|AAAA", &good[..good.len() - 4], &good[..40]] {
            assert_eq!(Hosts::parse(bad.as_bytes()), None, "{bad}");
        }
        // A list is not allowed around a hash.
        assert_eq!(Hosts::parse(format!("{good},web1").as_bytes()), None);
    }

    #[test]
    fn hostile_globs_end() {
        let glob = "*a".repeat(500);
        assert!(!matches(&glob, &"b".repeat(1000)));
        assert!(!matches(&format!("{glob}b"), &"a".repeat(1000)));
    }

    proptest! {
        /// Against the definition, written as a recursion over all choices.
        #[test]
        fn globs_follow_their_definition(glob in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            fn model(glob: &[u8], name: &[u8]) -> bool {
                match (glob.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => (0..=name.len()).any(|n| model(rest, &name[n..])),
                    (Some((b'?', rest)), Some((_, name))) => model(rest, name),
                    (Some((a, rest)), Some((b, name))) => a == b && model(rest, name),
                    _ => false,
                }
            }
            prop_assert_eq!(
                glob_matches(glob.as_bytes(), name.as_bytes()),
                model(glob.as_bytes(), name.as_bytes())
            );
        }
    }
}
