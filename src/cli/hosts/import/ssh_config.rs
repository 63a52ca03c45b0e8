//! OpenSSH's client configuration (ssh_config(5)).

use std::fs;
use std::path::{Path, PathBuf};

use super::found::{Found, FoundHost};
use super::notes::Notes;
use super::read as read_file;
use crate::nodeset::glob_matches;

/// How deep files may include each other, as OpenSSH has it.
const DEPTH_MAX: usize = 16;
/// Files that are read at most.
const FILES_MAX: usize = 256;

/// The settings below one `Host` line.
struct Block {
    patterns: Vec<String>,
    settings: Vec<Setting>,
}

struct Setting {
    keyword: String,
    value: String,
    place: String,
}

pub(super) fn read(path: &Path, text: &str, home: &Path, notes: &mut Notes) -> Found {
    let mut reader = Reader { blocks: Vec::new(), names: Vec::new(), files: 1, home, notes };
    reader.file(path, text, 0);
    let Reader { blocks, names, .. } = reader;
    let hosts = names.iter().map(|(name, place)| found_host(name, place, &blocks, home, notes));
    Found { hosts: hosts.collect(), groups: Vec::new() }
}

struct Reader<'a> {
    blocks: Vec<Block>,
    /// Names without wildcards, and where each stands first.
    names: Vec<(String, String)>,
    files: usize,
    home: &'a Path,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str, depth: usize) {
        // What stands above the first Host line is for every host.
        self.blocks.push(Block { patterns: vec!["*".into()], settings: Vec::new() });
        let mut ignored = false;
        for (number, line) in (1..).zip(text.lines()) {
            let place = format!("{}:{number}", path.display());
            let Some((keyword, value)) = split(line) else { continue };
            match keyword.as_str() {
                "host" => {
                    ignored = false;
                    self.host(&value, &place);
                }
                "match" => {
                    ignored = true;
                    self.notes.add(&place, "Match and what follows it is not copied");
                }
                _ if ignored => {}
                "include" => self.include(path, &value, &place, depth),
                _ => {
                    if let Some(block) = self.blocks.last_mut() {
                        block.settings.push(Setting { keyword, value, place });
                    }
                }
            }
        }
    }

    fn host(&mut self, value: &str, place: &str) {
        let patterns = words(value);
        for name in patterns.iter().filter(|name| !name.contains(['*', '?', '!'])) {
            if !self.names.iter().any(|(known, _)| known == name) {
                self.names.push((name.clone(), place.to_owned()));
            }
        }
        self.blocks.push(Block { patterns, settings: Vec::new() });
    }

    fn include(&mut self, from: &Path, value: &str, place: &str, depth: usize) {
        let outer = self.blocks.last().map(|block| block.patterns.clone()).unwrap_or_default();
        if outer != ["*"] {
            return self.notes.add(place, "Include below a Host line is not followed");
        }
        for word in words(value) {
            let path = match word.strip_prefix("~/") {
                Some(rest) => self.home.join(rest),
                None => from.parent().unwrap_or(Path::new("")).join(&word),
            };
            for path in matching(&path) {
                self.files += 1;
                if depth >= DEPTH_MAX || self.files > FILES_MAX {
                    return self
                        .notes
                        .add(place, "too many files include each other; the rest is not read");
                }
                match read_file(&path) {
                    Ok(text) => self.file(&path, &text, depth + 1),
                    Err(cause) => {
                        self.notes
                            .add(place, &format!("{} cannot be read: {cause}", path.display()));
                    }
                }
            }
        }
        self.blocks.push(Block { patterns: outer, settings: Vec::new() });
    }
}

/// The first value wins, in the order of the file.
fn found_host(
    name: &str,
    place: &str,
    blocks: &[Block],
    home: &Path,
    notes: &mut Notes,
) -> FoundHost {
    let mut host = FoundHost { name: name.into(), place: place.into(), ..FoundHost::default() };
    for setting in blocks.iter().filter(|block| block.matches(name)).flat_map(|b| &b.settings) {
        let Setting { keyword, value, place } = setting;
        let slot = match keyword.as_str() {
            "hostname" => &mut host.address,
            "user" => &mut host.user,
            "port" => &mut host.port,
            "identityfile" => &mut host.identity_file,
            "proxyjump" => &mut host.proxy_jump,
            "hostkeyalias" => &mut host.host_key_alias,
            _ => {
                notes.left(place, keyword, "");
                continue;
            }
        };
        let no_key = keyword == "identityfile" && value.eq_ignore_ascii_case("none");
        if keyword == "identityfile" && slot.is_some() {
            notes.add(place, "a second IdentityFile is not copied");
        }
        if slot.is_some() || no_key {
            continue;
        }
        match filled(value, name, home) {
            Some(value) => *slot = Some(value),
            None => notes.add(place, &format!("{keyword} has a token that is not known here")),
        }
    }
    host
}

impl Block {
    fn matches(&self, name: &str) -> bool {
        let matches = |pattern: &str| glob_matches(pattern, name);
        let refused = self.patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
        self.patterns.iter().any(|pattern| matches(pattern)) && !refused.into_iter().any(matches)
    }
}

/// The value with `%h`, `%d` and `%%` filled in; `None` if there are others.
fn filled(value: &str, name: &str, home: &Path) -> Option<String> {
    let mut text = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next()? {
                '%' => text.push('%'),
                'h' | 'n' => text.push_str(name),
                'd' => text.push_str(home.to_str()?),
                _ => return None,
            },
            c => text.push(c),
        }
    }
    Some(text)
}

/// The keyword in lower case and its value; `=` may stand between them.
fn split(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, value) = line.split_at(end);
    let value = value.trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    let keyword = keyword.to_ascii_lowercase();
    // Lists stay as they are; of anything else the first word counts.
    let value = match keyword.as_str() {
        "host" | "include" => value.to_owned(),
        _ => words(value).into_iter().next().unwrap_or_default(),
    };
    Some((keyword, value))
}

fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for c in value.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '#' if !begun => break,
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
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

/// The path, or the files that match it if its last part is a glob, sorted.
fn matching(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !name.contains(['*', '?']) {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path.parent().unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let own = path.file_name().unwrap_or_default().to_string_lossy();
            !own.starts_with('.') && glob_matches(&name, &own)
        })
        .take(FILES_MAX)
        .collect();
    found.sort_unstable();
    found
}
