//! Secrets that only the neighbouring words of a command line give away.

use std::sync::LazyLock;

use regex::Regex;

use super::Hit;
use super::rules::{SECRET_NAME, may_name_secret};

/// `--password`, `-token`, `--db-password`: the next word is the value.
static FLAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r"^--?(?-u:[A-Za-z0-9_.-]*?){SECRET_NAME}$")).ok());

/// `password=…`, `--password=…`: the rest of the word is the value.
static ASSIGNMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r"^(?-u:[A-Za-z0-9_.-]*?){SECRET_NAME}=")).ok());

const MYSQL: &[&str] = &[
    "mysql",
    "mysqldump",
    "mysqladmin",
    "mysqlimport",
    "mariadb",
    "mariadb-dump",
    "mariadb-admin",
];

/// The secret in word `index` that its whole or the word before it reveals.
pub(super) fn value_of_flag(words: &[&str], index: usize) -> Option<Hit> {
    let word = words[index];
    let before = index.checked_sub(1).map(|index| words[index]);
    let after = |prefix: usize| prefix..word.len();
    let matches = |regex: &LazyLock<Option<Regex>>, word: &str| {
        // Compiling is the dear part.
        let regex = may_name_secret(word).then(|| regex.as_ref())??;
        regex.find(word).map(|found| found.end())
    };
    let runs = |names: &[&str]| {
        words[..index].iter().any(|word| names.contains(&word.rsplit('/').next().unwrap_or(word)))
    };

    if let Some(end) = matches(&ASSIGNMENT, word) {
        return Some(("assignment", after(end)));
    }
    if before.is_some_and(|before| matches(&FLAG, before).is_some()) && !word.starts_with("--") {
        return Some(("flag", after(0)));
    }
    if runs(MYSQL) && word.starts_with("-p") && word.len() > 2 {
        return Some(("mysql", after(2)));
    }
    if before.is_some_and(is_sshpass) && word.starts_with("-p") && word.len() > 2 {
        return Some(("sshpass", after(2)));
    }
    if before == Some("-p") && index >= 2 && is_sshpass(words[index - 2]) {
        return Some(("sshpass", after(0)));
    }
    if runs(&["curl"]) {
        let joined = word.strip_prefix("-u").filter(|value| !value.is_empty());
        let separate = ["-u", "-U", "--user", "--proxy-user"];
        let named = word.strip_prefix("--user=").or_else(|| word.strip_prefix("--proxy-user="));
        let value = match before {
            Some(before) if separate.contains(&before) => Some(word),
            _ => joined.or(named),
        };
        let (user, _) = value?.split_once(':')?;
        return Some(("curl", after(word.len() - value?.len() + user.len() + 1)));
    }
    None
}

fn is_sshpass(word: &str) -> bool {
    word == "sshpass" || word.ends_with("/sshpass")
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    #[track_caller]
    fn check(argv: &[&str], expected: &[&str]) {
        let words: Vec<String> = Redactor::builtin()
            .redact_argv(argv)
            .iter()
            .map(|word| word.text.to_string())
            .collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn the_value_is_the_next_word_or_the_rest_of_this_one() {
        check(&["x", "--password", "a b", "c"], &["x", "--password", "[redacted]", "c"]);
        check(&["x", "--db-token", "-odd"], &["x", "--db-token", "[redacted]"]);
        check(&["x", "--password", "--quiet"], &["x", "--password", "--quiet"]);
        check(&["x", "--password=a b; c"], &["x", "--password=[redacted]"]);
        check(&["env", "API_KEY=it's mine", "run"], &["env", "API_KEY=[redacted]", "run"]);
        check(&["x", "--password-file", "/etc/pw"], &["x", "--password-file", "/etc/pw"]);
        check(&["x", "--token"], &["x", "--token"]);
    }

    #[test]
    fn some_programs_have_flags_of_their_own() {
        check(
            &["/usr/bin/mysql", "-u", "r", "-phunter2"],
            &["/usr/bin/mysql", "-u", "r", "-p[redacted]"],
        );
        check(&["mysql", "-p", "db"], &["mysql", "-p", "db"]);
        check(&["ssh", "-p22", "h"], &["ssh", "-p22", "h"]);
        check(
            &["sshpass", "-p", "x y", "ssh", "-p", "22"],
            &["sshpass", "-p", "[redacted]", "ssh", "-p", "22"],
        );
        check(&["sshpass", "-pxy", "ssh"], &["sshpass", "-p[redacted]", "ssh"]);
        check(&["curl", "-u", "me:a b", "h"], &["curl", "-u", "me:[redacted]", "h"]);
        check(&["curl", "-ume:ab"], &["curl", "-ume:[redacted]"]);
        check(&["curl", "--user=me:ab"], &["curl", "--user=me:[redacted]"]);
        check(&["curl", "-u", "me"], &["curl", "-u", "me"]);
        check(&["docker", "run", "-u", "1:2"], &["docker", "run", "-u", "1:2"]);
    }

    #[test]
    fn each_word_is_text_too() {
        check(&["sh", "-c", "x --token abc; y"], &["sh", "-c", "x --token [redacted]; y"]);
        check(&["git", "clone", "https://u:p@h/r"], &["git", "clone", "https://u:[redacted]@h/r"]);
    }

    #[test]
    fn hits_name_the_rule_and_the_place_in_the_word() {
        let redactor = Redactor::builtin();
        let words = redactor.redact_argv(&["x", "--token", "abc"]);
        let hits: Vec<_> = words.iter().map(|word| word.hits.as_slice()).collect();
        assert_eq!(hits, [&[][..], &[], &[("flag", 0..3)]]);
    }
}
