//! From `vms:` and `groups:` to an inventory.

use std::fmt::Display;

use super::host::{Host, Os};
use super::jump::{Jump, is_address};
use super::{Group, InvalidInventory, Inventory, pin, targets};
use crate::ids::VmId;
use crate::yaml::{Diagnostic, Document, Key, Position, Value, Warnings};

impl Inventory {
    /// Reads the values of `vms` and `groups`. Keys that mean nothing become
    /// warnings; paths stay as they are written.
    pub(crate) fn read(
        document: &Document<'_>,
        vms: Option<Value<'_>>,
        groups: Option<Value<'_>>,
        warnings: &mut Warnings,
    ) -> Result<Self, Diagnostic> {
        let mut hosts = Vec::new();
        if let Some(vms) = vms {
            let vms = vms.section()?.entries();
            hosts.reserve_exact(vms.len());
            for (key, value) in vms {
                hosts.push(read_host(&key, value, warnings)?);
            }
        }
        let groups = groups.map(read_groups).transpose()?.unwrap_or_default();
        let (groups, places): (Vec<Group>, Vec<Position>) = groups.into_iter().unzip();
        let mut inventory = Self::index(hosts, groups)
            .map_err(|error| document.root().diagnostic(&error.to_string()))?;
        inventory.check_jumps().map_err(|error| inventory.locate(document, &error))?;
        let in_group = |at: usize, message: &dyn Display| {
            document.diagnostic(places[at], format!("{}: {message}", inventory.groups[at].name))
        };
        targets::check(&inventory.groups).map_err(|(at, error)| in_group(at, &error))?;
        let strangers = targets::strangers(&inventory);
        let strangers = strangers.into_iter().map(|(at, error)| in_group(at, &error));
        warnings.extend(strangers);
        inventory.file = Some(document.name());
        Ok(inventory)
    }

    fn locate(&self, document: &Document<'_>, error: &InvalidInventory) -> Diagnostic {
        let host = match error {
            InvalidInventory::Jump { host, .. } => self.get(host),
            _ => None,
        };
        let at = host.and_then(|host| host.written_at("proxy_jump"));
        let at = at.unwrap_or(document.root().position());
        document.diagnostic(at, error.to_string())
    }
}

fn read_host(key: &Key<'_>, value: Value<'_>, warnings: &mut Warnings) -> Result<Host, Diagnostic> {
    let id: VmId = key.text().parse().map_err(|error| key.diagnostic(format!("{error}")))?;
    let mut section = value.section()?;
    let address = section.get("ip").map(read_address).transpose()?.flatten();
    let Some(address) = address else {
        return Err(key.diagnostic(format!("vm_id {id} has no ip in config")));
    };
    let mut host = Host::new(id, address);
    let mut word = |key| section.get(key).map(read_word).transpose();
    host.name = word("name")?.flatten();
    host.role = word("role")?.flatten();
    host.shell = word("shell")?.flatten();
    host.host_key_alias = word("host_key_alias")?.flatten();
    host.profile = word("profile")?.flatten();
    host.identity_file = word("identity_file")?.flatten().map(Into::into);
    if let Some(user) = section.get("ssh_user") {
        host.ssh_user = read_user(user)?;
    }
    if let Some(port) = section.get("ssh_port") {
        // The range makes the conversion lossless.
        host.port = u16::try_from(port.integer(1..=65535)?).unwrap_or(22);
    }
    if let Some(enabled) = section.get_or_null("enabled") {
        host.enabled = enabled.boolean()?;
    }
    if let Some(os) = section.get("os") {
        host.os = os.choice(&Os::CHOICES)?;
    }
    if let Some(tags) = section.get("tags") {
        host.tags = read_tags(tags)?;
    }
    if let Some(jump) = section.get("proxy_jump") {
        host.proxy_jump = read_jumps(jump)?;
    }
    if let Some(keys) = section.get("host_key") {
        host.host_key = read_pins(keys)?;
    }
    host.allowed = host.enabled;
    warnings.extend(section.unknown());
    host.written = section.into_written();
    Ok(host)
}

/// Free text; empty text is none.
fn read_word(value: Value<'_>) -> Result<Option<String>, Diagnostic> {
    if value.text()?.is_empty() { Ok(None) } else { Ok(Some(value.word()?.into())) }
}

/// IPv6 may stand in brackets. Empty text is no address.
fn read_address(value: Value<'_>) -> Result<Option<String>, Diagnostic> {
    let text = value.text()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare {
        "" => Ok(None),
        address if is_address(address) => Ok(Some(address.into())),
        _ => Err(value.unexpected("an IPv4 or IPv6 address or a host name")),
    }
}

/// A login name goes into `user@host` and into messages.
fn read_user(value: Value<'_>) -> Result<String, Diagnostic> {
    let user = value.word()?;
    if user.starts_with('-') || user.contains(char::is_whitespace) {
        return Err(value.unexpected("a login name"));
    }
    Ok(user.into())
}

fn read_tags(value: Value<'_>) -> Result<Vec<String>, Diagnostic> {
    value.one_or_many()?.iter().map(|tag| Ok(tag.word()?.to_owned())).collect()
}

fn read_jumps(value: Value<'_>) -> Result<Vec<Jump>, Diagnostic> {
    let texts: Vec<_> = value.one_or_many()?.iter().map(Value::text).collect::<Result<_, _>>()?;
    Jump::parse_chain(&texts.join(",")).map_err(|error| value.diagnostic(&error.to_string()))
}

fn read_pins(value: Value<'_>) -> Result<Vec<String>, Diagnostic> {
    let read = |pin: &Value<'_>| -> Result<String, Diagnostic> {
        let text = pin.text()?.trim();
        pin::check(text).map_err(|error| pin.diagnostic(&error.to_string()))?;
        Ok(text.into())
    };
    value.one_or_many()?.iter().map(read).collect()
}

fn read_groups(value: Value<'_>) -> Result<Vec<(Group, Position)>, Diagnostic> {
    value.section()?.entries().map(|(key, value)| read_group(&key, value)).collect()
}

/// Several expressions are united, as commas unite the parts of one.
fn read_group(key: &Key<'_>, value: Value<'_>) -> Result<(Group, Position), Diagnostic> {
    let name = key.text();
    if name.parse::<VmId>().is_err() {
        return Err(key.diagnostic(format!("`{name}` is not a valid name for a group")));
    }
    let items = value.one_or_many()?;
    let parts: Vec<_> = items.iter().map(Value::word).collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err(value.unexpected("an expression that names hosts"));
    }
    // Operators work from left to right: a later one would touch the items before it.
    let later = items.iter().zip(&parts).skip(1);
    if let Some((item, _)) = later.into_iter().find(|(_, part)| part.contains(['!', '&', '^'])) {
        let message = "a later item cannot have ! & or ^: make it a group of its own";
        return Err(item.diagnostic(message));
    }
    let location = Some(value.location());
    Ok((Group { name: name.into(), expression: parts.join(","), location }, value.position()))
}
