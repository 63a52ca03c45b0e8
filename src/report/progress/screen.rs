//! Two streams that end on one screen, and a picture that is in their way.

use std::cell::RefCell;
use std::io::{self, Write};

/// Takes the picture away before the first byte is written, and not if none is:
/// a picture that comes and goes for nothing flickers.
pub(super) struct Screen<'a> {
    inner: RefCell<Inner<'a>>,
}

struct Inner<'a> {
    eraser: String,
    err: &'a mut dyn Write,
}

impl<'a> Screen<'a> {
    /// What takes the picture away is written to `err`.
    pub(super) fn new(eraser: String, err: &'a mut dyn Write) -> Self {
        Self { inner: RefCell::new(Inner { eraser, err }) }
    }

    /// Whether there is no picture any more.
    pub(super) fn is_clear(&self) -> bool {
        self.inner.borrow().eraser.is_empty()
    }

    /// Another stream, which ends on the same screen.
    pub(super) fn above<'b>(&'b self, out: &'b mut dyn Write) -> impl Write + 'b {
        Above { screen: self, out }
    }

    /// The stream on which the picture is.
    pub(super) fn beside(&self) -> impl Write + '_ {
        Beside { screen: self }
    }
}

impl Inner<'_> {
    fn clear(&mut self) -> io::Result<()> {
        super::super::show(self.err, std::mem::take(&mut self.eraser))
    }
}

struct Above<'b, 'a> {
    screen: &'b Screen<'a>,
    out: &'b mut dyn Write,
}

impl Write for Above<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.screen.inner.borrow_mut().clear()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Beside<'b, 'a> {
    screen: &'b Screen<'a>,
}

impl Write for Beside<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.screen.inner.borrow_mut();
        inner.clear()?;
        inner.err.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.screen.inner.borrow_mut().err.flush()
    }
}
