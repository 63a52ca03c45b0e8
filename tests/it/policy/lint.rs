//! `policy lint`, as whoever wrote the policy reads it.

use std::fs;

use serde_json::Value;

use crate::cli_exec::{Lab, Said};

fn lint(lab: &Lab, text: &str, more: &[&str]) -> Said {
    let path = lab.path("p.yml");
    fs::write(&path, text).unwrap();
    let args = [&["lint", path.to_str().unwrap()], more].concat();
    lab.verb("policy", args.iter().copied()).output().unwrap().into()
}

#[test]
fn told_with_place_reason_and_way_out() {
    let lab = Lab::new();
    let text = "binaries:\n- path: /usr/bin/git\n  allowed_args: [status, '--.*']\n";
    let said = lint(&lab, text, &[]);
    let file = lab.path("p.yml");
    let expected = format!(
        "{}:3:26: high: escape-option\n  binaries[0]/git: `--.*` allows `--exec-path=/tmp/x` and 6 more of that kind, \
         by which git runs other programs or writes any file\n  to do: name the options that are needed, one by one, \
         instead of a pattern for all of them\nfound 1, 1 of severity high\n",
        file.display()
    );
    assert_eq!(said.ends(1).text(), expected);
    let said = lint(&lab, text, &["--json"]);
    let document: Value = serde_json::from_slice(&said.ends(1).stdout).unwrap();
    let finding = &document["findings"][0];
    assert_eq!(
        (finding["rule"].as_str(), finding["line"].as_u64()),
        (Some("escape-option"), Some(3))
    );
    assert_eq!(finding["severity"], "high");
}

#[test]
fn the_code_goes_by_severity() {
    let lab = Lab::new();
    lint(&lab, "binaries: [{path: /bin/true}]\n", &[]).ends(0);
    let low = lint(&lab, "binaries: [{path: /bin/true, allowed_args: ['^a$']}]\n", &[]);
    assert!(low.ends(0).text().contains("low: redundant-anchor"), "{low:?}");
    // What could not even be loaded is explained, and so is the rest of it.
    let unusable = lint(&lab, "binaries: [{path: /usr/bin/find}, {path: /bin/cat}]\n", &[]);
    let text = unusable.ends(1).text();
    assert!(text.contains("high: unusable") && text.contains("medium: reads-any-file"), "{text}");
    lint(&lab, "binaries: [", &[]).ends(2).says(&["not valid YAML"]);
    lab.verb("policy", ["lint"]).output().map(Said::from).unwrap().ends(2);
}
