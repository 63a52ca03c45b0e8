//! What is done, written down in full.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::octets::{Octets, all, to_os};
use super::process::Process;
use super::transfer::Moved;
use crate::redact::Redactor;
use crate::remote::{Action, Command, CommandList, Program, Script, ScriptSource, Secret};

/// The name of the secret that sudo asks for; no variable can be called so.
pub const SUDO_PASSWORD: &str = "sudo password";

/// The values of secrets, by their names.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// Why something cannot be written down, or not be done as it is written.
#[derive(Debug, thiserror::Error)]
pub enum NotPlannable {
    /// A file is not what the plan was made of.
    #[error("{} is not what the plan was made of", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It is too long.
    #[error("the plan would have more than {} MiB", super::SIZE_MAX >> 20)]
    Large,
    /// A local file cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret may stand in no plan.
    #[error("{0} holds what looks like a secret, and a plan is read by others")]
    LooksSecret(&'static str),
    /// A secret without its source, or without its value.
    #[error("the plan needs the secret {0:?}, and where it comes from was not said")]
    Secret(String),
    /// What is typed later cannot be approved now.
    #[error("our own stdin cannot be part of a plan")]
    Stdin,
    /// A file to be sent cannot be taken down.
    #[error("{0}")]
    Transfer(String),
    /// It makes no sense.
    #[error("the plan makes no sense: {0}")]
    Unwritable(String),
}

impl NotPlannable {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "plan_changed",
            Self::Secret(_) | Self::LooksSecret(_) => "plan_secret",
            Self::Local { .. } | Self::Transfer(_) => "local_unreadable",
            Self::Large | Self::Stdin | Self::Unwritable(_) => "plan_invalid",
        }
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "put it back as it was, or make a new plan",
            Self::Large => "push it as a file, then plan to run that",
            Self::Local { .. } | Self::Transfer(_) => "check its path and permissions",
            Self::LooksSecret(_) | Self::Secret(_) => {
                "give it by --secret-env NAME=env:VAR, file:PATH or prompt"
            }
            Self::Stdin => "put it into a file and give that",
            Self::Unwritable(_) => "make a new plan",
        }
    }
}

