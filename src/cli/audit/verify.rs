//! `audit verify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Log, unreadable};
use crate::audit::{Verification, VerifyOptions, verify};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::report::exit::Exit;

/// Prove that no record was changed, taken out or put in.
///
/// Reads the whole log: every line, the chain through them, and every signed
/// checkpoint. A log that was cut short at its end shows only against a
/// checkpoint, so keep one elsewhere.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Hold the log against checkpoints that were kept elsewhere, too
    #[arg(long, env = "ORCHESTRATOR_CHECKPOINT", value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The public key that was kept elsewhere [default: the one beside the log]
    #[arg(long, env = "ORCHESTRATOR_PUBLIC_KEY", value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
    #[command(flatten)]
    log: Log,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let log = args.log.path(context)?;
    let options = VerifyOptions {
        checkpoints: args.checkpoint.as_deref().map(read).transpose()?,
        public_key: args.public_key.as_deref().map(read).transpose()?,
    };
    let found = verify(&log, &options).map_err(unreadable)?;
    if args.json {
        print_json(&document(&log, &found))?;
    } else {
        print(|out| tell(out, &log, &found))?;
        if let Some(next) = next(&found).filter(|_| !context.quiet()) {
            context.note("hint", next);
        }
    }
    Ok(if found.is_intact() { Exit::Ok.code() } else { Exit::Verification.code() })
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

fn tell(out: &mut dyn Write, log: &Path, found: &Verification) -> Result<(), Failure> {
    let Verification { records, last_seq, checkpoints, covered_seq, torn_tail, .. } = found;
    if let Some(bad) = &found.first_bad {
        let (seq, defect, path) = (bad.seq, &bad.defect, bad.path.display());
        writeln!(out, "broken at record {seq} of {path}: {defect}")?;
        writeln!(out, "the {records} records before it hold")?;
        return Ok(());
    }
    match torn_tail {
        0 => writeln!(out, "intact: {records} records in {}", log.display())?,
        bytes => {
            writeln!(out, "torn: {} ends in {bytes} bytes of no record", log.display())?;
            writeln!(out, "the {records} records before them hold")?;
        }
    }
    if !found.last_hash.is_empty() {
        writeln!(out, "the last is record {last_seq}, {}", found.last_hash)?;
    }
    writeln!(out, "{checkpoints} checkpoints hold and cover the records up to {covered_seq}")?;
    if found.unsigned_checkpoints > 0 {
        writeln!(out, "checkpoints without a signature: {}", found.unsigned_checkpoints)?;
    }
    if found.gaps > 0 {
        writeln!(out, "{} broken places were accepted by an operator", found.gaps)?;
    }
    Ok(())
}

/// What to do now.
fn next(found: &Verification) -> Option<&'static str> {
    if found.first_bad.is_some() {
        return Some("keep a copy of the log and find out who changed it");
    }
    (found.torn_tail > 0).then_some("a crash leaves that; the next run recovers it and records so")
}

fn document(log: &Path, found: &Verification) -> Value {
    let first_bad = found.first_bad.as_ref().map(|bad| {
        json!({
            "seq": bad.seq,
            "path": bad.path.display().to_string(),
            "problem": bad.defect.to_string(),
        })
    });
    json!({
        "v": 1,
        "log": log.display().to_string(),
        "intact": found.is_intact(),
        "records": found.records,
        "last_seq": found.last_seq,
        "last_hash": found.last_hash,
        "segments": found.segments,
        "first_bad": first_bad,
        "torn_tail": found.torn_tail,
        "checkpoints": found.checkpoints,
        "covered_seq": found.covered_seq,
        "unsigned_checkpoints": found.unsigned_checkpoints,
        "gaps": found.gaps,
    })
}
