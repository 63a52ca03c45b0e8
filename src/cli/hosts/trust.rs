//! `hosts trust`.

use std::path::Path;

use super::find;
use crate::cli::arguments::{SshArgs, limit_connecting};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, chain};
use crate::cli::stdout::print;
use crate::cli::terminal::Terminal;
use crate::prompt::{PromptError, Prompter};
use crate::report::exit::Exit;
use crate::ssh::known_hosts::{Accepted, HostKeyError, LearnError, Learned, Pin, Voucher};
use crate::{Consent, HostError, Orchestrator, RunError, ShownKey, TrustError, outcome, report};

/// Make the host key of a VM known, so that it can be connected to.
///
/// The key is fetched by a handshake that ends before anybody logs in. Compare
/// its fingerprint with one that does not come over the same network: on the
/// VM's console, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`. A key that
/// changed or was revoked is refused, whatever fingerprint is given.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The VM's id
    vm: String,
    /// The fingerprint that the key must have; without it a person is asked
    #[arg(long, env = "ORCHESTRATOR_FINGERPRINT", value_name = "SHA256:…")]
    fingerprint: Option<Pin>,
    #[command(flatten)]
    ssh: SshArgs,
}

pub(super) fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let mut config = context.config()?;
    let vm = find(&config, &args.vm)?.id.clone();
    limit_connecting(&mut config, args.ssh.connect_timeout);
    let Some(file) = config.ssh.known_hosts.first().cloned() else {
        let message = "there is no known_hosts file to write to";
        return Err(Failure::usage(message).hint("set ssh.known_hosts in the configuration"));
    };
    let orchestrator = context.orchestrator(config, args.ssh.overrides()?, Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let done = match orchestrator.host_key(&vm).await {
            Ok(key) => enrol(&orchestrator, &key, &file, args.fingerprint).await,
            Err(error) => Err(error.into()),
        };
        orchestrator.shutdown().await;
        done
    });
    // Whoever still waits at a prompt or on a slow resolver is not waited for.
    runtime.shutdown_background();
    done.map(|()| 0)
}

async fn enrol(
    orchestrator: &Orchestrator,
    key: &ShownKey,
    file: &Path,
    expected: Option<Pin>,
) -> Result<(), Failure> {
    let as_expected = expected.as_ref().is_none_or(|pin| key.is(pin));
    if let (Ok(accepted), true) = (key.verdict(), as_expected) {
        return print(|out| {
            Ok(writeln!(out, "{} is trusted already: {}", key.name(), by(accepted))?)
        });
    }
    let consent = match expected {
        Some(pin) => Consent::Expected(pin),
        // There is nothing to be asked about a key that must not be trusted.
        None if key.obstacle().is_some() => Consent::Given,
        None => ask(key, file)?,
    };
    match orchestrator.trust(key, file, consent).await {
        Ok(Learned::Added(at)) => {
            print(|out| Ok(writeln!(out, "{} is trusted: {} at {at}", key.name(), key.id())?))
        }
        Ok(Learned::AlreadyThere(at)) => {
            print(|out| Ok(writeln!(out, "{} is trusted already: {at}", key.name())?))
        }
        Err(error) => Err(refused(key, error)),
    }
}

/// Shows the key and asks whoever sits at the terminal.
fn ask(key: &ShownKey, file: &Path) -> Result<Consent, Failure> {
    let so_far = match key.verdict() {
        Ok(_) | Err(HostKeyError::Unknown { .. }) => String::new(),
        Err(why) => format!("So far: {why}.\n"),
    };
    let question = format!(
        "{} ({}) shows this host key:\n  {}\n{so_far}Yes writes it to {}.\n\
         Is it the one that the VM's own console shows?",
        key.vm(),
        key.name(),
        key.id(),
        file.display(),
    );
    match Terminal.confirm(&report::escape(question.as_bytes())) {
        Ok(true) => Ok(Consent::Given),
        Ok(false) => Ok(Consent::Refused),
        Err(PromptError::Nobody(_)) => {
            let message = format!(
                "{} shows {}, and there is nobody to ask whether that is right",
                key.name(),
                key.id()
            );
            let hint = format!(
                "compare it on the VM's console, then: orchestrator hosts trust {} --fingerprint {}",
                key.vm(),
                key.id().fingerprint
            );
            Err(Failure { code: "fingerprint_needed", ..Failure::usage(message) }.hint(hint))
        }
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}

fn by(accepted: &Accepted) -> String {
    match &accepted.by {
        Voucher::Authority(at) => format!("its certificate is signed by the authority at {at}"),
        Voucher::Line(at) => format!("{} at {at}", accepted.key),
        Voucher::Pin => format!("{} is the host_key of the inventory", accepted.key),
    }
}

fn refused(key: &ShownKey, error: TrustError) -> Failure {
    let failure = Failure {
        exit: Exit::HostKey,
        code: "host_key_refused",
        phase: outcome::Phase::HostKey,
        ..Failure::usage(chain(&error))
    };
    match error {
        TrustError::Audit(error) => error.into(),
        TrustError::Denied(result) => RunError::from(HostError(result)).into(),
        TrustError::Unknown(_) => Failure { exit: Exit::Usage, code: "targets_invalid", ..failure },
        TrustError::Fingerprint { .. } => Failure { code: "fingerprint_mismatch", ..failure }
            .hint("do not trust it: find out who answers there, and whose fingerprint that is"),
        TrustError::Learn(LearnError::Refused(why)) | TrustError::Refused(why) => {
            failure.hint(why.hint(key.vm().as_str()))
        }
        TrustError::Learn(_) => {
            Failure { exit: Exit::Failed, code: "known_hosts_unwritable", ..failure }
                .hint("nothing was changed; check the file's directory, its owner and the disk")
        }
        TrustError::Unwanted(_) => Failure { code: "declined", ..failure },
    }
}
