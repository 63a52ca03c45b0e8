//! Scripts on real sshds: sent, run and removed.

mod places;
mod placing;
mod refusals;
mod removal;
mod running;
mod sudo;
mod texts;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::cli_exec::{Lab, Said};
use crate::support::Sshd;

/// A script of this text in the lab.
fn file(lab: &Lab, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = lab.path(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `orchestrator script ARGS`, to its end.
fn script<'a>(lab: &Lab, args: impl IntoIterator<Item = &'a str>) -> Said {
    lab.verb("script", args).output().unwrap().into()
}

/// The same on this stdin.
fn script_on<'a>(lab: &Lab, stdin: &[u8], args: impl IntoIterator<Item = &'a str>) -> Said {
    let mut child = lab.verb("script", args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap().into()
}

/// The same with `--json`; the only host of the document.
fn json<'a>(lab: &Lab, args: impl IntoIterator<Item = &'a str>) -> Value {
    let said = script(lab, ["--json"].into_iter().chain(args));
    let document: Value =
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    document["hosts"][0].clone()
}

/// Where scripts lie while they run.
fn cache(sshd: &Sshd) -> PathBuf {
    sshd.home().join(".cache/orchestrator")
}

/// What scripts left there.
fn left(sshd: &Sshd) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache(sshd)).map(|entries| entries.collect::<Vec<_>>());
    entries.unwrap_or_default().into_iter().map(|entry| entry.unwrap().path()).collect()
}

#[track_caller]
fn nothing_left(sshd: &Sshd) {
    assert!(cache(sshd).is_dir(), "nothing was ever there");
    assert_eq!(left(sshd), Vec::<PathBuf>::new());
}

/// A host whose login shell does this before anything of ours.
fn host_with(rc: &str) -> Sshd {
    Sshd::builder().line(&format!("ForceCommand {rc}; eval \"$SSH_ORIGINAL_COMMAND\"")).start()
}
