//! Reading values that several commands take.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::failure::Failure;
use super::terminal::Terminal;
use crate::config::{Config, duration};
use crate::prompt::Prompter;
use crate::remote::{EnvName, Secret};
use crate::run::{InvalidShare, Share};
use crate::{Overrides, inventory};

/// `30`, `30s`, `2m`, `1h30m`; 0 is none.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// A number of hosts, or a share of them, of which at least one is meant.
pub(super) fn parse_some(text: &str) -> Result<Share, String> {
    match text.parse().map_err(|error: InvalidShare| error.to_string())? {
        Share::Hosts(0) | Share::Percent(0) => Err("at least one host is needed".into()),
        share => Ok(share),
    }
}

/// `K=V`, the value byte for byte.
pub(super) fn variable(text: &OsStr) -> Result<(EnvName, OsString), Failure> {
    let bytes = text.as_bytes();
    let Some(at) = bytes.iter().position(|&byte| byte == b'=') else {
        let text = text.to_string_lossy();
        return Err(Failure::usage(format!("-e {text}: there is no =")).hint("write -e NAME=VALUE"));
    };
    Ok((
        name(&String::from_utf8_lossy(&bytes[..at]))?,
        OsString::from_vec(bytes[at + 1..].to_vec()),
    ))
}

/// What becomes of the secrets that a command line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They are read, or asked for.
    Read,
    /// It is noted where they come from: nothing needs them yet.
    Named,
}

const SECRET_FORM: &str = "write NAME=env:VAR, NAME=file:PATH or NAME=prompt";

/// `NAME=env:VAR`, `NAME=file:PATH` or `NAME=prompt`: the value itself never
/// stands on the command line.
pub(super) fn secret(text: &str, secrets: Secrets) -> Result<(EnvName, Secret), Failure> {
    let Some((variable, source)) = text.split_once('=') else {
        return Err(Failure::usage("--secret-env: there is no =").hint(SECRET_FORM));
    };
    let name = name(variable)?;
    let flag = format!("--secret-env {}", name.as_str());
    let value = match secrets {
        Secrets::Read => secret_from(&flag, name.as_str(), source)?,
        Secrets::Named => SecretString::default(),
    };
    Ok((name, Secret::new(value).from_source(lasting_source(&flag, source)?)))
}

/// A source that means the same whoever reads it later, from wherever.
pub(super) fn lasting_source(flag: &str, source: &str) -> Result<String, Failure> {
    match source.split_once(':') {
        Some(("env", _)) => Ok(source.to_owned()),
        Some(("file", path)) => {
            let path = std::path::absolute(path)
                .map_err(|error| Failure::usage(format!("{flag}: {path}: {error}")))?;
            Ok(format!("file:{}", path.display()))
        }
        None if source == "prompt" => Ok(source.to_owned()),
        _ => {
            let message = format!("{flag}: the value does not say where from");
            Err(Failure::usage(message).hint(SECRET_FORM))
        }
    }
}

/// `env:VAR`, `file:PATH` or `prompt`, given to `flag` for `name`.
pub(super) fn secret_from(flag: &str, name: &str, source: &str) -> Result<SecretString, Failure> {
    let form = SECRET_FORM;
    let value = match source.split_once(':') {
        Some(("env", variable)) => match std::env::var(variable) {
            Ok(value) => SecretString::from(value),
            Err(_) => {
                let message = format!("{flag}: {variable} is not set");
                return Err(Failure::usage(message).hint(form));
            }
        },
        Some(("file", path)) => {
            let text = std::fs::read_to_string(path)
                .map(zeroize::Zeroizing::new)
                .map_err(|error| Failure::usage(format!("{flag}: {path}: {error}")))?;
            // A file written by an editor or by echo ends with a newline that
            // is not meant.
            SecretString::from(text.strip_suffix('\n').unwrap_or(&text))
        }
        None if source == "prompt" => Terminal
            .secret(&format!("{name}: "))
            .map_err(|error| Failure::usage(error.to_string()).hint(form))?,
        // The text may be the secret itself, so it is not repeated.
        _ => {
            let message = format!("{flag}: the value does not say where from");
            return Err(Failure::usage(message).hint(form));
        }
    };
    Ok(value)
}

fn name(text: &str) -> Result<EnvName, Failure> {
    text.parse().map_err(|error: crate::remote::InvalidCommand| Failure::usage(error.to_string()))
}

/// `--connect-timeout`, in place of the configuration's own bounds.
pub(super) fn limit_connecting(config: &mut Config, timeout: Option<Duration>) {
    if let Some(timeout) = timeout {
        config.ssh.connect_timeout = timeout;
        config.ssh.auth_timeout = config.ssh.auth_timeout.min(timeout);
    }
}

/// Flags that mean what they mean to ssh, for every VM of the request.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct SshArgs {
    /// Log in as this user
    #[arg(short = 'l', long = "login", env = "ORCHESTRATOR_LOGIN", value_name = "USER")]
    user: Option<String>,
    /// Use this private key
    #[arg(short, long, env = "ORCHESTRATOR_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Connect to this port
    #[arg(short, long, env = "ORCHESTRATOR_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Go through these hosts: VM ids or user@host:port, by commas; `none` for none
    #[arg(short = 'J', long = "jump", env = "ORCHESTRATOR_JUMP", value_name = "HOSTS")]
    jump: Option<String>,
    /// Give up connecting after this long
    #[arg(long, env = "ORCHESTRATOR_CONNECT_TIMEOUT", value_parser = parse_duration, value_name = "DURATION")]
    pub(super) connect_timeout: Option<Duration>,
}

impl SshArgs {
    pub(super) fn overrides(&self) -> Result<Overrides, Failure> {
        let proxy_jump = self
            .jump
            .as_deref()
            .map(inventory::Jump::parse_chain)
            .transpose()
            .map_err(|error| Failure::usage(format!("-J: {error}")))?;
        Ok(Overrides {
            user: self.user.clone(),
            port: self.port,
            identity_file: self.identity.clone(),
            proxy_jump,
        })
    }
}
