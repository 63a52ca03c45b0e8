//! Headers, parameters and folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::remote::ScriptSource;

const GREET: &str = "#!/bin/sh
# ---
# id: greet
# title: Say hello
# os: [linux, macos]
# timeout: 10s
# parameters:
#   - name: who
#     pattern: '[a-z]+'
#     required: true
#   - name: times
#     type: int
#     default: 1
#     pass: argv
#   - {name: pass_word, secret: true}
#   - {name: loud, type: bool}
#   - {name: lang, type: enum, values: [en, de], default: en}
#   - {name: log, type: path}
# ---
echo hello
";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    dir
}

fn greet() -> Entry {
    let dir = folder(&[("greet.sh", GREET)]);
    Library::load(dir.path()).unwrap().get("greet").unwrap().clone()
}

/// What is wrong with a header of these lines.
fn wrong(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("# {line}\n")).collect();
    let dir = folder(&[("x.sh", &format!("# ---\n{lines}# ---\n"))]);
    let library = Library::load(dir.path()).unwrap();
    let problem = library.problems().first().map(Problem::summary).unwrap_or_default();
    problem.split_once("x.sh:").map(|(_, problem)| problem.to_owned()).unwrap_or(problem)
}

fn plain(name: &str, value: &str) -> (String, Given) {
    (name.into(), Given::Plain(value.into()))
}

#[test]
fn a_header_says_what_the_script_is() {
    let greet = greet();
    assert_eq!((greet.id(), greet.title()), ("greet", Some("Say hello")));
    assert_eq!(greet.os().iter().map(|os| os.as_str()).collect::<Vec<_>>(), ["linux", "macos"]);
    assert_eq!(greet.timeout(), Some(std::time::Duration::from_secs(10)));
    assert_eq!(greet.parameters().len(), 6);
    assert_eq!(greet.parameters()[2].variable(), "PARAM_PASS_WORD");
    assert_eq!(greet.bytes(), GREET.as_bytes());
}

#[test]
fn every_language_has_its_comments() {
    for (open, rest) in [
        ("# ---\n# id: x\n# ---\n", "echo"),
        ("#---\n#id: x\n#---\n", "echo"),
        ("#!/usr/bin/env node\n\n// ---\n// id: x\n// ---\n", "1"),
        ("-- ---\r\n-- id: x\r\n-- ---\r\n", "select 1"),
        ("REM ---\nrem id: x\nRem ---\n", "echo"),
        ("# ---\n#\n# id: x\n# ---\n", "caf\u{e9}"),
    ] {
        let dir = folder(&[("x", &format!("{open}{rest}"))]);
        let library = Library::load(dir.path()).unwrap();
        assert!(library.get("x").is_ok(), "{open:?} {:?}", library.problems());
    }
    for none in ["", "echo\n# ---\n# id: x\n# ---\n", "# about\n# ---\n# id: x\n# ---\n"] {
        let dir = folder(&[("x", none)]);
        let library = Library::load(dir.path()).unwrap();
        assert_eq!((library.entries().len(), library.skipped().len()), (0, 1), "{none:?}");
    }
}

#[test]
fn what_is_wrong_has_its_place_in_the_script() {
    for (lines, message) in [
        ("id: x\ntitel: y", "3:3: unknown key `titel`; did you mean `title`?"),
        ("title: y", "2:3: id is missing"),
        ("id: X", "2:7: id: expected small letters"),
        ("id: x\nos: [beos]", "os: expected one of linux, macos, windows, found `beos`"),
        ("id: x\ninterpreter: bash", "interpreter: expected the absolute path"),
        ("id: x\ntimeout: 0", "timeout: expected a duration"),
        ("id: x\nparameters: [{name: A}]", "name: expected small letters"),
        ("id: x\nparameters: [{name: a, kind: int}]", "unknown key `kind`"),
        ("id: x\nparameters: [{name: a}, {name: a}]", "there are two parameters a"),
        ("id: x\nparameters: [{name: a, pattern: '('}]", "pattern: "),
        ("id: x\nparameters: [{name: a, pattern: '(?=a)'}]", "pattern: "),
        ("id: x\nparameters: [{name: a, type: int, default: b}]", "expected a whole number"),
        ("id: x\nparameters: [{name: a, type: enum}]", "an enum needs `values`"),
        ("id: x\nparameters: [{name: a, values: [b]}]", "only an enum has values"),
        ("id: x\nparameters: [{name: a, secret: yes, default: b}]", "a secret's default"),
        ("id: x\nparameters: [{name: a, secret: yes, pass: argv, required: yes}]", "arguments"),
        ("id: x\nparameters: [{name: a, pass: argv}]", "give it a default"),
        ("id: x\nparameters: [{name: a, required: yes, default: b}]", "never missing"),
        ("id: [x", "not valid YAML"),
    ] {
        let said = wrong(lines);
        assert!(said.contains(message), "{lines}: {said:?}");
    }
    let dir = folder(&[("x.sh", "# ---\n# id: x\necho\n")]);
    let library = Library::load(dir.path()).unwrap();
    assert!(library.problems()[0].summary().contains("write `# ---` behind it"));
    let error = library.get("x").unwrap_err().to_string();
    assert!(error.contains("the script x cannot be used"), "{error}");
}

