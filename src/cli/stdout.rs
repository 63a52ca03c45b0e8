//! Results, which go to stdout.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;

use super::failure::Failure;

/// Writes results. A reader that goes away has seen what it wanted: that ends
/// the writing, and is no failure.
pub(super) fn print(
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    match written {
        Err(failure) if failure.broken_pipe => {
            // What is left in the buffer would fail once more.
            let _ = out.into_parts();
            Ok(())
        }
        other => other,
    }
}

/// Stdout for what is written in large pieces, or is to be seen at once.
pub(super) fn unbuffered() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// One JSON document, in one line.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(|out| Ok(crate::report::write_json(out, value)?))
}

/// Whether a write failed because nobody reads any more.
pub(super) fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
