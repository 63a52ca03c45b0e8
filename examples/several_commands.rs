//! Several commands on one connection to each host, with their output as it
//! comes.
//!
//! ```text
//! scripts/lab.sh up
//! cargo run --example several_commands -- .lab/config.yml
//! ```

// A job talks to whoever runs it; the library itself never prints.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt;
use orchestrator::Orchestrator;
use orchestrator::remote::{Command, CommandList};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(config) = std::env::args_os().nth(1) else {
        eprintln!("usage: several_commands CONFIG");
        return ExitCode::from(2);
    };
    let done = match Orchestrator::from_config_file(config) {
        Err(error) => Err(error.into()),
        Ok(orchestrator) => {
            let done = job(&orchestrator).await;
            orchestrator.shutdown().await;
            done
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("several_commands: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn job(orchestrator: &Orchestrator) -> Result<(), Box<dyn Error>> {
    // One shell on each host, so that the variable is there for the next command.
    let commands = CommandList::new([
        Command::shell("KERNEL=$(uname -r)"),
        Command::shell("echo \"running $KERNEL\""),
        Command::shell("uptime"),
    ]);
    let request = orchestrator.on("vm[01-04]".parse()?).commands(commands.shell_session(true));
    let mut run = request.timeout(Duration::from_secs(10)).stream(true).start()?;

    let mut output = run.output();
    while let Some(written) = output.next().await {
        let number = written.index.map_or(0, |index| index + 1);
        print!("{} {number}: {}", written.vm, String::from_utf8_lossy(&written.bytes));
    }
    // `run.cancel()` would have ended it on the hosts.
    for result in run.await {
        let done = result.commands.iter().filter(|command| command.success()).count();
        println!("{}  {}: {done} of {}", result.vm, result.status, result.commands.len());
    }
    Ok(())
}
