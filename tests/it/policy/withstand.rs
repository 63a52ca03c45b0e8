//! Check 57 on real servers: what somebody tries who may run one program and wants
//! another, against twenty policies. Whatever is allowed is really run, and what
//! ran is known from the programs themselves.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use orchestrator::Orchestrator;
use orchestrator::config::Config;
use orchestrator::ids::VmId;
use orchestrator::outcome::Status;
use orchestrator::policy::{ActionView, HostView, Policy, Request};
use orchestrator::remote::{Command, CommandList};
use orchestrator::ssh::known_hosts::KnownHosts;

use super::bypass::corpus;
use super::grammar::parse;
use crate::cli_exec::Lab;
use crate::support::{Shell, Sshd, is_root};

/// Writes down its argument list in the directory where it runs; the one that
/// nobody may run does so in a place of its own, wherever it runs.
const PROGRAM: &str = "#!/bin/dash\nprintf '%s\\0' \"$#\" \"$0\" \"$@\" >>log\n\
    case $0 in *evil*) echo \"$PWD\" >>REACH/reached;; esac\n";

/// Whether arguments of the program are allowed.
type Fits = fn(&[&str]) -> bool;

/// Rules, in which `@` is the directory of the programs, and what they allow of an
/// argument list, said once more.
const POLICIES: [(&str, Fits); 20] = [
    ("binaries: [{path: '@/a'}]", |_| true),
    ("binaries: [{path: '@/a', allowed_args: []}]", |args| args.is_empty()),
    ("binaries: [{path: '@/a', allowed_args: ['[a-z]+']}]", |args| {
        args.iter().all(|arg| !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_lowercase()))
    }),
    ("binaries: [{path: '@/a', allowed_args: [{pattern: x, position: 0}]}]", |args| {
        args.is_empty() || args == ["x"]
    }),
    ("binaries: [{path: '@/a', allowed_args: ['.*']}]", |_| true),
    ("binaries: [{path: '@/a', allowed_args: [{pattern: x, required: true}]}]", |args| {
        !args.is_empty() && args.iter().all(|arg| *arg == "x")
    }),
    ("binaries: [{path: '@/a', denied_args: [x, '-.*']}]", |args| {
        args.iter().all(|arg| *arg != "x" && !arg.starts_with('-'))
    }),
    ("binaries: [{path: '@/a'}, {path: '@/b'}]", |_| true),
    ("{global: {path: '@'}, binaries: [{path: a}]}", |_| true),
    ("{global: {path: '@'}, binaries: [{path: a, allowed_args: [x]}]}", |args| {
        args.iter().all(|arg| *arg == "x")
    }),
    ("allowed_commands: ['@/a']", |_| true),
    ("allowed_commands: ['@/a x']", |args| args == ["x"]),
    ("binaries: [{path: '@/a'}, {path: '@/evil', enabled: false}]", |_| true),
    ("binaries: [{path: '@/a'}, {path: '@/evil', hosts: 'all!vm01'}]", |_| true),
    (
        "{roles: {ops: {permissions: exec, operators: '*'}}, \
         binaries: [{path: '@/a'}, {path: /bin/sh, shell: true}, {path: /bin/bash, shell: true}]}",
        |_| true,
    ),
    ("binaries: [{path: '@/a', allowed_workdirs: ['@/../cwd']}]", |_| true),
    ("{global: {allowed_env: ['*']}, binaries: [{path: '@/a', denied_env: [x]}]}", |_| true),
    ("binaries: [{path: '@/a'}, {path: '@/x y'}, {path: \"@/it's\"}]", |_| true),
    (
        "binaries: [{path: '@/a'}, {path: /bin/sh, \
         allowed_args: [{pattern: -c, position: 0}, {pattern: '@/a x', position: 1}]}]",
        |_| true,
    ),
    (
        "binaries: [{path: '@/a'}, {path: /usr/bin/env, \
         allowed_args: [{pattern: '@/a', position: 0}, {pattern: x, position: 1}]}]",
        |_| true,
    ),
];

/// What is asked for.
#[derive(Clone)]
enum Asked {
    Argv(Vec<String>),
    Shell(String),
}

