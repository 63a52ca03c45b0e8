//! What is needed to do the same again.

mod local;
mod moved;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use local::Changed;

use local::{LocalFile, digest};
use moved::Moved;

use super::detail::{Name, micros};
use crate::redact::Redactor;
use crate::remote::{
    Action, Command, CommandList, OnDisconnect, Program, RunAs, Script, ScriptSource, Stdin,
    SudoPassword,
};

/// How much of the files that a run sends is hashed beside it, in bytes.
const HASHED_MAX: u64 = 256 << 20;

/// What a request has beside its action.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The local file that a script was read from.
    pub script: Option<PathBuf>,
    /// What relative paths are relative to.
    pub cwd: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// How hosts are reached, where that is not as the inventory says.
    pub way: Way,
    /// How long it may take on each host; zero is no limit.
    pub timeout: Duration,
    /// How long processes have between TERM and KILL.
    pub grace: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// Hosts at once.
    pub fanout: usize,
    /// Whether one host was named, by its id.
    pub single: bool,
}

/// What a request set in place of the inventory.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The user who logs in.
    pub user: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// The private key.
    pub identity_file: Option<PathBuf>,
    /// The jump hosts, by commas; `none` for none.
    pub proxy_jump: Option<String>,
}

/// A run as it could be done again: everything but the hosts and secrets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recipe {
    what: What,
    /// How hosts are reached.
    pub way: Way,
    /// How long it may take on each host; zero is no limit.
    pub timeout: Duration,
    /// How long processes have between TERM and KILL.
    pub grace: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// Hosts at once.
    pub fanout: usize,
    /// Whether one host was named, by its id.
    pub single: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Argv {
        argv: Vec<Name>,
        settings: Settings,
    },
    Shell {
        text: Name,
        settings: Settings,
    },
    Commands {
        /// Each as it would be alone.
        commands: Vec<What>,
        keep_going: bool,
        parallel: NonZeroUsize,
        shell_session: bool,
    },
    Script {
        from: From,
        interpreter: Vec<Name>,
        args: Vec<Name>,
        place: Option<Name>,
        mode: Option<u32>,
        settings: Settings,
    },
    Transfer(Box<Moved>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum From {
    Here(LocalFile),
    Host(Name),
}

/// What a command and a script have in common.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Settings {
    cwd: Option<Name>,
    env: Vec<(String, Name)>,
    clean_env: bool,
    stdin: Option<LocalFile>,
    shell: Option<String>,
    run_as: Option<String>,
    kill_on_disconnect: bool,
    idempotent: bool,
    allow_interactive: bool,
    timeout_us: Option<u64>,
}

impl Recipe {
    /// How to do an action again, or why that is not possible.
    ///
    /// Files are named in it and not hashed yet.
    pub(super) fn of(
        action: &Action,
        around: &Circumstances,
        redactor: &Redactor,
    ) -> Result<Self, String> {
        let what = match action {
            Action::Command(command) => What::command(command, around)?,
            Action::Commands(list) => What::Commands {
                commands: list
                    .commands
                    .iter()
                    .map(|command| What::command(command, around))
                    .collect::<Result<_, _>>()?,
                keep_going: list.keep_going,
                parallel: list.parallel,
                shell_session: list.shell_session,
            },
            Action::Script(script) => What::Script {
                from: source(script, around)?,
                interpreter: names(&script.interpreter),
                args: names(&script.args),
                place: script.place.as_ref().map(Name::new),
                mode: script.mode,
                settings: Settings::of(&script.settings, around)?,
            },
            Action::Transfer(transfer) => What::Transfer(Box::new(Moved::of(transfer, around)?)),
        };
        let recipe = Self {
            what,
            way: around.way.clone(),
            timeout: around.timeout,
            grace: around.grace,
            attempts: around.attempts,
            fanout: around.fanout,
            single: around.single,
        };
        if recipe.has_secret(action, redactor) {
            return Err("it holds what looks like a secret".into());
        }
        Ok(recipe)
    }

