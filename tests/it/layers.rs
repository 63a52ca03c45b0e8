//! A module may use only modules of a lower layer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::rust_files;

/// Every module at the top of `src/`, lowest layer first.
const LAYERS: &[&[&str]] = &[
    &["hex", "ids", "quote", "units"],
    &["nodeset", "prompt", "redact", "remote", "retry", "yaml"],
    &["inventory", "scan", "transport"],
    &["outcome", "policy", "session", "sftp", "ssh"],
    &["event", "exec", "hook", "plan", "scripts"],
    &["audit", "store", "transfer"],
    &["approval", "run"],
    &["config", "doctor", "keys", "report"],
    &["orchestrator"],
    &["cli"],
];

#[test]
fn modules_use_only_lower_layers() {
    let layer_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, layer)))
        .collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some(&layer) = layer_of.get(module) else {
            wrong.push(format!("{}: module `{module}` has no layer", relative.display()));
            continue;
        };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for used in crate_paths(line) {
                // The facade's types stand at the root of the crate.
                let facade = used.starts_with(char::is_uppercase);
                let used_module = if facade { "orchestrator" } else { used.as_str() };
                let used_layer = layer_of.get(used_module).copied();
                let allowed = used == module || used_layer.is_some_and(|used| used < layer);
                if !allowed {
                    let place = format!("{}:{}", relative.display(), number + 1);
                    wrong.push(format!("{place}: `{module}` may not use `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The modules that a line names by `crate::…`, also inside braces.
fn crate_paths(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(
                list.split(',').map(|item| word(item.trim())).filter(|name| !name.is_empty()),
            ),
            None => found.push(word(rest)),
        }
    }
    found
}
