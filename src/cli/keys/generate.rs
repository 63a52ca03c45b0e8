//! `keys generate`.

use jiff::Timestamp;

use super::{keys, new_passphrase};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::print;
use crate::cli::table::Table;
use crate::cli::targets::{self, TargetArgs};
use crate::keys::{Generated, Pair, generate};
use crate::report::exit::Exit;
use crate::ssh::key_file;

/// Make a key pair for each VM that has none (Ed25519).
///
/// The private key is where a connection looks for it: identity_file, or
/// id_ed25519_VM in key_storage_path. A key that is there is kept, unless --force:
/// then it is renamed to NAME.backup.TIME. To replace a key that is in use, rotate it.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Make a new key where there is one already, and keep that under another name
    #[arg(long, env = "ORCHESTRATOR_FORCE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    force: bool,
    /// Make keys without a passphrase where key_storage_type asks for one
    #[arg(long, env = "ORCHESTRATOR_NO_PASSPHRASE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_passphrase: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let hosts = args.narrow.select(context, &args.targets)?.selection;
    let config = context.config()?;
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &hosts);
    }
    let keys = keys(&config, &hosts)?;
    let needed = |path: &std::path::PathBuf| args.force || path.symlink_metadata().is_err();
    let passphrase = match keys.iter().any(|(_, path)| needed(path)) {
        true => new_passphrase(context, &config, args.no_passphrase)?,
        false => None,
    };
    let mut table = Table::with_header(&["ID", "RESULT", "KEY", "FILE"]);
    let mut code = Exit::Ok;
    for (host, path) in keys {
        let shared = crate::orchestrator::sharing(&config.inventory, host);
        let pair = Pair { vm: &host.id, path: &path, passphrase: passphrase.as_ref() };
        // The second of those who share it would throw away the first one's.
        let force = args.force && shared.is_empty();
        let made = generate(pair, force, Timestamp::now()).and_then(|made| {
            Ok(match made {
                Generated::Kept => {
                    let facts = key_file::inspect(&path)?;
                    ("kept".to_owned(), facts.fingerprint)
                }
                Generated::Made { key, backup } => {
                    let result = match backup {
                        Some(backup) => format!("made, the old one is {}", backup.display()),
                        None => "made".into(),
                    };
                    (result, Some(key.public.fingerprint))
                }
            })
        });
        let file = path.display().to_string();
        match made {
            Ok((result, key)) => {
                table.row([host.id.as_str(), &result, &key.unwrap_or_else(|| "-".into()), &file]);
            }
            Err(error) => {
                code = Exit::Failed;
                let result = format!("failed: {}", chain(&error));
                table.row([host.id.as_str(), &result, "-", &file]);
                context.note("hint", &format!("{}: {}", host.id, error.hint()));
            }
        }
    }
    print(|out| Ok(table.write(out)?))?;
    Ok(code.code())
}
