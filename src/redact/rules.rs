//! The shapes of a secret, one row each.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::Hit;

/// The last part of a name whose value is secret.
///
/// `pwd` is one only in lower case or after an underscore: `PWD` is the shell's
/// working directory.
pub(super) const SECRET_NAME: &str = "(?:(?i-u:pass(?:word|wd|phrase)|secret|token|credentials?|\
    (?:api|secret|access|private|auth|encryption)[_-]?key)(?-u:[0-9]*)|pwd|_PWD)";

/// One of these stands in every [`SECRET_NAME`].
const SECRET_WORDS: &[&str] = &["pass", "secret", "token", "credential", "key", "pwd"];

/// What the patterns share, written `{NAME}`, `{VALUE}` and `{GAP}` in them.
const PARTS: &[(&str, &str)] = &[
    ("{NAME}", r"(?-u:[A-Za-z0-9_.-]*?){SECRET}"),
    ("{SECRET}", SECRET_NAME),
    // A word as a shell reads it. A quote in its middle belongs to it only if no
    // space follows before the quote is closed: else it closes what is around us.
    (
        "{VALUE}",
        r#"((?:"(?:[^"\\]|\\[\s\S])*"|'[^']*'|\\[^\n]|[^\s"'\\&;|<>-])(?:"[^"\s]*"|'[^'\s]*'|\\[^\n]|[^\s"'\\&;|])*)"#,
    ),
    // The rest of one command, over continued lines.
    ("{GAP}", r"(?:[^\n\\]|\\[\s\S])*?"),
];

