//! Ansible's INI inventories.

use super::ansible::{Inventory, Var, Vars};
use super::notes::Notes;

enum Section {
    Hosts(String),
    Children(String),
    Vars(String),
    Unknown,
}

pub(super) fn read(file: &str, text: &str, notes: &mut Notes) -> Inventory {
    let mut inventory = Inventory::default();
    let mut section = Section::Hosts("ungrouped".into());
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{file}:{number}");
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = line.strip_prefix('[')
            && let Some((head, rest)) = head.split_once(']')
            && matches!(section, Section::Unknown) | is_head(head, rest)
        {
            section = read_head(head, &place, &mut inventory, notes);
            continue;
        }
        match &section {
            Section::Hosts(group) => read_host(line, group, &place, &mut inventory, notes),
            Section::Children(group) => {
                let child = line.split([' ', '\t', '#']).next().unwrap_or_default();
                inventory.child(group, child, &place);
            }
            Section::Vars(group) => match line.split_once('=') {
                Some((key, value)) => {
                    let value = unquoted(value.trim());
                    let vars =
                        Vars::from([(key.trim().to_owned(), Var { value, place: place.clone() })]);
                    inventory.vars(group, vars, &place);
                }
                None => notes.add(&place, "this line is no variable"),
            },
            Section::Unknown => notes.add(&place, "this line is not copied"),
        }
    }
    inventory
}

/// `[1:3]` at the beginning of a line is a range, `[web]` a section.
fn is_head(head: &str, rest: &str) -> bool {
    let rest = rest.trim();
    let kind = head.split_once(':').map(|(_, kind)| kind);
    (rest.is_empty() || rest.starts_with(['#', ';']))
        && kind.is_none_or(|kind| kind.bytes().any(|b| b.is_ascii_alphabetic()))
}

fn read_head(head: &str, place: &str, inventory: &mut Inventory, notes: &mut Notes) -> Section {
    let (group, kind) = head.split_once(':').unwrap_or((head, "hosts"));
    let group = group.trim().to_owned();
    inventory.declare(&group, place);
    match kind.trim() {
        "hosts" => Section::Hosts(group),
        "children" => Section::Children(group),
        "vars" => Section::Vars(group),
        kind => {
            notes.add(place, &format!("the section {kind} is not known"));
            Section::Unknown
        }
    }
}

fn read_host(line: &str, group: &str, place: &str, inventory: &mut Inventory, notes: &mut Notes) {
    let mut words = words(line).into_iter();
    let Some(name) = words.next() else { return };
    let mut vars = Vars::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => {
                let var = Var { value: value.to_owned(), place: place.to_owned() };
                vars.insert(key.to_owned(), var);
            }
            // It may be half of a secret, so it is not repeated.
            None => notes.add(place, "a word without = is not copied"),
        }
    }
    inventory.host(&name, place, &vars, group, notes);
}

/// The words of a line as a shell reads them, up to a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => (quote, begun) = (Some(c), true),
            ('#', None) if !begun => break,
            (c, None) if c.is_whitespace() => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, None) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

fn unquoted(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inside('"').or(inside('\'')).unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_a_shells() {
        assert_eq!(words("a b='c d' e=\"f \\\" g\" # h"), ["a", "b=c d", "e=f \" g"]);
        assert_eq!(words("a#b 'c"), ["a#b", "c"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}
