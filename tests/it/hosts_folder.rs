//! The scripts in `hosts/`, run as they are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::Sshd;

const ROLES: [&str; 4] = ["vm01-ingest", "vm02-database", "vm03-analysis", "vm04-orchestrator"];
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "ash"]];
const SUCCESS: &str = "BOOTSTRAP SUCCESS. Exit code: 0. Environment is ready.";
const FAILED: &str = "BOOTSTRAP FAILED. Exit code: 1. Do not proceed.";

/// What a script said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

#[test]
fn health_counts_what_it_prints_in_every_shell() {
    for role in ROLES {
        for shell in SHELLS {
            let mut check = clean(shell[0]);
            check.args(&shell[1..]).arg(health(role));
            counts(&say(&mut check));
        }
    }
}

#[test]
fn health_needs_no_more_than_busybox_has() {
    let bin = tempfile::tempdir().unwrap();
    let busybox = which("busybox");
    for applet in ["awk", "cat", "df", "head", "nproc", "sed", "sh", "timeout", "tr"] {
        symlink(&busybox, bin.path().join(applet)).unwrap();
    }
    for role in ROLES {
        let mut check = clean(bin.path().join("sh"));
        check.arg(health(role)).env("PATH", bin.path());
        let said = say(&mut check);
        counts(&said);
        for name in ["disk /: ", "inodes /: ", "memory: ", "load: "] {
            let told = said.out.lines().any(|line| {
                line.split_once("] ").is_some_and(|(_, rest)| rest.starts_with(name))
                    && !line.contains("cannot be told")
            });
            assert!(told, "{name}{said:#?}");
        }
    }
}

#[test]
fn health_may_come_on_stdin() {
    for role in ROLES {
        let mut check = clean("sh");
        check.args(["-s", "--", "/"]).stdin(fs::File::open(health(role)).unwrap());
        let said = say(&mut check);
        counts(&said);
        assert!(said.out.contains("[PASS] project: / is there\n"), "{said:#?}");
    }
}

#[test]
fn health_finds_who_listens() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let (tcp, udp) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let services = [
        ("vm01-ingest", "COLLECTOR_PORTS", "collector"),
        ("vm02-database", "POSTGRES_PORT", "postgresql"),
        ("vm03-analysis", "JUPYTER_PORT", "jupyter"),
        ("vm04-orchestrator", "N8N_PORT", "n8n"),
    ];
    for (role, variable, name) in services {
        let mut check = clean(health(role));
        check.env(variable, tcp.to_string()).env("SSH_CONNECTION", format!("::1 9 ::1 {tcp}"));
        let said = say(&mut check);
        for name in [name, "sshd"] {
            let line = format!("[PASS] {name}: listens on port {tcp}\n");
            assert!(said.out.contains(&line), "{line}{said:#?}");
        }
    }
    let mut check = clean(health("vm01-ingest"));
    let said = say(check.env("COLLECTOR_PORTS", format!("{udp}/udp,{tcp} 0514")));
    assert!(said.out.contains(&format!("[PASS] collector: listens on port {udp}/udp\n")));
    assert!(said.out.contains("[FAIL] collector: '0514' is not a port\n"), "{said:#?}");
    assert_eq!(said.code, Some(1), "{said:#?}");
}

#[test]
fn what_is_missing_is_a_warning_unless_it_is_required() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let run = |required: &str| {
        let mut check = clean(health("vm03-analysis"));
        say(check.env("JUPYTER_PORT", &free).env("HEALTH_REQUIRE", required))
    };
    let line = format!("jupyter: nothing listens on port {free}");
    let said = run("0");
    assert!(said.out.contains(&format!("[WARN] {line} (not installed?)\n")), "{said:#?}");
    let said = run("1");
    assert!(said.out.contains(&format!("[FAIL] {line}\n")), "{said:#?}");
    counts(&said);
    assert_eq!(said.code, Some(1));
}

