//! Certificates and the CAs that sign them.

use super::*;

#[test]
fn a_revoked_ca_refuses_its_certificates_even_if_the_key_is_known() {
    let text = format!("@cert-authority * {CA}\nweb1 {ED25519}\n@revoked * {CA}\n");
    assert!(is_revoked(&decide_certificate(&text, "good")));
    assert!(decide(&text).is_ok(), "the plain key has nothing to do with that CA");
}

#[test]
fn a_certificate_can_be_what_is_revoked() {
    let cert = certificate("good").to_openssh().unwrap();
    assert!(is_revoked(&decide(&format!("web1 {ED25519}\n@revoked * {cert}\n"))));
}

#[test]
fn a_right_certificate_is_accepted_by_its_ca() {
    let text = format!("web2 {RSA}\n@cert-authority *1 {CA}\n");
    assert_eq!(decide_certificate(&text, "good").unwrap().by, Voucher::Authority(line(2)));
    let text = format!("@cert-authority web1 {CA_RSA}\n");
    assert!(decide_certificate(&text, "good_rsa").is_ok());
}

#[test]
fn a_certificate_wins_over_a_changed_plain_key() {
    let text = format!("web1 {OTHER_ED25519}\n@cert-authority web1 {CA}\n");
    assert!(decide_certificate(&text, "good").is_ok());
}

#[test]
fn bad_certificates_are_refused_and_say_why() {
    let text = format!("@cert-authority * {CA}\n@cert-authority * {CA_RSA}\n");
    let fault = |cert| fault(decide_certificate(&text, cert));
    assert_eq!(
        fault("other_principal"),
        CertificateFault::OtherPrincipals("web2, web1.example, WEB1, web*".into())
    );
    assert_eq!(fault("expired"), CertificateFault::Expired(1_609_459_200));
    assert_eq!(fault("future"), CertificateFault::NotYetValid(4_102_444_800));
    assert_eq!(fault("user"), CertificateFault::UserCertificate);
    assert_eq!(fault("no_principals"), CertificateFault::NoPrincipals);
    assert_eq!(fault("sha1"), CertificateFault::WeakSignature("ssh-rsa".into()));
    assert_eq!(fault("critical"), CertificateFault::CriticalOption("strange".into()));
}

#[test]
fn a_forged_certificate_is_refused() {
    // The principal `127.0.0.1` becomes `127.0.0.2`; the signature stays.
    let mut bytes = certificate("good").to_bytes().unwrap();
    let at = bytes.windows(9).position(|w| w == b"127.0.0.1").unwrap();
    bytes[at + 8] = b'2';
    let forged = Offered::Certificate(Box::new(Certificate::from_bytes(&bytes).unwrap()));
    let text = format!("@cert-authority * {CA}\n");
    let answer = decide_for(&web1(), &text, forged, &[]);
    assert_eq!(fault(answer), CertificateFault::BadSignature);
}

#[test]
fn the_validity_has_exact_ends() {
    let text = known(&format!("@cert-authority * {CA}\n"));
    let at = |cert: &str, seconds| {
        let offered = Offered::Certificate(Box::new(certificate(cert)));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        text.decide(&web1(), &offered, now, &[]).is_ok()
    };
    assert_eq!([at("expired", 1_577_836_799), at("expired", 1_577_836_800)], [false, true]);
    assert_eq!([at("expired", 1_609_459_199), at("expired", 1_609_459_200)], [true, false]);
    assert!(at("good", 0) && at("good", u64::from(u32::MAX)));
}

#[test]
fn a_clock_before_1970_makes_no_certificate_valid_early() {
    let now = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let offered = Offered::Certificate(Box::new(certificate("expired")));
    let text = format!("@cert-authority * {CA}\n");
    let answer = known(&text).decide(&web1(), &offered, now, &[]);
    assert!(matches!(fault(answer), CertificateFault::NotYetValid(_)));
}

#[test]
fn a_bad_certificate_falls_back_to_its_plain_key() {
    for cert in ["expired", "user", "no_principals", "other_principal", "critical"] {
        let text = format!("@cert-authority * {CA}\nweb1 {ED25519}\n");
        assert_eq!(by_line(decide_certificate(&text, cert)), 2, "{cert}");
        let text = format!("@cert-authority * {CA}\nweb1 {OTHER_ED25519}\n");
        assert!(is_changed(&decide_certificate(&text, cert)), "{cert}");
    }
}

#[test]
fn a_certificate_of_another_ca_is_a_plain_key() {
    let text = format!("@cert-authority * {CA_RSA}\n");
    assert!(is_unknown(&decide_certificate(&text, "good")));
    assert_eq!(by_line(decide_certificate(&format!("{text}web1 {ED25519}"), "good")), 2);
}

#[test]
fn a_ca_line_is_no_host_key_and_a_host_key_no_ca() {
    assert!(is_unknown(&decide(&format!("@cert-authority * {ED25519}\n"))));
    let answer = decide_certificate(&format!("* {CA}\n"), "good");
    assert!(is_changed(&answer), "{answer:?}");
}

#[test]
fn a_ca_of_the_host_without_its_port_is_asked_too() {
    let offered = || Offered::Certificate(Box::new(certificate("good")));
    let text = format!("@cert-authority web1 {CA}\n");
    assert!(decide_for(&web1_2222(), &text, offered(), &[]).is_ok());
    let text = format!("@cert-authority web1 {CA}\n@cert-authority [web1]:2222 {CA_RSA}\n");
    assert!(is_unknown(&decide_for(&web1_2222(), &text, offered(), &[])));
}

#[test]
fn a_certificate_in_a_public_key_is_seen() {
    let cert = PublicKey::from_bytes(&certificate("good").to_bytes().unwrap()).unwrap();
    assert!(matches!(Offered::from(cert), Offered::Certificate(_)));
    assert!(matches!(Offered::from(key(ED25519)), Offered::Key(_)));
}
