//! `apply`: carry a plan out, exactly and once.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::approve::beside;
use super::arguments::{self, parse_duration, secret_from};
use super::context::Context;
use super::failure::{Failure, chain};
use super::output::{Output, OutputArgs};
use super::plan::show;
use super::request::{Shown, watch};
use super::stdout::print;
use super::terminal::Terminal;
use crate::approval::{PlanFile, PlanFileError, SUDO_PASSWORD, read_bounded};
use crate::prompt::Prompter;
use crate::remote::Secret;
use crate::report::exit::Exit;
use crate::run::Schedule;
use crate::ssh::signature::SIGNATURE_MAX;
use crate::{ApplyError, Overrides, PlanError, RequestError, outcome};

/// Carry out a plan: exactly what it says, once, before it expires.
///
/// Everything is checked anew: the policy, the hosts, the files, and whether
/// somebody else than who asked for it and who applies it has signed it, where
/// a rule wants that. Then it is spent, and whatever happens afterwards it is
/// not carried out again.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A signature of it; can be repeated [default: FILE.sig, where it is there]
    #[arg(long, value_name = "FILE")]
    signature: Vec<PathBuf>,
    /// Check everything and show the plan; spend and run nothing
    #[arg(long, env = "ORCHESTRATOR_DRY_RUN", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    dry_run: bool,
    /// Log in with this private key
    #[arg(short, long, env = "ORCHESTRATOR_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Give up connecting after this long
    #[arg(long, env = "ORCHESTRATOR_CONNECT_TIMEOUT", value_parser = parse_duration, value_name = "DURATION")]
    connect_timeout: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let json = args.output.mode() == Output::Json;
    apply(context, args).map_err(|failure| failure.json(json))
}

fn apply(context: &Context, args: &Args) -> Result<u8, Failure> {
    args.output.check()?;
    let file = PlanFile::read(&args.file)?;
    let signatures = args.signatures()?;
    let mut config = context.config()?;
    arguments::limit_connecting(&mut config, args.connect_timeout);
    let overrides =
        Overrides { identity_file: args.identity.clone(), ..Overrides::of_plan(&file)? };
    let (secrets, known) = if args.dry_run { placeholders(&file) } else { secrets(&file)? };
    let orchestrator = context.orchestrator(config, overrides, known)?;
    let shown = Shown {
        output: &args.output,
        schedule: Schedule::default(),
        dry_run: args.dry_run,
        reads_stdin: false,
        single: file.single() && !file.is_parallel(),
        own_code: file.single() && !file.moves_files(),
        grace: file.grace(),
        rerun: None,
        remembered: false,
    };
    let text = args.dry_run.then(|| file.clone());
    let application = match orchestrator.apply(file, secrets) {
        Ok(application) => application,
        Err(error) => {
            close(&orchestrator)?;
            return Err(error.into());
        }
    };
    let application = signatures.into_iter().fold(application, crate::Application::signature);
    if let Some(file) = text {
        let (_, applied) = application.check()?;
        print(|to| {
            show(to, &file)?;
            for approver in applied.approvers() {
                writeln!(to, "{:<10}  {} ({})", "approved by", approver.principal, approver.key)?;
            }
            Ok(())
        })?;
        return Ok(Exit::Ok.code());
    }
    let application = application.shown(|request| args.output.apply(request));
    watch(context, &orchestrator, || Ok(application.start()?), shown)
}

/// Completes the record.
fn close(orchestrator: &crate::Orchestrator) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(orchestrator.shutdown());
    Ok(())
}

impl Args {
    fn signatures(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let beside = Some(beside(&self.file)).filter(|path| path.exists());
        let default = beside.filter(|_| self.signature.is_empty());
        let paths = self.signature.iter().chain(default.as_ref());
        let read = |path: &PathBuf| {
            read_bounded(path, SIGNATURE_MAX).map_err(|error| {
                Failure::usage(format!("the signature {}: {error}", path.display()))
            })
        };
        paths.map(read).collect()
    }
}

type Known = (Vec<(String, Secret)>, Vec<SecretString>);

/// The values of the plan's secrets, from where it says; beside them, what must
/// never be recorded.
fn secrets(file: &PlanFile) -> Result<Known, Failure> {
    let (mut secrets, mut known) = Known::default();
    for (name, source) in file.secrets() {
        let value = match name.as_str() {
            SUDO_PASSWORD => Terminal
                .secret("sudo password: ")
                .map_err(|error| Failure::usage(error.to_string()).hint("it needs a terminal"))?,
            name => secret_from(&format!("the plan's secret {name}"), name, &source)?,
        };
        let secret = Secret::new(value);
        known.push(secret.reveal());
        secrets.push((name, secret));
    }
    Ok((secrets, known))
}

/// Nothing is run, so nothing is asked for.
fn placeholders(file: &PlanFile) -> Known {
    let nothing = |(name, _)| (name, Secret::new(SecretString::default()));
    (file.secrets().into_iter().map(nothing).collect(), Vec::new())
}

impl From<PlanFileError> for Failure {
    fn from(error: PlanFileError) -> Self {
        Self { code: error.code(), ..Self::usage(chain(&error)) }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let code = error.code();
        match error {
            PlanError::Audit(error) => error.into(),
            PlanError::Request(error) => error.into(),
            PlanError::NotPlannable(why) => {
                Self { code, ..Self::usage(why.to_string()) }.hint(why.hint())
            }
            PlanError::Denied { ref decision, .. } => {
                let hint = decision.hint.clone();
                Self { hint, ..denied(code, chain(&error)) }
            }
            error => Self { code, ..Self::usage(chain(&error)) },
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let (code, hint) = (error.code(), error.hint().map(str::to_owned));
        match error {
            ApplyError::Audit(error) => error.into(),
            ApplyError::Request(RequestError::Local { .. }) | ApplyError::NotPlannable(_)
                if code == "plan_changed" =>
            {
                let exit = Exit::Verification;
                Self { exit, hint, ..denied(code, chain(&error)) }
            }
            ApplyError::Request(error) => error.into(),
            ApplyError::NotPlannable(_) | ApplyError::NoStateDir => {
                Self { code, hint, ..Self::usage(chain(&error)) }
            }
            error => Self { hint, ..denied(code, chain(&error)) },
        }
    }
}

fn denied(code: &'static str, message: String) -> Failure {
    Failure { exit: Exit::Denied, code, phase: outcome::Phase::Policy, ..Failure::usage(message) }
}