#[test]
fn a_full_disk_fails_and_a_filling_one_warns() {
    let bin = tempfile::tempdir().unwrap();
    for (percent, mark) in [(79, "PASS"), (80, "WARN"), (89, "WARN"), (90, "FAIL")] {
        let df = format!(
            "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\n\
             echo '//server/some share 100 {percent} 0 {percent}% /a mount'\n"
        );
        program(&bin.path().join("df"), &df);
        let mut check = clean(health("vm03-analysis"));
        let said = say(check.env("PATH", format!("{}:/usr/bin:/bin", bin.path().display())));
        for what in ["disk", "inodes"] {
            let line = format!("[{mark}] {what} /: {percent} % used\n");
            assert_eq!(said.out.matches(&line).count(), 1, "{line}{said:#?}");
        }
        counts(&said);
    }
}

#[test]
fn a_broken_audit_log_is_a_failure_and_one_not_there_a_warning() {
    for (code, mark) in [(0, "PASS"), (6, "FAIL"), (2, "WARN")] {
        let world = World::new(&format!(
            "case $* in --version) echo orchestrator 9 ;; 'audit verify') echo so; exit {code} ;; esac"
        ));
        let mut check = clean(health("vm04-orchestrator"));
        let said = say(check.env("ORCHESTRATOR_BIN", world.binary()));
        let version =
            format!("[PASS] orchestrator: orchestrator 9, {}\n", world.binary().display());
        assert!(said.out.contains(&version), "{said:#?}");
        assert!(said.out.contains(&format!("[{mark}] audit log: ")), "{said:#?}");
        counts(&said);
    }
}

#[test]
fn the_common_part_is_the_same_everywhere() {
    let parts: BTreeSet<String> = ROLES
        .iter()
        .map(|role| {
            let text = fs::read_to_string(health(role)).unwrap();
            let start = text.find("# --- Common part").unwrap();
            text[start..].to_owned()
        })
        .collect();
    assert_eq!(parts.len(), 1);
    assert!(parts.first().unwrap().ends_with("\nmain \"$@\" </dev/null\n"));
}

#[test]
fn arguments_and_exit_code_pass_unchanged() {
    let arguments =
        ["exec", "--", "a b", "", "two\nlines", "'\"$x`\\*", "-n", "--help", "\u{e9}\n"];
    for shell in SHELLS {
        let world = World::new(
            "[ \"$1\" = --version ] && exit 0\ncat\npwd\numask\nprintf '%s\\0' \"$@\"\nexit 37",
        );
        let mut run = world.command(shell[0]);
        run.args(&shell[1..]).arg(vm04("run_orchestrator.sh")).args(arguments);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"input\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let expected = format!("input\n{}\n0077\n{}\0", world.root(), arguments.join("\0"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert_eq!(output.status.code(), Some(37));
    }
}

#[test]
fn the_binary_is_found_without_any_environment() {
    let world = World::new("echo \"$HOME\"");
    let release = world.path("target/release");
    fs::create_dir_all(&release).unwrap();
    fs::rename(world.binary(), release.join("orchestrator")).unwrap();
    let place = world.path("hosts/vm04-orchestrator");
    fs::create_dir_all(&place).unwrap();
    fs::copy(vm04("run_orchestrator.sh"), place.join("run_orchestrator.sh")).unwrap();
    let link = world.path("link");
    symlink(place.join("run_orchestrator.sh"), &link).unwrap();
    let mut run = Command::new(link);
    let said = say(run.arg("x").env_clear().current_dir("/"));
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.out.starts_with('/'), "{said:#?}");
}

