//! A program and its arguments.

use std::ffi::OsString;

use super::super::decision::Token;
use super::super::file::basename;
use super::super::request::Request;
use super::super::rules::{Binary, Permission, Rules};
use super::super::validate::validate_path;
use super::verdict::{Denied, Verdict, any, together};
use super::{DEFAULT_DENY, PROGRAM_NAME, roles, terms};

/// What the rules say of words that no shell reads.
pub(super) fn decide(rules: &Rules, request: &Request<'_>, argv: &[OsString]) -> Verdict {
    decide_words(rules, request, &texts(rules, argv)?, request.stdin_given)
}

/// Words as text, which they have to be for a rule to speak of them.
pub(super) fn texts<'a>(rules: &Rules, words: &'a [OsString]) -> Result<Vec<&'a str>, Denied> {
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let text = word.to_str().filter(|text| !text.contains('\0'));
        let Some(text) = text else {
            let reason = format!("word {index} is not UTF-8 text, and no rule can speak of it");
            let denied = Denied::by_default(rules, DEFAULT_DENY, reason, "write it as UTF-8");
            return Err(denied.token(Token::word(index, word.to_string_lossy())).explicit());
        };
        texts.push(text);
    }
    Ok(texts)
}

/// As [`decide`], for words that are text, of a program that has a stdin or none.
pub(super) fn decide_words(
    rules: &Rules,
    request: &Request<'_>,
    words: &[&str],
    stdin: bool,
) -> Verdict {
    terms::forbid_always(rules, request)?;
    let Some((program, args)) = words.split_first() else {
        let hint = "give a program";
        return Err(Denied::by_default(rules, DEFAULT_DENY, "there is no program", hint));
    };
    if !program.contains('/') {
        return bare(rules, request, program, args, stdin);
    }
    if let Err(error) = validate_path(program) {
        let hint = "name the program by its absolute path in its shortest form";
        let denied = Denied::by_default(rules, PROGRAM_NAME, error.to_string(), hint);
        return Err(denied.token(Token::word(0, *program)));
    }
    by_path(rules, request, program, args, stdin)
}

/// A program by its path.
fn by_path(
    rules: &Rules,
    request: &Request<'_>,
    path: &str,
    args: &[&str],
    stdin: bool,
) -> Verdict {
    let speaks = |rule: &&Binary| rule.paths.iter().any(|own| own == path);
    let here = || {
        let rules = rules.binaries.iter().filter(speaks);
        rules.filter(|rule| rule.terms.hosts.include(&request.host))
    };
    for rule in here() {
        terms::forbid(&rule.terms, args, 1, request)?;
    }
    let verdicts = here().map(|rule| {
        let allowed = terms::allow(rules, &rule.terms, args, 1, request)?;
        unseen(rules, request, rule, stdin).map(|()| allowed)
    });
    any(verdicts).map_err(|nearest| {
        nearest.unwrap_or_else(|| {
            let elsewhere = rules.binaries.iter().any(|rule| speaks(&rule));
            let (reason, hint) = match elsewhere {
                true => {
                    (format!("no rule allows {path} on this host"), "look at `hosts` of its rules")
                }
                false => (format!("no rule names {path}"), "add it to binaries"),
            };
            let hint = format!("{hint} in {}", rules.file.file());
            Denied::by_default(rules, DEFAULT_DENY, reason, hint).token(Token::word(0, path))
        })
    })
}

/// What a rule grants beside words that it sees: a stdin that may hold commands,
/// and any text for a shell, which takes a permission of its own.
fn unseen(rules: &Rules, request: &Request<'_>, rule: &Binary, stdin: bool) -> Result<(), Denied> {
    if stdin && !rule.stdin {
        let reason = "the program is given a stdin, and the rule does not allow that";
        let hint = "what it reads there may be commands, which no rule sees: leave the stdin out, \
                    or grant `stdin: true` to the rule";
        return Err(Denied::by_rule(&rule.terms.id, reason, hint).stage(5));
    }
    if rule.shell {
        roles::permit(rules, request, Permission::Shell)?;
    }
    Ok(())
}

/// A program by its name alone: the host finds it somewhere in `global.path`,
/// so each place must be allowed.
fn bare(rules: &Rules, request: &Request<'_>, name: &str, args: &[&str], stdin: bool) -> Verdict {
    let refuse = |reason: &str, hint: String| {
        let denied = Denied::by_default(rules, PROGRAM_NAME, reason, hint);
        Err(denied.token(Token::word(0, name)))
    };
    let Some(path) = rules.global.path.as_deref().filter(|path| !path.is_empty()) else {
        let hint = format!(
            "name it by its absolute path, such as {}; or set global.path in {}",
            known_path(rules, name).unwrap_or_else(|| format!("/usr/bin/{name}")),
            rules.file.file()
        );
        return refuse("the program is named without its path", hint);
    };
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("this is not the name of a program", "name it by its path".into());
    }
    if request.run_as.is_some() {
        let hint = "name it by its absolute path: sudo looks for programs in places of its own";
        return refuse("the program is named without its path, under sudo", hint.into());
    }
    if request.env.contains(&"PATH") {
        let hint = "name it by its absolute path, or leave PATH alone";
        return refuse("the program is named without its path, and PATH is set", hint.into());
    }
    let verdicts = path.iter().map(|dir| {
        let place = format!("{}/{name}", dir.trim_end_matches('/'));
        by_path(rules, request, &place, args, stdin).map_err(|denied| Denied {
            // What was typed is the name.
            token: denied.token.map(|token| match token.index {
                0 if token.text == place => Box::new(Token::word(0, name)),
                _ => token,
            }),
            hint: match denied.rule == DEFAULT_DENY {
                true => format!(
                    "`{name}` could be {place}, by global.path: name it by its absolute path, or \
                     add `path: {name}` to binaries in {}",
                    rules.file.file()
                ),
                false => denied.hint,
            },
            ..denied
        })
    });
    let Some(verdict) = together(verdicts) else {
        return refuse("global.path is empty", "name a directory in it".into());
    };
    verdict.map(|mut allowed| {
        allowed.constraints.path = Some(path.to_vec());
        allowed
    })
}

/// The path of a rule for a program of this name.
fn known_path(rules: &Rules, name: &str) -> Option<String> {
    let mut paths = rules.binaries.iter().flat_map(|rule| &rule.paths);
    paths.find(|path| basename(path) == name).cloned()
}
