//! What a command and a script have in common, written down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::action::{NotPlannable, SUDO_PASSWORD, Secrets};
use super::describe::words;
use super::octets::Octets;
use super::read_bounded;
use crate::hex::hex;
use crate::remote::{Command, EnvName, OnDisconnect, RunAs, SudoPassword};

/// How much a command may be given to read, in bytes.
const STDIN_MAX: usize = 16 << 20;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(super) cwd: Option<Octets>,
    env: Vec<(String, Octets)>,
    /// Names, and where the value comes from.
    pub(super) secret_env: Vec<(String, String)>,
    pub(super) clean_env: bool,
    pub(super) stdin: Option<Stdin>,
    pub(super) shell: Option<String>,
    pub(super) sudo: Option<Sudo>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) kill_on_disconnect: bool,
    pub(super) idempotent: bool,
    pub(super) allow_interactive: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Stdin {
    Bytes(Octets),
    /// Its content may be secret, and so only its digest is here.
    File {
        path: Octets,
        bytes: usize,
        sha256: String,
    },
}

/// Whom something runs as.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sudo {
    pub(super) user: String,
    /// Where the password comes from, if one is needed.
    pub(super) password: Option<String>,
}

impl Process {
    pub(super) fn of(command: &Command, cwd: Option<&Path>) -> Result<Self, NotPlannable> {
        let mut secret_env = Vec::new();
        for (name, secret) in &command.secret_env {
            let from = secret.source();
            let from = from.ok_or_else(|| NotPlannable::Secret(name.as_str().into()))?;
            secret_env.push((name.as_str().to_owned(), from.to_owned()));
        }
        let env = command.env.iter();
        Ok(Self {
            cwd: command.cwd.as_ref().map(Octets::of),
            env: env.map(|(name, value)| (name.as_str().into(), Octets::of(value))).collect(),
            secret_env,
            clean_env: command.clean_env,
            stdin: Stdin::of(&command.stdin, cwd)?,
            shell: command.shell.clone(),
            sudo: command.run_as.as_ref().map(Sudo::of).transpose()?,
            timeout_ms: command.timeout.map(milliseconds),
            kill_on_disconnect: command.on_disconnect == OnDisconnect::Kill,
            idempotent: command.idempotent,
            allow_interactive: command.allow_interactive,
        })
    }

    pub(super) fn apply(
        &self,
        mut command: Command,
        with: &Secrets,
    ) -> Result<Command, NotPlannable> {
        let name = |name: &str| {
            name.parse::<EnvName>().map_err(|error| NotPlannable::Unwritable(error.to_string()))
        };
        for (variable, value) in &self.env {
            command = command.env(name(variable)?, value.to_os());
        }
        for (variable, _) in &self.secret_env {
            let secret = with.get(variable);
            let secret = secret.ok_or_else(|| NotPlannable::Secret(variable.clone()))?;
            command = command.secret_env(name(variable)?, secret.clone());
        }
        command.cwd = self.cwd.as_ref().map(Octets::to_os);
        command.clean_env = self.clean_env;
        if let Some(stdin) = &self.stdin {
            command.stdin = stdin.read()?;
        }
        command.shell.clone_from(&self.shell);
        command.run_as = self.sudo.as_ref().map(|sudo| sudo.run_as(with)).transpose()?;
        command.timeout = self.timeout_ms.map(Duration::from_millis);
        if self.kill_on_disconnect {
            command.on_disconnect = OnDisconnect::Kill;
        }
        command.idempotent = self.idempotent;
        command.allow_interactive = self.allow_interactive;
        Ok(command)
    }

    /// `NAME=VALUE` of each variable, to look for secrets in.
    pub(super) fn assignments(&self) -> impl Iterator<Item = String> {
        self.env.iter().map(|(name, value)| format!("{name}={}", value.to_os().to_string_lossy()))
    }
}

impl Stdin {
    fn of(stdin: &crate::remote::Stdin, cwd: Option<&Path>) -> Result<Option<Self>, NotPlannable> {
        use crate::remote::Stdin as Given;
        Ok(match stdin {
            Given::Empty => None,
            Given::Inherit => return Err(NotPlannable::Stdin),
            Given::Bytes(bytes) => Some(Self::Bytes(Octets(bytes.to_vec()))),
            Given::File(path) => {
                let path = absolute(path, cwd);
                let (bytes, sha256) = content(&path)?;
                Some(Self::File { path: Octets::of(path), bytes: bytes.len(), sha256 })
            }
        })
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bytes(bytes) => {
                let text = String::from_utf8_lossy(&bytes.0);
                format!("{} bytes that the plan holds: {text}", bytes.0.len())
            }
            Self::File { path, bytes, sha256 } => {
                let path = words(std::slice::from_ref(path));
                format!("{path} {bytes} bytes, sha256 {sha256}")
            }
        }
    }

    /// What the command gets: of a file the bytes that were checked, whatever
    /// becomes of it.
    fn read(&self) -> Result<crate::remote::Stdin, NotPlannable> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.0.clone(),
            Self::File { path, sha256, .. } => {
                let path = PathBuf::from(path.to_os());
                let (bytes, found) = content(&path)?;
                if found != *sha256 {
                    return Err(NotPlannable::Changed { path });
                }
                bytes
            }
        };
        Ok(crate::remote::Stdin::Bytes(bytes.into()))
    }
}

impl Sudo {
    pub(super) fn of(run_as: &RunAs) -> Result<Self, NotPlannable> {
        let password = match &run_as.password {
            SudoPassword::NotNeeded => None,
            SudoPassword::Given(secret) => {
                let from = secret.source();
                Some(from.ok_or_else(|| NotPlannable::Secret(SUDO_PASSWORD.into()))?.to_owned())
            }
        };
        Ok(Self { user: run_as.user.clone().unwrap_or_else(|| "root".into()), password })
    }

    pub(super) fn run_as(&self, with: &Secrets) -> Result<RunAs, NotPlannable> {
        let password = match self.password {
            None => SudoPassword::NotNeeded,
            Some(_) => {
                let secret = with.get(SUDO_PASSWORD);
                let missing = || NotPlannable::Secret(SUDO_PASSWORD.into());
                SudoPassword::Given(secret.ok_or_else(missing)?.clone())
            }
        };
        Ok(RunAs { user: Some(self.user.clone()).filter(|user| user != "root"), password })
    }
}

fn content(path: &Path) -> Result<(Vec<u8>, String), NotPlannable> {
    let bytes = read_bounded(path, STDIN_MAX)
        .map_err(|source| NotPlannable::Local { path: path.into(), source })?;
    let sha256 = hex(Sha256::digest(&bytes));
    Ok((bytes, sha256))
}

pub(super) fn absolute(path: &Path, cwd: Option<&Path>) -> PathBuf {
    cwd.map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
