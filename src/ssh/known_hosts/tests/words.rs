//! What people read.

use super::*;

#[test]
fn a_warning_names_file_and_line() {
    let known = known("\n@foo web1 x y\n");
    assert_eq!(known.warnings()[0].to_string(), "known_hosts:2: line ignored: unknown marker @foo");
}

#[test]
fn a_changed_key_is_explained() {
    let error = decide_on_2222(&format!("#\n[web1]:2222 {OTHER_ED25519}\n")).unwrap_err();
    let (old, new) = (
        key(OTHER_ED25519).fingerprint(HashAlg::Sha256),
        key(ED25519).fingerprint(HashAlg::Sha256),
    );
    assert_eq!(
        error.to_string(),
        format!(
            "the host key of [web1]:2222 has changed: it offers ssh-ed25519 {new}, recorded is ssh-ed25519 {old} at known_hosts:2"
        )
    );
    assert_eq!(
        error.hint("vm01"),
        format!(
            "Nothing was sent. If the VM was rebuilt, compare with the fingerprint shown on its console, then: ssh-keygen -f known_hosts -R '[web1]:2222'; orchestrator hosts trust vm01 --fingerprint {new}"
        )
    );
}

#[test]
fn an_unknown_key_is_explained() {
    let error = decide("").unwrap_err();
    let id = KeyId::of(key(ED25519).key_data());
    assert_eq!(error.to_string(), format!("the host key of web1 is not known: it offers {id}"));
    let command = format!("orchestrator hosts trust vm01 --fingerprint {}", id.fingerprint);
    assert!(error.hint("vm01").ends_with(&command));
}

#[test]
fn a_refused_certificate_is_explained() {
    let text = format!("@cert-authority * {CA}\n");
    let error = decide_certificate(&text, "expired").unwrap_err();
    let (offered, ca) = (KeyId::of(key(ED25519).key_data()), KeyId::of(key(CA).key_data()));
    assert_eq!(
        error.to_string(),
        format!("the host certificate of web1 with {offered} is refused")
    );
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        format!("{ca} of known_hosts:1 signed it, but it expired at 2021-01-01T00:00:00Z")
    );
}

#[test]
fn every_refusal_names_the_fingerprint_and_the_next_step() {
    let offered = key(ED25519).fingerprint(HashAlg::Sha256).to_string();
    let pin = RSA.parse::<Pin>().unwrap();
    for error in [
        decide("").unwrap_err(),
        decide(&format!("web1 {RSA}")).unwrap_err(),
        decide(&format!("web1 {OTHER_ED25519}")).unwrap_err(),
        decide(&format!("@revoked web1 {ED25519}")).unwrap_err(),
        decide_certificate(&format!("@cert-authority * {CA}"), "expired").unwrap_err(),
        decide_for(&web1(), "", Offered::Key(key(ED25519)), &[pin]).unwrap_err(),
    ] {
        assert!(error.to_string().contains(&offered), "{error}");
        assert!(error.hint("vm01").starts_with("Nothing was sent. "), "{error}");
    }
}
