//! What is small and done often: `cargo bench`.
//!
//! Figures of whole runs are in `docs/performance.md`; these are for whoever
//! changes one of the parts.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may end so")]

mod audit;
mod known_hosts;
mod nodeset;
mod policy;
mod quote;

fn main() {
    divan::main();
}
