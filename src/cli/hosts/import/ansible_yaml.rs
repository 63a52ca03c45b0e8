//! Ansible's YAML inventories.

use super::ansible::{Inventory, Var, Vars};
use super::notes::Notes;
use crate::yaml::{Diagnostic, Document, Value};

/// How deep groups may be nested.
const DEPTH_MAX: usize = 64;

pub(super) fn read(file: &str, text: &str, notes: &mut Notes) -> Result<Inventory, Diagnostic> {
    let document = Document::parse(file, text)?;
    let mut reader = Reader { inventory: Inventory::default(), notes };
    for (key, group) in document.root().section()?.entries() {
        reader.group(key.text(), group, 0)?;
    }
    Ok(reader.inventory)
}

struct Reader<'n> {
    inventory: Inventory,
    notes: &'n mut Notes,
}

impl Reader<'_> {
    fn group(&mut self, name: &str, group: Value<'_>, depth: usize) -> Result<(), Diagnostic> {
        if depth > DEPTH_MAX {
            return Err(group.diagnostic("the groups are nested too deep"));
        }
        let at = place(&group);
        self.inventory.declare(name, &at);
        for (key, value) in group.section()?.entries() {
            match key.text() {
                "hosts" => {
                    for (host, vars) in value.section()?.entries() {
                        let vars = self.vars(vars)?;
                        let at = place_of(host.diagnostic(String::new()));
                        self.inventory.host(host.text(), &at, &vars, name, self.notes);
                    }
                }
                "children" => {
                    for (child, value) in value.section()?.entries() {
                        self.inventory.child(name, child.text(), &place(&value));
                        self.group(child.text(), value, depth + 1)?;
                    }
                }
                "vars" => {
                    let vars = self.vars(value)?;
                    self.inventory.vars(name, vars, &place(&value));
                }
                other => self.notes.left(&place(&value), other, ""),
            }
        }
        Ok(())
    }

    /// The variables that are text or numbers; others are told.
    fn vars(&mut self, vars: Value<'_>) -> Result<Vars, Diagnostic> {
        let mut read = Vars::new();
        for (key, value) in vars.section()?.entries() {
            match value.text() {
                Ok(text) => {
                    let var = Var { value: text.to_owned(), place: place(&value) };
                    read.insert(key.text().to_owned(), var);
                }
                Err(_) => self.notes.left(&place(&value), key.text(), ""),
            }
        }
        Ok(read)
    }
}

fn place(value: &Value<'_>) -> String {
    let location = value.location();
    format!("{}:{}", location.file(), location.line())
}

fn place_of(diagnostic: Diagnostic) -> String {
    let location = diagnostic.location();
    format!("{}:{}", location.file(), location.line())
}
