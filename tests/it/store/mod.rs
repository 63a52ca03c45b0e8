//! Runs remembered, and done again, on real sshds.

mod again;
mod library;
mod processes;
mod secrets;
mod shown;
mod troubles;

use std::path::PathBuf;

use orchestrator::store::{LAST, Remembered, Store};
use serde_json::Value;

use crate::cli_exec::{Lab, Said};

/// `orchestrator runs ARGS`, to its end.
fn runs<'a>(lab: &Lab, args: impl IntoIterator<Item = &'a str>) -> Said {
    lab.verb("runs", args).output().unwrap().into()
}

/// `orchestrator VERB ARGS`, to its end.
fn does<'a>(lab: &Lab, verb: &str, args: impl IntoIterator<Item = &'a str>) -> Said {
    lab.verb(verb, args).output().unwrap().into()
}

fn path(lab: &Lab) -> PathBuf {
    lab.path("state/runs.db")
}

fn last(lab: &Lab) -> Remembered {
    Store::open_existing(path(lab)).unwrap().run(LAST).unwrap()
}

fn json(said: &Said) -> Value {
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}
