//! Pins, and what to offer first.

use super::*;

#[test]
fn a_pin_decides_alone() {
    let pin = |of: &str| of.parse::<Pin>().unwrap();
    let offered = || Offered::Key(key(ED25519));
    let ask = |text: &str, pins: &[Pin]| decide_for(&web1(), text, offered(), pins);
    assert_eq!(ask("", &[pin(ED25519)]).unwrap().by, Voucher::Pin);
    assert!(ask("", &[pin(RSA), pin(ED25519)]).is_ok());
    assert!(ask(&format!("web1 {OTHER_ED25519}"), &[pin(ED25519)]).is_ok());
    let answer = ask(&format!("web1 {ED25519}"), &[pin(OTHER_ED25519)]);
    assert!(matches!(answer, Err(HostKeyError::PinMismatch { .. })), "{answer:?}");
}

#[test]
fn a_pin_does_not_pardon() {
    let pins = ["web1", "*"].map(|_| ED25519.parse::<Pin>().unwrap());
    for (name, text) in [
        (web1(), format!("@revoked * {ED25519}\n")),
        (web1_2222(), format!("@revoked web1 {ED25519}\n[web1]:2222 {ED25519}\n")),
    ] {
        assert!(is_revoked(&decide_for(&name, &text, Offered::Key(key(ED25519)), &pins)));
    }
}

#[test]
fn a_pin_matches_the_key_inside_a_certificate() {
    let offered = Offered::Certificate(Box::new(certificate("expired")));
    let pins = [ED25519.parse().unwrap()];
    assert_eq!(decide_for(&web1(), "", offered, &pins).unwrap().by, Voucher::Pin);
}

#[test]
fn preferred_types_follow_the_lines() {
    let known = known(&format!("web1 {RSA}\nweb1 {OTHER_ED25519}\n* {ED25519}\nweb2 {ECDSA}\n"));
    let types = known.preferred_types(&web1());
    let names: Vec<_> = types.algorithms.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    assert!(!types.certificates);
}

#[test]
fn preferred_types_leave_out_marked_lines() {
    let known = known(&format!("@revoked web1 {RSA}\n@cert-authority web1 {CA}\n"));
    assert_eq!(
        known.preferred_types(&web1()),
        KnownTypes { algorithms: vec![], certificates: true }
    );
}

#[test]
fn preferred_types_prefer_the_port() {
    let known = known(&format!("web1 {RSA}\n@cert-authority web1 {CA}\n[web1]:2222 {ED25519}\n"));
    assert_eq!(
        known.preferred_types(&web1_2222()),
        KnownTypes { algorithms: vec![Algorithm::Ed25519], certificates: true }
    );
    let other_port = HostName::new("web1", 2223).unwrap();
    assert_eq!(known.preferred_types(&other_port).algorithms.len(), 2);
}

#[test]
fn nothing_is_preferred_for_an_unknown_host() {
    assert_eq!(known("").preferred_types(&web1()), KnownTypes::default());
}
