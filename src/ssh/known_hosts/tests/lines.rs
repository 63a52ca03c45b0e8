//! Plain and revoked keys, and how their lines are found.

use super::*;

#[test]
fn an_equal_line_accepts_and_is_named() {
    let text = format!("# comment\n\nweb1 {ED25519}\n");
    assert_eq!(decide(&text).unwrap().by, Voucher::Line(line(3)));
}

#[test]
fn a_file_needs_no_final_line_feed_and_may_have_crlf() {
    assert_eq!(by_line(decide(&format!("web1 {ED25519}"))), 1);
    assert_eq!(by_line(decide(&format!("# x\r\nweb1 {ED25519}\r\n"))), 2);
}

#[test]
fn nothing_recorded_is_unknown() {
    for text in [String::new(), format!("web2 {ED25519}"), format!("[web1]:22 {ED25519}")] {
        assert!(is_unknown(&decide(&text)), "{text}");
    }
}

#[test]
fn one_equal_key_among_several_accepts() {
    let text = format!("web1 {OTHER_ED25519}\nweb1 {RSA}\nweb1 {ED25519}\n");
    assert_eq!(by_line(decide(&text)), 3);
}

#[test]
fn a_key_of_the_same_type_means_changed() {
    let text = format!("#\nweb1 {RSA}\nweb1 {OTHER_ED25519}\n");
    match decide(&text) {
        Err(HostKeyError::Changed { recorded, offered, .. }) => {
            assert_eq!(recorded, [recorded_at(OTHER_ED25519, 3)]);
            assert_eq!(offered, KeyId::of(key(ED25519).key_data()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_other_types_alone_do_not_vouch() {
    let text = format!("web1 {RSA}\nweb1 {ECDSA}\nweb1 {DSA}");
    match decide(&text) {
        Err(HostKeyError::UnknownType { recorded, .. }) => assert_eq!(recorded.len(), 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn curves_are_types_of_their_own() {
    let text = format!("web1 {ED25519}\n");
    let offered = Offered::Key(key(ECDSA));
    let answer = decide_for(&web1(), &text, offered, &[]);
    assert!(matches!(answer, Err(HostKeyError::UnknownType { .. })));
}

#[test]
fn a_bad_line_does_not_hide_the_others() {
    let text = format!("garbage\nweb1 ssh-ed25519 AAAA\n\u{7}\nweb1 {ED25519}\n");
    assert_eq!(by_line(decide(&text)), 4);
    let warnings: Vec<_> = known(&text).warnings().iter().map(|w| w.at.line).collect();
    assert_eq!(warnings, [1, 2, 3]);
}

#[test]
fn a_bad_line_is_no_reason_to_say_changed() {
    let rsa_label = ED25519.replace("ssh-ed25519", "ssh-rsa");
    assert!(is_unknown(&decide(&format!("web1 {rsa_label}\nweb1 {ED25519}AAAA"))));
}

#[test]
fn the_port_goes_first() {
    let text = format!("web1 {OTHER_ED25519}\n[web1]:2222 {ED25519}\n");
    assert_eq!(by_line(decide_on_2222(&text)), 2);
    let text = format!("web1 {ED25519}\n[web1]:2222 {OTHER_ED25519}\n");
    assert!(is_changed(&decide_on_2222(&text)));
}

#[test]
fn without_lines_for_the_port_the_host_may_vouch() {
    assert_eq!(by_line(decide_on_2222(&format!("web1 {ED25519}\n"))), 1);
}

#[test]
fn without_lines_for_the_port_the_host_cannot_make_it_changed() {
    assert!(is_unknown(&decide_on_2222(&format!("web1 {OTHER_ED25519}\n"))));
    assert!(is_unknown(&decide_on_2222(&format!("web1 {RSA}\n"))));
}

#[test]
fn port_22_is_not_other_ports() {
    assert!(is_unknown(&decide(&format!("[web1]:2222 {ED25519}\n"))));
}

#[test]
fn an_alias_replaces_host_and_port() {
    let alias = HostName::alias("WEB").unwrap();
    let offered = || Offered::Key(key(ED25519));
    assert!(decide_for(&alias, &format!("web {ED25519}"), offered(), &[]).is_ok());
    assert!(is_unknown(&decide_for(&alias, &format!("web1 {ED25519}"), offered(), &[])));
}

#[test]
fn case_does_not_matter() {
    assert!(decide(&format!("WEB1 {ED25519}")).is_ok());
    let shouted = HostName::new("WEB1", 2222).unwrap();
    let text = format!("[Web1]:2222 {ED25519}");
    assert!(decide_for(&shouted, &text, Offered::Key(key(ED25519)), &[]).is_ok());
}

#[test]
fn wildcards_and_negation() {
    assert!(decide(&format!("web? {ED25519}")).is_ok());
    assert!(decide(&format!("*,!web2 {ED25519}")).is_ok());
    assert!(is_unknown(&decide(&format!("*,!web1 {ED25519}"))));
    assert!(decide_on_2222(&format!("[web1]:* {ED25519}")).is_ok());
}

#[test]
fn hashed_names() {
    let hashed = |name: &str| hosts::HashedName::of(name.as_bytes(), [9; 20]);
    assert!(decide(&format!("{} {ED25519}", hashed("web1"))).is_ok());
    assert!(is_changed(&decide(&format!("{} {OTHER_ED25519}", hashed("web1")))));
    assert!(decide_on_2222(&format!("{} {ED25519}", hashed("[web1]:2222"))).is_ok());
    assert!(is_unknown(&decide(&format!("{} {ED25519}", hashed("web2")))));
}

#[test]
fn order_is_that_of_the_file_however_a_line_is_found() {
    let text = format!("*1 {OTHER_ED25519}\nweb1,web1 {OTHER_ED25519}\n* {OTHER_ED25519}\n");
    match decide(&text) {
        Err(HostKeyError::Changed { recorded, .. }) => {
            let lines: Vec<_> = recorded.iter().map(|recorded| recorded.at.line).collect();
            assert_eq!(lines, [1, 2, 3]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn revoked_wins_over_everything() {
    let hashed = hosts::HashedName::of(b"web1", [9; 20]);
    for hosts in ["web1", "*", "web*,!web2", "x,WEB1", &hashed.to_string()] {
        let text = format!("web1 {ED25519}\n@cert-authority * {CA}\n@revoked {hosts} {ED25519}\n");
        assert!(is_revoked(&decide(&text)), "{hosts}");
        assert!(is_revoked(&decide_certificate(&text, "good")), "{hosts}");
    }
}

#[test]
fn revocation_is_per_host_and_per_key() {
    assert!(decide(&format!("web1 {ED25519}\n@revoked web2 {ED25519}\n")).is_ok());
    assert!(decide(&format!("web1 {ED25519}\n@revoked * {RSA}\n")).is_ok());
}

#[test]
fn a_revoked_key_says_where() {
    match decide(&format!("#\n@revoked * {ED25519}\n")) {
        Err(HostKeyError::Revoked { at, revoked, .. }) => {
            assert_eq!((at, revoked), (line(2), KeyId::of(key(ED25519).key_data())));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_host_without_its_port_can_be_revoked_when_it_is_asked() {
    let revoked = format!("@revoked web1 {ED25519}\n");
    assert!(is_revoked(&decide_on_2222(&format!("{revoked}web1 {ED25519}"))));
    assert!(is_revoked(&decide_on_2222(&revoked)));
    // As in OpenSSH: the line for the port answers, and it is not asked.
    assert!(decide_on_2222(&format!("{revoked}[web1]:2222 {ED25519}")).is_ok());
}

#[test]
fn a_name_is_found_among_many_without_trying_them() {
    let mut text: String = (0..1000).map(|n| format!("web{n},10.0.0.{n} {ED25519}\n")).collect();
    text.push_str(&format!("*.example {ED25519}\n"));
    let known = known(&text);
    assert_eq!(known.unindexed.len(), 1);
    assert_eq!(known.matching("web999").len(), 1);
    assert_eq!(known.matching("web1000").len(), 0);
}
