//! An automation job: asks a VM how it is, sends a file, runs a script on it,
//! fetches what that made, and ends with a code that says how all went.
//!
//! ```text
//! scripts/lab.sh up
//! cargo run --example automation_job -- .lab/config.yml
//! ```

// A job talks to whoever runs it; the library itself never prints.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use orchestrator::outcome::HostResult;
use orchestrator::remote::{Command, Script};
use orchestrator::report::exit;
use orchestrator::{HostError, Orchestrator, RunError};

/// What is done with the file, on the VM.
const COUNT: &str = "#!/bin/sh\nset -eu\nwc -l <\"$1\" >\"$1.lines\"\necho \"counted $1\"\n";

#[tokio::main(flavor = "current_thread")] // enough for hundreds of hosts
async fn main() -> ExitCode {
    let Some(config) = std::env::args_os().nth(1) else {
        eprintln!("usage: automation_job CONFIG");
        return ExitCode::from(2);
    };
    // Host keys, policy and audit log are as the configuration says.
    let done = match Orchestrator::from_config_file(config) {
        Err(error) => Err(error.into()),
        Ok(orchestrator) => {
            let done = job(&orchestrator).await;
            // Waits until the audit log is complete.
            orchestrator.shutdown().await;
            done
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("automation_job: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn job(orchestrator: &Orchestrator) -> Result<u8, Box<dyn Error>> {
    // A command that ends non-zero is a result, not an error.
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

    // A file is in place whole, proven by its SHA-256, or it is an error and the
    // target is as it was.
    let here = tempfile::tempdir()?;
    let words = here.path().join("words");
    std::fs::write(&words, "one\ntwo\nthree\n")?;
    let there = format!("/tmp/automation_job.{}", std::process::id());
    tell_file("sent", &orchestrator.upload("vm01", &words, &there).await?);

    // The script is sent, proven, run and removed.
    let script = Script::text("count.sh", COUNT.as_bytes()).arg(&there);
    let counted = orchestrator.execute_script("vm01", script).await?;
    print!("{}", counted.stdout.to_text());

    let lines = here.path().join("lines");
    let fetched = orchestrator.download("vm01", format!("{there}.lines"), &lines).await?;
    tell_file("fetched", &fetched);
    println!("lines: {}", std::fs::read_to_string(&lines)?.trim());

    // Several hosts at once; these words reach each of them byte for byte.
    let report = orchestrator
        .on("vm[01-04]".parse()?)
        .command(Command::new("rm").args(["-f", "--", &there, &format!("{there}.lines")]))
        .reason("nightly check")
        .metadata("job", "automation_job")
        .timeout(Duration::from_secs(10))
        .run()
        .await?;
    for result in report.results() {
        match &result.failure {
            Some(failure) => println!("{}  {}: {}", result.vm, result.status, failure.message),
            None => println!("{}  {}", result.vm, result.status),
        }
    }
    println!("{} hosts, {} not ok", report.results().len(), report.failed().count());
    // The code that the command line would end with.
    Ok(exit::table(report.results()))
}

fn tell_file(what: &str, result: &HostResult) {
    for file in result.transfer.iter().flat_map(|moved| &moved.files) {
        let sha256 = file.sha256.as_deref().unwrap_or("-");
        println!("{what} {} bytes, sha256 {sha256:.8}…", file.bytes);
    }
}
