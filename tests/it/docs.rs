//! The documents say what the program does.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use toml_names::dependencies;

use crate::support::{files_below, rust_files};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        for target in links(&read(&document)) {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            if !document.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Verbs and flags, not what they do: the help is the program's own word.
#[test]
fn every_command_line_shown_exists() {
    let mut wrong = Vec::new();
    for document in documents() {
        for line in command_lines(&read(&document)) {
            for problem in problems(&line) {
                wrong.push(format!("{}: {line}\n    {problem}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_flag_the_guide_mentions_exists() {
    let verbs = [
        &["apply"][..],
        &["approve"],
        &["doctor"],
        &["exec"],
        &["pull"],
        &["push"],
        &["script"],
        &["audit", "verify"],
        &["config", "show"],
        &["hosts", "trust"],
        &["keys", "deploy"],
        &["keys", "generate"],
        &["plan"],
        &["policy", "check"],
        &["policy", "explain"],
        &["policy", "lint"],
        &["policy", "replay"],
        &["runs", "list"],
        &["runs", "rerun"],
        &["runs", "show"],
        &["scripts", "lint"],
    ];
    let help: String = verbs.iter().filter_map(|verbs| help(verbs)).collect();
    let known = flags(&help);
    let guide = documents().into_iter().filter(|path| {
        path.ends_with("README.md") || path.parent().is_some_and(|dir| dir.ends_with("guide"))
    });
    for document in guide {
        let text = read(&document);
        for span in prose(&text).split('`').skip(1).step_by(2) {
            let flag = span.split([' ', '=']).next().unwrap();
            let is_flag = flag.starts_with('-') && !flag.trim_matches('-').is_empty();
            assert!(!is_flag || known.contains(flag), "{}: {span}", document.display());
        }
    }
}

#[test]
fn the_code_map_has_every_module() {
    let map = read(&root().join("docs/ARCHITECTURE.md"));
    let rows: BTreeSet<String> =
        table_rows(&map).filter_map(|row| Some(row.get(1)?.trim_matches('`').to_owned())).collect();
    let missing: Vec<String> = modules().into_iter().filter(|name| !rows.contains(name)).collect();
    assert!(missing.is_empty(), "not in the code map: {}", missing.join(", "));
}

#[test]
fn every_file_named_in_the_architecture_is_there() {
    let map = read(&root().join("docs/ARCHITECTURE.md"));
    let files = files_below(&root().join("src"));
    let missing: Vec<&str> = code_spans(&map)
        .filter(|span| span.ends_with(".rs") || span.ends_with("kill.sh"))
        .filter(|span| !files.iter().any(|file| file.ends_with(span)))
        .filter(|span| !root().join(span).exists())
        .collect();
    assert!(missing.is_empty(), "no such file: {}", missing.join(", "));
}

#[test]
fn the_glossary_has_every_word() {
    let glossary = read(&root().join("docs/GLOSSARY.md"));
    let words: BTreeSet<&str> = glossary.split("**").skip(1).step_by(2).collect();
    for word in [
        "Action",
        "Attempt",
        "AuditRecord",
        "Channel",
        "Connection",
        "Decision",
        "Effect",
        "Endpoint",
        "Event",
        "Group",
        "Host",
        "HostPattern",
        "Inventory",
        "NodeSet",
        "Outcome",
        "Plan",
        "Policy",
        "Run",
        "Session",
        "operator",
        "run_as",
        "ssh_user",
    ] {
        assert!(words.contains(word), "{word}");
    }
}

#[test]
fn every_dependency_has_its_reason_and_no_other() {
    let listed: BTreeSet<String> = table_rows(&read(&root().join("docs/dependencies.md")))
        .filter(|row| row.len() == 3 && row[0].starts_with('`') && !row[1].starts_with('`'))
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(listed, dependencies(&read(&root().join("Cargo.toml"))));
}

#[test]
fn the_readme_begins_with_both_commands() {
    let readme = read(&root().join("README.md"));
    let first_screen: Vec<&str> = readme.lines().take(24).collect();
    for command in ["./scripts/demo.sh", "./scripts/test.sh"] {
        assert!(first_screen.iter().any(|line| line.starts_with(command)), "{command}");
    }
}

#[test]
fn every_design_record_is_listed() {
    let list = read(&root().join("docs/design/README.md"));
    for file in files_below(&root().join("docs/design")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || list.contains(&format!("({name})")), "{name}");
    }
}

/// Every code is explained, and what is explained is one.
#[test]
fn the_error_codes_are_those_of_the_program() {
    let document = read(&root().join("docs/error-codes.md"));
    let told: BTreeSet<&str> = table_rows(&document)
        .filter(|row| row[0].starts_with('`'))
        .flat_map(|row| code_spans(row[0]).collect::<Vec<_>>())
        .collect();
    let given = [
        // A field, and what is put into it.
        r#"\bcode(?:: | = )(?:if [^{}]* \{ )?"([a-z_]+)""#,
        // What makes errors of files, scripts and keys.
        r#"(?:Trouble::file|Self::file|NotRun::new|config_failure)\(\s*"([a-z_]+)""#,
        r#"\(Status::\w+, "([a-z_]+)"\)"#,
    ]
    .map(|pattern| Regex::new(pattern).unwrap());
    // Functions that give codes.
    let gives =
        Regex::new(r"(?s)fn (?:\w+_)?code\([^{]*-> &'static str \{(.*?)\n(?:    )?\}\n").unwrap();
    let literal = Regex::new(r#""([a-z_]+)""#).unwrap();
    let (mut codes, mut sources) = (BTreeSet::new(), String::new());
    for file in rust_files(&root().join("src")) {
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        sources.push_str(code);
        let name = file.to_str().unwrap();
        if name.contains("/tests") || name.contains("fixture") {
            continue;
        }
        let found = |pattern: &Regex, text: &str| {
            let found = pattern.captures_iter(text).map(|it| it[1].to_owned());
            found.collect::<Vec<_>>()
        };
        for pattern in &given {
            codes.extend(found(pattern, code));
        }
        for body in found(&gives, code) {
            codes.extend(found(&literal, &body));
        }
    }
    assert!(codes.len() > 60, "{codes:?}");
    let untold: Vec<_> = codes.iter().filter(|code| !told.contains(code.as_str())).collect();
    assert!(untold.is_empty(), "docs/error-codes.md does not have {untold:?}");
    let stale: Vec<_> =
        told.iter().filter(|code| !sources.contains(&format!("\"{code}\""))).collect();
    assert!(stale.is_empty(), "docs/error-codes.md has {stale:?}");
}

/// What is wrong with a command line, word by word.
fn problems(line: &str) -> Vec<String> {
    let mut words = line.split_whitespace().skip(1).peekable();
    let mut verbs: Vec<&str> = Vec::new();
    while let Some(word) = words.next_if(|word| word.bytes().all(|b| b.is_ascii_lowercase())) {
        verbs.push(word);
        if !has_subcommands(verbs[0]) || verbs.len() == 2 {
            break;
        }
    }
    let Some(help) = help(&verbs) else { return vec![format!("no command {verbs:?}")] };
    let known = flags(&help);
    words
        .take_while(|word| *word != "--")
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(|word| word.split('=').next().unwrap())
        .filter(|flag| !known.contains(flag))
        .map(|flag| format!("no flag {flag}"))
        .collect()
}

/// The flags that a help text names.
fn flags(help: &str) -> BTreeSet<&str> {
    let words = help.split(|c: char| c.is_whitespace() || "[]=<>,".contains(c));
    words.filter(|word| word.starts_with('-')).collect()
}

fn has_subcommands(verb: &str) -> bool {
    matches!(verb, "audit" | "config" | "hosts" | "keys" | "plan" | "policy" | "runs" | "scripts")
}

fn help(verbs: &[&str]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    let output = command.args(verbs).arg("--help").env_clear().output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The lines of code blocks that call the program, without what their quotes
/// hold: that is the business of a shell on a VM.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        // What a crontab or n8n calls is the same program.
        let line = line
            .split_once("run_orchestrator.sh ")
            .map_or(line.into(), |(_, arguments)| Cow::Owned(format!("orchestrator {arguments}")));
        if code && line.starts_with("orchestrator ") {
            let unquoted: String = line.split('\'').step_by(2).collect::<Vec<_>>().join("Q");
            let end = unquoted.find(['|', '>', ';', '#']).unwrap_or(unquoted.len());
            lines.push(unquoted[..end].trim().to_owned());
        }
    }
    lines
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

fn links(text: &str) -> Vec<String> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of every row of every table, but heads and rules.
fn table_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn modules() -> Vec<String> {
    let names = fs::read_dir(root().join("src")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    });
    names.filter(|name| !matches!(name.as_str(), "lib" | "main")).collect()
}

/// Every Markdown file that is ours.
fn documents() -> Vec<PathBuf> {
    let mut documents = files_below(&root().join("docs"));
    documents
        .extend(["README.md", "CHANGELOG.md", "hosts/README.md"].map(|name| root().join(name)));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.len() > 10);
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// As much of TOML as `Cargo.toml` needs.
mod toml_names {
    use std::collections::BTreeSet;

    /// The names below `[dependencies]` and `[dev-dependencies]`.
    pub(super) fn dependencies(manifest: &str) -> BTreeSet<String> {
        let mut section = "";
        let mut names = BTreeSet::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if matches!(section, "[dependencies]" | "[dev-dependencies]")
                && let Some((name, _)) = line.split_once(" = ")
                && !name.starts_with('#')
            {
                names.insert(name.to_owned());
            }
        }
        names
    }
}
