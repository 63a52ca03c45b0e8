//! The three decisions, and configurations made in code.

use std::fs;
use std::sync::Arc;

use orchestrator::audit::{AuditLog, Options};
use orchestrator::config::Config;
use orchestrator::inventory::{Host, Inventory};
use orchestrator::policy::Policy;
use orchestrator::ssh::known_hosts::KnownHosts;
use orchestrator::{BuildError, Orchestrator};

use crate::cli_exec::Lab;
use crate::support::Sshd;

fn host(sshd: &Sshd) -> Host {
    let mut host = Host::new("vm01".parse().unwrap(), sshd.addr().ip().to_string());
    host.port = sshd.port();
    host.ssh_user = sshd.user().to_owned();
    host.identity_file = Some(sshd.client_key());
    host
}

#[tokio::test]
async fn a_configuration_made_in_code() {
    let sshd = Sshd::start();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.jsonl");
    let inventory = Inventory::new(vec![host(&sshd)], vec![]).unwrap();
    let orchestrator = Orchestrator::builder(Config::new(inventory))
        .operator("job")
        .known_hosts(KnownHosts::strict(sshd.known_hosts_path()).unwrap())
        .policy(Policy::allow_all())
        .audit(AuditLog::open(&log, Options::new(Arc::new(|text| text.into()))).unwrap())
        .build()
        .unwrap();
    let out = orchestrator.execute_command("vm01", "echo in code").await.unwrap();
    assert_eq!(out.stdout.to_text(), "in code\n");
    orchestrator.shutdown().await;
    let recorded = fs::read_to_string(log).unwrap();
    assert!(recorded.contains("\"id\":\"job\""), "{recorded}");
}

#[tokio::test]
async fn a_pinned_key_needs_no_known_hosts() {
    let sshd = Sshd::start();
    let mut host = host(&sshd);
    host.host_key = vec![sshd.host_keys()[0].fingerprint()];
    let inventory = Inventory::new(vec![host], vec![]).unwrap();
    let orchestrator = Orchestrator::builder(Config::new(inventory))
        .known_hosts(KnownHosts::default())
        .policy(Policy::allow_all())
        .without_audit()
        .build()
        .unwrap();
    assert!(orchestrator.audit().is_none());
    assert!(orchestrator.execute_command("vm01", "true").await.unwrap().success());
}

#[test]
fn what_a_file_cannot_decide_is_an_error() {
    let error = |lab: &Lab| Orchestrator::from_config_file(lab.config()).err().unwrap();
    let missing = Orchestrator::from_config_file("/no/config.yml").err().unwrap();
    assert!(missing.to_string().starts_with("Config not found: /no/config.yml"), "{missing}");
    let lab = Lab::new().set("/log/audit.jsonl", "/known_hosts/audit.jsonl");
    assert!(matches!(error(&lab), BuildError::Audit(_)));
    let lab = Lab::new();
    fs::remove_file(lab.path("known_hosts")).unwrap();
    fs::create_dir(lab.path("known_hosts")).unwrap();
    assert!(matches!(error(&lab), BuildError::KnownHosts(_)));
    let lab = Lab::new().set("ssh: {", "ssh: { ciphers: [aes128-cbc],");
    assert!(matches!(error(&lab), BuildError::Config(_)));
}
