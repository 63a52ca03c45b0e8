//! `hosts/vm04-orchestrator/setup_ssh_keys.sh`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::lines;
use crate::cli_verbs::world::{PROGRAM, Said, World, address, set_mode};
use crate::support::{PASSWORD, Sshd, password_user};

fn run(world: &World, program: &Path, args: &[&str], stdin: &str) -> Said {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("hosts/vm04-orchestrator/setup_ssh_keys.sh");
    let mut command = world.shell(script.as_os_str());
    command.args(args).env("ORCHESTRATOR", program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn config(world: &World) -> String {
    fs::read_to_string(world.path("home/.ssh/config")).unwrap_or_default()
}

#[test]
fn every_vm_that_can_be_is_set_up() {
    let (one, ten) =
        (Sshd::builder().keys_at_home().start(), Sshd::builder().keys_at_home().start());
    let gone = "{ip: 127.0.0.1, ssh_port: 1}";
    let vms = format!("  vm01: {}\n  vm02: {gone}\n  vm010: {}\n", address(&one), address(&ten));
    let world = World::new(&vms, "");
    fs::create_dir_all(world.path("home/.ssh")).unwrap();
    let own = "Host vm0100 vm01.example\n  User me\n";
    fs::write(world.path("home/.ssh/config"), own).unwrap();
    let key = one.client_key();
    let fingerprint = one.host_keys()[0].fingerprint();
    let (first, tenth) = (format!("vm01={fingerprint}"), format!("vm010={fingerprint}"));
    let existing = key.to_str().unwrap();
    let args = ["-i", existing, "--fingerprint", &first, "vm01", "vm02", "vm010"];
    let said = run(&world, PROGRAM.as_ref(), &args, "").is(1);
    assert!(said.out.contains("== 1 of 3 set up: vm01\n"), "{said:?}");
    assert!(said.out.contains("== 2 failed: vm02 vm010\n"), "{said:?}");
    said.has("hosts trust vm010 --fingerprint SHA256:").has("failed at: trusting its host key");
    assert_eq!((lines(&one).len(), lines(&ten).len()), (2, 1));

    let args = ["-i", existing, "--fingerprint", &tenth, "vm010", "vm01"];
    run(&world, PROGRAM.as_ref(), &args, "").is(0).has("2 of 2 set up");
    let text = config(&world);
    assert!(text.starts_with(own), "{text}");
    for name in ["Host vm01\n", "Host vm010\n"] {
        assert_eq!(text.matches(name).count(), 1, "{text}");
    }
    assert!(text.contains(&format!("Port {}\n", ten.port())), "{text}");
    assert!(text.contains("IdentitiesOnly yes") && !text.contains("StrictHostKeyChecking"));
    // ssh itself reads it, and gets in.
    let mut ssh = world.shell("ssh".as_ref());
    ssh.arg("-F").arg(world.path("home/.ssh/config"));
    assert!(ssh.args(["-o", "BatchMode=yes", "vm010", "true"]).status().unwrap().success());

    // Again: nothing is added, the stanza is written anew; --force makes new keys.
    run(&world, PROGRAM.as_ref(), &["vm01"], "").is(0).has("already there");
    assert_eq!(config(&world).lines().count(), text.lines().count());
    run(&world, PROGRAM.as_ref(), &["--force", "-i", existing, "vm01"], "").is(0).has("deployed");
    assert_eq!(lines(&one).len(), 3);
}

#[test]
fn a_stanza_of_the_users_own_is_left_alone() {
    let sshd = Sshd::builder().keys_at_home().start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    fs::create_dir_all(world.path("home/.ssh")).unwrap();
    let own = "Host vm02 vm01\n  User me\n";
    fs::write(world.path("home/.ssh/config"), own).unwrap();
    run(&world, PROGRAM.as_ref(), &["vm01"], "").is(0).has("of your own");
    assert_eq!(config(&world), own);
}

#[test]
fn one_password_from_stdin_serves_them_all() {
    let start = || {
        let builder = Sshd::builder().account(password_user()).keys_at_home();
        builder.line("PasswordAuthentication yes").start()
    };
    let (one, two) = (start(), start());
    let vms = format!("  vm01: {}\n  vm02: {}\n", address(&one), address(&two));
    let world = World::new(&vms, "");
    world.know(&(one.known_hosts() + &two.known_hosts()));
    let stdin = format!("{PASSWORD}\n");
    let said = run(&world, PROGRAM.as_ref(), &["--ask-pass", "vm01", "vm02"], &stdin).is(0);
    said.has("2 of 2 set up").lacks(PASSWORD);
    assert_eq!((lines(&one).len(), lines(&two).len()), (2, 2));
}

#[test]
fn wrong_usage() {
    let world = World::new("  vm01: {ip: 127.0.0.1}\n", "");
    for args in [&["--what"][..], &["-i"], &["--fingerprint", "vm01"], &["-i", "x", "--ask-pass"]] {
        run(&world, PROGRAM.as_ref(), args, "").is(2).has("Usage: ");
    }
    run(&world, PROGRAM.as_ref(), &["--help"], "").is(0).has("--harden");
    run(&world, "/nowhere/orchestrator".as_ref(), &["vm01"], "").is(1).has("is not installed");
}

/// What runs as root on the VM runs here instead, in a directory of ours and
/// with an sshd that says what it is told to.
fn hardening(world: &World, sshd_t: &str, check: &str) -> (Said, std::path::PathBuf) {
    let dir = world.path("sshd_config.d");
    let bin = world.path("bin");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(&bin).unwrap();
    let write = |name: &str, text: &str| {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&path, 0o755);
        path
    };
    write("sshd", &format!("case $1 in -t) {sshd_t} ;; *) echo passwordauthentication no ;; esac"));
    write("systemctl", "exit 0");
    write("sleep", "exec /bin/sleep 0.3");
    let program = write(
        "program",
        &format!(
            "case \"$*\" in\n*--sudo*) shift 4; PATH={}:$PATH; export PATH\n\
             case $1 in rm) exec rm \"{}/60-orchestrator.conf.unconfirmed\" ;; esac\n\
             exec sh -c \"$3\" sh {} \"$6\" ;;\n'hosts check'*) {check} ;;\nesac\nexec {PROGRAM} \"$@\"",
            bin.display(),
            dir.display(),
            dir.display(),
        ),
    );
    (run(world, &program, &["--harden", "vm01"], ""), dir.join("60-orchestrator.conf"))
}

#[test]
fn hardening_stays_only_if_somebody_can_log_in_afterwards() {
    let sshd = Sshd::builder().keys_at_home().start();
    let world = World::of(&sshd);
    world.know(&sshd.known_hosts());
    let (said, file) = hardening(&world, "exit 1", ":");
    said.is(1).has("sshd -t refuses it");
    assert!(!file.exists());

    let (said, file) = hardening(&world, "exit 0", "exit 4");
    said.is(1).has("undone there within a minute");
    crate::support::block_until("it is undone", || !file.exists());

    let (said, file) = hardening(&world, "exit 0", ":");
    said.is(0).has("takes keys only");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("PasswordAuthentication no\n") && !text.contains("UsePAM"), "{text}");
    assert!(!file.with_extension("conf.unconfirmed").exists());
}
