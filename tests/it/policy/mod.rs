//! The policy: its example, its decisions against a model and against the shells
//! that run what it decides on, and what comes of them on a real server.

mod admin;
mod bounds;
mod bypass;
mod counters;
mod explain;
#[allow(dead_code, reason = "not all that policy asks of it is asked here")]
#[path = "../../../src/policy/shell/mod.rs"]
mod grammar;
mod hosts;
mod lint;
mod machine;
mod model;
mod random;
mod replay;
mod shells;
mod texts;
mod watch;
mod withstand;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use orchestrator::inventory::{Group, Host, Inventory};
use orchestrator::policy::Policy;

use crate::cli_exec::Lab;

const EXAMPLE: &str = include_str!("../../../configs/policy.example.yml");

/// A lab whose configuration names a policy with this text.
fn with_policy(lab: Lab, text: &str) -> Lab {
    let path = lab.path("policy.yml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let section = format!("policy: {{ path: {} }}\nruns: {{", path.display());
    lab.set("runs: {", &section)
}

#[test]
fn the_example_loads_as_it_is() {
    let policy = Policy::from_yaml_str(EXAMPLE, "policy.example.yml");
    let policy = policy.unwrap_or_else(|error| panic!("{error}"));
    let mut host = Host::new("vm01".parse().unwrap(), "10.0.0.1");
    host.tags = vec!["prod".into()];
    let group = |name: &str| Group { name: name.into(), expression: "vm01".into(), location: None };
    let inventory = Inventory::new(vec![host], vec![group("web"), group("lab")]).unwrap();
    policy.check_hosts(&inventory).unwrap_or_else(|error| panic!("{error}"));
}
