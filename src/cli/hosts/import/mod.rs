//! `hosts import`.

mod ansible;
mod ansible_ini;
mod ansible_yaml;
mod found;
mod notes;
mod ssh_config;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::print;
use crate::config::Config;
use notes::Notes;

/// Bytes of a file that are read at most.
const FILE_MAX: u64 = 32 << 20;

/// Turn an Ansible inventory or an ssh_config into `vms:` and `groups:`.
///
/// Prints YAML for the configuration. What cannot be taken over is told line by
/// line on stderr; passwords never are taken over.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The inventory or the ssh_config
    file: PathBuf,
    /// What it is [default: guessed from its name and its lines]
    #[arg(long, value_enum, env = "ORCHESTRATOR_FROM", value_name = "FORMAT")]
    from: Option<Format>,
    /// Write to this file, which must not exist, in place of stdout
    #[arg(long, env = "ORCHESTRATOR_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// An inventory, INI or YAML
    Ansible,
    /// OpenSSH's client configuration
    SshConfig,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let text = read(&args.file).map_err(|cause| {
        Failure::usage(format!("{} cannot be read: {cause}", args.file.display()))
    })?;
    let mut notes = Notes::default();
    let format = args.from.unwrap_or_else(|| guess(&args.file, &text));
    let found = match format {
        Format::SshConfig => {
            let home = std::env::home_dir().unwrap_or_default();
            ssh_config::read(&args.file, &text, &home, &mut notes)
        }
        Format::Ansible if is_yaml(&args.file, &text) => {
            let name = args.file.display().to_string();
            let inventory = ansible_yaml::read(&name, &text, &mut notes)
                .map_err(|error| Failure::usage(chain(&error)))?;
            inventory.into_found(&mut notes)
        }
        Format::Ansible => {
            let name = args.file.display().to_string();
            ansible_ini::read(&name, &text, &mut notes).into_found(&mut notes)
        }
    };
    if found.is_empty() {
        let message = format!("no host was found in {}", args.file.display());
        return Err(Failure::usage(message).hint("say what it is: --from ansible or ssh-config"));
    }
    let yaml = found.into_yaml(&mut notes);
    notes.tell(context);
    // Whoever uses it should not be the first to find that it does not load.
    Config::from_yaml_str("what was found", &yaml).map_err(|error| {
        Failure::usage(format!("what was found makes no configuration: {}", chain(&error)))
    })?;
    match &args.out {
        Some(path) => write(path, &yaml).map_err(|cause| {
            Failure::usage(format!("{} cannot be written: {cause}", path.display()))
        })?,
        None => print(|out| Ok(out.write_all(yaml.as_bytes())?))?,
    }
    Ok(0)
}

/// The text, its bytes that are not UTF-8 replaced.
fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(format!("it is larger than {FILE_MAX} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Never over a file: it may be the only copy of an inventory.
fn write(path: &Path, yaml: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(yaml.as_bytes())?;
    file.sync_all()
}

fn guess(path: &Path, text: &str) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let keyword = |line: &str| {
        let word = line.trim().split([' ', '\t', '=']).next().unwrap_or_default();
        ["host", "match", "include"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
    };
    let by_name = matches!(&*name, "config" | "ssh_config");
    let by_lines = text.lines().any(keyword) && !text.lines().any(|line| line.starts_with('['));
    if by_name || by_lines { Format::SshConfig } else { Format::Ansible }
}

/// An INI inventory has sections or plain names; YAML a mapping from its first line on.
fn is_yaml(path: &Path, text: &str) -> bool {
    let by_name = path.extension().is_some_and(|end| end == "yml" || end == "yaml");
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with(';'));
    by_name || lines.next().is_some_and(|line| line == "---" || line.ends_with(':'))
}
