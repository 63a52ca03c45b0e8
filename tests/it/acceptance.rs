//! `docs/acceptance.md` names tests that exist, for every check it owes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::rust_files;

/// The checks that the program must pass as it is now.
fn owed() -> BTreeSet<u32> {
    (1..=29).chain(31..=43).chain(50..=54).chain(57..=60).collect()
}

#[test]
fn every_check_has_its_tests_and_every_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/acceptance.md")).unwrap();
    let mut rows: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for line in document.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.parse().ok()) else { continue };
        let named = cells[cells.len() - 2].split('`').skip(1).step_by(2);
        rows.entry(number).or_default().extend(named);
    }
    let sources: String = ["src", "tests/it"]
        .iter()
        .flat_map(|dir| rust_files(&root.join(dir)))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();

    let mut wrong = Vec::new();
    for check in owed().iter().filter(|check| rows.get(check).is_none_or(Vec::is_empty)) {
        wrong.push(format!("check {check} names no test"));
    }
    for (check, tests) in &rows {
        for test in tests {
            let name = test.rsplit("::").next().unwrap();
            if !sources.contains(&format!("fn {name}(")) {
                wrong.push(format!("check {check} names `{test}`, which does not exist"));
            }
        }
    }
    // A test that says its check's number must be in the table.
    for name in sources.split("fn check_").skip(1) {
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let name = format!("check_{name}");
        let numbered =
            name.as_bytes().get(6..9).is_some_and(|n| n[0].is_ascii_digit() && n[2] == b'_');
        let listed = rows.values().flatten().any(|test| test.rsplit("::").next() == Some(&name));
        if numbered && !listed {
            wrong.push(format!("`{name}` is not in the table"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
