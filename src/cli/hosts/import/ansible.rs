//! What both kinds of Ansible inventory have: hosts, groups and variables.

use std::collections::{BTreeMap, HashMap};

use super::found::{Found, FoundGroup, FoundHost};
use super::notes::Notes;
use crate::nodeset::EXPANSION_MAX;

/// How deep groups may be nested.
const DEPTH_MAX: usize = 64;

/// Variables and where each stands.
pub(super) type Vars = BTreeMap<String, Var>;

#[derive(Clone)]
pub(super) struct Var {
    pub(super) value: String,
    pub(super) place: String,
}

/// An inventory as it is written.
#[derive(Default)]
pub(super) struct Inventory {
    /// In the order in which they were first named.
    hosts: Vec<(String, String, Vars)>,
    index: HashMap<String, usize>,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    place: String,
    hosts: Vec<String>,
    children: Vec<String>,
    vars: Vars,
}

impl Inventory {
    /// Hosts by a pattern that may have ranges, in a group or in none.
    pub(super) fn host(
        &mut self,
        pattern: &str,
        place: &str,
        vars: &Vars,
        group: &str,
        notes: &mut Notes,
    ) {
        let Some(names) = expand(pattern) else {
            return notes.add(place, &format!("{pattern} cannot be read"));
        };
        if (self.hosts.len() + names.len()) as u64 > EXPANSION_MAX {
            return notes.add(place, &format!("{pattern} would be too many hosts"));
        }
        for name in names {
            let (name, port) = split_port(&name);
            let at = *self.index.entry(name.to_owned()).or_insert_with(|| {
                self.hosts.push((name.to_owned(), place.to_owned(), Vars::new()));
                self.hosts.len() - 1
            });
            if let Some(port) = port {
                let var = Var { value: port.to_owned(), place: place.to_owned() };
                self.hosts[at].2.insert("ansible_port".into(), var);
            }
            self.hosts[at].2.extend(vars.clone());
            self.group(group, place).hosts.push(name.to_owned());
        }
    }

    pub(super) fn child(&mut self, group: &str, child: &str, place: &str) {
        self.group(group, place).children.push(child.to_owned());
        self.group(child, place);
    }

    pub(super) fn vars(&mut self, group: &str, vars: Vars, place: &str) {
        self.group(group, place).vars.extend(vars);
    }

    pub(super) fn declare(&mut self, group: &str, place: &str) {
        self.group(group, place);
    }

    fn group(&mut self, name: &str, place: &str) -> &mut Group {
        let at = self.groups.iter().position(|group| group.name == name);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                name: name.to_owned(),
                place: place.to_owned(),
                hosts: Vec::new(),
                children: Vec::new(),
                vars: Vars::new(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }

    pub(super) fn into_found(self, notes: &mut Notes) -> Found {
        let inherited = self.inherited();
        let hosts = self.hosts.iter().map(|(name, place, own)| {
            let mut vars = inherited.get(name.as_str()).cloned().unwrap_or_default();
            vars.extend(own.clone());
            found_host(name, place, &vars, notes)
        });
        let hosts = hosts.collect();
        // Every host is in these two; `all` is a word of ours.
        let groups = self
            .groups
            .into_iter()
            .filter(|group| group.name != "all" && group.name != "ungrouped");
        let groups = groups.map(|Group { name, place, hosts, children, .. }| FoundGroup {
            name,
            place,
            hosts,
            children,
        });
        Found { hosts, groups: groups.collect() }
    }

    /// The variables that each host has from its groups: those of an inner
    /// group win over those of an outer one, and of two groups side by side
    /// those of the later name.
    fn inherited(&self) -> HashMap<&str, Vars> {
        let mut groups: Vec<(usize, &Group)> =
            self.groups.iter().map(|group| (self.depth(group), group)).collect();
        groups.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
        let mut inherited: HashMap<&str, Vars> = HashMap::new();
        for (_, group) in groups.into_iter().filter(|(_, group)| !group.vars.is_empty()) {
            for name in self.members(group) {
                inherited.entry(name).or_default().extend(group.vars.clone());
            }
        }
        inherited
    }

    fn depth(&self, group: &Group) -> usize {
        if group.name == "all" {
            return 0;
        }
        let mut depth = 1;
        let mut level = vec![group.name.as_str()];
        while depth < DEPTH_MAX {
            let parents = self.groups.iter().filter(|parent| {
                parent.name != "all"
                    && parent.children.iter().any(|child| level.contains(&child.as_str()))
            });
            level = parents.map(|parent| parent.name.as_str()).collect();
            if level.is_empty() {
                break;
            }
            depth += 1;
        }
        depth
    }

    fn members(&self, group: &Group) -> Vec<&str> {
        if group.name == "all" {
            return self.hosts.iter().map(|(name, ..)| name.as_str()).collect();
        }
        let mut inside = vec![group.name.as_str()];
        let mut at = 0;
        while let Some(name) = inside.get(at).copied() {
            let children = self.groups.iter().filter(|group| group.name == name);
            for child in children.flat_map(|group| &group.children) {
                if !inside.contains(&child.as_str()) {
                    inside.push(child);
                }
            }
            at += 1;
        }
        let groups = self.groups.iter().filter(|group| inside.contains(&group.name.as_str()));
        groups.flat_map(|group| group.hosts.iter().map(String::as_str)).collect()
    }
}

fn found_host(name: &str, place: &str, vars: &Vars, notes: &mut Notes) -> FoundHost {
    let mut host =
        FoundHost { name: name.to_owned(), place: place.to_owned(), ..FoundHost::default() };
    for (key, Var { value, place }) in vars {
        if value.contains("{{") {
            notes.left(place, key, value);
            continue;
        }
        let value = || Some(value.clone());
        match key.as_str() {
            "ansible_host" | "ansible_ssh_host" => host.address = value(),
            "ansible_port" | "ansible_ssh_port" => host.port = value(),
            "ansible_user" | "ansible_ssh_user" => host.user = value(),
            "ansible_ssh_private_key_file" | "ansible_private_key_file" => {
                host.identity_file = value();
            }
            "ansible_ssh_common_args" | "ansible_ssh_extra_args" => {
                match jump(&value().unwrap_or_default()) {
                    Some(jump) => host.proxy_jump = Some(jump),
                    None => notes.left(place, key, ""),
                }
            }
            _ => notes.left(place, key, ""),
        }
    }
    host
}

/// `host:port` is the short form of ansible_port.
fn split_port(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((bare, port)) if !bare.contains(':') && port.parse::<u16>().is_ok() => {
            (bare, Some(port))
        }
        _ => (name, None),
    }
}