/// A place with programs, and with a directory to run in for each attempt.
struct Place {
    dir: tempfile::TempDir,
    bin: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("", 0o755), ("bin", 0o755), ("cwd", 0o777), ("reach", 0o777)] {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let bin = dir.path().join("bin");
        let reach = dir.path().join("reach").to_str().unwrap().to_owned();
        for name in ["a", "b", "x y", "it's", "evil"] {
            let program = bin.join(name);
            fs::write(&program, PROGRAM.replace("REACH", &reach)).unwrap();
            fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        }
        symlink(bin.join("evil"), bin.join("evil-too")).unwrap();
        let bin = bin.to_str().unwrap().to_owned();
        Self { dir, bin }
    }

    fn cwd(&self, policy: usize, attempt: usize) -> PathBuf {
        self.dir.path().join(format!("cwd/{policy}-{attempt}"))
    }

    /// The argument lists of what ran there, sorted.
    fn ran(&self, policy: usize, attempt: usize) -> Vec<Vec<String>> {
        let bytes = fs::read(self.cwd(policy, attempt).join("log")).unwrap_or_default();
        let mut fields = bytes.split(|byte| *byte == 0);
        let mut field = || String::from_utf8(fields.next().unwrap_or_default().to_vec()).unwrap();
        let mut ran = Vec::new();
        while let Ok(args) = field().parse::<usize>() {
            ran.push((0..=args).map(|_| field()).collect());
        }
        ran
    }
}

/// Everything that is tried: each text for a shell, as a program and as an argument.
fn attempts(bin: &str) -> Vec<Asked> {
    let (ok, evil) = (format!("{bin}/a"), format!("{bin}/evil"));
    let mut all = Vec::new();
    for (index, bypass) in corpus().iter().enumerate() {
        let text = bypass.text(&ok, &evil, bin);
        all.push(Asked::Shell(text.clone()));
        all.push(Asked::Argv(vec![text.clone()]));
        // As an argument it is harmless, and too many would be run.
        if index % 24 == 0 {
            all.push(Asked::Argv(vec![ok.clone(), text]));
        }
    }
    for text in ["{ok} x", "/bin/sh -c '{ok} x'", "/usr/bin/env {ok} x", "a x", "{ok}", "{ok} y z"]
    {
        let text = text.replace("{ok}", &ok);
        all.push(Asked::Argv(text.replace('\'', "").split(' ').map(str::to_owned).collect()));
        all.push(Asked::Shell(text));
    }
    all
}

fn allowed(policy: &Policy, asked: &Asked, cwd: &std::path::Path) -> bool {
    let id: VmId = "vm01".parse().unwrap();
    let words: Vec<OsString>;
    let action = match asked {
        Asked::Shell(text) => ActionView::Shell(text),
        Asked::Argv(argv) => {
            words = argv.iter().map(OsString::from).collect();
            ActionView::Argv(&words)
        }
    };
    let decision = policy.decide(&Request {
        operator: "somebody",
        os_user: Some("somebody"),
        host: HostView { id: &id, allowed: true, groups: &[], tags: &[], reached: None },
        action,
        shell: None,
        run_as: None,
        env: &[],
        cwd: Some(cwd.as_os_str()),
        stdin_given: false,
        allow_interactive: false,
        allow_threat: false,
    });
    decision.allow
}

/// What may run at most, by the words that were decided on: programs of ours, also
/// behind `env` and `sh -c`.
fn expected(asked: &Asked, bin: &str) -> Vec<Vec<String>> {
    let commands: Vec<Vec<String>> = match asked {
        Asked::Argv(argv) => vec![argv.clone()],
        Asked::Shell(text) => parse(text).unwrap().into_iter().map(|it| it.words).collect(),
    };
    let inner = |mut words: Vec<String>| -> Vec<Vec<String>> {
        match words[0].as_str() {
            // Without a program it shows the variables, and runs nothing.
            "/usr/bin/env" => {
                Some(words.split_off(1)).filter(|it| !it.is_empty()).into_iter().collect()
            }
            "/bin/sh" => expected(&Asked::Shell(words[2].clone()), bin),
            name if name.contains('/') => vec![words],
            name => {
                words[0] = format!("{bin}/{name}");
                vec![words]
            }
        }
    };
    commands.into_iter().flat_map(inner).collect()
}

