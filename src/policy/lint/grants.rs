//! What is granted, and to whom.

use super::super::rules::{Permission, Role, Rules};
use super::{Check, Found, Severity, enabled};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "shell-everywhere",
        severity: Severity::High,
        hint: "confine it to the hosts that need it, by `hosts`; or send scripts, by their SHA-256",
        find: shell_everywhere,
    },
    Check {
        name: "shell-as-root",
        severity: Severity::High,
        hint: "take sudo and run_as out of the rule, and allow what needs them by rules of its own",
        find: shell_as_root,
    },
    Check {
        name: "sudo-any-arguments",
        severity: Severity::High,
        hint: "say which arguments, by allowed_args",
        find: sudo_any,
    },
    Check {
        name: "everybody",
        severity: Severity::High,
        hint: "name the operators instead of `*`",
        find: everybody,
    },
    Check {
        name: "no-roles",
        severity: Severity::Medium,
        hint: "add roles, which say whose it is",
        find: no_roles,
    },
    Check {
        name: "role-of-nobody",
        severity: Severity::Low,
        hint: "name operators in it, or remove it",
        find: of_nobody,
    },
    Check {
        name: "operator-without-role",
        severity: Severity::Low,
        hint: "give the account a role, or remove it",
        find: without_role,
    },
    Check {
        name: "granted-to-nobody",
        severity: Severity::Medium,
        hint: "add the permission to a role, or remove what needs it",
        find: granted_to_nobody,
    },
];

fn shell_everywhere(rules: &Rules) -> Vec<Found> {
    let shells = enabled(rules).filter(|binary| binary.shell);
    let found = shells.filter_map(|binary| {
        let everywhere = match &binary.terms.hosts.0 {
            None => true,
            Some(selector) => matches!(selector.pattern.to_string().trim(), "all" | "*"),
        };
        let reason = "any text for a shell is allowed on every host: no other rule matters there";
        everywhere.then(|| Found::of(binary, reason))
    });
    found.collect()
}

fn shell_as_root(rules: &Rules) -> Vec<Found> {
    let found = enabled(rules).filter(|binary| binary.shell && !binary.terms.run_as.is_empty());
    let found = found.map(|binary| {
        let users = binary.terms.run_as.join(", ");
        Found::of(binary, format!("any text for a shell is allowed as {users}"))
    });
    found.collect()
}

fn sudo_any(rules: &Rules) -> Vec<Found> {
    let root = |user: &String| user == "root";
    let found = enabled(rules).filter(|binary| {
        let terms = &binary.terms;
        !binary.shell && terms.allowed_args.is_none() && terms.run_as.iter().any(root)
    });
    found.map(|binary| Found::of(binary, "any arguments are allowed, as root")).collect()
}

fn everybody(rules: &Rules) -> Vec<Found> {
    const HEAVY: [Permission; 4] =
        [Permission::Admin, Permission::Kill, Permission::Shell, Permission::Sudo];
    let roles = rules.roles.iter().flatten().filter(|role| role.members.iter().any(|m| m == "*"));
    let found = roles.filter_map(|role| {
        let heavy = HEAVY.iter().filter(|permission| role.permissions.contains(permission));
        let heavy: Vec<&str> = heavy.map(|permission| permission.as_str()).collect();
        let reason = format!("everybody has {}", heavy.join(" and "));
        (!heavy.is_empty()).then(|| of_role(role, reason))
    });
    found.collect()
}

fn no_roles(rules: &Rules) -> Vec<Found> {
    if rules.roles.is_some() {
        return Vec::new();
    }
    let heavy = |binary: &&_| -> bool {
        let binary: &super::Binary = binary;
        binary.shell || !binary.terms.run_as.is_empty()
    };
    let found = enabled(rules).filter(heavy).take(1);
    found.map(|binary| Found::of(binary, "there are no roles, so everybody may do this")).collect()
}

fn of_nobody(rules: &Rules) -> Vec<Found> {
    let assigned =
        |role: &Role| rules.operators.values().any(|operator| operator.roles.contains(&role.name));
    let roles = rules.roles.iter().flatten();
    let empty = roles.filter(|role| role.members.is_empty() && !assigned(role));
    empty.map(|role| of_role(role, "nobody has the role".into())).collect()
}

fn without_role(rules: &Rules) -> Vec<Found> {
    let Some(roles) = &rules.roles else { return Vec::new() };
    let found = rules.operators.iter().filter(|(_, operator)| {
        let member = |role: &Role| {
            role.members.iter().any(|member| *member == operator.principal || member == "*")
        };
        operator.roles.is_empty() && !roles.iter().any(member)
    });
    let found = found.map(|(account, operator)| Found {
        subject: format!("operators.{account}"),
        place: rules.file.clone(),
        reason: format!("{account} stands for {}, who has no role", operator.principal),
    });
    found.collect()
}

/// What a rule allows to those who have a permission, which nobody has.
fn granted_to_nobody(rules: &Rules) -> Vec<Found> {
    let Some(roles) = &rules.roles else { return Vec::new() };
    let missing = |permission: Permission| {
        let had = roles.iter().any(|role| role.permissions.contains(&permission));
        (!had).then(|| format!("no role has the permission {}", permission.as_str()))
    };
    let mut found = Vec::new();
    for binary in enabled(rules) {
        let needs = [
            (Permission::Shell, binary.shell),
            (Permission::Sudo, !binary.terms.run_as.is_empty()),
        ];
        for (permission, _) in needs.into_iter().filter(|(_, needed)| *needed) {
            found.extend(missing(permission).map(|reason| Found::of(binary, reason)));
        }
    }
    let transfers =
        [(Permission::Upload, &rules.uploads), (Permission::Download, &rules.downloads)];
    for (permission, list) in transfers {
        let first = list.iter().find(|rule| !rule.deny);
        let said = first.and_then(|rule| Some((rule, missing(permission)?)));
        found.extend(said.map(|(rule, reason)| Found {
            subject: rule.id.name.to_string(),
            place: rule.id.place.clone(),
            reason,
        }));
    }
    let script = rules.scripts.first().and_then(|rule| Some((rule, missing(Permission::Script)?)));
    found.extend(script.map(|(rule, reason)| Found {
        subject: rule.terms.id.name.to_string(),
        place: rule.terms.id.place.clone(),
        reason,
    }));
    found
}

fn of_role(role: &Role, reason: String) -> Found {
    Found { subject: format!("roles/{}", role.name), place: role.place.clone(), reason }
}
