//! Random policies and requests: the engine and the model must agree.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use orchestrator::ids::VmId;
use orchestrator::policy::{ActionView, HostView, Policy, Request};

use super::model::{Arg, Asked, Binary, Kind, Role, Spec, Transfer, What};

const REQUESTS: u64 = 50;

/// 25,000 requests; 100,000 by scripts/soak.sh.
#[test]
fn check_58_the_engine_and_the_model_agree() {
    let (mut allowed, mut denied) = (0, 0);
    let policies = if std::env::var_os("ORCHESTRATOR_SOAK").is_some() { 2_000 } else { 500 };
    for seed in 0_u64..policies {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let spec = spec(&mut dice);
        let text = written(&spec);
        let policy = Policy::from_yaml_str(&text, "p.yml")
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        for _ in 0..REQUESTS {
            let asked = asked(&mut dice);
            let expected = spec.allows(&asked);
            let (found, why) = decide(&policy, &asked);
            assert_eq!(found, expected, "seed {seed}: {asked:#?}\n{text}\n{why}");
            *(if found { &mut allowed } else { &mut denied }) += 1;
        }
    }
    // What never says yes, or never no, compares nothing.
    assert!(allowed > 1000 && denied > 1000, "{allowed} allowed, {denied} denied");
}

fn decide(policy: &Policy, asked: &Asked) -> (bool, String) {
    let id: VmId = asked.host.parse().unwrap();
    let groups = if asked.host == "vm03" { vec![] } else { vec!["web".to_owned()] };
    let tags = if asked.host == "vm03" { vec!["db".to_owned()] } else { vec![] };
    let owned = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let (words, text);
    let action = match &asked.what {
        What::Argv(argv) => {
            words = owned(argv);
            ActionView::Argv(&words)
        }
        What::Act("admin") => ActionView::Admin,
        What::Act("check") => ActionView::Check,
        What::Act("kill") => ActionView::Kill,
        What::Act("schedule") => ActionView::Schedule,
        What::Act(other) => panic!("{other}"),
        What::Shell(commands, piped, dynamic) => {
            let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
            let joined = commands.join(if *piped { " | " } else { "; " });
            text = format!("{joined}{}", if *dynamic { " $X" } else { "" });
            ActionView::Shell(&text)
        }
        What::Upload(path) => {
            words = owned(&["a/file"]);
            ActionView::Upload { path: OsStr::new(path), sources: &words, recursive: false }
        }
        What::Download(paths) => {
            words = owned(paths);
            ActionView::Download { paths: &words, recursive: false }
        }
    };
    let decision = policy.decide(&Request {
        operator: "somebody",
        os_user: Some(asked.user),
        host: HostView { id: &id, allowed: true, groups: &groups, tags: &tags, reached: None },
        action,
        shell: None,
        run_as: asked.run_as,
        env: &asked.env,
        cwd: asked.cwd.map(OsStr::new),
        stdin_given: asked.stdin,
        allow_interactive: true,
        allow_threat: false,
    });
    (decision.allow, format!("{decision:#?}"))
}

const HOSTS: [&str; 4] = ["all", "@web", "tag=db", "all!vm01"];
const WORDS: [&str; 10] =
    ["a", "b", "status", "7", "12", "-x", "-f", "--long", "--exec", "--exec=sh"];
const KINDS: [Kind; 7] = [
    Kind::Digits,
    Kind::Long,
    Kind::Long,
    Kind::Short,
    Kind::Word("a"),
    Kind::Word("status"),
    Kind::Word("--exec"),
];

fn spec(dice: &mut Dice) -> Spec {
    Spec {
        allowed_env: dice.some(&["LANG", "TZ", "PATH", "*"], 30),
        denied_env: dice.some(&["TZ", "DB_SECRET"], 30),
        path: dice
            .percent(50)
            .then(|| if dice.percent(50) { vec!["/usr/bin"] } else { vec!["/usr/bin", "/bin"] }),
        binaries: (0..dice.below(7)).map(|_| binary(dice)).collect(),
        downloads: (0..dice.below(4)).map(|_| transfer(dice)).collect(),
        uploads: (0..dice.below(4)).map(|_| transfer(dice)).collect(),
        roles: dice.percent(50).then(|| (0..1 + dice.below(4)).map(|_| role(dice)).collect()),
    }
}

fn binary(dice: &mut Dice) -> Binary {
    let path = dice.one(&["/usr/bin/a", "/usr/bin/b", "/bin/a", "/bin/sh", "/usr/bin/xargs"]);
    let shell = path == "/bin/sh" && dice.percent(70);
    let free = path != "/bin/sh" && path != "/usr/bin/xargs" && dice.percent(40);
    Binary {
        path,
        enabled: dice.percent(93),
        shell,
        stdin: dice.percent(25).then(|| dice.percent(50)),
        hosts: if dice.percent(60) { "all" } else { dice.one(&HOSTS) },
        allowed: (!free).then(|| (0..dice.below(4)).map(|_| arg(dice, true)).collect()),
        denied: (0..if dice.percent(25) { 1 } else { 0 }).map(|_| arg(dice, false)).collect(),
        env: dice.some(&["LANG", "FOO"], 30),
        workdirs: dice.percent(20).then(|| dice.some(&["/srv", "/tmp/x"], 70)),
        run_as: dice.some(&["root", "deploy"], 40),
    }
}

fn arg(dice: &mut Dice, allowed: bool) -> Arg {
    Arg {
        kind: dice.one(&KINDS),
        position: dice.percent(40).then(|| dice.below(3) as usize),
        required: allowed && dice.percent(15),
    }
}

