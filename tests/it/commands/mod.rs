//! Several commands on one connection, on real sshds.

mod again;
mod connection;
mod ends;
mod library;
mod order;
mod records;
mod session;

use std::fs;

use serde_json::Value;

use crate::cli_exec::{Lab, Said};

/// Writes a file with one command a line; its name.
fn list(lab: &Lab, text: &str) -> &'static str {
    fs::write(lab.path("home/list"), text).unwrap();
    "list"
}

/// `exec --json ARGS vm01 --commands LIST`; the result of vm01.
fn json(lab: &Lab, text: &str, args: &[&str]) -> (Said, Value) {
    let list = ["vm01", "--commands", list(lab, text)];
    let (said, document) = lab.json(args.iter().copied().chain(list));
    let host = document["hosts"][0].clone();
    (said, host)
}

/// A field of every command.
fn each<'a>(host: &'a Value, field: &str) -> Vec<&'a Value> {
    host["commands"].as_array().unwrap().iter().map(|command| &command[field]).collect()
}
