//! How many hosts at once.

use std::fs;

use super::{Lab, Running};
use crate::support::{Behaviour, Hostile, Sshd, block_until};

/// Eight hosts; a command that leaves a file while it runs and waits for
/// `gate`.
fn eight(sshd: &Sshd) -> (Lab, String) {
    let mut lab = Lab::new();
    for number in 1..=8 {
        lab = lab.vm(&format!("vm{number:02}"), sshd);
    }
    fs::create_dir(lab.path("now")).unwrap();
    let (now, gate) = (lab.path("now"), lab.path("gate"));
    let command = format!(
        ": > {0}/$$; ls {0} | wc -l; while ! test -e {1}; do sleep 0.01; done; rm {0}/$$",
        now.display(),
        gate.display()
    );
    (lab, command)
}

fn most_at_once(sshd: &Sshd, lab: &Lab, args: &[&str], command: &str, limit: usize) {
    let now = lab.path("now");
    let count = || fs::read_dir(&now).unwrap().count();
    let args = args.iter().copied().chain(["-N", "all", command]);
    let running = Running::start(lab.command(args));
    block_until("as many hosts as may work at once do", || count() == limit);
    // Whoever comes too early would have come by the time these have ended.
    fs::write(lab.path("gate"), "").unwrap();
    let said = running.wait();
    let most = said.ends(0).text().lines().map(|line| line.trim().parse::<usize>().unwrap()).max();
    assert_eq!(most, Some(limit), "{said:?}");
    assert_eq!(said.text().lines().count(), 8);
    fs::remove_file(lab.path("gate")).unwrap();
    assert!(sshd.log().contains("Accepted publickey"));
}

#[test]
fn as_many_as_configured_or_asked_for() {
    let sshd = Sshd::builder().line("MaxStartups 100").start();
    let (lab, command) = eight(&sshd);
    let lab = lab.set("default_retry", "max_parallel_commands: 3\n  default_retry");
    most_at_once(&sshd, &lab, &[], &command, 3);
    most_at_once(&sshd, &lab, &["-f", "2"], &command, 2);
    most_at_once(&sshd, &lab, &["--fanout=50%"], &command, 4);
    lab.exec(["-f", "0", "all", "true"]).ends(2);
}

#[test]
fn a_dead_host_holds_up_nobody() {
    let sshd = Sshd::start();
    let silent = Hostile::start(Behaviour::Silent);
    let lab = Lab::one(&sshd)
        .vm_at("dead", &sshd, silent.addr(), "")
        .vm("vm03", &sshd)
        .set("ssh: {", "ssh: { connect_timeout: 600s, auth_timeout: 600s,");
    let running = Running::start(lab.command(["dead,vm01,vm03", "true"]));
    block_until("the others have done their work", || {
        let log = fs::read_to_string(lab.audit_path()).unwrap_or_default();
        log.matches("\"exec.result\"").count() == 2
    });
    running.signal(rustix::process::Signal::INT);
    running.wait().ends(130);
}
