//! No secret is remembered.

use std::fs;

use super::{last, runs};
use crate::cli_exec::Lab;
use crate::support::Sshd;

const SECRET: &str = "tr0ub4dor-and-3";

fn bytes(lab: &Lab) -> Vec<u8> {
    let files = fs::read_dir(lab.path("state")).unwrap();
    files.flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[track_caller]
fn holds_no(lab: &Lab, secret: &str) {
    let bytes = bytes(lab);
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[test]
fn a_secret_variable_is_typed_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let mut command =
        lab.command(["--secret-env", "TOKEN=env:MINE", "vm01", "echo \"got $TOKEN\"; exit 1"]);
    let said: crate::cli_exec::Said = command.env("MINE", SECRET).output().unwrap().into();
    // Whoever runs it sees it; nobody else does.
    assert!(said.ends(1).text().contains(SECRET));
    holds_no(&lab, SECRET);
    let shown = runs(&lab, ["show", "last"]);
    assert!(shown.ends(0).text().contains("got [redacted]"), "{shown:?}");
    assert!(shown.text().contains("type it again: it was given the secret TOKEN"), "{shown:?}");
    let said = runs(&lab, ["rerun", "last"]);
    said.ends(2).says(&["the secret TOKEN", "type the command again"]);
}

#[test]
fn a_command_that_was_redacted_is_typed_again() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    lab.exec(["vm01", &format!("echo --password={SECRET}; false")]).ends(1);
    holds_no(&lab, SECRET);
    let run = last(&lab);
    assert_eq!(run.command, "echo --password=[redacted]; false");
    runs(&lab, ["rerun", "last"]).ends(2).says(&["looks like a secret"]);
    lab.exec(["-e", &format!("DB_PASSWORD={SECRET}"), "vm01", "true"]).ends(0);
    holds_no(&lab, SECRET);
    runs(&lab, ["rerun", "last"]).ends(2).says(&["looks like a secret"]);
}
