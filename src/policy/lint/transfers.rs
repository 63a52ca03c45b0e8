//! Files that may be moved.

use super::super::rules::{Rules, TransferRule};
use super::{Check, Found, Severity, enabled};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "upload-executed",
        severity: Severity::High,
        hint: "let files go to directories from which nothing here is executed, or deny the \
               program's path under transfers.upload",
        find: executed,
    },
    Check {
        name: "upload-system",
        severity: Severity::High,
        hint: "name the directory that is meant, or deny these paths with `deny: true`",
        find: system,
    },
    Check {
        name: "download-secrets",
        severity: Severity::High,
        hint: "name the directory that is meant, or deny these paths with `deny: true`",
        find: secrets,
    },
    Check {
        name: "deny-of-nothing",
        severity: Severity::Low,
        hint: "remove it: what no rule allows is denied",
        find: of_nothing,
    },
];

/// Files by which whoever writes them runs programs or logs in.
const SYSTEM: [&str; 12] = [
    "/root/.ssh/authorized_keys",
    "/root/.bashrc",
    "/etc/cron.d/x",
    "/etc/crontab",
    "/etc/ld.so.preload",
    "/etc/passwd",
    "/etc/profile.d/x.sh",
    "/etc/ssh/sshd_config",
    "/etc/sudoers.d/x",
    "/etc/systemd/system/x.service",
    "/usr/bin/x",
    "/var/spool/cron/crontabs/root",
];
/// Files by which whoever reads them becomes somebody else.
const SECRETS: [&str; 6] = [
    "/etc/shadow",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssl/private/x.key",
    "/proc/1/environ",
    "/root/.ssh/id_ed25519",
    "/var/lib/x/.ssh/id_rsa",
];

fn executed(rules: &Rules) -> Vec<Found> {
    let found = rules.uploads.iter().filter(|rule| !rule.deny).filter_map(|rule| {
        let paths = enabled(rules).flat_map(|binary| &binary.paths);
        let path = paths.into_iter().find(|path| reached(rule, &rules.uploads, path))?;
        Some(of(rule, format!("it allows to replace {path}, which a rule lets run")))
    });
    found.collect()
}

fn system(rules: &Rules) -> Vec<Found> {
    sensitive(&rules.uploads, &SYSTEM, ".ssh/authorized_keys", "write")
}

fn secrets(rules: &Rules) -> Vec<Found> {
    sensitive(&rules.downloads, &SECRETS, ".ssh/id_ed25519", "read")
}

fn sensitive(list: &[TransferRule], files: &[&str], of_user: &str, verb: &str) -> Vec<Found> {
    let found = list.iter().filter(|rule| !rule.deny).filter_map(|rule| {
        let homes = rule.paths.iter().filter_map(|path| {
            let user = path.as_str().strip_prefix("/home/")?.split('/').next()?;
            let user = user.replace(['*', '?'], "x");
            Some(format!("/home/{user}/{of_user}"))
        });
        let some = format!("/home/x/{of_user}");
        let mut files = files.iter().map(|file| (*file).to_owned()).chain(homes).chain([some]);
        let file = files.find(|file| reached(rule, list, file))?;
        Some(of(rule, format!("it allows to {verb} {file}, among others")))
    });
    found.collect()
}

/// Whether a rule allows this path and none denies it everywhere.
fn reached(rule: &TransferRule, list: &[TransferRule], path: &str) -> bool {
    let covers = |rule: &TransferRule| rule.paths.iter().any(|own| own.covers(path));
    let denied = |rule: &TransferRule| rule.deny && rule.hosts.0.is_none() && covers(rule);
    covers(rule) && !list.iter().any(denied)
}

fn of_nothing(rules: &Rules) -> Vec<Found> {
    let mut found = Vec::new();
    for list in [&rules.uploads, &rules.downloads] {
        for rule in list.iter().filter(|rule| rule.deny) {
            let touches = |other: &TransferRule| {
                let ways =
                    rule.paths.iter().flat_map(|own| other.paths.iter().map(move |o| (own, o)));
                ways.into_iter().any(|(own, other)| {
                    // Of patterns this cannot be told, so that nothing is.
                    let glob = |path: &str| path.contains(['*', '?']);
                    glob(own.as_str())
                        || glob(other.as_str())
                        || other.covers(own.as_str())
                        || own.covers(other.as_str())
                })
            };
            if !list.iter().filter(|other| !other.deny).any(touches) {
                found.push(of(rule, "no rule allows anything of what it denies".into()));
            }
        }
    }
    found
}

fn of(rule: &TransferRule, reason: String) -> Found {
    Found { subject: rule.id.name.to_string(), place: rule.id.place.clone(), reason }
}