/// A secret's shape. What the capturing groups of the pattern match is removed.
struct Rule {
    name: &'static str,
    /// One of these, in whatever case, stands in every text that the pattern
    /// matches. Here they are in small letters.
    needs: &'static [&'static str],
    pattern: &'static str,
    /// Texts with a secret, and what becomes of them.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of the table"))]
    removes: &'static [(&'static str, &'static str)],
    /// Texts that look alike and stay as they are.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test of the table"))]
    leaves: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        name: "assignment",
        needs: SECRET_WORDS,
        pattern: r"{NAME}(?:=|[ \t]+=[ \t]*){VALUE}",
        removes: &[
            ("password=x y", "password=[redacted] y"),
            ("DB_PASSWORD='a b' run", "DB_PASSWORD='[redacted]' run"),
            (r#"passwd="a \" b" run"#, r#"passwd="[redacted]" run"#),
            ("PGPASSWORD=abc psql -c 'select 1'", "PGPASSWORD=[redacted] psql -c 'select 1'"),
            ("MYSQL_PWD=abc mysql", "MYSQL_PWD=[redacted] mysql"),
            ("uid=sa;pwd=abc;", "uid=sa;pwd=[redacted];"),
            ("run --api-key=abc --x", "run --api-key=[redacted] --x"),
            ("client_secret = abc", "client_secret = [redacted]"),
            ("aws_secret_access_key = wJalr/XUtn+EMI=", "aws_secret_access_key = [redacted]"),
            ("https://h/?token=abc&x=1", "https://h/?token=[redacted]&x=1"),
            ("sh -c 'x --token=abc' && echo 'hi'", "sh -c 'x --token=[redacted]' && echo 'hi'"),
            ("token=foo'bar'\"baz\" x", "token=[redacted] x"),
            (r"password=a\ b c", r"password=[redacted] c"),
        ],
        leaves: &[
            "PWD=/srv make",
            "OLDPWD=/srv",
            "max_tokens=100",
            "--password-file=/etc/pw",
            "password= next",
            "test $token",
        ],
    },
    Rule {
        name: "flag",
        needs: SECRET_WORDS,
        pattern: r"(?:^|\s)--?{NAME}[ \t]+{VALUE}",
        removes: &[
            ("x --password abc y", "x --password [redacted] y"),
            ("x -token 'a b' y", "x -token '[redacted]' y"),
            ("x --db-passwd abc|y", "x --db-passwd [redacted]|y"),
        ],
        leaves: &[
            "x --password --user y",
            "x --password | y",
            "x --password-stdin y",
            "x --token-ttl 5",
            "secret santa",
        ],
    },
    Rule {
        name: "field",
        needs: SECRET_WORDS,
        pattern: r"{NAME}:[ \t]*{VALUE}",
        removes: &[
            ("password: abc", "password: [redacted]"),
            ("curl -H 'X-Api-Key: abc' h", "curl -H 'X-Api-Key: [redacted]' h"),
            ("curl -H PRIVATE-TOKEN:abc h", "curl -H PRIVATE-TOKEN:[redacted] h"),
        ],
        leaves: &["Password: ", "passwords: none", "secrets/file:1"],
    },
    Rule {
        name: "json",
        needs: SECRET_WORDS,
        pattern: r#""{NAME}"\s*:\s*"((?:[^"\\]|\\[\s\S])+)"#,
        removes: &[
            (r#"{"password": "a \" b", "x": 1}"#, r#"{"password": "[redacted]", "x": 1}"#),
            (r#"'{"apiKey":"abc"}'"#, r#"'{"apiKey":"[redacted]"}'"#),
        ],
        leaves: &[r#"{"password": null}"#, r#"{"max_tokens":"5"}"#],
    },
    Rule {
        name: "json-escaped",
        needs: SECRET_WORDS,
        pattern: r#"\\"{NAME}\\"\s*:\s*\\"([^"\\]+)"#,
        removes: &[(r#""{\"password\":\"abc\"}""#, r#""{\"password\":\"[redacted]\"}""#)],
        leaves: &[r#""{\"user\":\"abc\"}""#],
    },
    Rule {
        name: "authorization",
        needs: &["authorization"],
        pattern: r#"(?i-u:authorization)["']?\s*[:=]\s*["']?(?:(?-u:[A-Za-z-]+)[ \t]+)?([^\s"',]+)"#,
        removes: &[
            ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
            ("-H 'authorization: Basic dTpw' h", "-H 'authorization: Basic [redacted]' h"),
            ("Proxy-Authorization: abc", "Proxy-Authorization: [redacted]"),
        ],
        leaves: &["authorization failed", "Authorization: "],
    },
    Rule {
        name: "bearer",
        needs: &["bearer"],
        pattern: r"(?-u:\b)(?i-u:bearer)[ \t]+((?-u:[A-Za-z0-9._~+/-]{16,}=*))",
        removes: &[("sent Bearer 0123456789abcdef== to", "sent Bearer [redacted] to")],
        leaves: &["the bearer of news"],
    },
    Rule {
        name: "url",
        needs: &["://"],
        pattern: r#"(?-u:[A-Za-z][A-Za-z0-9+.-]*)://[^\s/:@"']*:([^\s/"']+)@"#,
        removes: &[
            ("git clone https://user:pass@host/r", "git clone https://user:[redacted]@host/r"),
            ("postgres://u:p@ss@db:5432/x", "postgres://u:[redacted]@db:5432/x"),
            ("redis://:abc@h:6379", "redis://:[redacted]@h:6379"),
        ],
        leaves: &["https://host:8080/a@b", "ssh://user@host:22/", "scp a user@host:b"],
    },
    Rule {
        name: "url-token",
        needs: &["://"],
        pattern: r"://((?-u:[A-Za-z0-9_-]{20,}))@",
        removes: &[("https://0123456789abcdef0123@h/r", "https://[redacted]@h/r")],
        leaves: &["https://git@host/r"],
    },
    Rule {
        name: "private-key",
        needs: &["private key"],
        pattern: r"-----BEGIN (?-u:[A-Z0-9 ]*)PRIVATE KEY(?: BLOCK)?-----([\s\S]*?)(?:-----END |\z)",
        removes: &[
            (
                "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\nbnNz\n-----END OPENSSH PRIVATE KEY-----\nz",
                "a\n-----BEGIN OPENSSH PRIVATE KEY-----[redacted]-----END OPENSSH PRIVATE KEY-----\nz",
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "-----BEGIN RSA PRIVATE KEY-----[redacted]"),
        ],
        leaves: &["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"],
    },
    Rule {
        name: "aws-access-key",
        needs: &["akia", "asia"],
        pattern: r"(?-u:\b((?:AKIA|ASIA)[A-Z0-9]{16})\b)",
        removes: &[("id AKIAIOSFODNN7EXAMPLE.", "id [redacted].")],
        leaves: &["AKIAIOSFODNN7", "XAKIAIOSFODNN7EXAMPLE"],
    },
    Rule {
        name: "aws-secret-key",
        needs: &["aws_"],
        pattern: r"(?i-u:aws_(?:secret_access_key|session_token))\s+([^\s=]+)",
        removes: &[(
            "aws configure set aws_secret_access_key wJalr",
            "aws configure set aws_secret_access_key [redacted]",
        )],
        leaves: &["aws configure set aws_region eu-west-1"],
    },
    Rule {
        name: "github-token",
        needs: &["gh"],
        pattern: r"(?-u:\b)((?-u:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}))",
        removes: &[
            ("x ghp_0123456789abcdefghijABCDEFGHIJ012345 y", "x [redacted] y"),
            ("x github_pat_0123456789abcdefghijkl_AB y", "x [redacted] y"),
        ],
        leaves: &["ghp_short", "weighp_0123456789abcdefghijABCDEFGHIJ012345"],
    },
    Rule {
        name: "gitlab-token",
        needs: &["gl"],
        pattern: r"(?-u:\b)(gl(?:pat|ptt|dt|rt|soat)-(?-u:[A-Za-z0-9_-]{20,}))",
        removes: &[("x glpat-0123456789abcdefghij y", "x [redacted] y")],
        leaves: &["glpat-short"],
    },
    Rule {
        name: "slack-token",
        needs: &["xox"],
        pattern: r"(?-u:\b)(xox[abeoprs]-(?-u:[0-9][A-Za-z0-9-]{9,}))",
        removes: &[("x xoxb-123456789012-abcdef y", "x [redacted] y")],
        leaves: &["xoxb-short", "xoxo-kisses-and-hugs-x"],
    },
    Rule {
        name: "jwt",
        needs: &["eyj"],
        pattern: r"(?-u:\b)((?-u:eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*))",
        removes: &[("x eyJhbGciOi.eyJzdWIiOi.c2ln-_ y", "x [redacted] y")],
        leaves: &["eyJhbGciOi", "eyJhbGciOi.txt"],
    },
    Rule {
        name: "orchestrator-token",
        needs: &["orch_"],
        pattern: r"(?-u:\b)(orch_(?-u:[A-Za-z0-9_-]{32,}))",
        removes: &[("x orch_0123456789abcdef0123456789abcdef y", "x [redacted] y")],
        leaves: &["orch_run", "monorch_0123456789abcdef0123456789abcdef"],
    },
    Rule {
        name: "curl",
        needs: &["curl"],
        pattern: r#"(?-u:\b)curl(?-u:\b){GAP}\s(?:-(?-u:[A-Za-z]*)[uU]|--(?:proxy-)?user)[ \t=]*["']?[^\s:"']*:([^\s"']+)"#,
        removes: &[
            ("curl -sS -u user:pass https://h", "curl -sS -u user:[redacted] https://h"),
            ("curl 'h?a=1&b=2' -uuser:pass", "curl 'h?a=1&b=2' -uuser:[redacted]"),
            ("curl h \\\n  --user 'user:pass'", "curl h \\\n  --user 'user:[redacted]'"),
        ],
        leaves: &["curl -u user https://h", "docker run -u 1000:1000 x"],
    },
    Rule {
        name: "mysql",
        needs: &["mysql", "mariadb"],
        pattern: r"(?-u:\b)(?:mysql|mariadb)(?-u:[a-z-]*){GAP}\s-p{VALUE}",
        removes: &[
            ("mysql -u root -phunter2 db", "mysql -u root -p[redacted] db"),
            ("mysqldump -p'a b' db", "mysqldump -p'[redacted]' db"),
        ],
        leaves: &["mysql -u root -p db", "ssh -p22 h", "mysql -P3306"],
    },
    Rule {
        name: "sshpass",
        needs: &["sshpass"],
        pattern: r"(?-u:\b)sshpass(?:\s+-v)*\s+-p[ \t]*{VALUE}",
        removes: &[
            ("sshpass -p abc ssh h", "sshpass -p [redacted] ssh h"),
            ("sshpass -p'a b' ssh h", "sshpass -p'[redacted]' ssh h"),
        ],
        leaves: &["sshpass -e ssh -p 22 h", "sshpass -f file ssh -p 22 h"],
    },
];

/// The rules' regular expressions, each compiled when a text first asks for it:
/// most command lines ask for none, and compiling all takes milliseconds. A test
/// proves that every one compiles.
static COMPILED: LazyLock<Vec<LazyLock<Option<Regex>, Compile>>> = LazyLock::new(|| {
    let later = |rule: &'static Rule| {
        let compile: Compile = Box::new(|| Regex::new(&expanded(rule.pattern)).ok());
        LazyLock::new(compile)
    };
    RULES.iter().map(later).collect()
});

type Compile = Box<dyn FnOnce() -> Option<Regex> + Send>;

/// In longer texts looking for each word costs more than it saves.
const SHORT: usize = 4096;

/// What the rules remove from `text`, in no order, overlaps included.
pub(super) fn find(text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    let folded = (text.len() <= SHORT).then(|| text.to_ascii_lowercase());
    for (rule, regex) in RULES.iter().zip(COMPILED.iter()) {
        if folded.as_ref().is_some_and(|text| !holds_any(text, rule.needs)) {
            continue;
        }
        for captures in regex.iter().flat_map(|regex| regex.captures_iter(text)) {
            let groups = captures.iter().skip(1).flatten();
            hits.extend(groups.map(|group| (rule.name, inside_quotes(text, group.range()))));
        }
    }
    hits
}

/// Whether a word may have a [`SECRET_NAME`] in it.
pub(super) fn may_name_secret(word: &str) -> bool {
    holds_any(&word.to_ascii_lowercase(), SECRET_WORDS)
}

fn holds_any(folded: &str, wanted: &[&str]) -> bool {
    wanted.iter().any(|wanted| folded.contains(wanted))
}

fn expanded(pattern: &str) -> String {
    PARTS.iter().fold(pattern.to_owned(), |pattern, (name, part)| pattern.replace(name, part))
}

/// The range without the quotes, if one pair of them is around the whole:
/// equal secrets are then equal however they were quoted.
fn inside_quotes(text: &str, range: Range<usize>) -> Range<usize> {
    let quoted = |quote: char| {
        let inside = text[range.clone()].strip_prefix(quote)?.strip_suffix(quote)?;
        (!inside.contains(quote) || quote == '"').then_some(range.start + 1..range.end - 1)
    };
    quoted('\'').or_else(|| quoted('"')).unwrap_or(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;

    #[test]
    fn every_rule_compiles() {
        for rule in RULES {
            Regex::new(&expanded(rule.pattern)).unwrap();
        }
    }

    #[test]
    fn what_a_rule_needs_is_looked_for_in_small_letters() {
        for word in RULES.iter().flat_map(|rule| rule.needs) {
            assert_eq!(*word, word.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_long_text_is_searched_for_all_rules() {
        let long = format!("{} token=abc", "x".repeat(SHORT));
        assert!(Redactor::builtin().redact(&long).text.ends_with(" token=[redacted]"));
    }

    #[test]
    fn every_rule_removes_and_leaves_what_it_says() {
        let redactor = Redactor::builtin();
        for Rule { name, removes, leaves, .. } in RULES {
            assert!(!removes.is_empty() && !leaves.is_empty(), "{name} has no examples");
            for (text, expected) in *removes {
                let redacted = redactor.redact(text);
                assert_eq!(redacted.text, *expected, "{name}");
                assert!(find(text).iter().any(|(rule, _)| rule == name), "{name} missed {text}");
            }
            for text in *leaves {
                assert_eq!(redactor.redact(text).text, *text, "{name}");
            }
        }
    }
}