fn transfer(dice: &mut Dice) -> Transfer {
    Transfer {
        path: dice.one(&["/var", "/var/log", "/etc", "/var/log/app"]),
        deny: dice.percent(30),
        hosts: if dice.percent(60) { "all" } else { dice.one(&HOSTS) },
        run_as: dice.some(&["root"], 30),
    }
}

fn role(dice: &mut Dice) -> Role {
    let all =
        ["exec", "shell", "sudo", "download", "upload", "admin", "kill", "schedule", "script"];
    Role {
        permissions: dice.some(&all, 60),
        denied: dice.some(&all, 6),
        hosts: if dice.percent(60) { "all" } else { dice.one(&HOSTS) },
        members: dice.some(&["alice", "bob", "*"], 60),
    }
}

fn asked(dice: &mut Dice) -> Asked {
    // Where a file comes to be is not below a rule that denies, if the path is not.
    let paths = ["/var/log", "/var/log/app/x", "/var/logs", "/etc/x", "/var", "/"];
    let what = match dice.below(24) {
        0..11 => What::Argv(words(dice)),
        11..18 => {
            let commands = (0..1 + dice.below(3)).map(|_| words(dice)).collect();
            What::Shell(commands, dice.percent(40), dice.percent(25))
        }
        18..20 => What::Upload(dice.one(&paths)),
        20 => What::Act(dice.one(&["admin", "check", "kill", "schedule"])),
        _ => What::Download((0..1 + dice.below(2)).map(|_| dice.one(&paths)).collect()),
    };
    let env = ["LANG", "TZ", "PATH", "FOO", "DB_SECRET", "LD_PRELOAD", "IFS"];
    Asked {
        user: dice.one(&["alice", "bob", "carol"]),
        host: dice.one(&["vm01", "vm02", "vm03"]),
        what,
        env: dice.some(&env, 4),
        cwd: dice
            .percent(30)
            .then(|| dice.one(&["/srv", "/srv/x", "/srvx", "/tmp/x/y", "/srv/../etc", "srv"])),
        run_as: dice.percent(15).then(|| dice.one(&["root", "deploy", "eve"])),
        stdin: dice.percent(15),
    }
}

fn words(dice: &mut Dice) -> Vec<&'static str> {
    let plain = ["/usr/bin/a", "/usr/bin/b", "/bin/a", "a", "b"];
    let odd = [
        "/bin/sh",
        "/usr/bin/xargs",
        "xargs",
        "c",
        "/usr/bin/../bin/a",
        "//usr/bin/a",
        "/usr/bin/a/",
        "./a",
        "bin/a",
    ];
    let program = if dice.percent(80) { dice.one(&plain) } else { dice.one(&odd) };
    let mut words = vec![program];
    words.extend((0..dice.below(4)).map(|_| dice.one(&WORDS)));
    words
}

/// The policy as a file.
fn written(spec: &Spec) -> String {
    let list = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let args = |args: &[Arg]| {
        let each = args.iter().map(|arg| {
            let mut text = format!("{{pattern: '{}'", arg.kind.written());
            if let Some(position) = arg.position {
                write!(text, ", position: {position}").unwrap();
            }
            if arg.required {
                text += ", required: true";
            }
            text + "}"
        });
        format!("[{}]", each.collect::<Vec<_>>().join(", "))
    };
    let mut text = format!(
        "global: {{allowed_env: {}, denied_env: {}",
        list(&spec.allowed_env),
        list(&spec.denied_env)
    );
    if let Some(path) = &spec.path {
        write!(text, ", path: {}", list(path)).unwrap();
    }
    text += "}\nbinaries:\n";
    for rule in &spec.binaries {
        write!(
            text,
            "- {{path: {}, enabled: {}, shell: {}, hosts: '{}', denied_args: {}, env: {}, run_as: {}{}",
            rule.path,
            rule.enabled,
            rule.shell,
            rule.hosts,
            args(&rule.denied),
            list(&rule.env),
            list(&rule.run_as),
            rule.stdin.map(|stdin| format!(", stdin: {stdin}")).unwrap_or_default()
        )
        .unwrap();
        if let Some(allowed) = &rule.allowed {
            write!(text, ", allowed_args: {}", args(allowed)).unwrap();
        }
        if let Some(dirs) = &rule.workdirs {
            write!(text, ", allowed_workdirs: {}", list(dirs)).unwrap();
        }
        text += "}\n";
    }
    text += "transfers:\n";
    for (name, rules) in [("download", &spec.downloads), ("upload", &spec.uploads)] {
        writeln!(text, "  {name}:").unwrap();
        for rule in rules {
            let Transfer { path, deny, hosts, run_as } = rule;
            let run_as = list(run_as);
            writeln!(
                text,
                "  - {{path: {path}, deny: {deny}, hosts: '{hosts}', run_as: {run_as}}}"
            )
            .unwrap();
        }
    }
    if let Some(roles) = &spec.roles {
        text += "roles:\n";
        for (at, role) in roles.iter().enumerate() {
            writeln!(
                text,
                "  r{at}: {{permissions: {}, denied_permissions: {}, hosts: '{}', operators: {}}}",
                list(&role.permissions),
                list(&role.denied),
                role.hosts,
                list(&role.members)
            )
            .unwrap();
        }
    }
    text
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Each of them with this likelihood.
    fn some(&mut self, of: &[&'static str], percent: u64) -> Vec<&'static str> {
        of.iter().copied().filter(|_| self.percent(percent)).collect()
    }
}
