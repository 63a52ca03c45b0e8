//! The policy of the machine, on the real program. It looks for it in
//! /etc/orchestrator and nowhere else, so each program here has an /etc of its
//! own, in a mount namespace that ends with it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::with_policy;
use crate::cli_exec::{Lab, Said};
use crate::support::{Proxy, Sshd};

const TRUE: &str = "binaries: [{path: /bin/true}]\n";

/// A lab whose program sees an /etc of ours.
struct Machine {
    lab: Lab,
}

impl Machine {
    fn new(lab: Lab) -> Self {
        let machine = Self { lab };
        fs::create_dir_all(machine.dir()).unwrap();
        for name in ["passwd", "group", "nsswitch.conf", "hosts"] {
            let _ = fs::copy(format!("/etc/{name}"), machine.lab.path("etc").join(name));
        }
        machine
    }

    fn dir(&self) -> PathBuf {
        self.lab.path("etc/orchestrator")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        fs::write(&path, text).unwrap();
        self.mode(name, 0o644);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.dir().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The program with these arguments, in that namespace.
    fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let program = self.lab.program();
        let mut command = std::process::Command::new("unshare");
        let script = "mount --bind \"$0\" /etc && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", script]);
        command.arg(self.lab.path("etc")).arg(program.get_program()).args(args);
        command.env_clear().current_dir(self.lab.path("home"));
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        for (name, value) in env {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let said: Said = command.output().unwrap().into();
        assert!(!said.stderr.contains("unshare:"), "{said:?}");
        assert!(!said.stderr.contains("mount:"), "{said:?}");
        said
    }

    fn exec(&self, args: &[&str]) -> Said {
        self.run(&[&["exec", "--exit-code", "table"], args].concat())
    }
}

fn at_nowhere() -> Lab {
    Lab::new().entry("vm01", "192.0.2.1:22".parse().unwrap(), "")
}

#[test]
fn without_one_nothing_changes() {
    let machine = Machine::new(with_policy(at_nowhere(), TRUE));
    let explain = ["policy", "explain", "exec", "vm01", "/bin/true"];
    machine.run(&explain).ends(0);
    fs::remove_dir(machine.dir()).unwrap();
    machine.run(&explain).ends(0);
    let said = machine.run(&["policy", "check"]);
    assert!(said.ends(0).text().contains("machine no policy of its own"), "{said:?}");
    let said = machine.run(&["config", "check"]);
    assert!(said.text().contains("machine      no policy of its own"), "{said:?}");
}

/// Configuration, working directory and environment can only narrow it.
#[test]
fn it_applies_beside_whatever_is_configured() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    let machine =
        Machine::new(with_policy(lab, "binaries: [{path: /bin/true}, {path: /bin/false}]\n"));
    machine.write("policy.yml", "binaries: [{path: /bin/true}, {path: /bin/echo}]\n");
    machine.exec(&["vm01", "--", "/bin/true"]).ends(0);
    // The machine's does not allow it, and then the configured one does not.
    machine.exec(&["vm01", "--", "/bin/false"]).ends(7).says(&["machine:builtin/default-deny"]);
    machine.exec(&["vm01", "--", "/bin/echo"]).ends(7).says(&["rule builtin/default-deny"]);
    assert_eq!(proxy.connections(), 1);

    // A configuration without a policy drops nothing.
    let bare = fs::read_to_string(machine.lab.config()).unwrap();
    let bare: String =
        bare.lines().filter(|line| !line.starts_with("policy:")).collect::<Vec<_>>().join("\n");
    let other = machine.lab.path("home/configs/config.yml");
    fs::create_dir(machine.lab.path("home/configs")).unwrap();
    fs::write(&other, bare).unwrap();
    let named = ["exec", "--exit-code", "table", "vm01", "--", "/bin/false"];
    let by_flag = [&["--config", other.to_str().unwrap()], &named[..]].concat();
    machine.run(&by_flag).ends(7).says(&["machine:builtin/default-deny"]);
    let by_variable = [("ORCHESTRATOR_CONFIG", other.to_str().unwrap())];
    machine.run_with(&named, &by_variable).ends(7).says(&["machine:builtin/default-deny"]);
    let by_directory = [("ORCHESTRATOR_CONFIG", "")];
    machine.run_with(&named, &by_directory).ends(7).says(&["machine:builtin/default-deny"]);
    assert_eq!(proxy.connections(), 1);

    let digests = machine.lab.audit();
    let both = digests[0]["decision"]["policy_sha256"].as_str().unwrap();
    assert_eq!(both.split('+').count(), 2, "{both}");
    assert_eq!(digests[0]["decision"]["rule"], "machine:binaries[0]/true + binaries[0]/true");
}