#[test]
fn what_cannot_be_run_is_one_line_and_2() {
    let world = World::new("");
    let broken = world.path("broken");
    program(&broken, "#!/no/such/interpreter\n");
    for (variable, value) in [
        ("ORCHESTRATOR_BIN", world.path("none")),
        ("ORCHESTRATOR_BIN", broken),
        ("PROJECT_ROOT", world.path("none")),
    ] {
        for shell in SHELLS {
            let mut run = world.command(shell[0]);
            run.args(&shell[1..]).arg(vm04("run_orchestrator.sh")).arg("x");
            let said = say(run.env(variable, &value));
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:#?}");
            assert_eq!(said.err.lines().count(), 1, "{said:#?}");
            assert!(said.err.starts_with("run_orchestrator.sh: "), "{said:#?}");
        }
    }
    let said = say(&mut world.command(vm04("run_orchestrator.sh")));
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("Usage: run_orchestrator.sh "), "{said:#?}");
}

/// A binary with which all is well; `$0.d/VERB` makes a verb go wrong.
const WELL: &str = r#"
case "$*" in
    --version) echo 'orchestrator 9.9' ;;
    'config check') printf 'config       /c.yml\nhosts        2, 2 of them allowed\naudit log    /none/a\nfound        0 errors, 0 warnings\n' ;;
    'keys --help') ;;
    'keys status') printf 'ID  STATE  AGE  FILE\nvm01  ok  1 of 90 days  /k1\nvm02  expiring  80 of 90 days  /k2\n' ;;
    'hosts check') printf 'vm01  ok  1 ms\nvm02  ok  2 ms\n'; echo '2 ok' >&2 ;;
    *) exit 99 ;;
esac
"#;

#[test]
fn bootstrap_is_content_and_makes_its_directory() {
    let world = World::new(WELL);
    let said = world.bootstrap(&[]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert_eq!(said.out.lines().last(), Some(SUCCESS));
    for line in [
        "[OK]   orchestrator 9.9",
        "[OK]   /c.yml: hosts 2, 2 of them allowed",
        "[OK]   vm01: key ok, 1 of 90 days /k1",
        "[WARN] vm02: key expiring, 80 of 90 days /k2",
        "[OK]   vm02: 2 ms",
    ] {
        assert!(said.out.lines().any(|told| told == line), "{line}: {said:#?}");
    }
    let state = world.path("home/.local/state/orchestrator");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);

    let again = world.bootstrap(&["--no-reach"]);
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert!(!again.out.contains("just made") && !again.out.contains(" ms"), "{again:#?}");
}

#[test]
fn bootstrap_shows_every_failure_and_what_to_do() {
    let world = World::new(&WELL.replace(
        "case \"$*\" in",
        r#"case "$*" in
    'config check') printf 'config       /c.yml\naudit log    /none/a\nfound        1 error, 0 warnings\n'
        printf 'error: bad\n  hint: mend it\n' >&2; exit 2 ;;
    'keys status') printf 'ID  STATE  AGE  FILE\nvm01  missing  -  /k1\nvm02  unusable: odd  -  /k2\n'
        echo 'hint: vm01: orchestrator keys generate vm01' >&2; exit 1 ;;
    'hosts check') printf 'vm01  unreachable  no way\n      hint: look\nvm02  ok  2 ms\n'; exit 4 ;;"#,
    ));
    let said = world.bootstrap(&[]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert_eq!(said.out.lines().last(), Some(FAILED));
    for line in [
        "[FAIL] /c.yml: 1 error, 0 warnings",
        "         hint: mend it",
        "[FAIL] vm01: no key /k1",
        "[FAIL] vm02: key unusable, odd - /k2",
        "       hint: vm01: orchestrator keys generate vm01",
        "[FAIL] vm01: unreachable, no way",
        "       hint: look",
        "[OK]   vm02: 2 ms",
    ] {
        assert!(said.out.lines().any(|told| told == line), "{line}: {said:#?}");
    }
}

/// An exit code counts even where no line tells of it.
#[test]
fn bootstrap_never_succeeds_where_a_step_failed() {
    for verb in ["--version", "config check", "keys status", "hosts check"] {
        let fails = format!("case \"$*\" in\n    '{verb}') exit 74 ;;");
        let world = World::new(&WELL.replacen("case \"$*\" in", &fails, 1));
        let said = world.bootstrap(&[]);
        assert_eq!(said.code, Some(1), "{verb}: {said:#?}");
        assert_eq!(said.out.lines().last(), Some(FAILED), "{verb}");
        assert!(said.out.contains("[FAIL] "), "{verb}: {said:#?}");
    }
}

