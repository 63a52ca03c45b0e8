//! `transfers`, `roles` and `operators`.

use std::collections::BTreeMap;

use super::super::pattern::PathPattern;
use super::super::rules::{Operator, Permission, Role, TransferRule};
use super::reader::Reader;
use crate::yaml::{Key, Value, nearest};

impl<'d> Reader<'d> {
    /// What may be written, and what may be read.
    pub(super) fn transfers(
        &mut self,
        value: Option<Value<'d>>,
    ) -> (Vec<TransferRule>, Vec<TransferRule>) {
        let Some(mut section) = value.and_then(|value| self.section(value)) else {
            return (Vec::new(), Vec::new());
        };
        let (upload, download) = (section.get("upload"), section.get("download"));
        self.end(&section);
        (self.direction("upload", upload), self.direction("download", download))
    }

    fn direction(&mut self, name: &str, value: Option<Value<'d>>) -> Vec<TransferRule> {
        let items = value.map(|value| self.list(value)).unwrap_or_default();
        let rules = items.into_iter().enumerate();
        rules.filter_map(|(index, value)| self.transfer(name, index, value)).collect()
    }

    fn transfer(&mut self, name: &str, index: usize, value: Value<'d>) -> Option<TransferRule> {
        let id = self.id(format!("transfers.{name}[{index}]"), value);
        if value.text().is_ok() {
            let paths = self.texts(Some(value), PathPattern::new);
            return Some(TransferRule {
                id,
                deny: false,
                paths,
                hosts: Default::default(),
                run_as: Vec::new(),
                require_approval: false,
            });
        }
        let mut section = self.section(value)?;
        let (path, paths) = (section.get("path"), section.get("paths"));
        let mut patterns = self.texts(path, PathPattern::new);
        patterns.extend(self.texts(paths, PathPattern::new));
        if path.or(paths).is_none() {
            self.problem(value.diagnostic("path is missing"));
        }
        let (deny, hosts) = (section.get("deny"), section.get("hosts"));
        let description = section.get("description");
        self.note(description);
        let rule = TransferRule {
            id,
            deny: self.switch(deny, false),
            paths: patterns,
            hosts: self.hosts(hosts),
            run_as: self.users(&mut section),
            require_approval: self.approval(&mut section),
        };
        self.end(&section);
        Some(rule)
    }

    pub(super) fn roles(&mut self, value: Option<Value<'d>>) -> Option<Vec<Role>> {
        let section = self.section(value?)?;
        let entries: Vec<_> = section.entries().collect();
        Some(entries.into_iter().filter_map(|(key, value)| self.role(&key, value)).collect())
    }

    fn role(&mut self, key: &Key<'d>, value: Value<'d>) -> Option<Role> {
        let mut section = self.section(value)?;
        let (granted, denied) = (section.get("permissions"), section.get("denied_permissions"));
        let (hosts, members) = (section.get("hosts"), section.get("operators"));
        let description = section.get("description");
        self.note(description);
        self.end(&section);
        Some(Role {
            name: key.text().to_owned(),
            place: self.place(value),
            permissions: self.permissions(granted),
            denied: self.permissions(denied),
            hosts: self.hosts(hosts),
            members: self.texts(members, |name| Ok::<_, String>(name.to_owned())),
        })
    }

    fn permissions(&mut self, value: Option<Value<'d>>) -> Vec<Permission> {
        let Some(value) = value else { return Vec::new() };
        let values = self.keep(value.one_or_many()).unwrap_or_default();
        let mut permissions = Vec::new();
        for value in values {
            let Some(permission) = self.keep(value.choice(&Permission::CHOICES)) else { continue };
            permissions.push(permission);
        }
        permissions
    }

    /// What accounts stand for; the roles that they name must be among `roles`.
    pub(super) fn operators(
        &mut self,
        value: Option<Value<'d>>,
        roles: Option<&[Role]>,
    ) -> BTreeMap<String, Operator> {
        let mut operators = BTreeMap::new();
        let Some(section) = value.and_then(|value| self.section(value)) else { return operators };
        for (key, value) in section.entries() {
            if let Some(operator) = self.operator(&key, value, roles.unwrap_or_default()) {
                operators.insert(key.text().to_owned(), operator);
            }
        }
        operators
    }

    fn operator(&mut self, key: &Key<'d>, value: Value<'d>, known: &[Role]) -> Option<Operator> {
        if value.text().is_ok() {
            let principal = self.keep(value.word())?.to_owned();
            return Some(Operator { principal, roles: Vec::new() });
        }
        let mut section = self.section(value)?;
        let (principal, roles) = (section.get("principal"), section.get("roles"));
        self.end(&section);
        let principal = match principal {
            Some(value) => self.keep(value.word())?.to_owned(),
            None => key.text().to_owned(),
        };
        let names = || known.iter().map(|role| role.name.as_str());
        let roles = self.texts(roles, |name| {
            if names().any(|role| role == name) {
                return Ok(name.to_owned());
            }
            let hint = nearest(name, names()).map(|name| format!("; did you mean `{name}`?"));
            Err(format!("there is no role `{name}`{}", hint.unwrap_or_default()))
        });
        Some(Operator { principal, roles })
    }
}
