//! A policy that is read again while the orchestrator lives.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use orchestrator::outcome::Status;
use orchestrator::policy::Policy;
use orchestrator::{Orchestrator, PolicyChange, PolicyWatch};

use super::with_policy;
use crate::cli_exec::Lab;
use crate::support::Sshd;

const OFTEN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
const BOTH: &str = "binaries: [{path: /bin/sh, shell: true}, {path: /bin/true}]\n";
const TRUE: &str = "binaries: [{path: /bin/true}]\n";

fn watched(orchestrator: &Orchestrator) -> (PolicyWatch, Receiver<PolicyChange>) {
    let (sender, told) = mpsc::channel();
    let watch = orchestrator.watch_policy(OFTEN, move |change| sender.send(change).unwrap());
    (watch.unwrap(), told)
}

/// Puts a whole file in place of the other.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(new, path).unwrap();
}

fn replaced(told: &Receiver<PolicyChange>) -> (String, String) {
    match told.recv_timeout(PATIENCE).unwrap() {
        PolicyChange::Replaced { old, new } => (old.unwrap(), new.unwrap()),
        PolicyChange::Kept(why) => panic!("{why}"),
    }
}

fn kept(told: &Receiver<PolicyChange>) -> String {
    match told.recv_timeout(PATIENCE).unwrap() {
        PolicyChange::Kept(why) => why.to_string(),
        change @ PolicyChange::Replaced { .. } => panic!("{change:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_is_decided_by_the_new_file() {
    let sshd = Sshd::start();
    let lab = with_policy(Lab::one(&sshd), BOTH);
    let path = lab.path("policy.yml");
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let (watch, told) = watched(&orchestrator);
    let before = watch.get().sha256().unwrap();

    // A run under way keeps what was decided.
    let (begun, goal) = (lab.path("begun"), lab.path("goal"));
    let command = format!(
        "touch {}; while ! test -e {}; do sleep 0.1; done",
        begun.display(),
        goal.display()
    );
    let under_way = {
        let orchestrator = orchestrator.clone();
        tokio::spawn(async move { orchestrator.execute_command("vm01", &command).await })
    };
    tokio::time::timeout(PATIENCE, async {
        while !begun.exists() {
            tokio::time::sleep(OFTEN).await;
        }
    })
    .await
    .unwrap();
    replace(&path, TRUE);
    let (old, new) = replaced(&told);
    assert_eq!(old, before);
    assert_eq!(watch.get().sha256().as_ref(), Some(&new));
    let status = async |command: &str| {
        let hosts = orchestrator.on("vm01".parse().unwrap());
        let command = orchestrator::remote::Command::shell(command);
        hosts.command(command).run().await.unwrap().results()[0].status
    };
    assert_eq!(status("echo $HOME").await, Status::PolicyDenied);
    assert_eq!(status("/bin/true").await, Status::Success);
    fs::write(&goal, "").unwrap();
    assert!(under_way.await.unwrap().unwrap().success());

    // A bad file changes nothing and is told once, until it is another one.
    for (bad, why) in [
        ("binaries: [{path: /bin/true", "not valid YAML"),
        ("", "the policy is empty"),
        ("binaries: [{path: /bin/true, hosts: '@wbe'}]", "there is no group wbe"),
    ] {
        replace(&path, bad);
        assert!(kept(&told).contains(why), "{why}");
        assert_eq!(watch.get().sha256().as_ref(), Some(&new));
        assert_eq!(status("/bin/true").await, Status::Success);
    }
    fs::remove_file(&path).unwrap();
    assert!(kept(&told).contains("does not exist"));
    // The same content is no change, even if it was away.
    replace(&path, TRUE);
    replace(&path, BOTH);
    assert_eq!(replaced(&told), (new, before));

    watch.stop();
    watch.stop();
    // Whoever tells of changes is gone, and so is its thread.
    assert_eq!(told.recv_timeout(Duration::ZERO).unwrap_err(), RecvTimeoutError::Disconnected);
    replace(&path, TRUE);
    assert_eq!(status("echo $HOME").await, Status::Success);
    drop(watch);
    orchestrator.shutdown().await;

    let reader = orchestrator::audit::Reader::open(lab.audit_path()).unwrap();
    let changes: Vec<_> = reader
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.event() == "policy.reloaded")
        .map(|entry| entry.text("/metadata/new_sha256").unwrap().to_owned())
        .collect();
    assert_eq!(changes, [told_new(TRUE), told_new(BOTH)]);
}

fn told_new(text: &str) -> String {
    Policy::from_yaml_str(text, "p.yml").unwrap().sha256().unwrap()
}

/// What could not be used becomes usable without a new start; stopping from the
/// callback, and dropping, end the thread.
#[test]
fn from_unusable_to_usable() {
    let lab = with_policy(Lab::new().entry("vm01", "192.0.2.1:22".parse().unwrap(), ""), "");
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    assert_eq!(orchestrator.policy().troubles().len(), 1);
    let (watch, told) = watched(&orchestrator);
    assert!(kept(&told).contains("the policy is empty"));
    replace(&lab.path("policy.yml"), TRUE);
    let PolicyChange::Replaced { old: None, new: Some(_) } = told.recv_timeout(PATIENCE).unwrap()
    else {
        panic!("nothing was replaced");
    };
    assert!(orchestrator.policy().troubles().is_empty());
    drop(watch);
    assert_eq!(told.recv_timeout(Duration::ZERO).unwrap_err(), RecvTimeoutError::Disconnected);

    let (slot, itself) = mpsc::channel::<PolicyWatch>();
    let (sender, ended) = mpsc::channel::<()>();
    replace(&lab.path("policy.yml"), "");
    let watch = orchestrator.watch_policy(OFTEN, move |_| {
        itself.recv().unwrap().stop();
        let _ = &sender;
    });
    slot.send(watch.unwrap()).unwrap();
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap_err(), RecvTimeoutError::Disconnected);
}

/// What is made in code stays as it is made.
#[test]
fn a_policy_without_a_file_never_changes() {
    let policy = Policy::all_of([Policy::allow_all(), Policy::unusable("for a test")]);
    assert_eq!(policy.reload().unwrap().troubles(), ["for a test"]);
}
