//! What rules for programs and scripts have in common: arguments, variables,
//! directory, user.

use std::borrow::Cow;

use super::super::constraints::{Constraints, Sandbox};
use super::super::decision::{Token, TokenKind};
use super::super::request::Request;
use super::super::rules::{ArgRule, Rules, Terms};
use super::super::validate::validate_path;
use super::super::variables::{is_by_name, is_never, never_passed_on};
use super::verdict::{Allowed, Denied, Verdict};
use super::{ENVIRONMENT, PATH};

/// Whether a rule forbids this, whatever others allow. `first` is the index of
/// the first argument among the words of the request.
pub(super) fn forbid(
    terms: &Terms,
    args: &[&str],
    first: usize,
    request: &Request<'_>,
) -> Result<(), Denied> {
    if !terms.enabled {
        let hint = "it has `enabled: false`";
        return Err(Denied::by_rule(&terms.id, "the rule is switched off", hint).explicit());
    }
    for (position, arg) in args.iter().enumerate() {
        let forbids = |rule: &&ArgRule| rule.speaks_of(position) && rule.pattern.forbids(arg);
        if let Some(rule) = terms.denied_args.iter().find(forbids) {
            let reason = format!("the argument at position {position} is denied by denied_args");
            let hint = format!("leave it out; it is denied by {}", rule.described());
            let denied = Denied::by_rule(&terms.id, reason, hint).at(&rule.at);
            return Err(denied.token(Token::word(first + position, *arg)).explicit());
        }
    }
    for (index, name) in request.env.iter().enumerate() {
        if terms.denied_env.iter().any(|names| names.forbid(name)) {
            let reason = format!("the variable {name} is denied by denied_env");
            let denied = Denied::by_rule(&terms.id, reason, "leave it out");
            return Err(denied.token(variable(index, name)).explicit());
        }
    }
    Ok(())
}

/// Whether a rule has nothing against these arguments.
pub(in crate::policy) fn accepts(terms: &Terms, args: &[&str]) -> bool {
    let forbids = |(position, arg): (usize, &&str)| {
        let mut denied = terms.denied_args.iter();
        denied.any(|rule| rule.speaks_of(position) && rule.pattern.forbids(arg))
    };
    !args.iter().enumerate().any(forbids) && arguments(terms, args, 1).is_ok()
}

/// What no rule of this file can allow: variables that choose what is executed,
/// and a directory that is not written in one way.
pub(super) fn forbid_always(rules: &Rules, request: &Request<'_>) -> Result<(), Denied> {
    for (index, name) in request.env.iter().enumerate() {
        if is_never(name) {
            let reason = format!("{name} chooses what is executed, and no policy allows it");
            let denied = Denied::by_default(rules, ENVIRONMENT, reason, "leave it out");
            return Err(denied.token(variable(index, name)).explicit());
        }
        if rules.global.denied_env.iter().any(|names| names.forbid(name)) {
            let reason = format!("the variable {name} is denied by global.denied_env");
            let denied = Denied::by_default(rules, "global/denied_env", reason, "leave it out");
            let place = rules.global.denied_env_at.as_ref().unwrap_or(&rules.file);
            return Err(denied.at(place).token(variable(index, name)).explicit());
        }
    }
    if let Some(cwd) = request.cwd {
        let text = cwd.to_string_lossy();
        let valid = cwd.to_str().map_or(Ok(()), validate_path);
        let why = match (cwd.to_str(), valid) {
            (None, _) => "is not UTF-8 text".to_owned(),
            (_, Err(error)) => error.to_string(),
            (Some(_), Ok(())) => return Ok(()),
        };
        let reason = format!("the working directory is refused: {why}");
        let hint = "give it as an absolute path in its shortest form";
        let denied = Denied::by_default(rules, PATH, reason, hint);
        return Err(denied.token(Token::new(TokenKind::Path, 0, text)).explicit());
    }
    Ok(())
}

/// Whether a rule allows this, once nothing forbids it.
pub(super) fn allow(
    rules: &Rules,
    terms: &Terms,
    args: &[&str],
    first: usize,
    request: &Request<'_>,
) -> Verdict {
    arguments(terms, args, first)?;
    allow_any(rules, terms, request)
}

/// As [`allow`], whatever the arguments are.
pub(super) fn allow_any(rules: &Rules, terms: &Terms, request: &Request<'_>) -> Verdict {
    variables(rules, terms, request)?;
    directory(terms, request)?;
    user(terms, request)?;
    holds_user(rules, terms, request)?;
    Ok(Allowed {
        rule: terms.id.name.to_string(),
        place: terms.id.place.clone(),
        constraints: constraints(rules, terms),
        requires_approval: terms.require_approval,
    })
}

