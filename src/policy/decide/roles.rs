//! Who may do what kind of thing where.

use super::super::request::Request;
use super::super::rules::{Permission, Role, Rules};
use super::ROLES;
use super::verdict::{Allowed, Denied};

/// The role by which the operator has a permission on the host; `None` where
/// there are no roles and everybody has all of them.
pub(super) fn permit<'r>(
    rules: &'r Rules,
    request: &Request<'_>,
    permission: Permission,
) -> Result<Option<&'r Role>, Denied> {
    let Some(roles) = &rules.roles else { return Ok(None) };
    let name = permission.as_str();
    let Some(principal) = known(rules, request) else {
        let who = request.os_user.unwrap_or_default();
        let reason = match request.os_user {
            Some(_) => format!("{who} is what another account stands for, and no account here"),
            None => "nobody known asks, so nobody with a role".to_owned(),
        };
        let hint = format!(
            "ask as an account of this machine; operators in {} maps them",
            rules.file.file()
        );
        return Err(Denied::by_default(rules, ROLES, reason, hint).explicit());
    };
    let assigned = request.os_user.and_then(|user| rules.operators.get(user));
    let assigned = assigned.map(|operator| operator.roles.as_slice()).unwrap_or_default();
    let holds = |role: &&Role| {
        assigned.contains(&role.name)
            || role.members.iter().any(|member| member == principal || member == "*")
    };
    let here = || roles.iter().filter(holds).filter(|role| role.hosts.include(&request.host));
    if let Some(role) = here().find(|role| role.denied.contains(&permission)) {
        let reason = format!("the role {} denies {name} here", role.name);
        let hint = "another role cannot give it back: take it out of denied_permissions, or \
                    {principal} out of the role"
            .replace("{principal}", principal);
        return Err(denied(role, reason, hint).explicit());
    }
    if let Some(role) = here().find(|role| role.permissions.contains(&permission)) {
        return Ok(Some(role));
    }
    let held: Vec<&str> = roles.iter().filter(holds).map(|role| role.name.as_str()).collect();
    let reason = match held.is_empty() {
        true => format!("{principal} has no role, so no permission {name}"),
        false => format!("no role of {principal} ({}) has {name} here", held.join(", ")),
    };
    let hint = format!(
        "give a role with `{name}` on this host to {principal}, under roles in {}",
        rules.file.file()
    );
    Err(Denied::by_default(rules, ROLES, reason, hint).explicit())
}

/// The role by which the operator may do anything at all on the host. Whoever
/// may do something there may also see whether it is reached.
pub(super) fn permit_any<'r>(
    rules: &'r Rules,
    request: &Request<'_>,
) -> Result<Option<&'r Role>, Denied> {
    let mut nothing = None;
    for (_, permission) in Permission::CHOICES {
        match permit(rules, request, permission) {
            Ok(role) => return Ok(role),
            Err(denied) => nothing = nothing.or(Some(denied)),
        }
    }
    let reason = "no role of whoever asks has any permission here";
    let hint = format!("give a role on this host, under roles in {}", rules.file.file());
    let without = Denied::by_default(rules, ROLES, reason, hint).explicit();
    // Who is nobody is told so.
    Err(nothing.filter(|_| known(rules, request).is_none()).unwrap_or(without))
}

/// What the account that asks stands for.
fn known<'r>(rules: &'r Rules, request: &Request<'r>) -> Option<&'r str> {
    request.os_user.and_then(|user| rules.principal(user))
}

/// What a role allows by itself.
pub(super) fn allowed(rules: &Rules, role: Option<&Role>) -> Allowed {
    Allowed {
        rule: role.map_or_else(|| ROLES.to_owned(), |role| format!("roles/{}", role.name)),
        place: role.map_or(&rules.file, |role| &role.place).clone(),
        constraints: Default::default(),
        requires_approval: false,
    }
}

fn denied(role: &Role, reason: String, hint: String) -> Denied {
    Denied {
        rule: format!("roles/{}", role.name),
        place: role.place.clone(),
        reason,
        hint,
        token: None,
        explicit: false,
        stage: 0,
    }
}
