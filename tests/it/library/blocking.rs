//! Without a runtime.

use orchestrator::blocking::Orchestrator;
use orchestrator::remote::Command;

use crate::cli_exec::Lab;
use crate::support::Sshd;

#[test]
fn a_plain_job() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd).vm("vm02", &sshd);
    let orchestrator = Orchestrator::from_config_file(lab.config()).unwrap();
    let out = orchestrator.execute_command("vm01", "echo plain").unwrap();
    assert_eq!(out.stdout.to_text(), "plain\n");
    let request = orchestrator.on("all".parse().unwrap()).command(Command::shell("exit 1"));
    let report = request.with(|request| request.operator("job")).run().unwrap();
    assert_eq!(report.failed().count(), 2);
    orchestrator.shutdown();
    assert!(orchestrator.execute_command("vm01", "true").is_err());
    let records = lab.audit();
    let jobs = records.iter().filter(|record| record["actor"]["id"] == "job");
    assert_eq!(jobs.count(), 4);
}
