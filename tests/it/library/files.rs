//! Files and scripts, asked for by the library.

use std::fs;

use orchestrator::remote::Script;
use orchestrator::{HostError, RunError, blocking};

use super::open;
use crate::cli_exec::Lab;
use crate::support::Sshd;

#[tokio::test]
async fn a_file_goes_there_and_comes_back() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    let [here, there, back] = ["here", "there", "back"].map(|name| lab.path(name));
    fs::write(&here, "content\n").unwrap();

    let sent = orchestrator.upload("vm01", &here, &there).await.unwrap();
    let file = &sent.transfer.as_ref().unwrap().files[0];
    assert!(sent.success() && !file.unchanged && file.sha256.is_some(), "{sent:?}");
    let again = orchestrator.upload("vm01", &here, &there).await.unwrap();
    assert!(again.transfer.unwrap().files[0].unchanged);

    orchestrator.download("vm01", &there, &back).await.unwrap();
    assert_eq!(fs::read(&back).unwrap(), b"content\n");
    orchestrator.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_not_in_place_is_its_hosts_error() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = open(&lab);
    fs::write(lab.path("back"), "old").unwrap();
    let moved = orchestrator.download("vm01", lab.path("nothing"), lab.path("back")).await;
    let Err(RunError::Host(HostError(result))) = moved else { panic!("{moved:?}") };
    assert!(result.transfer.unwrap().files[0].failure.is_some());
    assert_eq!(fs::read(lab.path("back")).unwrap(), b"old");
    orchestrator.shutdown().await;
}

#[test]
fn a_plain_job_moves_files_and_runs_a_script() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let orchestrator = blocking::Orchestrator::from_config_file(lab.config()).unwrap();
    let [here, there, back] = ["here", "there", "back"].map(|name| lab.path(name));
    fs::write(&here, "b\na\n").unwrap();
    orchestrator.upload("vm01", &here, &there).unwrap();
    let script = Script::text("sort.sh", *b"sort -o \"$1\" \"$1\"; exit 3").arg(&there);
    let sorted = orchestrator.execute_script("vm01", script).unwrap();
    assert!(!sorted.success() && sorted.script_sha256.is_some(), "{sorted:?}");
    orchestrator.download("vm01", &there, &back).unwrap();
    assert_eq!(fs::read(&back).unwrap(), b"a\nb\n");
    orchestrator.shutdown();
}
