//! The top of the file: which sections there are, and the inventory in them.

use super::reading::Reading;
use super::remote_execution::AllowList;
use crate::inventory::{Host, Inventory};
use crate::ssh::Profile;
use crate::yaml::{Diagnostic, Section, Warnings, nearest};

/// Sections that mean something to us.
const SECTIONS: [&str; 8] =
    ["vms", "remote_execution", "groups", "ssh", "audit", "runs", "policy", "scripts"];

/// Points out sections that are ignored only for a typing error.
pub(super) fn check_sections(root: &Section<'_>, warnings: &mut Warnings) {
    for (key, _) in root.entries() {
        let name = key.text();
        if SECTIONS.contains(&name) {
            continue;
        }
        if let Some(meant) = nearest(name, SECTIONS) {
            let message = format!("the section `{name}` is ignored; did you mean `{meant}`?");
            warnings.push(key.diagnostic(message));
        }
    }
}

pub(super) fn read_inventory(
    root: &mut Section<'_>,
    allowed: Option<AllowList<'_>>,
    reading: &mut Reading<'_>,
) -> Result<Inventory, Diagnostic> {
    let document = reading.document;
    let (vms, groups) = (root.get("vms"), root.get("groups"));
    let mut inventory = Inventory::read(document, vms, groups, &mut reading.warnings)?;
    if inventory.is_empty() {
        let message = "there are no VMs: `vms` is missing or empty";
        reading.warnings.push(document.root().diagnostic(message));
    }
    for (id, value) in allowed.iter().flatten() {
        if inventory.get(id).is_none() {
            let known = inventory.iter().map(|host| host.id.as_str());
            let hint = nearest(id.as_str(), known)
                .map_or_else(String::new, |id| format!("; did you mean {id}?"));
            reading.warnings.push(value.diagnostic(&format!("{id} is not in `vms`{hint}")));
        }
    }
    if let Some(allowed) = allowed {
        inventory.allow_only(allowed.into_iter().map(|(id, _)| id).collect());
    }
    for host in inventory.hosts_mut() {
        settle_host(host, reading)?;
    }
    Ok(inventory)
}

/// Settles what the inventory cannot know: what `~` stands for, and which
/// profiles there are.
fn settle_host(host: &mut Host, reading: &Reading<'_>) -> Result<(), Diagnostic> {
    let wrong = |host: &Host, key, error: String| {
        let at = host.written_at(key).unwrap_or(reading.document.root().position());
        reading.document.diagnostic(at, format!("{key}: {error}"))
    };
    if let Some(path) = &host.identity_file {
        let path = reading.environment.path(&path.to_string_lossy());
        let path = path.map_err(|error| wrong(host, "identity_file", error.to_string()))?;
        host.identity_file = Some(path);
    }
    if let Some(profile) = &host.profile {
        let profile: Result<Profile, _> = profile.parse();
        profile.map_err(|error| wrong(host, "profile", error.to_string()))?;
    }
    Ok(())
}
