//! From text to words and operators (XCU 2.3), quotes removed (XCU 2.2, 2.6.7).

use super::character;
use super::refusal::{Dynamic, DynamicKind};

/// One token.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    /// As it stands in the text.
    pub(super) raw: &'a str,
    /// The byte at which it begins.
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) enum TokenKind {
    /// A literal word without its quotes.
    Word(String),
    /// `!` by itself.
    Bang,
    Newline,
    Semicolon,
    /// `&&` or `||`.
    AndOr,
    Pipe,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Dynamic> {
        while self.take_if(' ') || self.take_if('\t') {}
        let offset = self.at;
        let rest = &self.text[offset..];
        let operator = |kind, length| Some((kind, length));
        let found = match rest.as_bytes() {
            [] => return Ok(None),
            [b'\n', ..] => operator(TokenKind::Newline, 1),
            [b';', ..] => operator(TokenKind::Semicolon, 1),
            [b'&', b'&', ..] | [b'|', b'|', ..] => operator(TokenKind::AndOr, 2),
            [b'&', b'>', ..] => return self.refuse(DynamicKind::Redirection, 2),
            [b'&', ..] => return self.refuse(DynamicKind::Background, 1),
            [b'|', b'&', ..] => return self.refuse(DynamicKind::Extension, 2),
            [b'|', ..] => operator(TokenKind::Pipe, 1),
            [b'#', ..] => return self.refuse(DynamicKind::Comment, line(rest)),
            [b'!'] | [b'!', b' ' | b'\t' | b'\n', ..] => operator(TokenKind::Bang, 1),
            _ => None,
        };
        let kind = match found {
            Some((kind, length)) => {
                self.at += length;
                kind
            }
            None => TokenKind::Word(self.word()?),
        };
        Ok(Some(Token { kind, raw: &self.text[offset..self.at], offset }))
    }

    fn word(&mut self) -> Result<String, Dynamic> {
        let start = self.at;
        let mut word = String::new();
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' => break,
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '\\' => self.escaped(&mut word)?,
                _ => {
                    self.plain(c, self.at == start)?;
                    word.push(self.take()?);
                }
            }
        }
        Ok(word)
    }

    /// Refuses a character that is more than itself outside quotes.
    fn plain(&self, c: char, first: bool) -> Result<(), Dynamic> {
        let rest = &self.text[self.at..];
        let (what, length) = match c {
            '$' | '`' => return self.expansion(),
            '<' | '>' => redirection(rest),
            '=' if first && rest.starts_with("=(") => (DynamicKind::ProcessSubstitution, 2),
            // zsh's path of a command; a pipe to the shells before POSIX.
            '=' if first => (DynamicKind::Extension, name(rest)),
            '^' => (DynamicKind::Extension, 1),
            '(' | ')' => (DynamicKind::Parenthesis, 1),
            '*' | '?' | '[' => (DynamicKind::Glob, 1),
            '~' => (DynamicKind::Tilde, name(rest)),
            '{' | '}' => (DynamicKind::Brace, 1),
            '!' => (DynamicKind::History, name(rest)),
            _ if !c.is_ascii() => {
                (character::refused(c).unwrap_or(DynamicKind::NonAscii), c.len_utf8())
            }
            _ => return Ok(()),
        };
        self.refuse(what, length)
    }

    /// Refuses a `$` or a backquote.
    fn expansion(&self) -> Result<(), Dynamic> {
        let rest = &self.text[self.at..];
        let (what, length) = match rest.as_bytes() {
            [b'$', b'(', b'(', ..] => (DynamicKind::Arithmetic, 3),
            [b'$', b'[', ..] => (DynamicKind::Arithmetic, 2),
            [b'$', b'(', ..] => (DynamicKind::CommandSubstitution, 2),
            [b'$', b'\'' | b'"', ..] => (DynamicKind::DollarQuote, 2),
            [b'$', b'{', ..] => {
                (DynamicKind::Variable, 1 + rest[1..].find('}').map_or(1, |at| at + 1))
            }
            [b'$', ..] => (DynamicKind::Variable, name(rest)),
            _ => (DynamicKind::CommandSubstitution, 1),
        };
        self.refuse(what, length)
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), Dynamic> {
        let opened = self.at;
        self.take()?;
        while !self.take_if('\'') {
            if self.peek().is_none() {
                return Err(self.unbalanced(opened));
            }
            word.push(self.take()?);
        }
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), Dynamic> {
        let opened = self.at;
        self.take()?;
        while !self.take_if('"') {
            match self.peek() {
                None => return Err(self.unbalanced(opened)),
                Some('$' | '`') => self.expansion()?,
                Some('\\') => match self.text[self.at + 1..].chars().next() {
                    Some('\n') => self.refuse(DynamicKind::Continuation, 2)?,
                    Some('$' | '`' | '"' | '\\') => {
                        self.take()?;
                        word.push(self.take()?);
                    }
                    // A backslash before anything else is itself.
                    _ => word.push(self.take()?),
                },
                Some(c) => {
                    // In GBK or Big5 this would be one character, and what
                    // follows the backslash no longer quoted.
                    let next = self.text[self.at + c.len_utf8()..].chars().next();
                    if !c.is_ascii() && next == Some('\\') && character::refused(c).is_none() {
                        self.refuse(DynamicKind::NonAscii, c.len_utf8())?;
                    }
                    word.push(self.take()?);
                }
            }
        }
        Ok(())
    }

    fn escaped(&mut self, word: &mut String) -> Result<(), Dynamic> {
        let opened = self.at;
        self.take()?;
        match self.peek() {
            None => Err(self.unbalanced(opened)),
            Some('\n') => Err(Dynamic::new(DynamicKind::Continuation, "\\\n", opened)),
            Some(c) => {
                if !c.is_ascii() {
                    self.plain(c, false)?;
                }
                word.push(self.take()?);
                Ok(())
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Takes the next character, which there must be, if it may stand in a text.
    fn take(&mut self) -> Result<char, Dynamic> {
        let Some(c) = self.peek() else {
            return Err(self.unbalanced(self.at));
        };
        if let Some(what) = character::refused(c) {
            self.refuse(what, c.len_utf8())?;
        }
        self.at += c.len_utf8();
        Ok(c)
    }

    fn take_if(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    /// Refuses what stands here; `length` is in bytes.
    fn refuse<T>(&self, what: DynamicKind, length: usize) -> Result<T, Dynamic> {
        let token = self.text.get(self.at..self.at + length).unwrap_or_default();
        Err(Dynamic::new(what, token, self.at))
    }

    fn unbalanced(&self, opened: usize) -> Dynamic {
        let token = self.text.get(opened..opened + 1).unwrap_or_default();
        Dynamic::new(DynamicKind::Unbalanced, token, opened)
    }
}

fn redirection(rest: &str) -> (DynamicKind, usize) {
    match rest.as_bytes() {
        [b'<' | b'>', b'(', ..] => (DynamicKind::ProcessSubstitution, 2),
        [b'<', b'<', b'<', ..] => (DynamicKind::HereDocument, 3),
        [b'<', b'<', ..] => (DynamicKind::HereDocument, 2),
        [b'<', b'>' | b'&', ..] | [b'>', b'>' | b'&' | b'|', ..] => (DynamicKind::Redirection, 2),
        _ => (DynamicKind::Redirection, 1),
    }
}

/// The length of a sign and the name behind it: of `$HOME` in `$HOME/x`.
fn name(rest: &str) -> usize {
    let letters = rest.bytes().skip(1).take_while(|b| b.is_ascii_alphanumeric() || *b == b'_');
    1 + letters.count()
}

fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}
