//! Runs commands over SSH on a fixed inventory of VMs, from one orchestrator VM,
//! with nothing installed on the hosts but their own sshd.
//!
//! Every connection uses strong algorithms only and verifies the host key; every
//! action is decided by policy and recorded before it happens.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use orchestrator::Orchestrator;
//! use orchestrator::remote::Command;
//!
//! # async fn job() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = Orchestrator::from_config_file("configs/config.yml")?;
//!
//! // A command that ends non-zero is a result, not an error.
//! let hello = orchestrator.execute_command("vm01", "echo hello").await?;
//! assert_eq!(hello.stdout.to_text(), "hello\n");
//!
//! // These words reach every host byte for byte; each host has one result.
//! let nginx = Command::new("systemctl").args(["is-active", "nginx"]);
//! let request = orchestrator.on("vm[01-03]".parse()?).command(nginx);
//! let report = request.reason("deploy 42").timeout(Duration::from_secs(10)).run().await?;
//! report.into_result()?;
//!
//! orchestrator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Without a file, three decisions are owed before there is an orchestrator, and
//! the type says which is next:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use orchestrator::Orchestrator;
//! use orchestrator::config::Config;
//! use orchestrator::inventory::{Host, Inventory};
//! use orchestrator::policy::Policy;
//! use orchestrator::ssh::known_hosts::KnownHosts;
//!
//! # fn build() -> Result<(), Box<dyn std::error::Error>> {
//! let hosts = vec![Host::new("vm01".parse()?, "10.0.0.10")];
//! let orchestrator = Orchestrator::builder(Config::new(Inventory::new(hosts, vec![])?))
//!     .known_hosts(KnownHosts::load([Path::new("known_hosts")])?)
//!     .policy(Policy::allow_all())
//!     .without_audit()
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the analogy with `std::process` ends
//!
//! [`remote::Command`] is built like [`std::process::Command`], with differences
//! that the network makes:
//!
//! - a string for a shell has a name of its own, [`Command::shell`](remote::Command::shell);
//! - stdin is empty unless it is given, and there is never a terminal;
//! - every command has a deadline, after which its process tree is ended on the
//!   host;
//! - a result says what may have changed there ([`outcome::Effect`]), because a
//!   link that is lost leaves that open;
//! - dropping a future stops nothing on a host; [`run::RunHandle`] does.
//!
//! The library prints nothing, asks nobody unless it is given a
//! [`prompt::Prompter`], and reads the environment by [`config::Environment`]
//! alone. [`blocking`] has the same for programs without a runtime.
//!
//! # Features
//!
//! `cli`, on by default, is the command line. A library user who does without it
//! compiles no clap.
//!
//! # Reading the code
//!
//! Read the modules in this order; each uses only the ones before it.

// Layer 0: names and quoting.
mod hex;
pub mod ids;
pub mod quote;
pub mod units;

// Layer 1: pure values.
pub mod nodeset;
pub mod prompt;
pub mod redact;
pub mod remote;
pub mod retry;
mod yaml;

// Layer 2: what exists, and the seam to it.
pub mod inventory;
pub mod scan;
pub mod transport;

// Layer 3: outcomes, decisions, sessions, SSH, SFTP.
pub mod outcome;
pub mod policy;
pub mod session;
pub mod sftp;
pub mod ssh;

// Layer 4: facts, plans, execution.
pub mod event;
pub mod exec;
pub mod hook;
pub mod plan;
pub mod scripts;

// Layer 5: facts made durable, runs remembered, files moved.
pub mod audit;
pub mod store;
pub mod transfer;

// Layer 6: plans that others approve; the engine.
pub mod approval;
pub mod run;

// Layer 7: settings in, reports out; keys; what is wrong with a host.
pub mod config;
pub mod doctor;
pub mod keys;
pub mod report;

// Layer 8: the facade.
mod orchestrator;
pub use orchestrator::blocking;
pub use orchestrator::{
    Application, ApplyError, BuildError, Builder, Checks, Consent, HostError, KeyChange, KeyDone,
    Login, NeedsAudit, NeedsKnownHosts, NeedsPolicy, On, Orchestrator, Overrides, PlanError,
    PolicyChange, PolicyNotReplaced, PolicyWatch, Ready, Report, Request, RequestError, RunError,
    ShownKey, SignedPlan, TrustError,
};

// Layer 9: the command line.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
