//! The real ClusterShell, in a virtual environment that is made once.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The version whose answers are asked for.
const VERSION: &str = "1.10.1";

/// Asks many questions in one go; see `clustershell.py`.
pub(super) fn ask(hosts: &str, groups: &[(&str, &str)], questions: &[Value]) -> Vec<Value> {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nodeset/clustershell.py");
    let groups: serde_json::Map<String, Value> =
        groups.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    let mut input = json!({"hosts": hosts, "groups": groups}).to_string() + "\n";
    for question in questions {
        input.push_str(&(question.to_string() + "\n"));
    }
    // A file, so that neither side can fill a pipe that the other does not read.
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = Command::new(python()).arg(driver).stdin(file).output().unwrap();
    succeeded(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.pop(), Some(json!(VERSION)));
    assert_eq!(answers.len(), questions.len());
    answers
}

/// The interpreter that has ClusterShell. Where it cannot be installed the test
/// fails: an unasked reference agrees with everything.
fn python() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let home = target.join(format!("clustershell-{VERSION}"));
    let lock = File::create(target.join("clustershell.lock")).unwrap();
    lock.lock().unwrap();
    let ready = home.join("ready");
    if !ready.exists() {
        let _ = fs::remove_dir_all(&home);
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let package = format!("ClusterShell=={VERSION}");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package];
        run(Command::new(home.join("bin/python")).args(pip));
        File::create(ready).unwrap();
    }
    home.join("bin/python")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; the tests need python3 with venv and pip")
    });
    succeeded(&output);
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
