//! What an import found, and how it is written for the configuration.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use super::notes::Notes;
use crate::ids::VmId;
use crate::inventory::{Host, Jump, is_address};
use crate::nodeset::NodeSet;

/// Hosts and groups under the names that the source gives them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) hosts: Vec<FoundHost>,
    pub(super) groups: Vec<FoundGroup>,
}

/// A host and where it was found (`file:line`).
#[derive(Default)]
pub(super) struct FoundHost {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) address: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<String>,
    pub(super) identity_file: Option<String>,
    /// As ssh has it: `none` or hops by commas.
    pub(super) proxy_jump: Option<String>,
    pub(super) host_key_alias: Option<String>,
}

/// A group with its hosts and groups, by name.
pub(super) struct FoundGroup {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) hosts: Vec<String>,
    pub(super) children: Vec<String>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// `vms:` and `groups:`.
    pub(super) fn into_yaml(mut self, notes: &mut Notes) -> String {
        self.hosts.retain(|host| host.is_usable(notes));
        let mut taken = HashSet::new();
        let ids: HashMap<String, VmId> = (self.hosts.iter())
            .filter_map(|host| {
                let id = free_id(&host.name, &mut taken)?;
                if id.as_str() != host.name {
                    notes.add(&host.place, &format!("{} becomes {id}", host.name));
                }
                Some((host.name.clone(), id))
            })
            .collect();
        let mut yaml = String::from("vms:");
        for host in &self.hosts {
            let Some(id) = ids.get(&host.name) else { continue };
            yaml.push_str(&format!(
                "\n  {}: {{{}}}",
                quoted(id.as_str()),
                host.settings(&ids, notes)
            ));
        }
        yaml.push('\n');
        let without = self.hosts.iter().filter(|host| host.user.is_none()).count();
        if without > 0 {
            let user = Host::SSH_USER_DEFAULT;
            notes.add("users", &format!("{without} hosts name none: ssh_user is {user} there"));
        }
        yaml.push_str(&self.groups(&ids, notes));
        yaml
    }

    fn groups(&self, ids: &HashMap<String, VmId>, notes: &mut Notes) -> String {
        let mut taken = HashSet::new();
        let groups: Vec<(&FoundGroup, VmId)> = (self.groups.iter())
            .filter(|group| !self.is_hollow(group, ids, &mut HashSet::new()))
            .filter_map(|group| Some((group, free_id(&group.name, &mut taken)?)))
            .collect();
        let names: BTreeMap<&str, &VmId> =
            groups.iter().map(|(group, id)| (group.name.as_str(), id)).collect();
        let mut yaml = String::new();
        for (group, id) in &groups {
            if id.as_str() != group.name {
                notes.add(&group.place, &format!("the group {} becomes {id}", group.name));
            }
            let hosts: NodeSet =
                group.hosts.iter().filter_map(|name| ids.get(name).cloned()).collect();
            let mut terms: Vec<String> =
                Some(hosts.fold()).filter(|text| !text.is_empty()).into_iter().collect();
            for child in &group.children {
                terms.extend(names.get(child.as_str()).map(|id| format!("@{id}")));
            }
            let head = if yaml.is_empty() { "groups:\n" } else { "" };
            let _ = writeln!(yaml, "{head}  {}: {}", quoted(id.as_str()), quoted(&terms.join(",")));
        }
        for group in &self.groups {
            if !names.contains_key(group.name.as_str()) {
                notes.add(&group.place, &format!("the group {} has no host", group.name));
            }
        }
        yaml
    }

    /// Whether no host is in a group, be it through other groups.
    fn is_hollow<'a>(
        &'a self,
        group: &'a FoundGroup,
        ids: &HashMap<String, VmId>,
        seen: &mut HashSet<&'a str>,
    ) -> bool {
        let new = seen.insert(&group.name);
        let child = |name: &String| self.groups.iter().find(|group| group.name == *name);
        !new || !group.hosts.iter().any(|name| ids.contains_key(name))
            && group.children.iter().filter_map(child).all(|child| self.is_hollow(child, ids, seen))
    }
}

impl FoundHost {
    /// A host that cannot be dialled is told and left out, so that it does not
    /// spoil the rest.
    fn is_usable(&self, notes: &mut Notes) -> bool {
        let usable = is_address(self.address());
        if !usable {
            notes.add(&self.place, &format!("{} has no usable address and is left out", self.name));
        }
        usable
    }

    fn address(&self) -> &str {
        let address = self.address.as_deref().unwrap_or(&self.name);
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        bare.unwrap_or(address)
    }

    fn settings(&self, ids: &HashMap<String, VmId>, notes: &mut Notes) -> String {
        let mut settings = vec![format!("ip: {}", quoted(self.address()))];
        let mut refuse = |name: &str| {
            notes.add(&self.place, &format!("{name} of {} has no meaning here", self.name))
        };
        if let Some(user) = &self.user {
            match user.is_empty() || user.starts_with('-') || user.contains(unfit) {
                true => refuse("the user"),
                false => settings.push(format!("ssh_user: {}", quoted(user))),
            }
        }
        if let Some(port) = &self.port {
            match port.parse::<u16>() {
                Ok(22) => {}
                Ok(port @ 1..) => settings.push(format!("ssh_port: {port}")),
                _ => refuse("the port"),
            }
        }
        for (setting, value) in
            [("identity_file", &self.identity_file), ("host_key_alias", &self.host_key_alias)]
        {
            if let Some(value) = value {
                match value.is_empty() || value.contains(char::is_control) {
                    true => refuse(setting),
                    false => settings.push(format!("{setting}: {}", quoted(value))),
                }
            }
        }
        if let Some(jump) = &self.proxy_jump {
            let chain = chain(jump, ids);
            match Jump::parse_chain(&chain) {
                Ok(_) => settings.push(format!("proxy_jump: {}", quoted(&chain))),
                Err(_) => refuse("the way by other hosts"),
            }
        }
        settings.join(", ")
    }
}

fn unfit(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Hops that are hosts of ours by their id, others as user@host:port.
fn chain(jump: &str, ids: &HashMap<String, VmId>) -> String {
    let hops = jump.split(',').map(|hop| {
        let hop = hop.trim();
        let hop = hop.strip_prefix("ssh://").unwrap_or(hop).trim_end_matches('/');
        match ids.get(hop) {
            Some(id) => id.to_string(),
            None if hop.contains(['@', ':']) || hop == "none" => hop.to_owned(),
            None => format!("{hop}:22"),
        }
    });
    hops.collect::<Vec<_>>().join(",")
}

/// The name as an id that no other has: what no id can have becomes `-`.
fn free_id(name: &str, taken: &mut HashSet<VmId>) -> Option<VmId> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let id: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(120).collect();
    let id = id.trim_start_matches(['-', '.']);
    // These words mean something in target expressions.
    let id = match id {
        "" => "host",
        "all" => "all-hosts",
        "failed" => "failed-hosts",
        "unreachable" => "unreachable-hosts",
        id => id,
    };
    let numbered = (2..).map(|number| format!("{id}-{number}"));
    let mut ids = std::iter::once(id.to_owned()).chain(numbered).filter_map(|id| id.parse().ok());
    ids.find(|id: &VmId| taken.insert(id.clone()))
}

/// A string for YAML, which every JSON string is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