/// The hosts of `-J hosts` or `-o ProxyJump=hosts`, if that is all there is.
fn jump(args: &str) -> Option<String> {
    let args = args.trim().trim_matches(['"', '\'']);
    let words: Vec<&str> =
        args.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    match words.as_slice() {
        ["-J", hosts] => Some((*hosts).to_owned()),
        ["-o", option] => option.strip_prefix("ProxyJump=").map(str::to_owned),
        [option] => {
            option.strip_prefix("-oProxyJump=").or(option.strip_prefix("-J")).map(str::to_owned)
        }
        _ => None,
    }
}

/// `web[01:20]`, `db[a:c]`, `n[0:10:2]`, several brackets; `None` if a range
/// cannot be read or stands for too much.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, more)) = rest.split_once('[') {
        let (inside, after) = more.split_once(']')?;
        if inside.parse::<std::net::Ipv6Addr>().is_ok() {
            return Some(vec![pattern.to_owned()]);
        }
        let values = values(inside)?;
        if (names.len() * values.len()) as u64 > EXPANSION_MAX {
            return None;
        }
        names = (names.iter())
            .flat_map(|name| values.iter().map(move |value| format!("{name}{before}{value}")))
            .collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Some(names)
}

fn values(range: &str) -> Option<Vec<String>> {
    let mut parts = range.split(':');
    let (first, last) = (parts.next()?, parts.next()?);
    let step: usize =
        parts.next().map_or(Some(1), |step| step.parse().ok()).filter(|step| *step > 0)?;
    let letter = |text: &str| text.parse::<char>().ok().filter(char::is_ascii_alphabetic);
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        return Some((first..=last).step_by(step).map(String::from).collect());
    }
    // No first number is 0, and no padding is meant by it.
    let first = if first.is_empty() { "0" } else { first };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let padded = first.len() > 1 && first.starts_with('0');
    if !digits(first) || !digits(last) || padded && first.len() != last.len() {
        return None;
    }
    let (from, to): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    if to.checked_sub(from)? >= EXPANSION_MAX {
        return None;
    }
    let width = if padded { first.len() } else { 0 };
    Some((from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges() {
        let check = |pattern: &str, expected: Option<&str>| {
            assert_eq!(expand(pattern).map(|names| names.join(" ")).as_deref(), expected);
        };
        check("web", Some("web"));
        check("web[01:03]", Some("web01 web02 web03"));
        check("db-[a:c].x", Some("db-a.x db-b.x db-c.x"));
        check("n[0:4:2]", Some("n0 n2 n4"));
        check("r[1:2]n[1:2]", Some("r1n1 r1n2 r2n1 r2n2"));
        check("[:2]", Some("0 1 2"));
        check("n[9:10]", Some("n9 n10"));
        check("n[01:100]", None);
        check("n[5:1]", None);
        check("n[1:", None);
        check("n[1:x]", None);
        check("n[0:9999999999]", None);
        check("[::1]", Some("[::1]"));
        check("[fe80::1:2]", Some("[fe80::1:2]"));
    }
}
