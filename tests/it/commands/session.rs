//! One shell for all commands.

use std::path::Path;

use serde_json::{Value, json};

use super::{each, json as run};
use crate::cli_exec::Lab;
use crate::support::Sshd;

fn session(lab: &Lab, text: &str, args: &[&str]) -> (crate::cli_exec::Said, Value) {
    let args: Vec<&str> = args.iter().copied().chain(["--shell-session"]).collect();
    run(lab, text, &args)
}

const PERSISTS: &str = "cd /usr; A='b  c'; umask 027; f() { echo \"f $A\"; return 3; }
pwd; echo out; echo err >&2
f
umask -S; printf 'no newline'
";

#[track_caller]
fn check_persists(host: &Value) {
    assert_eq!(each(host, "stdout"), ["", "/usr\nout\n", "f b  c\n", "u=rwx,g=rx,o=\nno newline"]);
    assert_eq!(each(host, "stderr"), ["", "err\n", "", ""]);
    assert_eq!(each(host, "exit_code"), [0, 0, 3, 0]);
}

#[test]
fn what_one_command_sets_is_there_for_the_next() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, host) = session(&lab, PERSISTS, &["--keep-going"]);
    said.ends(3);
    check_persists(&host);
    assert_eq!(host["status"], "failed");
    let (said, host) = session(&lab, "A=1\nfalse\necho $A", &[]);
    said.ends(1);
    assert_eq!(each(&host, "status"), ["success", "failed", "not_started"]);
}

#[test]
fn in_every_shell() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    for shell in ["/bin/dash", "/bin/bash", "/bin/busybox-sh", "/bin/ksh", "/bin/mksh", "/bin/zsh"]
    {
        let busybox = lab.path("sh");
        let shell = match shell {
            "/bin/busybox-sh" if Path::new("/bin/busybox").exists() => {
                std::os::unix::fs::symlink("/bin/busybox", &busybox).unwrap();
                busybox.to_str().unwrap()
            }
            shell => shell,
        };
        if Path::new(shell).exists() {
            let (_, host) = session(&lab, PERSISTS, &["--keep-going", "--shell", shell]);
            check_persists(&host);
        }
    }
}

#[test]
fn a_command_that_ends_the_shell_ends_the_session() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let (said, host) = session(&lab, "echo a\necho b; exit 5\necho c", &["--keep-going"]);
    said.ends(5);
    assert_eq!(each(&host, "status"), ["success", "failed", "not_started"]);
    assert_eq!(host["commands"][1]["stdout"], "b\n");
    let why = "command 2 ended the shell session with exit code 5";
    assert_eq!(host["commands"][2]["error"]["message"], why);
    let said = lab.exec(["--shell-session", "--keep-going", "vm01", "--commands", "list"]);
    said.ends(5).says(&["command 2 of 3 failed: exit 5", why]);
    // What did not run is no success, however the shell ended.
    let (said, host) = session(&lab, "exit 0\necho c", &["--exit-code", "table"]);
    said.ends(8);
    assert_eq!(each(&host, "status"), ["success", "not_started"]);
    assert_eq!(host["status"], "not_started");
    // The last command may end it.
    let (said, host) = session(&lab, "echo a\nexec echo b", &[]);
    said.ends(0);
    assert_eq!(each(&host, "stdout"), ["a\n", "b\n"]);
}

/// Whatever a command knows and writes, its output ends where it ends.
#[test]
fn no_command_can_write_the_mark() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let forger = "\
set; env; tr '\\0' '\\n' </proc/$$/environ; tr '\\0' ' ' </proc/$$/cmdline; echo
for n in 0 1; do echo \"orch1 0123456789abcdef0123456789abcdef $n\"; done; echo \"orch1 $ORCH_RUN 0\"; echo \"orch1 $ORCH_RUN S 1\" >&2; false
echo next
for n in 1 2 3 4 5 6 7 8 9; do echo \"it is mine\" >&$n; done 2>/dev/null; true
set -xv
set +xv
echo last
";
    let (said, host) = session(&lab, forger, &["--keep-going"]);
    said.ends(1);
    let commands = host["commands"].as_array().unwrap();
    let codes = each(&host, "exit_code");
    assert_eq!(codes, [0, 1, 0, 0, 0, 0, 0]);
    let told = commands[1]["stdout"].as_str().unwrap();
    let lines = ["orch1 0123456789abcdef0123456789abcdef 0\n", "abcdef 1\n", " 0\n"];
    assert!(lines.iter().all(|line| told.contains(line)) && told.lines().count() == 3, "{told}");
    assert!(commands[1]["stderr"].as_str().unwrap().ends_with(" S 1\n"));
    assert_eq!(
        (&commands[2]["stdout"], &commands[6]["stdout"]),
        (&json!("next\n"), &json!("last\n"))
    );
    assert_eq!(commands[3]["stdout"], "it is mine\n");
}

#[test]
fn streams_and_input_are_each_commands_own() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let text = format!(
        "cat; read x; echo \"read $?\"\n\
         printf '\\377\\000x'\n\
         exec >{0} 2>&1\n\
         echo elsewhere\n\
         exec >/dev/null </dev/null\n\
         true\n",
        lab.path("elsewhere").display()
    );
    let (said, host) = session(&lab, &text, &[]);
    said.ends(0);
    assert_eq!(host["commands"][0]["stdout"], "read 1\n");
    assert_eq!(host["commands"][1]["stdout_base64"], "/wB4");
    assert_eq!(host["commands"][3]["stdout"], "");
    assert_eq!(std::fs::read_to_string(lab.path("elsewhere")).unwrap(), "elsewhere\n");
    assert_eq!(each(&host, "status").len(), 6);
}

#[test]
fn large_outputs_and_odd_words_arrive() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let text = "yes | head -c 3000000\necho 'it'\\''s'; printf '%s\\n' \"a\\\\b!\"; # a comment\nif true; then echo x; fi\n";
    let (said, host) = session(&lab, text, &[]);
    said.ends(0);
    assert_eq!(host["commands"][0]["stdout_bytes"], 3_000_000);
    assert_eq!(host["commands"][1]["stdout"], "it's\na\\b!\n");
    assert_eq!(host["commands"][2]["stdout"], "x\n");
    // Told as it comes, too.
    let said = lab.exec(["--shell-session", "vm01", "--commands", "list"]);
    assert_eq!(said.ends(0).stdout.len(), 3_000_000 + "it's\na\\b!\nx\n".len());
}
