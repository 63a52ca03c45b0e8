//! A test whose process does nothing else.

use std::process::Command;

const ALONE: &str = "ORCHESTRATOR_TEST_ALONE";

/// Whether the calling test, named by its whole path, is the only one of its
/// process, as memory and descriptors that are measured have to be. If it is
/// not, it has been run in such a process, and succeeded there.
#[allow(clippy::print_stdout, reason = "what the other process says is the test's own")]
pub(crate) fn in_a_process_of_its_own(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    let output = alone.args([test, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{wrong}");
    println!("{said}");
    false
}
