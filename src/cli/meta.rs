//! `schema`, `completions` and `man`: the program about itself.

use std::path::PathBuf;

use super::failure::Failure;
use super::stdout::print;
use crate::report;

/// For which shell.
#[derive(clap::Args)]
pub(super) struct Completions {
    shell: clap_complete::Shell,
}

/// Where the pages go.
#[derive(clap::Args)]
pub(super) struct Man {
    /// Write one page per command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn schema() -> Result<u8, Failure> {
    print(|out| Ok(writeln!(out, "{:#}", report::schema())?))?;
    Ok(0)
}

pub(super) fn completions(args: &Completions, command: &mut clap::Command) -> Result<u8, Failure> {
    // Written to memory first: it panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "orchestrator", &mut script);
    print(|out| Ok(out.write_all(&script)?))?;
    Ok(0)
}

pub(super) fn man(args: &Man, command: clap::Command) -> Result<u8, Failure> {
    match &args.dir {
        Some(dir) => clap_mangen::generate_to(command, dir)?,
        None => print(|mut out| Ok(clap_mangen::Man::new(command).render(&mut out)?))?,
    }
    Ok(0)
}
