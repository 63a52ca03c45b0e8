//! Text for a shell.

use super::super::decision::{Token, TokenKind};
use super::super::request::Request;
use super::super::rules::{Binary, Permission, Rules};
use super::super::shell::{self, DynamicKind};
use super::verdict::{Denied, Verdict, together};
use super::{SHELL, program, roles, terms};

/// The shell whose grammar is known.
const POSIX: &str = "/bin/sh";

/// Text of which every command is known by itself must be allowed command by
/// command. Any other text needs a rule that grants `shell: true` for its shell.
pub(super) fn decide(rules: &Rules, request: &Request<'_>, text: &str) -> Verdict {
    let path = request.shell.unwrap_or(POSIX);
    let denied = match literal(rules, request, text, path) {
        Err(denied) if !denied.explicit => denied,
        verdict => return verdict,
    };
    let granted = |rule: &&Binary| rule.shell && rule.paths.iter().any(|own| own == path);
    let here = || {
        let rules = rules.binaries.iter().filter(|rule| rule.paths.iter().any(|own| own == path));
        rules.filter(|rule| rule.terms.hosts.include(&request.host))
    };
    if !here().any(|rule| granted(&rule)) {
        return Err(denied);
    }
    roles::permit(rules, request, Permission::Shell)?;
    for rule in here() {
        terms::forbid(&rule.terms, &[], 1, request)?;
    }
    let mut last = denied;
    for rule in here().filter(granted) {
        // Its text is what the grant is about, so that its arguments are not.
        match terms::allow_any(rules, &rule.terms, request) {
            Ok(allowed) => return Ok(allowed),
            Err(denied) => last = denied,
        }
    }
    Err(last)
}

fn literal(rules: &Rules, request: &Request<'_>, text: &str, path: &str) -> Verdict {
    terms::forbid_always(rules, request)?;
    let grant = format!(
        "run it as words, after --; or send a script; or grant `shell: true` to {path} in {}",
        rules.file.file()
    );
    if path != POSIX {
        let reason = format!("what {path} makes of a text is not known, and no rule grants it");
        return Err(Denied::by_default(rules, SHELL, reason, grant));
    }
    let commands = shell::parse(text).map_err(|dynamic| {
        if dynamic.what == DynamicKind::Empty {
            return Denied::by_default(
                rules,
                SHELL,
                "the shell string holds no command",
                "give one",
            );
        }
        let reason = format!(
            "the shell string does not say by itself what runs, at byte {}: {}",
            dynamic.offset, dynamic.what
        );
        let hint = match dynamic.token.as_str() {
            "cd" | "chdir" | "pushd" => "give the directory with -C, where policy can see it",
            _ => &grant,
        };
        let token = Token::new(TokenKind::Byte, dynamic.offset, &dynamic.token);
        Denied::by_default(rules, SHELL, reason, hint).token(token)
    })?;
    let verdicts = commands.iter().map(|command| {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        // What does not come by a pipe may be the stdin of any of them.
        let stdin = command.piped || request.stdin_given;
        program::decide_words(rules, request, &words, stdin)
    });
    together(verdicts).unwrap_or_else(|| {
        Err(Denied::by_default(rules, SHELL, "the shell string holds no command", "give one"))
    })
}
