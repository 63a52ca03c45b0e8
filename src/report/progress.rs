//! What stands on a terminal while a run goes on: bars for what is moved, and a
//! line that says how the run stands.
//!
//! A library of bars would have a thread and the terminal to itself. Here the
//! events are what is drawn, and whoever writes anything else has to be let
//! through.

mod bars;
mod pace;
mod screen;

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

use self::bars::Bars;
pub use self::bars::Size;
use self::screen::Screen;
use super::standing::Standing;
use super::{Palette, Streams, View};
use crate::event::{Event, EventKind};
use crate::ids::RunId;
use crate::outcome::HostResult;

/// How much time there is between two pictures at least.
const REDRAW: SignedDuration = SignedDuration::from_millis(200);

/// How wide a terminal is taken to be that nothing is known of.
const WIDTH: u16 = 80;

/// Tells the size of the terminal, which may change at any time; `None` where
/// nothing may be drawn now, and what was drawn stays.
pub type Measure = Box<dyn Fn() -> Option<Size> + Send>;

/// Draws on stderr, which has to be a terminal, below whatever another view
/// shows; and says how the run stands when asked.
pub struct Progress {
    view: Box<dyn View>,
    bars: Bars,
    standing: Standing,
    palette: Palette,
    measure: Measure,
    drawn: Drawn,
}

/// The picture on the screen.
struct Drawn {
    text: String,
    lines: usize,
    /// How wide the terminal was then.
    width: u16,
    at: Timestamp,
    /// How many lines further down the cursor is, because somebody typed.
    below: usize,
}

impl Progress {
    /// Around this view, in these colours, with block characters where the
    /// terminal has them.
    pub fn new(view: Box<dyn View>, palette: Palette, blocks: bool, measure: Measure) -> Self {
        let drawn = Drawn { text: String::new(), lines: 0, width: 0, at: Timestamp::MIN, below: 0 };
        let (bars, standing) = (Bars::new(blocks), Standing::default());
        Self { view, bars, standing, palette, measure, drawn }
    }

    /// Draws, unless there was a picture a moment ago.
    fn draw(&mut self, now: Timestamp, err: &mut dyn Write) -> io::Result<()> {
        // The clock may have been set back.
        if now.duration_since(self.drawn.at).abs() < REDRAW {
            return Ok(());
        }
        let Some(size) = (self.measure)() else { return self.erase(err) };
        let mut lines = self.bars.draw(size, now);
        // There has to be room for the line above and the cursor.
        if lines.len() + 3 <= usize::from(size.height) {
            lines.extend(self.standing.line(size.width.into(), now, self.palette));
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let as_it_is = self.drawn.width == size.width && self.drawn.below == 0;
        if text == self.drawn.text && (text.is_empty() || as_it_is) {
            return Ok(());
        }
        let picture = self.eraser() + &text;
        let (lines, width) = (lines.len(), size.width);
        self.drawn = Drawn { text, lines, width, at: now, below: 0 };
        super::show(err, picture)
    }

    fn erase(&mut self, err: &mut dyn Write) -> io::Result<()> {
        let eraser = self.eraser();
        self.drawn.clear();
        super::show(err, eraser)
    }

    /// What takes the last picture away (ECMA-48, CUU and ED). In a window that
    /// got another width nobody knows which rows it is in, and the picture stays
    /// rather than that something else is lost.
    fn eraser(&self) -> String {
        if self.drawn.lines == 0 {
            return String::new();
        }
        let up = self.drawn.lines + self.drawn.below;
        match (self.measure)() {
            Some(size) if self.drawn.width == size.width && up < usize::from(size.height) => {
                // Whoever typed something has moved the cursor.
                format!("\r\x1b[{up}A\x1b[J")
            }
            _ => String::new(),
        }
    }

    /// Lets the other view write, the picture taken away before it does.
    fn give_way(
        &mut self,
        to: &mut Streams<'_>,
        write: impl FnOnce(&mut dyn View, &mut Streams<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let screen = Screen::new(self.eraser(), to.err);
        let written = write(
            &mut *self.view,
            &mut Streams { out: &mut screen.above(to.out), err: &mut screen.beside() },
        );
        if screen.is_clear() {
            self.drawn.clear();
        }
        written
    }
}

impl Drawn {
    fn clear(&mut self) {
        self.text.clear();
        (self.lines, self.below) = (0, 0);
    }
}

impl View for Progress {
    fn event(&mut self, event: &Event, to: &mut Streams<'_>) -> io::Result<()> {
        self.bars.note(event);
        self.standing.note(event);
        if !matches!(event.kind, EventKind::Progress { .. }) {
            self.give_way(to, |view, to| view.event(event, to))?;
        }
        self.draw(event.at, to.err)
    }

    fn tick(&mut self, now: Timestamp, to: &mut Streams<'_>) -> io::Result<()> {
        self.give_way(to, |view, to| view.tick(now, to))?;
        self.draw(now, to.err)
    }

    fn status(&mut self, now: Timestamp, to: &mut Streams<'_>) -> io::Result<()> {
        self.erase(to.err)?;
        let width = (self.measure)().map_or(WIDTH, |size| size.width);
        super::show(to.err, self.standing.block(width.into(), now, self.palette))
    }

    fn interject(&mut self, line: &str, to: &mut Streams<'_>) -> io::Result<()> {
        self.give_way(to, |view, to| view.interject(line, to))
    }

    fn typed(&mut self, line_ends: usize) {
        if self.drawn.lines > 0 {
            self.drawn.below += line_ends;
        }
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
