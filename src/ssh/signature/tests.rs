use std::path::Path;

use jiff::Timestamp;

use super::*;

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHchdz9VLHPld4D01oBgigBIfESdNUV0H7zwTl+h1prU";
const BOB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC8YVcR1XkXwZLgKt1AFSGbh5nYENwT+f/yOi+zZ50Bh";
const NAMESPACE: &str = "orchestrator-plan";

fn file(text: &str) -> AllowedSigners {
    AllowedSigners::parse(text, Path::new("f")).unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(text: &str) -> String {
    AllowedSigners::parse(text, Path::new("f")).unwrap_err().to_string()
}

fn asked(text: &str, at: &str) -> Result<Vec<&'static str>, String> {
    let key = SignerKey::from_public_line(ALICE).unwrap();
    let at: Timestamp = at.parse().unwrap();
    let found = file(text).principals(&key, NAMESPACE, at, ["alice@x", "bob@x"]);
    found.map_err(|why| why.to_string().replace(&key.fingerprint(), "KEY"))
}

const NOW: &str = "2026-06-01T12:00:00Z";

#[test]
fn whose_a_key_is() {
    assert_eq!(asked(&format!("# x\n\nalice@x {ALICE} a comment\n"), NOW).unwrap(), ["alice@x"]);
    assert_eq!(asked(&format!("*@x {ALICE}"), NOW).unwrap(), ["alice@x", "bob@x"]);
    assert_eq!(asked(&format!("*@x,!bob@x {ALICE}"), NOW).unwrap(), ["alice@x"]);
    assert_eq!(asked(&format!("\"alice@x\"\t{ALICE}\r\n"), NOW).unwrap(), ["alice@x"]);
    let two = format!("alice@x valid-before=\"20200101Z\" {ALICE}\nbob@x {ALICE}");
    assert_eq!(asked(&two, NOW).unwrap(), ["bob@x"]);
    assert_eq!(asked(&format!("bob@x {BOB}"), NOW).unwrap_err(), "the key KEY is not in f");
    let why = asked(&format!("eve@x {ALICE}"), NOW).unwrap_err();
    assert!(why.contains("that of eve@x by f:1, for whom no account here stands"), "{why}");
}

#[test]
fn within_its_bounds() {
    let within = |options: &str| asked(&format!("alice@x {options} {ALICE}"), NOW);
    for good in [
        "namespaces=\"git,orchestrator-plan\"",
        "namespaces=orchestrator-*",
        "valid-after=\"20260601Z\",valid-before=\"202606011201Z\"",
        "valid-before=20260601120001Z,NAMESPACES=\"*\"",
    ] {
        assert_eq!(within(good).unwrap(), ["alice@x"], "{good}");
    }
    let why = within("namespaces=\"git,file\"").unwrap_err();
    assert!(why.ends_with("may not sign for orchestrator-plan by f:1"), "{why}");
    let why = within("namespaces=\"*,!orchestrator-plan\"").unwrap_err();
    assert!(why.contains("may not sign"), "{why}");
    assert!(within("valid-before=20260601120000Z").unwrap_err().contains("no longer valid"));
    assert!(within("valid-after=\"20260602Z\"").unwrap_err().contains("not valid yet"));
}

#[test]
fn one_wrong_line_and_none_counts() {
    for (line, why) in [
        ("alice@x cert-authority KEY", "cert-authority is not supported"),
        ("alice@x touch-required KEY", "not known"),
        ("alice@x namespaces KEY", "lacks its value"),
        ("alice@x valid-before=20260601 KEY", "in UTC"),
        ("alice@x valid-before=20261301Z KEY", "no time"),
        ("alice@x valid-before=2026060112+1Z KEY", "no time"),
        ("alice@x valid-after=20260602Z,valid-before=20260601Z KEY", "never valid"),
        ("alice@x namespaces=a,namespaces=b KEY", "twice"),
        ("alice@x namespaces=\"a KEY", "no key"),
        ("alice@x namespaces=a, KEY", "empty"),
        ("\"\" KEY", "no principal"),
        ("KEY", "no key"),
        ("alice@x", "no key"),
        ("alice@x ssh-ed25519 AAAA", "no key"),
        (
            "alice@x ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIHchdz9VLHPld4D01oBgigBIfESdNUV0H7zwTl+h1prU",
            "no key",
        ),
    ] {
        let text = format!("bob@x {BOB}\n{}", line.replace("KEY", ALICE));
        let found = wrong(&text);
        assert!(found.starts_with("f:2: ") && found.contains(why), "{line}: {found}");
    }
}

#[test]
fn what_is_no_signature() {
    for text in ["", "x", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n"] {
        let error = verify(text.as_bytes(), NAMESPACE, b"").unwrap_err();
        assert!(matches!(error, SignatureError::Invalid(_)), "{text}: {error}");
    }
    let large = vec![b'A'; SIGNATURE_MAX + 1];
    assert!(matches!(verify(&large, NAMESPACE, b""), Err(SignatureError::Invalid(_))));
}
