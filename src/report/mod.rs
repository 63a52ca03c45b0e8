//! What people and programs see of a run. Pure: text is returned or written to
//! the given streams, and nothing here knows about a terminal.
//!
//! A [`View`] follows a run: [`Single`] for one host, [`Labelled`], [`Gathered`],
//! [`Summary`] and [`Endings`] for people with many, [`Document`] and
//! [`EventLines`] for programs. [`Progress`] adds to any of them what stands on a
//! terminal while the run goes on.

pub mod exit;

mod cuts;

// For people.
pub(crate) mod commands;
mod difference;
mod endings;
mod escape;
mod explain;
mod files;
mod gather;
mod labelled;
mod lines;
mod measure;
mod progress;
mod single;
mod standing;
mod style;
mod summary;

// For programs.
mod document;
mod event_lines;
mod json;
mod schema;

use std::io::{self, Write};

#[cfg(feature = "cli")]
pub(crate) use difference::difference;
pub use document::{Document, write_document, write_error};
pub use endings::Endings;
pub use escape::{Escaper, escape};
pub use event_lines::EventLines;
pub use explain::explain;
pub use gather::Gathered;
#[cfg(feature = "cli")]
pub(crate) use json::write_line as write_json;
pub use labelled::Labelled;
pub use progress::{Measure, Progress, Size};
pub use schema::schema;
#[cfg(test)]
pub(crate) use schema::tests::check as check_schema;
pub use single::Single;
pub use style::{Palette, Rerun, Style};
pub use summary::Summary;

use jiff::Timestamp;

use crate::event::Event;
use crate::ids::{RunId, VmId};
use crate::nodeset::NodeSet;
use crate::outcome::HostResult;

/// Where a view writes. What it writes is flushed at once.
pub struct Streams<'a> {
    /// Takes results only.
    pub out: &'a mut dyn Write,
    /// Takes errors, hints and the summary.
    pub err: &'a mut dyn Write,
}

/// Shows a run: each event as it happens, then the whole.
pub trait View: Send {
    /// Shows the next event. Every event of a run is passed, in order.
    ///
    /// # Errors
    /// Those of the streams.
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()>;

    /// Shows that time passes: nothing has happened for a fifth of a second.
    ///
    /// # Errors
    /// Those of the streams.
    fn tick(&mut self, now: Timestamp, to: &mut Streams<'_>) -> io::Result<()> {
        let _ = (now, to);
        Ok(())
    }

    /// Shows how the run stands, because somebody asked. A view that knows
    /// nothing of it shows nothing.
    ///
    /// # Errors
    /// Those of the streams.
    fn status(&mut self, now: Timestamp, to: &mut Streams<'_>) -> io::Result<()> {
        let _ = (now, to);
        Ok(())
    }

    /// Shows a line that comes from elsewhere, on stderr.
    ///
    /// # Errors
    /// Those of the streams.
    fn interject(&mut self, line: &str, to: &mut Streams<'_>) -> io::Result<()> {
        show(to.err, format!("{line}\n"))
    }

    /// Takes in that so many line ends were typed on the terminal, which has
    /// shown them.
    fn typed(&mut self, line_ends: usize) {
        let _ = line_ends;
    }

    /// Shows what is shown at the end. `results` are those of all hosts, in the
    /// plan's order.
    ///
    /// # Errors
    /// Those of the streams.
    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()>;
}

/// Writes and flushes, so that whoever reads sees it now.
fn show(stream: &mut dyn Write, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let bytes = bytes.as_ref();
    if bytes.is_empty() {
        return Ok(());
    }
    stream.write_all(bytes)?;
    stream.flush()
}

/// Ids as people read them.
fn fold(ids: &[VmId]) -> String {
    ids.iter().cloned().collect::<NodeSet>().fold()
}

#[cfg(test)]
mod fixture;