#[test]
fn explained_by_file() {
    let machine = Machine::new(with_policy(
        at_nowhere(),
        "binaries: [{path: /bin/true}, {path: /bin/false}]\n",
    ));
    machine.write("policy.yml", TRUE);
    let said = machine.run(&["policy", "explain", "exec", "vm01", "--", "/bin/true"]);
    let text = said.ends(0).text();
    assert!(text.contains("policy    /etc/orchestrator/policy.yml sha256 "), "{text}");
    assert!(text.contains("policy.yml sha256 ") && text.matches("sha256 ").count() == 2, "{text}");
    let said = machine.run(&["policy", "explain", "exec", "vm01", "--", "/bin/false"]);
    let text = said.ends(7).text();
    assert!(text.starts_with("vm01: DENIED by machine:builtin/default-deny"), "{text}");
    assert!(text.contains("at        /etc/orchestrator/policy.yml:1:1"), "{text}");
    // Neither does a policy that is tried drop it.
    let other = machine.lab.path("other.yml");
    fs::write(&other, "binaries: [{path: /bin/false}]").unwrap();
    let other = other.to_str().unwrap();
    let args = ["policy", "explain", "--policy", other, "exec", "vm01", "--", "/bin/false"];
    assert!(machine.run(&args).ends(7).text().contains("machine:builtin/default-deny"));
    let said = machine.run(&["policy", "check"]);
    assert!(said.ends(0).text().contains("machine policy /etc/orchestrator/policy.yml sha256 "));
}

/// Whatever is wrong with it, everything is denied; only "there is none" is none.
#[test]
fn one_that_cannot_be_used_denies() {
    let machine = Machine::new(at_nowhere());
    let denied = |why: &str| {
        let said = machine.exec(&["vm01", "--", "/bin/true"]);
        said.ends(7).says(&["rule builtin/policy-unusable", why]);
    };
    let good = || machine.write("policy.yml", TRUE);
    good();
    // Nobody answers there, but policy let it pass.
    let explain = ["policy", "explain", "exec", "vm01", "--", "/bin/true"];
    machine.run(&explain).ends(0);
    machine.write("policy.yml", "binaries: [{path: /bin/true");
    denied("not valid YAML");
    machine.write("policy.yml", "");
    denied("the policy is empty");
    good();
    machine.mode("policy.yml", 0o666);
    denied("can be written by others (mode 0666)");
    good();
    chown(machine.dir().join("policy.yml"), Some(65_534), None).unwrap();
    denied("belongs to user id 65534, not to root");
    fs::remove_file(machine.dir().join("policy.yml")).unwrap();
    fs::create_dir(machine.dir().join("policy.yml")).unwrap();
    denied("not a regular file");
    fs::remove_dir(machine.dir().join("policy.yml")).unwrap();
    symlink("nowhere", machine.dir().join("policy.yml")).unwrap();
    denied("does not exist");
    fs::remove_file(machine.dir().join("policy.yml")).unwrap();

    good();
    machine.mode("", 0o777);
    denied("can be replaced by others: /etc/orchestrator can be written by others (mode 0777)");
    machine.mode("", 0o755);
    chown(machine.dir(), Some(65_534), None).unwrap();
    denied("/etc/orchestrator belongs to user id 65534");
    chown(machine.dir(), Some(0), None).unwrap();
    machine.run(&explain).ends(0);

    let away = machine.lab.path("etc/away");
    fs::rename(machine.dir(), &away).unwrap();
    symlink("/nowhere/at/all", machine.dir()).unwrap();
    denied("does not exist");
    fs::remove_file(machine.dir()).unwrap();
    fs::write(machine.dir(), "").unwrap();
    denied("does not exist");
    fs::remove_file(machine.dir()).unwrap();
    symlink("away", machine.dir()).unwrap();
    machine.run(&explain).ends(0);
    let unusable = machine.run(&["config", "check"]);
    assert!(unusable.text().contains("machine      policy /etc/orchestrator/policy.yml"));
}