#[test]
fn parameters_are_checked_before_anything_else() {
    let greet = greet();
    let refused = |given: Vec<(String, Given)>| greet.script(given).unwrap_err().to_string();
    assert_eq!(refused(vec![]), "the script greet needs the parameter who: give --param who=…");
    for (given, message) in [
        (plain("whoo", "x"), "the script greet has no parameter whoo; did you mean who?"),
        (plain("who", "a1"), "the whole of it to match `[a-z]+`, found \"a1\""),
        (plain("who", "a\n"), "to match `[a-z]+`"),
        (plain("times", "01"), "expected a whole number"),
        (plain("times", "99999999999999999999"), "expected a whole number"),
        (plain("loud", "maybe"), "expected true or false"),
        (plain("lang", "fr"), "expected one of en, de"),
        (plain("log", "/a/../b"), "expected an absolute path"),
        (plain("log", "a"), "expected an absolute path"),
        (plain("pass_word", "hunter2"), "give pass_word=env:VAR"),
    ] {
        let who = plain("who", "you");
        let given = if given.0.starts_with("who") { vec![given] } else { vec![who, given] };
        let said = refused(given);
        assert!(said.contains(message), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let twice = refused(vec![plain("who", "a"), plain("who", "b")]);
    assert_eq!(twice, "the parameter who is given twice");
    let secret = ("times".to_owned(), Given::Secret("1".into()));
    assert!(refused(vec![plain("who", "a"), secret]).contains("found a secret"));
    let nul = ("pass_word".to_owned(), Given::Secret("a\0".into()));
    let said = refused(vec![plain("who", "a"), nul]);
    assert!(said.contains("no NUL, found another (it is not shown)"), "{said}");
}

#[test]
fn parameters_become_variables_and_arguments() {
    let secret = ("pass_word".to_owned(), Given::Secret("hunter2".into()));
    let given = vec![plain("loud", "Yes"), secret, plain("who", "you"), plain("times", "-3")];
    let script = greet().script(given).unwrap();
    assert_eq!(script.args, ["-3"]);
    let env: Vec<_> = script
        .settings
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_os_str()))
        .collect();
    let expected = [("PARAM_WHO", "you"), ("PARAM_LOUD", "true"), ("PARAM_LANG", "en")];
    assert_eq!(env, expected.map(|(name, value)| (name, value.as_ref())));
    assert_eq!(script.settings.secret_env[0].0.as_str(), "PARAM_PASS_WORD");
    assert!(!format!("{script:?}").contains("hunter2"));
    assert_eq!((script.id.as_deref(), script.systems.len()), (Some("greet"), 2));
    assert!(
        matches!(&script.source, ScriptSource::Bytes { bytes, .. } if **bytes == *GREET.as_bytes())
    );
    assert_eq!(script.sha256(), Some(greet().sha256().as_str()));
}

#[test]
fn what_others_can_write_is_not_run() {
    let dir = folder(&[("greet.sh", GREET), ("other.sh", "# ---\n# id: other\n# ---\n")]);
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("greet.sh", 0o666);
    let library = Library::load(dir.path()).unwrap();
    assert!(library.get("other").is_ok());
    let error = library.get("greet").unwrap_err().to_string();
    assert!(error.contains("can be written by others (mode 0666)"), "{error}");
    mode(".", 0o777);
    let error = Library::load(dir.path()).unwrap_err();
    assert!(matches!(error, LibraryError::WritableByOthers { mode: 0o777, .. }), "{error}");
    assert!(matches!(
        Library::load(dir.path().join("nowhere")),
        Err(LibraryError::Unreadable { .. })
    ));
}

#[test]
fn one_id_is_one_script() {
    let dir = folder(&[("a.sh", GREET), ("b.sh", GREET), (".c.sh", GREET), ("a.sh~", GREET)]);
    let library = Library::load(dir.path()).unwrap();
    let error = library.get("greet").unwrap_err().to_string();
    assert!(error.contains("several files have the id greet: "), "{error}");
    assert_eq!(library.problems().len(), 1);
    let error = library.get("gret").unwrap_err().to_string();
    assert!(error.starts_with("there is no script gret in "), "{error}");
}
