//! Files written and read, each a right of its own, by path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::constraints::{Constraints, Limits};
use super::super::decision::{Token, TokenKind};
use super::super::request::{ActionView, Request};
use super::super::rules::{Rules, TransferRule};
use super::super::validate::validate_path;
use super::verdict::{Allowed, Denied, Verdict, together};
use super::{DEFAULT_DENY, PATH, terms};

pub(super) fn decide(rules: &Rules, request: &Request<'_>) -> Verdict {
    match request.action {
        ActionView::Download { paths, recursive } => {
            let verdicts = paths.iter().enumerate().map(|(index, path)| {
                let path = clean(rules, index, path)?;
                let place = Landing { index, path: path.clone(), at: vec![path], recursive };
                one(rules, request, "download", &rules.downloads, &place)
            });
            together(verdicts).unwrap_or_else(|| {
                Err(Denied::by_default(rules, DEFAULT_DENY, "there is no path", "give one"))
            })
        }
        ActionView::Upload { path, sources, recursive } => {
            let place = landing(rules, path, sources, recursive)?;
            one(rules, request, "upload", &rules.uploads, &place)
        }
        _ => Err(Denied::by_default(rules, DEFAULT_DENY, "this moves no files", "move some")),
    }
}

/// What the rules say of one file that is put at this path.
pub(super) fn decide_upload(rules: &Rules, request: &Request<'_>, path: &OsStr) -> Verdict {
    let path = clean(rules, 0, path)?;
    let place = Landing { index: 0, path: path.clone(), at: vec![path], recursive: false };
    one(rules, request, "upload", &rules.uploads, &place)
}

/// Where files come to be, or are taken from.
struct Landing {
    index: usize,
    /// As it was asked for.
    path: String,
    /// Every path that may be touched by itself.
    at: Vec<String>,
    /// Whether whatever is below may be, too.
    recursive: bool,
}

fn one(
    rules: &Rules,
    request: &Request<'_>,
    verb: &str,
    list: &[TransferRule],
    place: &Landing,
) -> Verdict {
    let token = || Token::new(TokenKind::Path, place.index, place.path.as_str());
    let here = || list.iter().filter(|rule| rule.hosts.include(&request.host));
    for rule in here().filter(|rule| rule.deny) {
        let touched = |path: &String| {
            rule.paths.iter().any(|own| own.covers(path) || place.recursive && own.reaches(path))
        };
        if place.at.iter().any(touched) {
            let reason = match place.recursive {
                true => format!("the {verb} could touch a path that the rule denies"),
                false => format!("the rule denies the {verb}"),
            };
            let hint = format!("it denies {}", written(rule));
            return Err(Denied::by_rule(&rule.id, reason, hint).token(token()).explicit());
        }
    }
    let covers = |rule: &&TransferRule| {
        place.at.iter().all(|path| rule.paths.iter().any(|own| own.covers(path)))
    };
    let mut refused = None;
    for rule in here().filter(|rule| !rule.deny).filter(covers) {
        match terms::may_run_as(&rule.run_as, request) {
            Ok(()) => {
                return Ok(Allowed {
                    rule: rule.id.name.to_string(),
                    place: rule.id.place.clone(),
                    constraints: constraints(rules),
                    requires_approval: rule.require_approval,
                });
            }
            Err((reason, hint)) => {
                refused = Some(Denied::by_rule(&rule.id, reason, hint).token(token()));
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        let known: Vec<String> = here().filter(|rule| !rule.deny).map(written).collect();
        let hint = match known.is_empty() {
            true => format!("add the path to transfers.{verb} in {}", rules.file.file()),
            false => format!("{verb} is allowed at or below {}", known.join(", ")),
        };
        let reason = format!("no rule allows the {verb} of this path");
        Denied::by_default(rules, DEFAULT_DENY, reason, hint).token(token())
    }))
}

/// Files have a time, too; the other limits are those of processes.
fn constraints(rules: &Rules) -> Constraints {
    let max_wall_time = rules.global.limits.max_wall_time;
    Constraints { limits: Limits { max_wall_time, ..Limits::default() }, ..Constraints::default() }
}

/// Where uploaded files may come to be: at the path itself; or, if that is
/// certain to be a directory, under their own names in it. What is below a path
/// that a rule covers is covered, too, so that a path which turns out to be a
/// directory needs no more; but a rule that denies looks at both.
fn landing(
    rules: &Rules,
    path: &OsStr,
    sources: &[OsString],
    recursive: bool,
) -> Result<Landing, Denied> {
    let text = path.to_string_lossy();
    let into = text.len() > 1 && text.ends_with('/') || sources.len() > 1;
    let path = match into {
        true => clean(rules, 0, OsStr::new(text.strip_suffix('/').unwrap_or(&text))),
        false => clean(rules, 0, path),
    }?;
    let mut at = Vec::new();
    if !into {
        at.push(path.clone());
    }
    for source in sources {
        // What is in `.`, and not `.` itself, comes to be there.
        let content = source == "." || source.as_bytes().ends_with(b"/.");
        let name = Path::new(source).file_name().filter(|_| !content);
        match name.map(OsStr::to_string_lossy) {
            Some(name) => at.push(format!("{}/{name}", path.trim_end_matches('/'))),
            None => at.push(path.clone()),
        }
    }
    if at.is_empty() {
        at.push(path.clone());
    }
    Ok(Landing { index: 0, path, at, recursive })
}

/// A path that can be held against rules.
fn clean(rules: &Rules, index: usize, path: &OsStr) -> Result<String, Denied> {
    let refuse = |why: String| {
        let hint = "give it as an absolute path in its shortest form";
        let token = Token::new(TokenKind::Path, index, path.to_string_lossy());
        Err(Denied::by_default(rules, PATH, why, hint).token(token).explicit())
    };
    let Some(text) = path.to_str() else { return refuse("the path is not UTF-8 text".into()) };
    match validate_path(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => refuse(error.to_string()),
    }
}

fn written(rule: &TransferRule) -> String {
    let paths: Vec<&str> = rule.paths.iter().map(|path| path.as_str()).collect();
    paths.join(", ")
}
