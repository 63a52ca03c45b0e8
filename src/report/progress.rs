//! How far a transfer has come, on a terminal.
//!
//! A library of bars would have a thread and the terminal to itself. Here the
//! events are what is drawn, and whoever writes anything else has to be let
//! through.

mod bars;
mod pace;

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use self::bars::Bars;
pub use self::bars::Size;
use super::{Streams, View};
use crate::event::{Event, EventKind};
use crate::ids::RunId;
use crate::outcome::HostResult;

/// How much time there is between two pictures at least.
const REDRAW: SignedDuration = SignedDuration::from_millis(100);

/// Tells the size of the terminal, which may change at any time; `None` where
/// nothing may be drawn any more, and what was drawn stays.
pub type Measure = Box<dyn Fn() -> Option<Size> + Send>;

/// Draws bars on stderr, which has to be a terminal, below whatever another
/// view shows.
pub struct Progress {
    view: Box<dyn View>,
    bars: Bars,
    measure: Measure,
    /// How many lines are on the screen, and how wide it was then.
    drawn: (usize, u16),
    drawn_at: Timestamp,
}

impl Progress {
    /// Around this view, with block characters where the terminal has them.
    pub fn new(view: Box<dyn View>, blocks: bool, measure: Measure) -> Self {
        let bars = Bars::new(blocks);
        Self { view, bars, measure, drawn: (0, 0), drawn_at: Timestamp::MIN }
    }

    fn draw(&mut self, now: Timestamp, err: &mut dyn Write) -> io::Result<()> {
        let Some(size) = (self.measure)() else { return self.erase(err) };
        let lines = self.bars.draw(size, now);
        let mut picture = self.eraser(size);
        for line in &lines {
            picture += line;
            picture.push('\n');
        }
        self.drawn = (lines.len(), size.width);
        self.drawn_at = now;
        super::show(err, picture)
    }

    fn erase(&mut self, err: &mut dyn Write) -> io::Result<()> {
        if self.drawn.0 == 0 {
            return Ok(());
        }
        let eraser = (self.measure)().map(|size| self.eraser(size)).unwrap_or_default();
        self.drawn.0 = 0;
        super::show(err, eraser)
    }

    /// What takes the last picture away (ECMA-48, CUU and ED). In a window that
    /// got another width nobody knows which rows it is in, and the picture stays
    /// rather than that something else is lost.
    fn eraser(&self, size: Size) -> String {
        match self.drawn {
            (lines @ 1.., width) if width == size.width && lines < usize::from(size.height) => {
                // Whoever typed something has moved the cursor.
                format!("\r\x1b[{lines}A\x1b[J")
            }
            _ => String::new(),
        }
    }
}

impl View for Progress {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        self.bars.note(event);
        if matches!(event.kind, EventKind::Progress { .. }) {
            // The clock may have been set back.
            let recent = event.at.duration_since(self.drawn_at).abs() < REDRAW;
            return if recent { Ok(()) } else { self.draw(event.at, to.err) };
        }
        self.erase(to.err)?;
        self.view.event(event, to)
    }

    fn tick(&mut self, now: Timestamp, to: &mut Streams<'_>) -> io::Result<()> {
        if self.drawn.0 == 0 { Ok(()) } else { self.draw(now, to.err) }
    }

    fn finish(
        &mut self,
        run: RunId,
        results: &[HostResult],
        to: &mut Streams<'_>,
    ) -> io::Result<()> {
        self.erase(to.err)?;
        self.view.finish(run, results, to)
    }
}

#[cfg(test)]
mod tests;
