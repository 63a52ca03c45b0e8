//! A parsed file: a tree of nodes that know where they stand.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::builder::Builder;
use super::diagnostic::{Diagnostic, Location};
use super::secret::secret_ranges;
use super::snippet::{printable, snippet};
use super::value::Value;

/// Bytes of a file at most: 100,000 hosts with ten settings each take about 30 MiB.
pub(crate) const SIZE_MAX: usize = 128 << 20;

/// A parsed file, which can also say what is wrong with a place in it.
pub(crate) struct Document<'a> {
    source: Source<'a>,
    root: Node<'a>,
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Counted from 1.
    pub(crate) line: u32,
    /// In characters, counted from 1.
    pub(crate) column: u32,
    /// Offset in the text.
    pub(crate) byte: u32,
}

/// A value and where it begins.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) at: Position,
    /// This node and all below it, counted as often as they are reachable.
    pub(super) weight: u32,
    pub(super) data: Data<'a>,
}

/// Collections are shared, so that an alias costs nothing however often it is used.
#[derive(Clone)]
pub(super) enum Data<'a> {
    List(Rc<[Node<'a>]>),
    Map(Rc<[Entry<'a>]>),
    Null,
    Scalar(Cow<'a, str>),
}

/// A key and its value.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) at: Position,
    pub(super) value: Node<'a>,
}

impl<'a> Document<'a> {
    /// Parses one YAML document. An empty text is a document whose root is null.
    pub(crate) fn parse(name: &str, text: &'a str) -> Result<Self, Diagnostic> {
        let source = Source { name: name.into(), text, secrets: OnceCell::new() };
        let root = Builder::new(&source).build()?;
        Ok(Self { source, root })
    }

    /// The name that locations carry.
    pub(crate) fn name(&self) -> Arc<str> {
        self.source.name.clone()
    }

    /// The whole document as a value.
    pub(crate) fn root(&self) -> Value<'_> {
        Value::new(self, "", &self.root)
    }

    /// A finding about a place of this document.
    pub(crate) fn diagnostic(&self, at: Position, message: String) -> Diagnostic {
        self.source.diagnostic(at, message)
    }

    /// A place of this document, to be kept when the document is gone.
    pub(crate) fn location(&self, at: Position) -> Location {
        Location::new(self.source.name.clone(), at.line, at.column)
    }
}

/// The text and its name, which is all that a finding needs.
pub(super) struct Source<'a> {
    name: Arc<str>,
    pub(super) text: &'a str,
    /// Found when the first diagnostic is made: a good file never pays for it.
    secrets: OnceCell<Vec<Range<usize>>>,
}

impl Source<'_> {
    /// Without a snippet: what is too large to be read is not searched for secrets.
    pub(super) fn too_large(&self, at: Position) -> Diagnostic {
        let location = Location::new(self.name.clone(), at.line, at.column);
        let message = format!("the file is larger than {SIZE_MAX} bytes");
        Diagnostic::new(location, message, String::new())
    }

    pub(super) fn diagnostic(&self, at: Position, message: String) -> Diagnostic {
        let secrets = self.secrets.get_or_init(|| secret_ranges(self.text));
        let location = Location::new(self.name.clone(), at.line, at.column);
        Diagnostic::new(location, printable(&message), snippet(self.text, at, secrets))
    }
}
