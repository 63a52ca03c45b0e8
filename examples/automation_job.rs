//! An automation job: asks VMs how they are, and ends with a code that says how
//! that went.
//!
//! ```text
//! scripts/lab.sh up
//! cargo run --example automation_job -- .lab/config.yml
//! cargo run --example automation_job -- .lab/config.yml --blocking
//! ```

// A job talks to whoever runs it; the library itself never prints.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use orchestrator::remote::Command;
use orchestrator::report::exit;
use orchestrator::{HostError, Orchestrator, Report, RunError, blocking};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [config] => async_job(config),
        [config, "--blocking"] => blocking_job(config),
        _ => Err("usage: automation_job CONFIG [--blocking]".into()),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("automation_job: {error}");
            ExitCode::from(2)
        }
    }
}

/// In an async program: one thread is enough for hundreds of hosts.
#[tokio::main(flavor = "current_thread")]
async fn async_job(config: &str) -> Result<u8, Box<dyn Error>> {
    // Host keys, policy and audit log are as the configuration says.
    let orchestrator = Orchestrator::from_config_file(config)?;

    // One host. A command that ends non-zero is a result, not an error.
    match orchestrator.execute_command("vm01", "echo hello from $(hostname)").await {
        Ok(result) if result.success() => print!("{}", result.stdout.to_text()),
        Ok(result) => println!("vm01 says no: {}", result.stderr.to_text()),
        // Unreachable, timed out, link lost …: the result still says what may
        // have changed there.
        Err(RunError::Host(HostError(result))) => {
            println!("vm01 {}, effect {:?}", result.status, result.effect);
        }
        // Nothing was begun: an unknown or forbidden host, say.
        Err(error) => return Err(error.into()),
    }

    // Several hosts at once. These words reach each of them byte for byte.
    let report = orchestrator
        .on("vm[01-04]".parse()?)
        .command(Command::new("test").args(["-d", "/proc/self"]))
        .reason("nightly check")
        .metadata("job", "automation_job")
        .timeout(Duration::from_secs(10))
        .run()
        .await?;
    let code = tell(&report);
    // Waits until the audit log is complete.
    orchestrator.shutdown().await;
    Ok(code)
}

/// The same in a program without a runtime.
fn blocking_job(config: &str) -> Result<u8, Box<dyn Error>> {
    let orchestrator = blocking::Orchestrator::from_config_file(config)?;
    let report = orchestrator
        .on("all".parse()?)
        .command(Command::shell("df -h / >/dev/null"))
        .with(|request| request.reason("capacity").timeout(Duration::from_secs(10)))
        .run()?;
    let code = tell(&report);
    orchestrator.shutdown();
    Ok(code)
}

/// One line per host; the code that the command line would end with.
fn tell(report: &Report) -> u8 {
    for result in report.results() {
        match &result.failure {
            Some(failure) => println!("{}  {}: {}", result.vm, result.status, failure.message),
            None => println!("{}  {}", result.vm, result.status),
        }
    }
    println!("{} hosts, {} not ok", report.results().len(), report.failed().count());
    exit::table(report.results())
}