#[test]
fn bootstrap_reads_what_the_program_prints() {
    let world = World::new("");
    fs::remove_file(world.binary()).unwrap();
    symlink(env!("CARGO_BIN_EXE_orchestrator"), world.binary()).unwrap();
    let said = world.bootstrap(&[]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("[FAIL] configs/config.yml does not load\n"), "{said:#?}");

    let sshd = Sshd::start();
    let config = world.path("configs/config.yml");
    for dir in ["configs", "keys"] {
        fs::create_dir(world.path(dir)).unwrap();
    }
    fs::write(world.path("known_hosts"), sshd.known_hosts()).unwrap();
    fs::copy(sshd.client_key(), world.path("keys/id_ed25519_vm01")).unwrap();
    let text = format!(
        "vms:\n  vm01: {{ip: \"{}\", ssh_port: {}, ssh_user: {}}}\n\
         remote_execution: {{key_storage_path: {root}/keys, key_storage_type: plain_dir}}\n\
         ssh: {{known_hosts: [{root}/known_hosts]}}\n",
        sshd.addr().ip(),
        sshd.port(),
        sshd.user(),
        root = world.root(),
    );
    fs::write(&config, text).unwrap();
    let said = world.bootstrap(&[]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let line = format!("[OK]   {}: hosts 1, 1 of them allowed\n", config.display());
    assert!(said.out.contains(&line), "{said:#?}");
    let reach = said.out.split_once("[STEP] E. Reach\n").unwrap().1;
    assert!(reach.starts_with("[OK]   vm01: ") && reach.contains(" ms "), "{said:#?}");
    drop(sshd);

    let said = world.bootstrap(&[]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("[FAIL] vm01: unreachable, "), "{said:#?}");
}

/// A project whose binary is a shell script.
struct World {
    dir: TempDir,
}

impl World {
    fn new(binary: &str) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("home")).unwrap();
        program(&world.binary(), &format!("#!/bin/sh\n{binary}\n"));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn binary(&self) -> PathBuf {
        self.path("the binary")
    }

    fn root(&self) -> String {
        self.dir.path().canonicalize().unwrap().display().to_string()
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = clean(program);
        command
            .env("HOME", self.path("home"))
            .env("PROJECT_ROOT", self.dir.path())
            .env("ORCHESTRATOR_BIN", self.binary());
        command
    }

    fn bootstrap(&self, args: &[&str]) -> Said {
        say(self.command(vm04("bootstrap_env.sh")).args(args))
    }
}

/// A program with little more than a PATH.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn say(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The last three lines count the lines before them, and decide the exit code.
#[track_caller]
fn counts(said: &Said) {
    let count = |mark: &str| said.out.lines().filter(|line| line.starts_with(mark)).count();
    let (passed, failed, warnings) = (count("[PASS] "), count("[FAIL] "), count("[WARN] "));
    let totals = format!("Passed: {passed}\nFailed: {failed}\nWarnings: {warnings}\n");
    assert!(said.out.ends_with(&totals), "{said:#?}");
    assert_eq!(said.out.lines().count(), passed + failed + warnings + 3, "{said:#?}");
    assert_eq!(said.code, Some(i32::from(failed > 0)), "{said:#?}");
    assert_eq!(said.err, "", "{said:#?}");
    assert!(passed > 0, "{said:#?}");
}

fn health(role: &str) -> PathBuf {
    hosts().join(role).join("health_check.sh")
}

fn vm04(script: &str) -> PathBuf {
    hosts().join("vm04-orchestrator").join(script)
}

fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hosts")
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn which(program: &str) -> PathBuf {
    let said = say(clean("sh").args(["-c", "command -v \"$1\"", "sh", program]));
    assert_eq!(said.code, Some(0), "{program} is not installed");
    said.out.trim_end().into()
}
