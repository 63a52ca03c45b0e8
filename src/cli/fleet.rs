//! Flags for runs on many VMs: in which steps, and what stops them.

use std::time::Duration;

use super::arguments::{parse_duration, parse_some};
use super::failure::Failure;
use crate::Request;
use crate::run::{Gate, Rollout, Schedule, Share};

/// In which steps the VMs are gone through.
#[derive(clap::Args)]
#[command(next_help_heading = "Fleet")]
pub(super) struct FleetArgs {
    /// How many VMs at once [default: max_parallel_commands, else 32]
    #[arg(short, long, env = "ORCHESTRATOR_FANOUT", value_parser = parse_some, value_name = "N|N%")]
    fanout: Option<Share>,
    /// Sizes of successive batches, such as 1,25%,100%; the last repeats
    #[arg(long, env = "ORCHESTRATOR_BATCH", value_parser = parse_some, value_delimiter = ',', value_name = "SIZES")]
    batch: Vec<Share>,
    /// How long to wait between two batches
    #[arg(long, env = "ORCHESTRATOR_BATCH_WAIT", value_parser = parse_duration, value_name = "DURATION")]
    batch_wait: Option<Duration>,
    /// So many VMs go before all others [default: 1]
    #[arg(long, env = "ORCHESTRATOR_CANARY", value_parser = clap::value_parser!(u32).range(1..), num_args = 0..=1, require_equals = true, default_missing_value = "1", value_name = "N")]
    canary: Option<u32>,
    /// What each batch must pass before the next: rc, same-output, match:RE or probe:CMD; can be repeated
    #[arg(long, env = "ORCHESTRATOR_GATE", value_name = "GATE")]
    gate: Vec<Gate>,
    /// Stop when more than so many VMs have failed; an unreachable one has
    #[arg(long, env = "ORCHESTRATOR_MAX_FAIL", value_name = "N|N%")]
    max_fail: Option<Share>,
    /// Stop at the first failure, as --max-fail 0 does
    #[arg(short = 'k', long, env = "ORCHESTRATOR_FAIL_FAST", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    fail_fast: bool,
    /// How long the whole run may take, then what runs is ended; 0 is no limit
    #[arg(long, env = "ORCHESTRATOR_DEADLINE", value_parser = parse_duration, value_name = "DURATION")]
    deadline: Option<Duration>,
}

impl FleetArgs {
    /// Which VMs go together.
    pub(super) fn schedule(&self) -> Schedule {
        Schedule { canary: self.canary.map(|vms| vms as usize), sizes: self.batch.clone() }
    }

    /// Whether there is anything between which to wait or to look.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let between = !self.gate.is_empty() || self.batch_wait.is_some();
        if between && self.schedule().is_plain() {
            let message = "--gate and --batch-wait stand between batches, and there is only one";
            return Err(Failure::usage(message).hint("give --batch 1,25%,100% or --canary"));
        }
        Ok(())
    }

    /// Asks for it. `total` is how many VMs there are.
    pub(super) fn apply(&self, request: Request, total: usize) -> Request {
        let fast = self.fail_fast.then_some(Share::Hosts(0));
        let request = request.rollout(Rollout {
            schedule: self.schedule(),
            wait: self.batch_wait.unwrap_or_default(),
            gates: self.gate.clone(),
            max_fail: fast.or(self.max_fail),
            deadline: self.deadline,
        });
        match self.fanout {
            Some(fanout) => request.fanout(fanout.at_least_one_of(total)),
            None => request,
        }
    }
}
