//! What is wrong with a file, and where.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file; shown as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    file: Arc<str>,
    line: u32,
    column: u32,
}

impl Location {
    pub(crate) fn new(file: Arc<str>, line: u32, column: u32) -> Self {
        Self { file, line, column }
    }

    /// The file's name as it was given to the reader.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An error or a warning about one place in a configuration file.
///
/// Shown as `file:line:column: message`, followed by the line itself with a
/// mark under the place. Secret-looking values are masked in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    location: Location,
    message: String,
    snippet: String,
}

impl Diagnostic {
    pub(crate) fn new(location: Location, message: String, snippet: String) -> Self {
        Self { location, message, snippet }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What it is, in one line, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line with a mark under the place; empty where there is no line to show.
    pub fn snippet(&self) -> &str {
        &self.snippet
    }

    /// The same place with another thing to say about it.
    pub(crate) fn with_message(&self, message: String) -> Self {
        Self { message, ..self.clone() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)?;
        if self.snippet.is_empty() { Ok(()) } else { write!(f, "\n{}", self.snippet) }
    }
}

impl std::error::Error for Diagnostic {}
