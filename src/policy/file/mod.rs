//! From a file to rules: every field that can be read is enforced, or refused
//! with its place and the reason.

mod approvals;
mod bounds;
mod disk;
mod global;
mod reader;
mod rights;
mod terms;

use sha2::{Digest, Sha256};

use super::rules::Rules;
use crate::hex::hex;
use crate::yaml::{Diagnostic, Document};
use reader::Reader;

pub use bounds::Breaker;
pub use disk::PolicyError;
pub(super) use disk::{load, read_text};
pub(super) use terms::basename;

/// Where a plain list of commands has its programs looked for.
const PATH_OF_LISTS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Reads a text; `name` stands for the file in places.
pub(super) fn read(name: &str, text: &str) -> Result<Rules, Vec<Diagnostic>> {
    let (rules, problems) = read_with_problems(name, text)?;
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// As [`read`], with everything that could be read beside what is wrong.
pub(super) fn read_with_problems(
    name: &str,
    text: &str,
) -> Result<(Rules, Vec<Diagnostic>), Vec<Diagnostic>> {
    let document = Document::parse(name, text).map_err(|problem| vec![problem])?;
    let root = document.root();
    if root.is_null() {
        return Err(vec![root.diagnostic("the policy is empty: nothing is allowed")]);
    }
    let mut reader = Reader::new(&document);
    let mut rules = Rules {
        file: root.location(),
        sha256: sha256(text.as_bytes()),
        name: None,
        global: Default::default(),
        binaries: Vec::new(),
        scripts: Vec::new(),
        uploads: Vec::new(),
        downloads: Vec::new(),
        roles: None,
        operators: Default::default(),
        breaker: None,
        log: None,
        approvals: None,
    };
    if root.list().is_ok() {
        let path: Vec<String> = PATH_OF_LISTS.map(str::to_owned).into();
        rules.binaries = reader.commands(Some(root), Some(&path));
        rules.global.path = Some(path);
    } else {
        read_sections(&mut reader, &mut rules);
    }
    Ok((rules, reader.into_problems()))
}

fn read_sections(reader: &mut Reader<'_>, rules: &mut Rules) {
    let Some(mut root) = reader.section(reader.document.root()) else { return };
    let mut get = |key| root.get(key);
    let (version, metadata, audit) = (get("version"), get("metadata"), get("audit"));
    let (global, profiles) = (get("global"), get("sandbox_profiles"));
    let (binaries, commands, scripts) = (get("binaries"), get("allowed_commands"), get("scripts"));
    let (transfers, roles, operators) = (get("transfers"), get("roles"), get("operators"));
    let (breaker, approvals) = (get("circuit_breaker"), get("approvals"));
    reader.end(&root);
    reader.version(version);
    rules.name = reader.metadata(metadata);
    rules.log = reader.audit(audit);
    let sandboxes = reader.sandboxes(profiles);
    rules.global = reader.global(global, &sandboxes);
    let path = rules.global.path.as_deref();
    rules.binaries = reader.binaries(binaries, path, &sandboxes);
    rules.binaries.extend(reader.commands(commands, path));
    rules.scripts = reader.scripts(scripts, &sandboxes);
    (rules.uploads, rules.downloads) = reader.transfers(transfers);
    rules.roles = reader.roles(roles);
    rules.operators = reader.operators(operators, rules.roles.as_deref());
    rules.breaker = reader.breaker(breaker);
    rules.approvals = reader.approvals(approvals, rules.file.file());
    reader.check_approvals(approvals);
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}
