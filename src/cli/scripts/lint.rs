//! `scripts lint`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::library;
use super::shellcheck::{self, Checked};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::print;
use crate::remote::read_script;
use crate::report;
use crate::report::exit::Exit;
use crate::scan::{self, Finding};
use crate::scripts::Library;

/// Tell what is wrong with the scripts of the library, or with FILES.
///
/// Headers that cannot be used, what the scan finds, and what shellcheck says
/// where it is on this machine. Ends with 1 if something is wrong or would keep
/// a script from being run; advice alone is 0.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Files, in the library or not [default: the whole library]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let mut texts = Vec::new();
    let mut library = None;
    if args.files.is_empty() {
        let loaded = self::library(&context.config()?)?;
        let entries = loaded.entries().iter();
        texts.extend(entries.map(|entry| (entry.path().to_owned(), entry.bytes().to_vec())));
        library = Some(loaded);
    }
    for path in &args.files {
        let read = File::open(path).and_then(|mut file| read_script(&mut file));
        let unreadable =
            |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
        texts.push((path.clone(), read.map_err(unreadable)?));
    }
    let mut wrong = false;
    let mut missing = false;
    print(|out| {
        if let Some(library) = &library {
            wrong |= tell_problems(library, out)?;
        }
        for (path, bytes) in &texts {
            for finding in scan::scan(bytes) {
                wrong |= finding.severity.blocks();
                tell(path, &finding, out)?;
            }
            match shellcheck::check(bytes) {
                Checked::Lines(lines) => {
                    for line in lines {
                        let line = report::escape(line.as_bytes());
                        writeln!(out, "{}:{line}", path.display())?;
                    }
                }
                Checked::Missing => missing = true,
                Checked::NotForIt => {}
            }
        }
        Ok(())
    })?;
    if missing && !context.quiet() {
        context.note("note", "shellcheck is not on this machine: what it would say is not here");
    }
    if let Some(library) = library.filter(|library| !library.skipped().is_empty()) {
        for path in library.skipped() {
            context
                .note("note", &format!("{}: no front matter: not in the library", path.display()));
        }
    }
    Ok(if wrong { Exit::Failed.code() } else { Exit::Ok.code() })
}

fn tell_problems(library: &Library, out: &mut dyn Write) -> std::io::Result<bool> {
    for problem in library.problems() {
        writeln!(out, "{}", report::escape(problem.summary().as_bytes()))?;
    }
    Ok(!library.problems().is_empty())
}

fn tell(path: &Path, finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let Finding { rule, severity, line, finds, why } = finding;
    writeln!(out, "{}:{line}: {severity}: {finds}: {why} [{rule}]", path.display())
}
