//! Scripts: by what is in them where we send them, by their path where they are
//! on the host already.

use super::super::decision::{Token, TokenKind};
use super::super::request::{ActionView, Request};
use super::super::rules::{Rules, ScriptRule};
use super::verdict::{Denied, Verdict, any};
use super::{ALLOW_THREAT, DEFAULT_DENY, Permission, program, roles, terms, transfer};

pub(super) fn decide(rules: &Rules, request: &Request<'_>) -> Verdict {
    let ActionView::Script { sha256, path, interpreter, args } = request.action else {
        return Err(Denied::by_default(rules, DEFAULT_DENY, "this is no script", "send one"));
    };
    threats(rules, request)?;
    let interpreter = program::texts(rules, interpreter)?;
    let args = program::texts(rules, args)?;
    let Some(sha256) = sha256 else {
        // What it holds is the host's to say: it is a program like any other.
        let path = path.map(|path| [path.to_owned()]).unwrap_or_default();
        let path = program::texts(rules, &path)?;
        let words = [interpreter, path, args].concat();
        return program::decide_words(rules, request, &words, request.stdin_given);
    };
    let allowed = by_content(rules, request, sha256, &interpreter, &args)?;
    match path {
        None => Ok(allowed),
        // It stays there, so it is a file that is put there, too.
        Some(path) => {
            roles::permit(rules, request, Permission::Upload)?;
            Ok(allowed.and(transfer::decide_upload(rules, request, path)?))
        }
    }
}

/// To run what a scan finds is for those who may change what is trusted.
fn threats(rules: &Rules, request: &Request<'_>) -> Result<(), Denied> {
    if !request.allow_threat || rules.global.allow_threat {
        return Ok(());
    }
    let hint = format!(
        "leave --allow-threat out; or set global.allow_threat in {}, or give a role with `admin`",
        rules.file.file()
    );
    match roles::permit(rules, request, Permission::Admin) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let reason = "the policy lets nobody run what a scan of scripts finds";
            Err(Denied::by_default(rules, ALLOW_THREAT, reason, hint).explicit())
        }
        Err(denied) => Err(Denied { hint, ..denied }),
    }
}

fn by_content(
    rules: &Rules,
    request: &Request<'_>,
    sha256: &str,
    interpreter: &[&str],
    args: &[&str],
) -> Verdict {
    terms::forbid_always(rules, request)?;
    let speaks = |rule: &&ScriptRule| rule.sha256.eq_ignore_ascii_case(sha256);
    let here = || {
        let rules = rules.scripts.iter().filter(speaks);
        rules.filter(|rule| rule.terms.hosts.include(&request.host))
    };
    for rule in here() {
        terms::forbid(&rule.terms, args, 1, request)?;
    }
    let verdicts = here().map(|rule| {
        reader(rule, interpreter)?;
        terms::allow(rules, &rule.terms, args, 1, request)
    });
    any(verdicts).map_err(|nearest| {
        nearest.unwrap_or_else(|| {
            let elsewhere = rules.scripts.iter().any(|rule| speaks(&rule));
            let reason = match elsewhere {
                true => "no rule allows this script on this host",
                false => "no rule names the SHA-256 of this script",
            };
            let hint = match elsewhere {
                true => format!("look at `hosts` of its rules in {}", rules.file.file()),
                false => format!(
                    "read the script; then add sha256: {sha256} to scripts in {}",
                    rules.file.file()
                ),
            };
            let token = Token::new(TokenKind::Path, 0, sha256);
            Denied::by_default(rules, DEFAULT_DENY, reason, hint).token(token)
        })
    })
}

/// The words before the path of a script can hold a program of their own.
fn reader(rule: &ScriptRule, interpreter: &[&str]) -> Result<(), Denied> {
    if interpreter.is_empty() || rule.interpreter == interpreter {
        return Ok(());
    }
    let reason = "the rule does not allow this interpreter";
    let hint = match rule.interpreter.is_empty() {
        true => "leave --interpreter out, or name its words in `interpreter` of the rule".into(),
        false => format!("it allows: {}", rule.interpreter.join(" ")),
    };
    let token = Token::word(0, interpreter.join(" "));
    Err(Denied::by_rule(&rule.terms.id, reason, hint).token(token))
}