/// A chosen configuration defines what groups it likes; for the machine's policy
/// they are those of the machine's inventory.
#[test]
fn its_hosts_are_those_of_the_machine() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), ", tags: [lab]");
    let lab =
        lab.vm_at("vm02", &sshd, proxy.addr(), "").set("runs: {", "groups: { lab: vm01 }\nruns: {");
    let machine = Machine::new(lab);
    let policy =
        "binaries:\n- {path: /bin/true, hosts: '@lab'}\n- {path: /bin/echo, hosts: tag=lab}\n";
    machine.write("policy.yml", policy);
    let table = |args: &[&str]| machine.exec(args);
    let cannot = ["rule builtin/policy-unusable", "/etc/orchestrator/config.yml"];
    table(&["vm01", "--", "/bin/true"]).ends(7).says(&cannot);

    let (ip, port) = (proxy.addr().ip(), proxy.addr().port());
    let inventory = |vm01: &str, more: &str| {
        let text = format!("vms:\n  vm01: {{ {vm01} }}\n  vm09: {{ ip: 192.0.2.9 }}\n{more}");
        machine.write("config.yml", &text);
    };
    let here = format!("ip: \"{ip}\", ssh_port: {port}");
    // A group that the machine's inventory does not have is a mistake there.
    inventory(&here, "");
    table(&["vm01", "--", "/bin/true"]).ends(7).says(&["there is no group lab"]);

    // By the chosen configuration vm01 is in the group, by the machine's it is not.
    inventory(&here, "groups: { lab: vm09 }\n");
    machine.write("policy.yml", "binaries: [{path: /bin/true, hosts: '@lab'}]\n");
    table(&["vm01", "--", "/bin/true"]).ends(7).says(&["no rule allows /bin/true on this host"]);
    inventory(&here, "groups: { lab: vm01 }\n");
    table(&["vm01", "--", "/bin/true"]).ends(0);

    // The same id for another machine, or another id for this one, is neither.
    inventory("ip: 192.0.2.1", "groups: { lab: vm01 }\n");
    let elsewhere = format!("has this host at 192.0.2.1:22, not at {ip}:{port}");
    table(&["vm01", "--", "/bin/true"]).ends(7).says(&["machine:builtin/machine-host", &elsewhere]);
    inventory(&here, "groups: { lab: vm01 }\n");
    table(&["vm02", "--", "/bin/true"]).ends(7).says(&["does not have this host"]);

    // Nor does the command line change where it leads.
    table(&["-p", "2222", "vm01", "--", "/bin/true"])
        .ends(7)
        .says(&["machine:builtin/machine-host"]);
    let jump = ["-J", "someone@127.0.0.1:9", "vm01", "--", "/bin/true"];
    table(&jump).ends(7).says(&["by way of 127.0.0.1:9"]);
    let explain = [&["policy", "explain", "exec"], &jump[..]].concat();
    assert!(machine.run(&explain).ends(7).text().contains("machine:builtin/machine-host"));
    assert_eq!(proxy.connections(), 1);

    // The same with roles and transfers, and a denial that a chosen tag would
    // have got around.
    inventory(&format!("{here}, tags: [prod]"), "");
    machine.write(
        "policy.yml",
        "roles: {all: {permissions: [exec], operators: ['*']}, \
         none: {denied_permissions: [exec], hosts: tag=prod, operators: ['*']}}\n\
         binaries: [{path: /bin/true}]\n",
    );
    table(&["vm01", "--", "/bin/true"]).ends(7).says(&["machine:roles/none"]);
    // A policy without selectors needs no inventory.
    fs::remove_file(machine.dir().join("config.yml")).unwrap();
    machine.write("policy.yml", TRUE);
    table(&["vm02", "--", "/bin/true"]).ends(0);
}

