//! One line per rule.

use std::fmt::Write;

use super::*;

/// `line:column: message` of what is wrong with a text.
fn refusal(text: &str) -> String {
    let Err(error) = Document::parse("f", text).map(drop) else { panic!("accepted: {text}") };
    head(&error)
}

fn head(error: &Diagnostic) -> String {
    let shown = error.to_string();
    shown.lines().next().unwrap().strip_prefix("f:").unwrap().to_owned()
}

/// Reads the value of `it` in `text`.
fn read<T>(text: &str, read: impl FnOnce(Value<'_>) -> Result<T, Diagnostic>) -> Result<T, String> {
    let document = Document::parse("f", text).map_err(|error| head(&error))?;
    let mut section = document.root().section().unwrap();
    read(section.get_or_null("it").unwrap()).map_err(|error| head(&error))
}

#[test]
fn what_is_not_one_yaml_document_is_refused_with_its_place() {
    for (text, expected) in [
        ("a: 1\nb: [1, 2\n", "2:4: not valid YAML: "),
        ("a: 1\n b: 2\n", "2:3: not valid YAML: "),
        ("a:\n\tb: 2\n", "2:2: not valid YAML: "),
        ("a: *x\n", "1:4: not valid YAML: "),
        ("a: 1\nb: 2\na: 3\n", "3:1: `a` is given twice, first on line 1"),
        ("v:\n  x: {ip: 1, ip: 2}\n", "2:14: `ip` is given twice, first on line 2"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here"),
        ("? [a]\n: 1\n", "1:3: a key must be text"),
        ("? {a: 1}\n: 1\n", "1:3: a key must be text"),
        ("a: !include x\n", "1:13: the tag `!include` is not supported"),
        ("a: {<<: 1}\n", "1:9: `<<` takes a mapping"),
        ("a: &a [*a]\n", "1:8: the alias stands inside its own anchor"),
    ] {
        let found = refusal(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
}

#[test]
fn an_empty_text_is_null() {
    for text in ["", "\n", "# nothing\n", "---\n", "~\n", "\u{feff}"] {
        let document = Document::parse("f", text).unwrap();
        assert!(document.root().is_null(), "{text:?}");
        assert_eq!(document.root().section().unwrap().entries().len(), 0);
    }
}

#[test]
fn aliases_and_merge_keys() {
    let text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nit: {<<: [*b, *m], x: 0}\n";
    let found = read(text, |value| {
        let entries = value.section()?.entries();
        entries.map(|(key, value)| Ok(format!("{}{}", key.text(), value.text()?))).collect()
    });
    assert_eq!(found, Ok(vec!["x0".to_owned(), "y1".into(), "z2".into()]));
    assert_eq!(read("a: &a yes\nit: *a\n", |value| value.boolean()), Ok(true));
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{items}]").unwrap();
    }
    assert!(refusal(&laughs).contains("more than 5000000 values"), "{}", refusal(&laughs));

    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Document::parse("f", &lists(32)).is_ok());
    for deep in [lists(33), lists(100_000), "- ".repeat(33) + "x", "- ".repeat(100_000)] {
        let found = refusal(&deep);
        let ours = found.contains("nested more than 32 levels deep");
        assert!(ours || found.contains("not valid YAML"), "{found}");
    }

    let large = " ".repeat(SIZE_MAX + 1);
    assert_eq!(refusal(&large), "1:1: the file is larger than 134217728 bytes");
}

#[test]
fn booleans() {
    for (truth, words) in [
        (true, ["true", "True", "YES", "yes", "on", "\"yes\"", "'On'"]),
        (false, ["false", "FALSE", "no", "No", "off", "\"no\"", "'Off'"]),
    ] {
        for word in words {
            assert_eq!(read(&format!("it: {word}"), |v| v.boolean()), Ok(truth), "{word}");
        }
    }
    for word in ["y", "1", "0", "[]", "", "truee"] {
        let error = read(&format!("it: {word}"), |v| v.boolean()).unwrap_err();
        assert!(error.contains("it: expected true or false"), "{error}");
    }
}

#[test]
fn integers() {
    for (text, expected) in [("22", 22), ("\"22\"", 22), ("' 7 '", 7), ("1", 1), ("99", 99)] {
        assert_eq!(read(&format!("it: {text}"), |v| v.integer(1..=99)), Ok(expected), "{text}");
    }
    for text in ["0", "100", "-1", "+1", "1.0", "x", "[1]", "", "0x10", "022", "1:30", "9e9"] {
        let error = read(&format!("it: {text}"), |v| v.integer(1..=99)).unwrap_err();
        assert!(error.contains("expected a whole number from 1 to 99"), "{text}: {error}");
    }
}

#[test]
fn choices_name_the_nearest() {
    let read_choice = |text: &str| read(text, |v| v.choice(&[("strong", 1), ("strict", 2)]));
    assert_eq!(read_choice("it: Strict"), Ok(2));
    assert_eq!(
        read_choice("it: stong").unwrap_err(),
        "1:5: it: expected one of strong, strict (did you mean `strong`?), found `stong`"
    );
    assert_eq!(
        read_choice("it: weak").unwrap_err(),
        "1:5: it: expected one of strong, strict, found `weak`"
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    let document = Document::parse("f", "ssh_prot: 1\nzzz: 2\nip: 3\n").unwrap();
    let mut section = document.root().section().unwrap();
    section.get("ip");
    section.get("ssh_port");
    let unknown: Vec<_> = section.unknown().iter().map(head).collect();
    assert_eq!(
        unknown,
        ["1:1: unknown key `ssh_prot`; did you mean `ssh_port`?", "2:1: unknown key `zzz`"]
    );
    assert!(section.refuse_unknown().is_err());
}

#[test]
fn secrets_are_not_repeated() {
    let document = Document::parse("f", "db_password: hunter2\n").unwrap();
    let mut section = document.root().section().unwrap();
    let error = section.get("db_password").unwrap().integer(0..=1).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    assert!(error.contains("found a value that is not shown"), "{error}");
}

#[test]
fn what_could_harm_a_terminal_is_not_printed() {
    let document = Document::parse("f", "it: \"\\u001b[2Jx\\u202e\"\n").unwrap();
    let mut section = document.root().section().unwrap();
    let error = section.get("it").unwrap().boolean().unwrap_err().to_string();
    assert!(!error.contains(['\u{1b}', '\u{202e}']), "{error:?}");
}

proptest::proptest! {
    /// Whatever the text, reading ends, and a complaint points at its own line.
    #[test]
    fn any_text(text in "[a-c:,\\[\\]{}&*!|>'\"#%@ \n\té-]{0,60}") {
        if let Err(error) = Document::parse("f", &text) {
            let line = error.location().line() as usize;
            proptest::prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1, "{error}");
            let shown = error.snippet().split_once(" | ").map(|(_, rest)| rest.lines().next());
            if let Some(Some(shown)) = shown {
                let expected = text.split('\n').nth(line - 1).unwrap().replace('\t', " ");
                proptest::prop_assert_eq!(shown, expected, "{}", error);
            }
        }
    }
}
