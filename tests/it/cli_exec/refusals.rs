//! Commands that would wait for a terminal are refused before connecting.

use super::Lab;
use crate::support::{Proxy, Sshd};

#[test]
fn refused_before_connecting() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    for command in ["vi /etc/motd", "top", "sudo ls", "cd / && less x"] {
        lab.exec(["vm01", command]).ends(255).says(&["rule builtin/interactive", "hint: "]);
        lab.exec(["--exit-code", "table", "vm01", command]).ends(7);
    }
    lab.exec(["vm01", "--", "vi"]).ends(255);
    assert_eq!(proxy.connections(), 0);
    let records = lab.audit();
    assert_eq!(lab.attempted(), 9);
    assert_eq!(lab.statuses(), ["policy_denied"; 9]);
    assert_eq!(records[0]["decision"]["rule"], "builtin/interactive");
    assert_eq!(records[0]["decision"]["allow"], false);
}

#[test]
fn insisting_is_on_record() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let said = lab.exec(["--allow-interactive", "vm01", "TERM= top; echo went on"]);
    assert!(said.ends(0).text().ends_with("went on\n"), "{said:?}");
    let rule = lab.audit()[0]["decision"]["rule"].as_str().unwrap().to_owned();
    assert!(rule.contains("builtin/interactive (overridden)"), "{rule}");
}
