//! `approve`: sign somebody else's plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Context;
use super::failure::Failure;
use super::plan::show;
use super::stdout::print;
use super::terminal::Terminal;
use crate::approval::{NAMESPACE, PlanFile, read_bounded, write_new};
use crate::prompt::{PromptError, Prompter};
use crate::report::exit::Exit;
use crate::ssh::keys::Passphrases;
use crate::ssh::signature::{
    SIGNATURE_MAX, SignError, SignerKey, agent_keys, sign_by_agent, sign_by_file,
};
use crate::{Orchestrator, Overrides};

/// Look at a plan, and sign it with your own key.
///
/// What the plan would do is shown, and signed once you say yes: a detached SSH
/// signature beside the file. Whoever sent you the plan can then apply it. The
/// same is made by `ssh-keygen -Y sign -n orchestrator-plan -f KEY FILE`, and
/// checked by `ssh-keygen -Y verify`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Sign with this private key; of a .pub file, with the agent's copy of it
    #[arg(short, long, env = "ORCHESTRATOR_IDENTITY", value_name = "KEY")]
    identity: Option<PathBuf>,
    /// Sign with the one key of the agent that may approve
    #[arg(long, env = "ORCHESTRATOR_AGENT", conflicts_with = "identity", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    agent: bool,
    /// Write the signature to this new file [default: FILE.sig]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign without being asked
    #[arg(long, env = "ORCHESTRATOR_YES", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let file = PlanFile::read(&args.file)?;
    let out = args.out.clone().unwrap_or_else(|| beside(&args.file));
    if out.symlink_metadata().is_ok() {
        let message = format!("{} is there already, and is not replaced", out.display());
        return Err(Failure::usage(message).hint("name another file by --out"));
    }
    if args.identity.is_none() && !args.agent {
        let failure = Failure::usage("there is no key to sign with");
        return Err(failure.hint("give --identity KEY, or --agent"));
    }
    let orchestrator = context.orchestrator(context.config()?, Overrides::default(), Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signed = args.sign(context, &orchestrator, &file, &out, &runtime);
    runtime.block_on(orchestrator.shutdown());
    signed
}

/// Where a plan's signature is, unless it is said.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

impl Args {
    fn sign(
        &self,
        context: &Context,
        orchestrator: &Orchestrator,
        file: &PlanFile,
        out: &Path,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<u8, Failure> {
        orchestrator.approvable(file)?;
        print(|to| show(to, file))?;
        self.ask(file)?;
        let (pem, _) = match &self.identity {
            Some(path) if path.extension().is_none_or(|ending| ending != "pub") => {
                let given = context.configured_passphrase(orchestrator.config())?.map(Arc::new);
                let passphrases = Passphrases { given, prompter: Arc::new(Terminal) };
                sign_by_file(path, &passphrases, NAMESPACE, file.bytes())?
            }
            public => {
                let socket = agent_socket()?;
                let key = match public {
                    Some(path) => public_key(path)?,
                    None => only_key(orchestrator, runtime.block_on(agent_keys(&socket))?)?,
                };
                let pem = sign_by_agent(&socket, &key, NAMESPACE, file.bytes());
                (runtime.block_on(pem)?, key)
            }
        };
        let signed = orchestrator.approve(file, pem.as_bytes())?;
        write_new(out, pem.as_bytes())
            .map_err(|error| Failure::usage(format!("{}: {error}", out.display())))?;
        if let Err(why) = &signed.counts {
            context.note("warning", &format!("`apply` will refuse it: {why}"));
        }
        print(|to| Ok(writeln!(to, "signed by {}: {}", signed.key, out.display())?))?;
        Ok(Exit::Ok.code())
    }

    fn ask(&self, file: &PlanFile) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let digest = file.sha256();
        match Terminal.confirm(&format!("Approve the plan with the digest {digest}?")) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure {
                exit: Exit::Denied,
                code: "declined",
                ..Failure::usage("not approved")
            }),
            Err(PromptError::Nobody(_)) => {
                let failure = Failure::usage("there is nobody to ask whether this is approved");
                Err(failure.hint("run it on a terminal, or give --yes"))
            }
            Err(error) => Err(Failure::usage(error.to_string())),
        }
    }
}

fn agent_socket() -> Result<PathBuf, Failure> {
    let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
    let missing =
        || Failure::usage("there is no ssh-agent").hint("start it, or give --identity KEY");
    socket.map(PathBuf::from).ok_or_else(missing)
}

fn public_key(path: &Path) -> Result<SignerKey, Failure> {
    let text = read_bounded(path, SIGNATURE_MAX)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let key = SignerKey::from_public_line(&String::from_utf8_lossy(&text));
    key.ok_or_else(|| Failure::usage(format!("{} holds no public key", path.display())))
}

/// The agent's key that may approve, if there is just one.
fn only_key(orchestrator: &Orchestrator, keys: Vec<SignerKey>) -> Result<SignerKey, Failure> {
    let mut counting: Vec<SignerKey> =
        keys.into_iter().filter(|key| orchestrator.may_approve(key).is_ok()).collect();
    match (counting.pop(), counting.is_empty()) {
        (Some(key), true) => Ok(key),
        (Some(_), false) => Err(Failure::usage("several keys of the ssh-agent may approve")
            .hint("name the public half of one: --identity KEY.pub")),
        (None, _) => Err(Failure::usage("no key of the ssh-agent may approve, by this policy")
            .hint("name one all the same: --identity KEY.pub")),
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        let hint = match &error {
            SignError::Key(why) => Some(why.hint()),
            SignError::Agent(_) => Some("ssh-add -l lists its keys".into()),
            _ => None,
        };
        Self { code: "not_signed", hint, ..Self::usage(error.to_string()) }
    }
}