fn arguments(terms: &Terms, args: &[&str], first: usize) -> Result<(), Denied> {
    let Some(allowed) = &terms.allowed_args else { return Ok(()) };
    for (position, arg) in args.iter().enumerate() {
        let may_be: Vec<&ArgRule> =
            allowed.iter().filter(|rule| rule.speaks_of(position)).collect();
        if may_be.iter().any(|rule| rule.pattern.matches(arg)) {
            continue;
        }
        let reason = format!("the argument at position {position} is matched by no allowed_args");
        let patterns: Vec<String> = may_be.iter().map(|rule| rule.described()).collect();
        let hint = match patterns.is_empty() {
            true => "there may be no argument at that position".to_owned(),
            false => format!("there it may be {}", patterns.join(" or ")),
        };
        let token = Token::word(first + position, *arg);
        return Err(Denied::by_rule(&terms.id, reason, hint).token(token).stage(1));
    }
    for rule in allowed.iter().filter(|rule| rule.required) {
        let there = match rule.position {
            Some(position) => args.get(position).is_some_and(|arg| rule.pattern.matches(arg)),
            None => args.iter().any(|arg| rule.pattern.matches(arg)),
        };
        if !there {
            let reason = "an argument that is required is missing";
            let hint = format!("add {}", rule.described());
            return Err(Denied::by_rule(&terms.id, reason, hint).at(&rule.at).stage(1));
        }
    }
    Ok(())
}

fn variables(rules: &Rules, terms: &Terms, request: &Request<'_>) -> Result<(), Denied> {
    for (index, name) in request.env.iter().enumerate() {
        let mut allowed = rules.global.allowed_env.iter().chain(&terms.allowed_env);
        if allowed.any(|names| names.allow(name)) {
            continue;
        }
        let reason = format!("the variable {name} is in no allowed_env");
        let hint = match is_by_name(name) {
            true => format!(
                "leave it out, or allow it by its whole name: {name} can choose what a program executes"
            ),
            false => format!(
                "leave it out, or add {name} to global.allowed_env or to allowed_env of the rule"
            ),
        };
        let denied = Denied::by_rule(&terms.id, reason, hint);
        return Err(denied.token(variable(index, name)).stage(2));
    }
    Ok(())
}

fn directory(terms: &Terms, request: &Request<'_>) -> Result<(), Denied> {
    let Some(allowed) = &terms.allowed_workdirs else { return Ok(()) };
    let cwd = request.cwd.and_then(|cwd| cwd.to_str());
    if cwd.is_some_and(|cwd| allowed.iter().any(|dir| is_below(cwd, dir))) {
        return Ok(());
    }
    let reason = match cwd {
        Some(_) => "the working directory is not among allowed_workdirs",
        None => "no working directory is given, and the rule wants one of allowed_workdirs",
    };
    let hint = format!("begin in one of {}, with -C", allowed.join(", "));
    let denied = Denied::by_rule(&terms.id, reason, hint).stage(3);
    Err(match cwd {
        Some(cwd) => denied.token(Token::new(TokenKind::Path, 0, cwd)),
        None => denied,
    })
}

fn user(terms: &Terms, request: &Request<'_>) -> Result<(), Denied> {
    may_run_as(&terms.run_as, request)
        .map_err(|(reason, hint)| Denied::by_rule(&terms.id, reason, hint).stage(4))
}

/// A sandbox cannot hold root, who owns what the kernel runs.
fn holds_user(rules: &Rules, terms: &Terms, request: &Request<'_>) -> Result<(), Denied> {
    let sandbox = sandbox(rules, terms).filter(|sandbox| sandbox.needs_tool());
    match (sandbox, request.run_as) {
        (Some(sandbox), Some("root" | "#0")) => {
            let reason = format!("the sandbox {} does not hold root", sandbox.name);
            let hint = "run it as another user, or give the rule `sandbox: minimal`";
            Err(Denied::by_rule(&terms.id, reason, hint).stage(4))
        }
        _ => Ok(()),
    }
}

fn sandbox<'a>(rules: &'a Rules, terms: &'a Terms) -> Option<&'a Sandbox> {
    terms.sandbox.as_ref().or(rules.global.sandbox.as_ref())
}

/// Whether one of `users` is whom sudo is asked for; otherwise why not, and
/// what to do.
pub(super) fn may_run_as(users: &[String], request: &Request<'_>) -> Result<(), (String, String)> {
    let Some(user) = request.run_as else { return Ok(()) };
    if users.iter().any(|own| own == user) {
        return Ok(());
    }
    let reason = format!("the rule does not allow sudo to {user}");
    let hint = match users.is_empty() {
        true => format!("leave --sudo out, or add `run_as: {user}` to the rule"),
        false => format!("it allows: {}", users.join(", ")),
    };
    Err((reason, hint))
}

fn constraints(rules: &Rules, terms: &Terms) -> Constraints {
    let global = &rules.global;
    Constraints {
        limits: terms.limits.or(global.limits),
        sandboxes: sandbox(rules, terms).into_iter().cloned().collect(),
        instances: terms.instances.iter().cloned().collect(),
        rates: terms.rate.iter().cloned().collect(),
        path: None,
        unset_env: unset(rules, terms),
    }
}

/// What the host's own environment must not say: what no request may.
fn unset(rules: &Rules, terms: &Terms) -> Vec<Cow<'static, str>> {
    let denied = rules.global.denied_env.iter().chain(&terms.denied_env);
    let denied = denied.map(|names| Cow::Owned(names.as_str().to_owned()));
    never_passed_on().map(Cow::Borrowed).chain(denied).collect()
}

/// Whether a path is a directory or below it, by components. Both are clean.
fn is_below(path: &str, dir: &str) -> bool {
    let rest = path.strip_prefix(dir);
    dir == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn variable(index: usize, name: &str) -> Token {
    Token::new(TokenKind::Variable, index, name)
}