    /// Hashes the files that it names. Blocks.
    pub(super) fn prove(&mut self) -> Result<(), String> {
        let mut left = HASHED_MAX;
        for file in self.files_mut().into_iter().filter(|file| file.sha256.is_empty()) {
            let path = PathBuf::from(file.path.to_os());
            file.sha256 =
                digest(&path, &mut left).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// The action, if the files that it needs are what they were. Blocks.
    ///
    /// # Errors
    /// One is not, or cannot be read.
    pub fn action(&self) -> Result<Action, Changed> {
        let action = match &self.what {
            What::Argv { .. } | What::Shell { .. } => self.what.to_command()?.into(),
            What::Commands { commands, keep_going, parallel, shell_session } => {
                let commands: Vec<Command> =
                    commands.iter().map(What::to_command).collect::<Result<_, _>>()?;
                CommandList::new(commands)
                    .keep_going(*keep_going)
                    .parallel(*parallel)
                    .shell_session(*shell_session)
                    .into()
            }
            What::Script { from, interpreter, args, place, mode, settings } => {
                let mut script = match from {
                    From::Here(file) => file.script()?,
                    From::Host(path) => Script::on_host(path.to_os()),
                };
                script.interpreter = interpreter.iter().map(Name::to_os).collect();
                script.args = args.iter().map(Name::to_os).collect();
                script.place = place.as_ref().map(Name::to_os);
                script.mode = *mode;
                script.settings = settings.apply(script.settings)?;
                script.into()
            }
            What::Transfer(moved) => moved.transfer()?.into(),
        };
        Ok(action)
    }

    /// Whether it moves files.
    pub fn moves_files(&self) -> bool {
        matches!(self.what, What::Transfer(_))
    }

    /// Whether several commands run at once on each host.
    pub fn is_parallel(&self) -> bool {
        matches!(&self.what, What::Commands { parallel, .. } if parallel.get() > 1)
    }

    /// The local file that its script comes from.
    pub fn script(&self) -> Option<PathBuf> {
        match &self.what {
            What::Script { from: From::Here(file), .. } => Some(file.path.to_os().into()),
            _ => None,
        }
    }

    fn files_mut(&mut self) -> Vec<&mut LocalFile> {
        self.what.files_mut()
    }

    /// Whether the redactor would take something out of it.
    fn has_secret(&self, action: &Action, redactor: &Redactor) -> bool {
        let found = |text: &str| !redactor.redact(text).hits.is_empty();
        argvs(action).into_iter().any(|words| {
            let words: Vec<String> =
                words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            redactor.redact_argv(&words).iter().any(|word| !word.hits.is_empty())
        }) || found(&action.display())
            || self
                .what
                .env()
                .into_iter()
                .any(|(name, value)| found(&format!("{name}={}", value.to_os().to_string_lossy())))
            || serde_json::to_value(self).is_ok_and(|value| any_text(&value, &found))
    }
}

/// The words that no shell reads.
fn argvs(action: &Action) -> Vec<&[OsString]> {
    fn argv(command: &Command) -> Option<&[OsString]> {
        match &command.program {
            Program::Argv(argv) => Some(argv),
            Program::Shell(_) => None,
        }
    }
    match action {
        Action::Command(command) => argv(command).into_iter().collect(),
        Action::Commands(list) => list.commands.iter().filter_map(argv).collect(),
        Action::Script(script) => vec![&script.args],
        Action::Transfer(_) => Vec::new(),
    }
}

impl What {
    fn command(command: &Command, around: &Circumstances) -> Result<Self, String> {
        let settings = Settings::of(command, around)?;
        Ok(match &command.program {
            Program::Argv(argv) => Self::Argv { argv: names(argv), settings },
            Program::Shell(text) => Self::Shell { text: Name::new(text), settings },
        })
    }

    fn to_command(&self) -> Result<Command, Changed> {
        match self {
            Self::Argv { argv, settings } => {
                let mut words = argv.iter().map(Name::to_os);
                let program = words.next().unwrap_or_default();
                settings.apply(Command::new(program).args(words))
            }
            Self::Shell { text, settings } => settings.apply(Command::shell(text.to_os())),
            Self::Commands { .. } | Self::Script { .. } | Self::Transfer(_) => {
                Err(Changed::Damaged("it is no command".into()))
            }
        }
    }

    fn env(&self) -> Vec<&(String, Name)> {
        match self {
            Self::Argv { settings, .. }
            | Self::Shell { settings, .. }
            | Self::Script { settings, .. } => settings.env.iter().collect(),
            Self::Commands { commands, .. } => commands.iter().flat_map(Self::env).collect(),
            Self::Transfer(_) => Vec::new(),
        }
    }

    fn files_mut(&mut self) -> Vec<&mut LocalFile> {
        match self {
            What::Argv { settings, .. } | What::Shell { settings, .. } => {
                settings.stdin.iter_mut().collect()
            }
            What::Commands { commands, .. } => {
                commands.iter_mut().flat_map(Self::files_mut).collect()
            }
            What::Script { from, settings, .. } => {
                let script = match from {
                    From::Here(file) => Some(file),
                    From::Host(_) => None,
                };
                script.into_iter().chain(&mut settings.stdin).collect()
            }
            What::Transfer(moved) => moved.files.iter_mut().collect(),
        }
    }
}

fn any_text(value: &serde_json::Value, found: &dyn Fn(&str) -> bool) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, found)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, found)),
        _ => false,
    }
}