/// Whether everything ran, where nothing hangs on something else, and nothing more.
fn as_expected(asked: &Asked, mut expected: Vec<Vec<String>>, ran: &[Vec<String>]) -> bool {
    let known = ran.iter().all(|argv| {
        expected.iter().position(|it| it == argv).map(|at| expected.remove(at)).is_some()
    });
    let conditional =
        matches!(asked, Asked::Shell(text) if text.contains("&&") || text.contains("||"));
    known && (expected.is_empty() || conditional && !ran.is_empty())
}

/// Servers whose users have all kinds of login shells, each of them vm01 of a lab.
fn servers() -> Vec<(Sshd, Lab)> {
    let shells = [Shell::Dash, Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Tcsh];
    let start = |sshd: Sshd| {
        let lab = Lab::one(&sshd);
        (sshd, lab)
    };
    match is_root() {
        true => shells.map(|shell| start(Sshd::builder().login_shell(shell).start())).into(),
        false => vec![start(Sshd::start())],
    }
}

fn orchestrator(lab: &Lab, policy: Policy) -> Orchestrator {
    let config = Config::load(lab.config()).unwrap();
    let known_hosts = KnownHosts::load(&config.ssh.known_hosts).unwrap();
    let builder = Orchestrator::builder(config).known_hosts(known_hosts).policy(policy);
    builder.without_audit().without_store().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_57_nothing_but_what_is_allowed_is_ever_reached() {
    let place = Place::new();
    let (bin, servers) = (&place.bin, servers());
    let attempts = attempts(bin);
    assert!(attempts.iter().filter(|it| matches!(it, Asked::Shell(_))).count() >= 1000);
    let mut ran_in_all = 0;
    for (number, (rules, fits)) in POLICIES.iter().enumerate() {
        // No path of a rule may go up.
        let cwd = place.dir.path().join("cwd");
        let text = rules.replace("@/../cwd", cwd.to_str().unwrap()).replace('@', bin);
        let policy = Policy::from_yaml_str(&text, "p.yml").unwrap_or_else(|it| panic!("{it}"));
        let mut commands = Vec::new();
        let mut tried = Vec::new();
        for (index, asked) in attempts.iter().enumerate() {
            let cwd = place.cwd(number, index);
            if !allowed(&policy, asked, &cwd) {
                continue;
            }
            fs::create_dir(&cwd).unwrap();
            fs::set_permissions(&cwd, Permissions::from_mode(0o777)).unwrap();
            let command = match asked {
                Asked::Shell(text) => Command::shell(text),
                Asked::Argv(argv) => Command::new(&argv[0]).args(&argv[1..]),
            };
            commands.push(command.current_dir(&cwd));
            tried.push((index, asked));
        }
        assert!(tried.len() >= 2, "policy {number} allows nothing, and proves nothing");
        let (_, lab) = &servers[number % servers.len()];
        let orchestrator = orchestrator(lab, policy);
        let six = NonZeroUsize::new(6).unwrap();
        let list = CommandList::new(commands).keep_going(true).parallel(six);
        let report = orchestrator.on("vm01".parse().unwrap()).commands(list).run().await.unwrap();
        let results = &report.results()[0].commands;
        assert_eq!(results.len(), tried.len(), "{:?}", report.results()[0]);
        for (result, (index, asked)) in results.iter().zip(tried) {
            let what = match asked {
                Asked::Shell(text) => format!("policy {number}: {text:?}"),
                Asked::Argv(argv) => format!("policy {number}: {argv:?}"),
            };
            assert!(matches!(result.status, Status::Success | Status::Failed), "{what} {result:?}");
            let ran = place.ran(number, index);
            assert!(as_expected(asked, expected(asked, bin), &ran), "{what} ran {ran:?}");
            for argv in &ran {
                let args: Vec<&str> = argv[1..].iter().map(String::as_str).collect();
                let evil = argv[0].contains("evil");
                assert!(!evil && (!argv[0].ends_with("/a") || fits(&args)), "{what} ran {argv:?}");
            }
            ran_in_all += ran.len();
        }
        orchestrator.shutdown().await;
    }
    assert!(!place.dir.path().join("reach/reached").exists(), "it was reached");
    assert!(ran_in_all >= 200, "only {ran_in_all} ran");
}
