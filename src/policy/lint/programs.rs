//! Programs, and what surrounds them.

use super::super::decide::accepts;
use super::super::escapes::{self, Kind};
use super::super::rules::{Binary, Rules};
use super::super::variables::Names;
use super::{Check, Found, Severity, enabled, name};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "interpreter-stdin",
        severity: Severity::High,
        hint: "take `stdin: true` out, require a first argument that names a script, or allow the \
               script itself by its SHA-256 under scripts",
        find: stdin,
    },
    Check {
        name: "reads-any-file",
        severity: Severity::Medium,
        hint: "say which files, by allowed_args",
        find: reads,
    },
    Check {
        name: "program-replaceable",
        severity: Severity::High,
        hint: "install it where only root writes, such as /usr/local/bin, and name it there",
        find: replaceable,
    },
    Check {
        name: "path-replaceable",
        severity: Severity::High,
        hint: "name directories in which only root writes",
        find: path,
    },
    Check {
        name: "shadowed",
        severity: Severity::Medium,
        hint: "remove it, or narrow the rule before it",
        find: shadowed,
    },
    Check {
        name: "switched-off",
        severity: Severity::Medium,
        hint: "remove the rule with `enabled: false`, or give it `hosts`; remove this one if it is \
               meant to be denied",
        find: switched_off,
    },
    Check {
        name: "any-variable",
        severity: Severity::Medium,
        hint: "name the variables that are needed",
        find: variables,
    },
    Check {
        name: "variable-chooses-program",
        severity: Severity::Medium,
        hint: "remove it, or set it on the host",
        find: choosing,
    },
    Check {
        name: "no-wall-time",
        severity: Severity::Low,
        hint: "add limits: {max_wall_time: …} to the rule, or global.default_limits",
        find: no_wall_time,
    },
];

/// Interpreters that read their program from stdin where nothing else is named.
const READERS: [&str; 18] = [
    "ash", "at", "bash", "batch", "csh", "dash", "fish", "ksh", "lua", "mysql", "node", "perl",
    "php", "psql", "python", "ruby", "sh", "zsh",
];
/// Directories in which others than root usually may write.
const OPEN: [&str; 5] = ["/dev/shm", "/home", "/run/user", "/tmp", "/var/tmp"];

fn stdin(rules: &Rules) -> Vec<Found> {
    let given = enabled(rules).filter(|binary| !binary.shell && binary.stdin);
    let found = given.filter_map(|binary| {
        let known = escapes::find(name(binary)).map_or(name(binary), |escape| escape.name);
        let form = [&[][..], &["-"], &["-s"]];
        let args = form.into_iter().find(|args| accepts(&binary.terms, args))?;
        READERS.contains(&known).then(|| {
            let command = [&[name(binary)], args].concat().join(" ");
            let reason = format!(
                "it allows `{command}`, which does whatever it reads: `… | {command}`, or --stdin"
            );
            Found::of(binary, reason)
        })
    });
    found.collect()
}

fn reads(rules: &Rules) -> Vec<Found> {
    let open = |binary: &&Binary| binary.terms.allowed_args.is_none();
    let found = enabled(rules).filter(open).filter_map(|binary| {
        let escape = escapes::find(name(binary)).filter(|escape| escape.kind == Kind::Reads)?;
        let as_root = if binary.terms.run_as.is_empty() { "" } else { ", as another user, too" };
        let reason = format!("any argument is allowed, and {}{as_root}", escape.how);
        Some(Found::of(binary, reason))
    });
    found.collect()
}

fn replaceable(rules: &Rules) -> Vec<Found> {
    let found = enabled(rules).filter_map(|binary| {
        let path = binary.paths.iter().find(|path| is_open(path))?;
        Some(Found::of(binary, format!("others than root may put another program at {path}")))
    });
    found.collect()
}

fn path(rules: &Rules) -> Vec<Found> {
    let dirs = rules.global.path.iter().flatten().filter(|dir| is_open(dir));
    let found = dirs.map(|dir| Found {
        subject: "global.path".into(),
        place: rules.file.clone(),
        reason: format!("others than root may put programs into {dir}"),
    });
    found.collect()
}

fn is_open(path: &str) -> bool {
    let below = |dir: &str| {
        path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    OPEN.into_iter().any(below)
}

/// A rule behind one that allows all that it allows, and more.
fn shadowed(rules: &Rules) -> Vec<Found> {
    let all: Vec<&Binary> = enabled(rules).collect();
    let open = |binary: &Binary| {
        let terms = &binary.terms;
        terms.hosts.0.is_none() && terms.allowed_args.is_none() && terms.allowed_workdirs.is_none()
    };
    let covers = |first: &Binary, second: &Binary| {
        let users = &second.terms.run_as;
        open(first)
            && second.terms.denied_args.is_empty()
            && second.terms.allowed_env.is_empty()
            && second.shell <= first.shell
            && users.iter().all(|user| first.terms.run_as.contains(user))
            && second.paths.iter().all(|path| first.paths.contains(path))
    };
    let found = all.iter().enumerate().filter_map(|(at, binary)| {
        let first = all[..at].iter().find(|first| covers(first, binary))?;
        let name = &first.terms.id.name;
        Some(Found::of(binary, format!("{name} before it allows all of it already")))
    });
    found.collect()
}

fn switched_off(rules: &Rules) -> Vec<Found> {
    let off = |binary: &Binary| !binary.terms.enabled && binary.terms.hosts.0.is_none();
    let found = enabled(rules).filter_map(|binary| {
        let by = rules.binaries.iter().filter(|other| off(other));
        let by = by
            .into_iter()
            .find(|other| binary.paths.iter().all(|path| other.paths.contains(path)))?;
        let name = &by.terms.id.name;
        Some(Found::of(binary, format!("{name} switches the program off everywhere")))
    });
    found.collect()
}

fn variables(rules: &Rules) -> Vec<Found> {
    each_allowed_env(rules, |names| {
        let any = ["A", "ANY_NAME", "zz9"].iter().all(|name| names.forbid(name));
        any.then(|| format!("`{}` allows any variable", names.as_str()))
    })
}

fn choosing(rules: &Rules) -> Vec<Found> {
    each_allowed_env(rules, |names| {
        let chosen = super::super::variables::is_by_name(names.as_str());
        chosen.then(|| format!("{} chooses what some programs execute", names.as_str()))
    })
}

fn each_allowed_env(rules: &Rules, say: impl Fn(&Names) -> Option<String>) -> Vec<Found> {
    let global = rules.global.allowed_env.iter().filter_map(|names| {
        let (subject, place) = ("global.allowed_env".into(), rules.file.clone());
        Some(Found { subject, place, reason: say(names)? })
    });
    let own = enabled(rules).flat_map(|binary| {
        let names = binary.terms.allowed_env.iter();
        names.filter_map(&say).map(move |reason| Found::of(binary, reason))
    });
    global.chain(own).collect()
}

fn no_wall_time(rules: &Rules) -> Vec<Found> {
    let global = &rules.global;
    let found = enabled(rules).filter_map(|binary| {
        let terms = &binary.terms;
        let sandbox = terms.sandbox.as_ref().or(global.sandbox.as_ref())?;
        let limits = terms.limits.or(global.limits).or(sandbox.limits);
        let endless = limits.max_wall_time.is_none();
        let reason = || format!("the sandbox {} bounds everything but its time", sandbox.name);
        endless.then(|| Found::of(binary, reason()))
    });
    found.collect()
}
