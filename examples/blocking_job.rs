//! The same in a program without a runtime.
//!
//! ```text
//! scripts/lab.sh up
//! cargo run --example blocking_job -- .lab/config.yml
//! ```

// A job talks to whoever runs it; the library itself never prints.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use orchestrator::blocking::Orchestrator;
use orchestrator::remote::{Command, Script, Transfer};

fn main() -> ExitCode {
    let Some(config) = std::env::args_os().nth(1) else {
        eprintln!("usage: blocking_job CONFIG");
        return ExitCode::from(2);
    };
    let done =
        Orchestrator::from_config_file(config).map_err(Into::into).and_then(|orchestrator| {
            let done = job(&orchestrator);
            // Waits until the audit log is complete.
            orchestrator.shutdown();
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking_job: {error}");
            ExitCode::FAILURE
        }
    }
}

fn job(orchestrator: &Orchestrator) -> Result<(), Box<dyn Error>> {
    let here = tempfile::tempdir()?;
    let (file, back) = (here.path().join("file"), here.path().join("back"));
    std::fs::write(&file, "content\n")?;
    let there = format!("/tmp/blocking_job.{}", std::process::id());

    orchestrator.upload("vm01", &file, &there)?;
    orchestrator.download("vm01", &there, &back)?;
    assert_eq!(std::fs::read(&back)?, b"content\n");
    let script = Script::text("tidy.sh", *b"rm -- \"$1\" && echo tidied up").arg(&there);
    print!("{}", orchestrator.execute_script("vm01", script)?.stdout.to_text());

    // Several hosts; `with` sets what a request can have.
    let capacity = orchestrator
        .on("all".parse()?)
        .command(Command::shell("df -h / >/dev/null"))
        .with(|request| request.reason("capacity").timeout(Duration::from_secs(10)))
        .run()?;
    println!("{} hosts, {} not ok", capacity.results().len(), capacity.failed().count());

    // Each host's file goes to a directory of its own.
    let names = Transfer::download("/etc/hostname", here.path().join("names"));
    let report = orchestrator.on("all".parse()?).transfer(names).run()?;
    for result in report.into_result()?.results() {
        for moved in result.transfer.iter().flat_map(|moved| &moved.files) {
            println!("{}  {} bytes", result.vm, moved.bytes);
        }
    }
    Ok(())
}
