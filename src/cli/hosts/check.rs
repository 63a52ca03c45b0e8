//! `hosts check`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::cli::arguments;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::signals::cancel_on_signal;
use crate::cli::stdout::is_broken_pipe;
use crate::cli::targets::{self, TargetArgs};
use crate::cli::terminal::Terminal;
use crate::ids::VmId;
use crate::outcome::{HostResult, Status, tally};
use crate::report::{self, Palette, exit};
use crate::{On, Overrides};

/// Connect to VMs, verify their host keys, log in, and run nothing.
///
/// One line for each VM: how long it took and what was negotiated, or why it
/// did not work and what to do.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(default_value = "all", help = targets::HELP)]
    targets: String,
    #[command(flatten)]
    narrow: TargetArgs,
    /// Give up connecting after this long
    #[arg(long, env = "ORCHESTRATOR_CONNECT_TIMEOUT", value_parser = arguments::parse_duration, value_name = "DURATION")]
    connect_timeout: Option<Duration>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let selection = args.narrow.select(context, &args.targets)?.selection;
    let mut config = context.config()?;
    targets::note_skipped(context, &config.inventory, &selection);
    if args.narrow.list_hosts {
        return targets::list_hosts(&config, &selection);
    }
    arguments::limit_connecting(&mut config, args.connect_timeout);
    let orchestrator = context.orchestrator(config, Overrides::default(), Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let done = follow(context, args, orchestrator.select(selection)).await;
        orchestrator.shutdown().await;
        done
    });
    // Whoever still waits at a prompt or on a slow resolver is not waited for.
    runtime.shutdown_background();
    done
}

async fn follow(context: &Context, args: &Args, on: On) -> Result<u8, Failure> {
    let started = Instant::now();
    let mut checks = on.check()?;
    let (run, hosts) = (checks.id(), checks.hosts().clone());
    let interrupted = cancel_on_signal(checks.canceller(), context.quiet())?;
    let palette = Terminal::palette(context.color(), Terminal::stdout());
    let mut lines = Lines::new(hosts.iter(), palette);
    let mut results: HashMap<VmId, HostResult> = HashMap::new();
    let mut shown = Ok(());
    while let Some(result) = checks.next().await {
        results.insert(result.vm.clone(), result);
        if shown.is_ok() && !args.json {
            shown = lines.show(&results);
            if shown.is_err() {
                checks.canceller().cancel();
            }
        }
    }
    let results: Vec<HostResult> = hosts.iter().filter_map(|vm| results.remove(vm)).collect();
    if args.json {
        shown = report::write_document(&mut io::stdout().lock(), run, &results);
    } else if shown.is_ok() && !context.quiet() && results.len() > 1 {
        let _ = writeln!(io::stderr(), "{}", summary(&results, started.elapsed()));
    }
    match shown {
        Err(error) if !is_broken_pipe(&error) => Err(error.into()),
        _ => Ok(interrupted.exit().unwrap_or_else(|| exit::table(&results))),
    }
}

/// Shows results in the order of the hosts, each as soon as those before it
/// are there.
struct Lines<'a> {
    hosts: std::iter::Peekable<std::vec::IntoIter<&'a VmId>>,
    width: usize,
    palette: Palette,
}

impl<'a> Lines<'a> {
    fn new(hosts: impl Iterator<Item = &'a VmId>, palette: Palette) -> Self {
        let hosts: Vec<&VmId> = hosts.collect();
        let width = hosts.iter().map(|vm| vm.as_str().len()).max().unwrap_or(0);
        Self { hosts: hosts.into_iter().peekable(), width, palette }
    }

    fn show(&mut self, results: &HashMap<VmId, HostResult>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        while let Some(result) = self.hosts.peek().and_then(|vm| results.get(*vm)) {
            writeln!(out, "{}", self.line(result))?;
            self.hosts.next();
        }
        out.flush()
    }

    fn line(&self, result: &HostResult) -> String {
        let (width, Palette { good, bad, off, .. }) = (self.width, self.palette);
        let vm = &result.vm;
        if let Some(ssh) = result.ssh.as_ref().filter(|_| result.success()) {
            let time = (result.timing.connect + result.timing.auth).as_millis();
            let pq = if ssh.post_quantum { "post-quantum" } else { "not post-quantum" };
            let (kex, cipher, key) = (&ssh.kex, &ssh.cipher, &ssh.host_key_type);
            return format!(
                "{vm:<width$}  {good}ok{off}  {time:>5} ms  {kex}  {cipher}  {key}  {pq}"
            );
        }
        let status = result.status;
        let Some(failure) = &result.failure else {
            return format!("{vm:<width$}  {bad}{status}{off}");
        };
        let message = plain(&failure.message);
        let line = format!("{vm:<width$}  {bad}{status}{off}  {message} (phase {})", failure.phase);
        match &failure.hint {
            Some(hint) => format!("{line}\n{:<width$}  hint: {}", "", plain(hint)),
            None => line,
        }
    }
}

/// What a host may have had a say in.
fn plain(text: &str) -> String {
    report::escape(text.replace(['\n', '\t'], " ").as_bytes())
}

fn summary(results: &[HostResult], elapsed: Duration) -> String {
    let counts: Vec<String> = tally(results)
        .into_iter()
        .map(|(status, count)| match status {
            Status::Success => format!("{count} ok"),
            other => format!("{count} {other}"),
        })
        .collect();
    format!("{} · {} hosts in {:.1} s", counts.join(", "), results.len(), elapsed.as_secs_f32())
}
