//! The library, as a program uses it.

mod at_size;
mod blocking;
mod building;
mod files;
mod hooks;
mod labels;
mod pool;
mod requests;
mod runs;

use orchestrator::Orchestrator;

use crate::cli_exec::Lab;

/// The orchestrator that a lab's file configures.
fn open(lab: &Lab) -> Orchestrator {
    Orchestrator::from_config_file(lab.config()).unwrap()
}
