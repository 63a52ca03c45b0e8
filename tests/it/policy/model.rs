//! What a policy means, said once more and as plainly as can be: no
//! expressions, no YAML, one question after the other.

/// What a word may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Digits,
    Long,
    Short,
    Word(&'static str),
}

impl Kind {
    /// As a policy writes it.
    pub(super) fn written(self) -> String {
        match self {
            Self::Digits => "^[0-9]+$".into(),
            Self::Long => "--.*".into(),
            Self::Short => "^-[a-z]$".into(),
            Self::Word(word) => word.into(),
        }
    }

    fn is(self, word: &str) -> bool {
        match self {
            Self::Digits => !word.is_empty() && word.chars().all(|c| c.is_ascii_digit()),
            Self::Long => word.starts_with("--"),
            Self::Short => {
                word.len() == 2 && word.starts_with('-') && word.as_bytes()[1].is_ascii_lowercase()
            }
            Self::Word(own) => word == own,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Arg {
    pub(super) kind: Kind,
    pub(super) position: Option<usize>,
    pub(super) required: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) path: &'static str,
    pub(super) enabled: bool,
    pub(super) shell: bool,
    /// As the file says; a program may carry out what it reads there.
    pub(super) stdin: Option<bool>,
    pub(super) hosts: &'static str,
    pub(super) allowed: Option<Vec<Arg>>,
    pub(super) denied: Vec<Arg>,
    pub(super) env: Vec<&'static str>,
    pub(super) workdirs: Option<Vec<&'static str>>,
    pub(super) run_as: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) permissions: Vec<&'static str>,
    pub(super) denied: Vec<&'static str>,
    pub(super) hosts: &'static str,
    pub(super) members: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) path: &'static str,
    pub(super) deny: bool,
    pub(super) hosts: &'static str,
    pub(super) run_as: Vec<&'static str>,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) allowed_env: Vec<&'static str>,
    pub(super) denied_env: Vec<&'static str>,
    pub(super) path: Option<Vec<&'static str>>,
    pub(super) binaries: Vec<Binary>,
    pub(super) downloads: Vec<Transfer>,
    pub(super) uploads: Vec<Transfer>,
    pub(super) roles: Option<Vec<Role>>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A thing without words, by its permission; `check` takes any of them.
    Act(&'static str),
    Argv(Vec<&'static str>),
    /// Commands; whether pipes join them, or `;`; whether one holds an expansion.
    Shell(Vec<Vec<&'static str>>, bool, bool),
    Download(Vec<&'static str>),
    Upload(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) user: &'static str,
    pub(super) host: &'static str,
    pub(super) what: What,
    pub(super) env: Vec<&'static str>,
    pub(super) cwd: Option<&'static str>,
    pub(super) run_as: Option<&'static str>,
    pub(super) stdin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// A rule says no, and nothing can say yes.
    Never,
}

/// The hosts that a selector of the generator names.
fn named(hosts: &str, host: &str) -> bool {
    match hosts {
        "all" => true,
        "@web" => host == "vm01" || host == "vm02",
        "tag=db" => host == "vm03",
        "all!vm01" => host != "vm01",
        other => panic!("{other}"),
    }
}

impl Spec {
    pub(super) fn allows(&self, asked: &Asked) -> bool {
        let all = "admin download exec kill schedule script shell sudo upload";
        let needed = match asked.what {
            What::Act("check") => all,
            What::Act(permission) => permission,
            What::Argv(_) | What::Shell(..) => "exec",
            What::Download(_) => "download",
            What::Upload(_) => "upload",
        };
        if !needed.split(' ').any(|permission| self.permits(asked, permission)) {
            return false;
        }
        if asked.run_as.is_some() && !self.permits(asked, "sudo") {
            return false;
        }
        match &asked.what {
            What::Act(_) => true,
            What::Argv(words) => self.program(asked, words, asked.stdin) == Answer::Yes,
            What::Shell(commands, piped, dynamic) => self.shell(asked, commands, *piped, *dynamic),
            What::Download(paths) => paths.iter().all(|path| moves(&self.downloads, asked, path)),
            What::Upload(path) => moves(&self.uploads, asked, path),
        }
    }

    fn permits(&self, asked: &Asked, permission: &str) -> bool {
        let Some(roles) = &self.roles else { return true };
        let mut granted = false;
        for role in roles {
            let mine = role.members.contains(&asked.user) || role.members.contains(&"*");
            if !mine || !named(role.hosts, asked.host) {
                continue;
            }
            if role.denied.contains(&permission) {
                return false;
            }
            granted |= role.permissions.contains(&permission);
        }
        granted
    }

    fn shell(
        &self,
        asked: &Asked,
        commands: &[Vec<&'static str>],
        piped: bool,
        dynamic: bool,
    ) -> bool {
        let around = self.around(asked);
        if around == Answer::Never {
            return false;
        }
        if !dynamic {
            let stdin = |at| asked.stdin || piped && at > 0;
            let commands = commands.iter().enumerate();
            let answers: Vec<Answer> =
                commands.map(|(at, words)| self.program(asked, words, stdin(at))).collect();
            if answers.contains(&Answer::Never) {
                return false;
            }
            if answers.iter().all(|answer| *answer == Answer::Yes) {
                return true;
            }
        }
        let mut granted = false;
        for rule in &self.binaries {
            if rule.path != "/bin/sh" || !named(rule.hosts, asked.host) {
                continue;
            }
            if !rule.enabled {
                return false;
            }
            granted |= rule.shell && self.surroundings(asked, rule);
        }
        granted && self.permits(asked, "shell")
    }

    /// What is the same for every rule.
    fn around(&self, asked: &Asked) -> Answer {
        for name in &asked.env {
            if *name == "LD_PRELOAD" || *name == "IFS" || self.denied_env.contains(name) {
                return Answer::Never;
            }
        }
        match asked.cwd {
            Some(cwd) if cwd.contains("..") || !cwd.starts_with('/') => Answer::Never,
            _ => Answer::Yes,
        }
    }

    fn program(&self, asked: &Asked, words: &[&str], stdin: bool) -> Answer {
        if self.around(asked) == Answer::Never {
            return Answer::Never;
        }
        let (name, args) = (words[0], &words[1..]);
        if name.contains('/') {
            let odd = !name.starts_with('/')
                || name.starts_with("//")
                || name.contains("..")
                || name.ends_with('/');
            return if odd { Answer::No } else { self.at(asked, name, args, stdin) };
        }
        let Some(dirs) = &self.path else { return Answer::No };
        if asked.run_as.is_some() || asked.env.contains(&"PATH") {
            return Answer::No;
        }
        let places = dirs.iter().map(|dir| format!("{dir}/{name}"));
        let answers: Vec<Answer> =
            places.map(|place| self.at(asked, &place, args, stdin)).collect();
        if answers.contains(&Answer::Never) {
            Answer::Never
        } else if answers.contains(&Answer::No) {
            Answer::No
        } else {
            Answer::Yes
        }
    }

    fn at(&self, asked: &Asked, path: &str, args: &[&str], stdin: bool) -> Answer {
        let mut answer = Answer::No;
        for rule in &self.binaries {
            if rule.path != path || !named(rule.hosts, asked.host) {
                continue;
            }
            if !rule.enabled || rule.denied.iter().any(|denied| forbids(denied, args)) {
                return Answer::Never;
            }
            let obeys = rule.path == "/bin/sh" || rule.path == "/usr/bin/xargs";
            let unseen = stdin && !rule.stdin.unwrap_or(rule.shell || !obeys);
            let text = rule.shell && !self.permits(asked, "shell");
            if arguments(rule, args) && self.surroundings(asked, rule) && !unseen && !text {
                answer = Answer::Yes;
            }
        }
        answer
    }

    fn surroundings(&self, asked: &Asked, rule: &Binary) -> bool {
        for name in &asked.env {
            let by_name = self.allowed_env.contains(name) || rule.env.contains(name);
            // `*` stands for what is harmless everywhere.
            let by_star = self.allowed_env.contains(&"*") && *name != "PATH";
            if !by_name && !by_star {
                return false;
            }
        }
        if let Some(dirs) = &rule.workdirs {
            let Some(cwd) = asked.cwd else { return false };
            let below = |dir: &&str| cwd == *dir || cwd.starts_with(&format!("{dir}/"));
            if !dirs.iter().any(below) {
                return false;
            }
        }
        asked.run_as.is_none_or(|user| rule.run_as.contains(&user))
    }
}

fn moves(rules: &[Transfer], asked: &Asked, path: &str) -> bool {
    let mut allowed = false;
    for rule in rules {
        let covered = path == rule.path || path.starts_with(&format!("{}/", rule.path));
        if !covered || !named(rule.hosts, asked.host) {
            continue;
        }
        if rule.deny {
            return false;
        }
        allowed |= asked.run_as.is_none_or(|user| rule.run_as.contains(&user));
    }
    allowed
}

fn forbids(denied: &Arg, args: &[&str]) -> bool {
    args.iter().enumerate().any(|(at, arg)| {
        let name = arg.split('=').next().unwrap();
        let with_value = arg.starts_with('-') && arg.contains('=') && denied.kind.is(name);
        denied.position.is_none_or(|own| own == at) && (denied.kind.is(arg) || with_value)
    })
}

fn arguments(rule: &Binary, args: &[&str]) -> bool {
    let Some(allowed) = &rule.allowed else { return true };
    for (at, arg) in args.iter().enumerate() {
        let fits = |own: &&Arg| own.position.is_none_or(|own| own == at) && own.kind.is(arg);
        if !allowed.iter().any(|own| fits(&own)) {
            return false;
        }
    }
    allowed.iter().filter(|own| own.required).all(|own| match own.position {
        Some(at) => at < args.len() && own.kind.is(args[at]),
        None => args.iter().any(|arg| own.kind.is(arg)),
    })
}