/// An action.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum What {
    Argv {
        argv: Vec<Octets>,
        process: Process,
    },
    Shell {
        text: Octets,
        process: Process,
    },
    Commands {
        /// Each as it would be alone.
        commands: Vec<What>,
        keep_going: bool,
        parallel: NonZeroUsize,
        shell_session: bool,
    },
    Script {
        source: Source,
        interpreter: Vec<Octets>,
        args: Vec<Octets>,
        place: Option<Octets>,
        mode: Option<u32>,
        /// In a library of scripts.
        id: Option<String>,
        systems: Vec<String>,
        process: Process,
    },
    Transfer(Box<Moved>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Source {
    Bytes { name: Octets, sha256: String, base64: String },
    Host(Octets),
}

impl What {
    /// Writes an action down. Blocks: files that it reads or sends are hashed.
    pub(crate) fn of(
        action: &Action,
        cwd: Option<&Path>,
        redactor: &Redactor,
    ) -> Result<Self, NotPlannable> {
        let what = match action {
            Action::Command(command) => Self::command(command, cwd)?,
            Action::Commands(list) => Self::Commands {
                commands: list
                    .commands
                    .iter()
                    .map(|command| Self::command(command, cwd))
                    .collect::<Result<_, _>>()?,
                keep_going: list.keep_going,
                parallel: list.parallel,
                shell_session: list.shell_session,
            },
            Action::Script(script) => Self::Script {
                source: Source::of(script)?,
                interpreter: all(&script.interpreter),
                args: all(&script.args),
                place: script.place.as_ref().map(Octets::of),
                mode: script.mode,
                id: script.id.clone(),
                systems: script.systems.clone(),
                process: Process::of(&script.settings, cwd)?,
            },
            Action::Transfer(transfer) => Self::Transfer(Box::new(Moved::of(transfer, cwd)?)),
        };
        what.refuse_secrets(redactor)?;
        Ok(what)
    }

    fn command(command: &Command, cwd: Option<&Path>) -> Result<Self, NotPlannable> {
        let process = Process::of(command, cwd)?;
        Ok(match &command.program {
            Program::Argv(argv) => Self::Argv { argv: all(argv), process },
            Program::Shell(text) => Self::Shell { text: Octets::of(text), process },
        })
    }

    /// The action. Blocks: what it reads is compared with what the plan was made
    /// of.
    pub(crate) fn action(&self, with: &Secrets) -> Result<Action, NotPlannable> {
        Ok(match self {
            Self::Argv { .. } | Self::Shell { .. } => self.to_command(with)?.into(),
            Self::Commands { commands, keep_going, parallel, shell_session } => {
                let commands: Vec<Command> =
                    commands.iter().map(|one| one.to_command(with)).collect::<Result<_, _>>()?;
                CommandList::new(commands)
                    .keep_going(*keep_going)
                    .parallel(*parallel)
                    .shell_session(*shell_session)
                    .into()
            }
            Self::Script { source, interpreter, args, place, mode, id, systems, process } => {
                let mut script = source.script()?;
                script.interpreter = to_os(interpreter);
                script.args = to_os(args);
                script.place = place.as_ref().map(Octets::to_os);
                script.mode = *mode;
                script.id.clone_from(id);
                script.systems.clone_from(systems);
                script.settings = process.apply(script.settings, with)?;
                script.into()
            }
            Self::Transfer(moved) => moved.transfer(with)?.into(),
        })
    }

    pub(crate) fn to_command(&self, with: &Secrets) -> Result<Command, NotPlannable> {
        match self {
            Self::Argv { argv, process } => {
                let mut words = argv.iter().map(Octets::to_os);
                let program = words.next().unwrap_or_default();
                process.apply(Command::new(program).args(words), with)
            }
            Self::Shell { text, process } => process.apply(Command::shell(text.to_os()), with),
            _ => Err(NotPlannable::Unwritable("it is no command".into())),
        }
    }

    /// The secrets that it needs, and where each comes from.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for process in self.processes() {
            found.extend(process.secret_env.iter().cloned());
            let sudo = process.sudo.as_ref().and_then(|sudo| sudo.password.clone());
            found.extend(sudo.map(|from| (SUDO_PASSWORD.to_owned(), from)));
        }
        if let Self::Transfer(moved) = self {
            let sudo = moved.sudo.as_ref().and_then(|sudo| sudo.password.clone());
            found.extend(sudo.map(|from| (SUDO_PASSWORD.to_owned(), from)));
        }
        found.sort();
        found.dedup_by(|one, other| one.0 == other.0);
        found
    }

    fn processes(&self) -> Vec<&Process> {
        match self {
            Self::Argv { process, .. }
            | Self::Shell { process, .. }
            | Self::Script { process, .. } => vec![process],
            Self::Commands { commands, .. } => commands.iter().flat_map(Self::processes).collect(),
            Self::Transfer(_) => Vec::new(),
        }
    }

    /// What would be seen by whoever reads the plan must not look like a secret.
    fn refuse_secrets(&self, redactor: &Redactor) -> Result<(), NotPlannable> {
        let words = |words: &[Octets]| {
            let words: Vec<String> =
                to_os(words).iter().map(|word| word.to_string_lossy().into_owned()).collect();
            redactor.redact_argv(&words).iter().any(|word| !word.hits.is_empty())
        };
        let text = |text: &OsString| !redactor.redact(&text.to_string_lossy()).hits.is_empty();
        let found = match self {
            Self::Argv { argv, .. } => words(argv).then_some("the command"),
            Self::Shell { text: shell, .. } => text(&shell.to_os()).then_some("the command"),
            Self::Script { args, .. } => words(args).then_some("an argument of the script"),
            Self::Commands { commands, .. } => {
                commands.iter().try_for_each(|command| command.refuse_secrets(redactor))?;
                None
            }
            Self::Transfer(_) => None,
        };
        let variable = |process: &&Process| {
            process.assignments().any(|one| !redactor.redact(&one).hits.is_empty())
        };
        let found = found.or_else(|| self.processes().iter().any(variable).then_some("a variable"));
        found.map_or(Ok(()), |what| Err(NotPlannable::LooksSecret(what)))
    }
}

impl Source {
    fn of(script: &Script) -> Result<Self, NotPlannable> {
        match &script.source {
            ScriptSource::Host(path) => Ok(Self::Host(Octets::of(path))),
            ScriptSource::Bytes { name, bytes, sha256 } => Ok(Self::Bytes {
                name: Octets::of(name),
                sha256: sha256.clone(),
                base64: STANDARD.encode(bytes),
            }),
            ScriptSource::File(_) => {
                Err(NotPlannable::Unwritable("its script was not read".into()))
            }
        }
    }

    /// The text that is sent, if one is.
    pub(super) fn text(&self) -> Option<String> {
        let Self::Bytes { base64, .. } = self else { return None };
        let bytes = STANDARD.decode(base64).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    fn script(&self) -> Result<Script, NotPlannable> {
        let (name, sha256, base64) = match self {
            Self::Host(path) => return Ok(Script::on_host(path.to_os())),
            Self::Bytes { name, sha256, base64 } => (name, sha256, base64),
        };
        let bytes = STANDARD
            .decode(base64)
            .map_err(|error| NotPlannable::Unwritable(format!("its script: {error}")))?;
        let script = Script::text(name.to_os(), bytes);
        if script.sha256() != Some(sha256) {
            let why = "its script does not have the SHA-256 that it says";
            return Err(NotPlannable::Unwritable(why.into()));
        }
        Ok(script)
    }
}
