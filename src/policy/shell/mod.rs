//! Which programs a shell string runs, where its text alone says so.
//!
//! The grammar is that of IEEE 1003.1-2017, XCU 2.3 (tokens), 2.2 (quoting)
//! and 2.9 (commands), cut down to simple commands of literal words and what
//! joins them. Everything else is refused with its reason, and so is whatever
//! any shell that may stand behind `/bin/sh` reads in a way of its own.
//!
//! The promise: what parses runs exactly these argument lists, in dash, bash
//! (POSIX mode or not), ksh93, mksh, busybox ash and zsh as sh; a test asks
//! all of them. Reading takes one pass and no recursion.

mod character;
mod lexer;
mod names;
mod refusal;

pub(super) use self::refusal::{Dynamic, DynamicKind};

use self::lexer::{Lexer, Token, TokenKind};

/// A simple command of literal words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Simple {
    /// Its argument list, never empty.
    pub(super) words: Vec<String>,
    /// The byte of the text at which it begins.
    pub(super) offset: usize,
    /// Whether its stdin is what another command of the text writes.
    pub(super) piped: bool,
}

/// Takes a shell text apart into the commands that it may run, in their order.
///
/// `;`, newlines, `&&`, `||`, `|` and `!` may join them, so a command need not
/// run; but nothing else runs. There is at least one.
///
/// # Errors
///
/// The first thing whose meaning the text alone does not fix, or
/// [`DynamicKind::Empty`] if there is no command at all.
pub(super) fn parse(text: &str) -> Result<Vec<Simple>, Dynamic> {
    let mut parser = Parser { commands: Vec::new(), command: None, place: Place::Start };
    let mut lexer = Lexer::new(text);
    while let Some(token) = lexer.next()? {
        parser.take(token)?;
    }
    parser.end(text)
}

/// What stands before the next token, if no command has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing, `;` or a newline.
    Start,
    /// `&&` or `||`.
    AndOr,
    /// `|`.
    Pipe,
    /// `!`.
    Bang,
}

struct Parser {
    commands: Vec<Simple>,
    command: Option<Simple>,
    place: Place,
}

impl Parser {
    fn take(&mut self, token: Token<'_>) -> Result<(), Dynamic> {
        let Token { kind, raw, offset } = token;
        let refuse = |what| Err(Dynamic::new(what, raw, offset));
        match kind {
            TokenKind::Word(word) => match &mut self.command {
                Some(command) => command.words.push(word),
                None => {
                    if let Some(what) = names::refused(&word) {
                        return refuse(what);
                    }
                    let piped = self.place == Place::Pipe;
                    self.command = Some(Simple { words: vec![word], offset, piped });
                }
            },
            TokenKind::Bang => match (&self.command, self.place) {
                (None, Place::Start | Place::AndOr) => self.place = Place::Bang,
                (None, Place::Pipe | Place::Bang) => return refuse(DynamicKind::Syntax),
                (Some(_), _) => return refuse(DynamicKind::History),
            },
            // It ends a command, or nothing: lists may go on in the next line.
            TokenKind::Newline if self.command.is_none() => {
                if self.place == Place::Bang {
                    return refuse(DynamicKind::Syntax);
                }
            }
            TokenKind::Newline => self.finish(Place::Start),
            _ if self.command.is_none() => return refuse(DynamicKind::Syntax),
            TokenKind::Semicolon => self.finish(Place::Start),
            TokenKind::AndOr => self.finish(Place::AndOr),
            TokenKind::Pipe => self.finish(Place::Pipe),
        }
        Ok(())
    }

    fn finish(&mut self, place: Place) {
        self.commands.extend(self.command.take());
        self.place = place;
    }

    fn end(mut self, text: &str) -> Result<Vec<Simple>, Dynamic> {
        if self.command.is_some() {
            self.finish(Place::Start);
        }
        match self.place {
            Place::Start if self.commands.is_empty() => {
                Err(Dynamic::new(DynamicKind::Empty, "", 0))
            }
            Place::Start => Ok(self.commands),
            _ => Err(Dynamic::new(DynamicKind::Syntax, "", text.len())),
        }
    }
}

#[cfg(test)]
mod tests;
