//! From rules and a request to a decision. Pure.

mod program;
mod roles;
mod script;
mod shell;
mod terms;
mod transfer;
mod verdict;

use super::decision::Decision;
use super::request::{ActionView, Request};
use super::rules::{Permission, Role, Rules};
use verdict::{Denied, Verdict};

pub(super) use terms::accepts;

/// The rule of everything that no rule allows.
const DEFAULT_DENY: &str = "builtin/default-deny";
/// The rule about how a program may be named.
const PROGRAM_NAME: &str = "builtin/program-name";
/// The rule about what a shell may be made to do.
const SHELL: &str = "builtin/shell";
/// The rule about variables that choose what is executed.
const ENVIRONMENT: &str = "builtin/environment";
/// The rule about directories and paths of files.
const PATH: &str = "builtin/path";
/// The rule about scripts in which a scan finds something.
const ALLOW_THREAT: &str = "builtin/allow-threat";
/// The rule of everything that no role permits.
const ROLES: &str = "builtin/roles";

/// What the rules of one file say.
pub(super) fn decide(rules: &Rules, request: &Request<'_>) -> Decision {
    let role = match needed(&request.action) {
        Some(permission) => roles::permit(rules, request, permission),
        None => roles::permit_any(rules, request),
    };
    let role = role.and_then(|role| {
        if request.run_as.is_some() {
            roles::permit(rules, request, Permission::Sudo)?;
        }
        Ok(role)
    });
    let decision = match role {
        Err(denied) => denied.decision(),
        Ok(role) => {
            let decision = match verdict(rules, request, role) {
                Ok(mut allowed) => {
                    // Whatever is begun counts, files that are moved too.
                    allowed.constraints.rates.extend(rules.global.rate.clone());
                    Decision {
                        place: Some(allowed.place),
                        constraints: allowed.constraints,
                        requires_approval: allowed.requires_approval,
                        ..Decision::allow(allowed.rule)
                    }
                }
                Err(denied) => denied.decision(),
            };
            Decision { role: role.map(|role| role.name.clone()), ..decision }
        }
    };
    Decision { policy_sha256: Some(rules.sha256.clone()), ..decision }
}

fn verdict(rules: &Rules, request: &Request<'_>, role: Option<&Role>) -> Verdict {
    match request.action {
        ActionView::Argv(argv) => program::decide(rules, request, argv),
        ActionView::Shell(text) => shell::decide(rules, request, text),
        ActionView::Script { .. } => script::decide(rules, request),
        ActionView::Upload { .. } | ActionView::Download { .. } => transfer::decide(rules, request),
        // Rules say nothing of these: who may do them, roles say.
        // Whoever may change what is trusted needs nobody's approval for anything.
        ActionView::Admin if role.is_none() && rules.wants_approval() => {
            let reason = "the policy has rules that require an approval, and no roles that say who \
                          may change what is trusted";
            let hint = format!("give a role with `admin`, under roles in {}", rules.file.file());
            Err(Denied::by_default(rules, ROLES, reason, hint).explicit())
        }
        ActionView::Admin | ActionView::Check | ActionView::Kill | ActionView::Schedule => {
            Ok(roles::allowed(rules, role))
        }
    }
}

/// The permission that it needs; `None` is any one of them.
fn needed(action: &ActionView<'_>) -> Option<Permission> {
    Some(match action {
        ActionView::Check => return None,
        ActionView::Admin => Permission::Admin,
        ActionView::Argv(_) | ActionView::Shell(_) => Permission::Exec,
        ActionView::Download { .. } => Permission::Download,
        ActionView::Kill => Permission::Kill,
        ActionView::Schedule => Permission::Schedule,
        ActionView::Script { .. } => Permission::Script,
        ActionView::Upload { .. } => Permission::Upload,
    })
}

/// Denies what rests on a search path of which several policies left nothing.
pub(super) fn refuse_lost_path(decision: Decision) -> Decision {
    if decision.constraints.path.as_ref().is_none_or(|path| !path.is_empty()) {
        return decision;
    }
    let reason = "the policies have no directory in common in which the program may be looked for";
    let hint = "name it by its absolute path";
    let denied = Decision::deny(PROGRAM_NAME, reason.into(), hint.into());
    Decision { policy_sha256: decision.policy_sha256, place: decision.place, ..denied }
}