/// The way through jump hosts is compared as both inventories have it.
#[test]
fn a_host_behind_others_is_reached_by_the_same_way() {
    let chain =
        "vm02: { ip: 192.0.2.2, proxy_jump: vm03 }\n  vm03: { ip: 192.0.2.3, ssh_port: 2203 }\n";
    let lab = at_nowhere();
    let machine = Machine::new(lab);
    let vms =
        |jump: &str| format!("vms:\n  vm01: {{ ip: 192.0.2.1, proxy_jump: '{jump}' }}\n  {chain}");
    machine.write("policy.yml", "binaries: [{path: /bin/true, hosts: vm01}]\n");
    let config = machine.lab.path("own.yml");
    let keys = machine.lab.path("keys");
    for id in ["vm01", "vm02", "vm03"] {
        fs::write(keys.join(format!("id_ed25519_{id}")), "").unwrap();
    }
    let settings = format!("remote_execution: {{ key_storage_path: {} }}\n", keys.display());
    let decide = |jump: &str| {
        fs::write(&config, format!("{}{settings}", vms(jump))).unwrap();
        let args = ["policy", "explain", "exec", "vm01", "--", "/bin/true"];
        machine.run(&[&["--config", config.to_str().unwrap()], &args[..]].concat())
    };
    for way in ["vm02", "vm02,a@192.0.2.7:99", "a@192.0.2.7:99", "a@192.0.2.7:99,vm02", "none"] {
        machine.write("config.yml", &vms(way));
        decide(way).ends(0);
        for other in ["vm03", "vm02,vm03", "a@192.0.2.7:98"] {
            let said = decide(other);
            assert!(said.ends(7).text().contains("machine:builtin/machine-host"), "{way} {other}");
        }
    }
}

#[test]
fn everything_is_recorded_where_the_machine_says() {
    let sshd = Sshd::start();
    let machine = Machine::new(Lab::one(&sshd));
    let log = machine.lab.path("machine-log/audit.jsonl");
    let section = |text: &str| machine.write("policy.yml", &format!("{TRUE}audit: {{{text}}}\n"));
    section(&format!("required: true, path: {}", log.display()));
    machine.exec(&["vm01", "--", "/bin/true"]).ends(0);
    assert!(!machine.lab.audit_path().exists());
    let count = || {
        let reader = orchestrator::audit::Reader::open(&log).unwrap();
        reader.filter(|entry| entry.as_ref().unwrap().event() == "exec.result").count()
    };
    assert_eq!(count(), 1);
    // Nothing in the environment leads elsewhere.
    let elsewhere = machine.lab.path("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let variables = [("XDG_STATE_HOME", elsewhere), ("ORCHESTRATOR_LOG", elsewhere)];
    let args = ["exec", "vm01", "--", "/bin/false"];
    machine.run_with(&args, &variables).ends(255);
    assert_eq!(count(), 2);
    let said = machine.run(&["config", "show", "--origin"]);
    let line = said.text().lines().find(|line| line.starts_with("audit.path")).unwrap();
    assert!(line.contains(log.to_str().unwrap()), "{line}");
    assert!(line.contains("/etc/orchestrator/policy.yml:2:"), "{line}");
    machine.run(&["audit", "verify"]).ends(0);

    // What says nothing, or the wrong thing, denies.
    for (text, why) in [
        ("required: true", "path is missing"),
        ("enabled: false", "always recorded"),
        ("required: false", "always recorded"),
        ("path: audit.jsonl", "the path is relative"),
    ] {
        section(text);
        let said = machine.exec(&["vm01", "--", "/bin/true"]);
        said.ends(7).says(&["rule builtin/policy-unusable", why]);
    }
    // Any other policy cannot say it.
    section(&format!("required: true, path: {}", log.display()));
    let copy = machine.lab.path("copy.yml");
    fs::copy(machine.dir().join("policy.yml"), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    machine.run(&["policy", "check", copy]).ends(2).says(&["only the machine's policy"]);
    machine.run(&["policy", "check", "--machine", copy]).ends(0);
}