fn names(words: &[OsString]) -> Vec<Name> {
    words.iter().map(Name::new).collect()
}

fn source(script: &Script, around: &Circumstances) -> Result<From, String> {
    if script.id.is_some() {
        // It is looked up, checked and searched anew each time.
        return Err("its script is from the script library".into());
    }
    match (&script.source, &around.script) {
        (ScriptSource::Host(path), _) => Ok(From::Host(Name::new(path))),
        (ScriptSource::Bytes { sha256, .. }, Some(path)) => {
            let path = Name::new(absolute(path, around));
            Ok(From::Here(LocalFile { path, sha256: sha256.clone() }))
        }
        (ScriptSource::File(path), _) => Ok(From::Here(LocalFile::new(path, around))),
        (ScriptSource::Bytes { .. }, None) => Err("its script did not come from a file".into()),
    }
}

fn absolute(path: &Path, around: &Circumstances) -> PathBuf {
    around.cwd.as_ref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
}

/// Whom it runs as, if no password is needed for that.
fn run_as(run_as: Option<&RunAs>) -> Result<Option<String>, String> {
    match run_as {
        Some(RunAs { password: SudoPassword::Given(_), .. }) => {
            Err("it was given a sudo password".into())
        }
        Some(run_as) => Ok(Some(run_as.user.clone().unwrap_or_else(|| "root".into()))),
        None => Ok(None),
    }
}

fn sudo(user: Option<&String>) -> Option<RunAs> {
    let user = user?.clone();
    let user = Some(user).filter(|user| user != "root");
    Some(RunAs { user, password: SudoPassword::NotNeeded })
}

impl Settings {
    fn of(command: &Command, around: &Circumstances) -> Result<Self, String> {
        if let Some((name, _)) = command.secret_env.first() {
            return Err(format!("it was given the secret {}", name.as_str()));
        }
        let stdin = match &command.stdin {
            Stdin::Empty => None,
            Stdin::File(path) => Some(LocalFile::new(path, around)),
            Stdin::Bytes(_) | Stdin::Inherit => {
                return Err("its input did not come from a file".into());
            }
        };
        let env = command.env.iter();
        Ok(Self {
            cwd: command.cwd.as_ref().map(Name::new),
            env: env.map(|(name, value)| (name.as_str().into(), Name::new(value))).collect(),
            clean_env: command.clean_env,
            stdin,
            shell: command.shell.clone(),
            run_as: run_as(command.run_as.as_ref())?,
            kill_on_disconnect: command.on_disconnect == OnDisconnect::Kill,
            idempotent: command.idempotent,
            allow_interactive: command.allow_interactive,
            timeout_us: command.timeout.map(micros),
        })
    }

    fn apply(&self, mut command: Command) -> Result<Command, Changed> {
        for (name, value) in &self.env {
            let name = name.parse().map_err(|error| Changed::Damaged(format!("{error}")))?;
            command.env.push((name, value.to_os()));
        }
        command.cwd = self.cwd.as_ref().map(Name::to_os);
        command.clean_env = self.clean_env;
        if let Some(file) = &self.stdin {
            file.check()?;
            command.stdin = Stdin::File(file.path.to_os().into());
        }
        command.shell.clone_from(&self.shell);
        command.run_as = sudo(self.run_as.as_ref());
        if self.kill_on_disconnect {
            command.on_disconnect = OnDisconnect::Kill;
        }
        command.idempotent = self.idempotent;
        command.allow_interactive = self.allow_interactive;
        command.timeout = self.timeout_us.map(Duration::from_micros);
        Ok(command)
    }
}
