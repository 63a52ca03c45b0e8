//! What an operator is told of a host that lies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::cli_exec::{Lab, Said};
use crate::support::files::{Exec, Files, Lie, Tree};
use crate::support::{Hostile, KeyKind, KeyPair};

const REGULAR: u32 = 0o100_644;
const ESCAPE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J";

/// A host that lists a good name, a bad one, and two with escape sequences, one
/// of them good.
fn lab() -> (Lab, Hostile) {
    let listed = |name: &str| (name.as_bytes().to_vec(), REGULAR, Vec::new());
    let lies = vec![listed("../up"), listed(ESCAPE), listed(&format!("../{ESCAPE}"))];
    let tree = Tree::default().dir("tree").file("tree/good", "good\n");
    let host = Hostile::with_files(Files { tree, lie: Lie::Lists(lies), exec: Exec::Refused });
    let lab = Lab::new().entry("vm01", host.addr(), ", ssh_user: root");
    KeyPair::shared(KeyKind::Ed25519).write_to(lab.path("keys/id_ed25519_vm01"));
    fs::write(lab.path("known_hosts"), host.known_hosts()).unwrap();
    let target = lab.path("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(target, fs::Permissions::from_mode(0o700)).unwrap();
    (lab, host)
}

#[test]
fn check_34_each_refused_name_is_reported_and_the_others_arrive() {
    let (lab, _host) = lab();
    let target = lab.path("target");
    let target = target.to_str().unwrap();
    let mut command = lab.verb("pull", ["--json", "-r", "vm01", "tree", target]);
    let said: Said = command.output().unwrap().into();
    said.ends(1);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let host = &document["hosts"][0];
    assert_eq!(host["status"], "failed", "{document}");
    let files = host["files"].as_array().unwrap();
    let failed: Vec<&Value> =
        files.iter().filter(|file| file["error"]["code"] == "suspect_name").collect();
    assert_eq!((files.len(), failed.len()), (4, 2), "{document}");
    assert_eq!(fs::read_to_string(lab.path("target/tree/good")).unwrap(), "good\n");
    assert!(lab.path("target/tree").join(ESCAPE).exists());
    assert!(!lab.path("target/up").exists());
}

#[test]
fn check_34_escape_sequences_in_names_do_not_reach_a_terminal() {
    let (lab, _host) = lab();
    let target = lab.path("target");
    let args = ["-r", "vm01", "tree", target.to_str().unwrap()];
    let direct = lab.verb("pull", args);
    let words = std::iter::once(direct.get_program()).chain(direct.get_args());
    let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &quoted.join(" "), "/dev/null"]).env_clear();
    script.envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.env("SHELL", "/bin/sh").env("NO_COLOR", "1").stdin(std::process::Stdio::null());
    let screen = String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned();
    assert!(screen.contains("suspect") || screen.contains("lists a name"), "{screen:?}");
    // A bar may be drawn with sequences of our own.
    for attack in ["\u{1b}]", "\u{7}", "\u{1b}[2J"] {
        assert!(!screen.contains(attack), "{screen:?}");
    }
}
