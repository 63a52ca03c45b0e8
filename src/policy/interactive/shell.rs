//! Taking a shell text apart into its simple commands.
//!
//! Enough of the POSIX grammar (XCU 2.2 to 2.10) to know which words are
//! commands and what their stdin is. Whatever it cannot follow makes the whole
//! text unread: better no answer than a wrong one.

use std::iter::Peekable;
use std::str::Chars;

/// A shell text, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) commands: Vec<Simple>,
    /// Some compound command has its stdin redirected; all are taken to.
    pub(super) compound_stdin: bool,
    /// The names of the functions it defines.
    pub(super) functions: Vec<String>,
    /// The names of the variables it sets.
    assigned: Vec<String>,
}

/// A simple command.
#[derive(Debug, Default)]
pub(super) struct Simple {
    pub(super) words: Vec<Word>,
    /// Its stdin is a file, a here-document or a pipe.
    pub(super) stdin: bool,
    /// Its stdout is a file or a pipe.
    pub(super) stdout: bool,
}

/// A word after quote removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// An expansion outside quotes: on the host it may be any number of words.
    pub(super) splits: bool,
    /// An expansion, in quotes or not: its text is not known here.
    pub(super) expands: bool,
    /// Part of it before any `=` was quoted, so that it is no keyword and no assignment.
    quoted: bool,
}

impl Word {
    /// A word that stands for itself.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// The variable that it sets, if it is an assignment.
    pub(super) fn assigns(&self) -> Option<&str> {
        let (name, _) = self.text.split_once('=')?;
        let mut chars = name.chars();
        let valid = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        valid.then_some(name)
    }
}

impl Script {
    /// Reads a text; `None` if it cannot be followed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { chars: text.chars().peekable(), ..Reader::default() };
        reader.read()?;
        Some(reader.script)
    }

    /// Whether it sets a variable whose name ends in one of `names`.
    pub(super) fn assigns(&self, names: &[&str]) -> bool {
        self.assigned.iter().any(|set| names.iter().any(|name| set.ends_with(name)))
    }
}

/// What the next word is to a redirection before it.
#[derive(Clone, Copy, Debug)]
enum Operand {
    File,
    HereDocument { strip_tabs: bool },
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    script: Script,
    command: Simple,
    word: Option<Word>,
    operand: Option<Operand>,
    /// The delimiters of here-documents that begin at the next newline.
    here: Vec<(String, bool)>,
    subshells: usize,
}

impl Default for Reader<'_> {
    fn default() -> Self {
        Self {
            chars: "".chars().peekable(),
            script: Script::default(),
            command: Simple::default(),
            word: None,
            operand: None,
            here: Vec::new(),
            subshells: 0,
        }
    }
}

impl Reader<'_> {
    fn read(&mut self) -> Option<()> {
        while let Some(c) = self.chars.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' => {
                    self.end_command(false)?;
                    self.skip_here_documents()?;
                }
                '#' if self.word.is_none() => while self.chars.next_if(|c| *c != '\n').is_some() {},
                ';' => self.end_command(false)?,
                '&' if self.chars.next_if_eq(&'>').is_some() => {
                    self.end_word();
                    self.chars.next_if_eq(&'>');
                    self.redirect(Operand::File)?;
                    self.command.stdout = true;
                }
                '&' => self.end_command(false)?,
                '|' if self.chars.next_if_eq(&'|').is_some() => self.end_command(false)?,
                '|' => {
                    self.chars.next_if_eq(&'&');
                    self.end_command(true)?;
                }
                '(' => self.open_parenthesis()?,
                ')' => {
                    // Without a `(` it ends a pattern of `case`.
                    self.subshells = self.subshells.checked_sub(1)?;
                    self.end_command(false)?;
                }
                '<' => self.redirect_in()?,
                '>' => {
                    let stdout = self.descriptor() != Some(false);
                    self.chars.next_if(|c| matches!(c, '>' | '|' | '&'));
                    self.redirect(Operand::File)?;
                    self.command.stdout |= stdout;
                }
                c => self.part_of_word(c)?,
            }
        }
        self.end_command(false)?;
        self.here.is_empty().then_some(())
    }

    fn part_of_word(&mut self, c: char) -> Option<()> {
        match c {
            '\\' => match self.chars.next()? {
                '\n' => {}
                c => self.quoted().push(c),
            },
            '\'' => {
                self.quoted();
                loop {
                    match self.chars.next()? {
                        '\'' => break,
                        c => self.current().text.push(c),
                    }
                }
            }
            '"' => self.double_quotes()?,
            '$' if self.chars.peek() == Some(&'\'') => {
                // $'…' has escapes of its own.
                self.chars.next();
                self.current().splits = true;
                self.skip_to('\'')?;
            }
            '$' | '`' => {
                self.expansion(c)?;
                self.current().splits |= self.current().expands;
            }
            c => self.current().text.push(c),
        }
        Some(())
    }

    fn double_quotes(&mut self) -> Option<()> {
        self.quoted();
        loop {
            match self.chars.next()? {
                '"' => return Some(()),
                '\\' => match self.chars.next()? {
                    '\n' => {}
                    c => {
                        if !matches!(c, '$' | '`' | '"' | '\\') {
                            self.current().text.push('\\');
                        }
                        self.current().text.push(c);
                    }
                },
                c @ ('$' | '`') => self.expansion(c)?,
                c => self.current().text.push(c),
            }
        }
    }

    /// Passes over an expansion that begins with `c`.
    fn expansion(&mut self, c: char) -> Option<()> {
        if c == '`' {
            self.current().expands = true;
            return self.skip_to('`');
        }
        match self.chars.peek() {
            Some('(') => {
                self.chars.next();
                self.skip_parentheses()?;
            }
            Some('{') => self.skip_to('}')?,
            Some(c) if c.is_ascii_alphanumeric() || "_@*#?$!-".contains(*c) => {}
            _ => {
                self.current().text.push('$');
                return Some(());
            }
        }
        self.current().expands = true;
        Some(())
    }

    fn skip_to(&mut self, end: char) -> Option<()> {
        loop {
            match self.chars.next()? {
                '\\' => _ = self.chars.next()?,
                c if c == end => return Some(()),
                _ => {}
            }
        }
    }

    /// Passes over the rest of `(…)`, quotes heeded.
    fn skip_parentheses(&mut self) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.chars.next()? {
                '(' => depth += 1,
                ')' => depth -= 1,
                '\\' => _ = self.chars.next()?,
                '\'' => while self.chars.next()? != '\'' {},
                '"' => self.skip_to('"')?,
                _ => {}
            }
        }
        Some(())
    }

    fn open_parenthesis(&mut self) -> Option<()> {
        if self.word.as_ref().is_some_and(|word| word.text.ends_with('=')) {
            return self.skip_parentheses(); // an array
        }
        self.end_word();
        match self.command.words.as_slice() {
            [] if self.chars.next_if_eq(&'(').is_some() => {
                self.skip_parentheses()?; // arithmetic
                (self.chars.next()? == ')').then_some(())
            }
            [] => {
                self.subshells += 1;
                self.script.compound_stdin |= self.command.stdin;
                Some(())
            }
            [name] => {
                self.script.functions.push(name.text.clone());
                self.command = Simple::default();
                self.skip_parentheses()
            }
            _ => None,
        }
    }

    fn redirect_in(&mut self) -> Option<()> {
        self.command.stdin |= self.descriptor() != Some(false);
        let mut operand = Operand::File;
        if self.chars.next_if(|c| matches!(c, '&' | '>')).is_none()
            && self.chars.next_if_eq(&'<').is_some()
            && self.chars.next_if_eq(&'<').is_none()
        {
            let strip_tabs = self.chars.next_if_eq(&'-').is_some();
            operand = Operand::HereDocument { strip_tabs };
        }
        self.redirect(operand)
    }

    /// Takes the next word for an operand. Process substitution is not followed.
    fn redirect(&mut self, operand: Operand) -> Option<()> {
        self.operand = Some(operand);
        (self.chars.peek() != Some(&'(')).then_some(())
    }

    /// Takes the number before a redirection: whether it names the default
    /// descriptor (0 or 1) of it, or `None` if there is no number.
    fn descriptor(&mut self) -> Option<bool> {
        let digits = |word: &Word| {
            !word.quoted && !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit())
        };
        if self.word.as_ref().is_some_and(digits) {
            return self.word.take().map(|word| matches!(word.text.as_str(), "0" | "1"));
        }
        self.end_word();
        None
    }

    fn skip_here_documents(&mut self) -> Option<()> {
        for (delimiter, strip_tabs) in std::mem::take(&mut self.here) {
            loop {
                self.chars.peek()?;
                let mut line = String::new();
                while let Some(c) = self.chars.next_if(|c| *c != '\n') {
                    line.push(c);
                }
                self.chars.next();
                let line = if strip_tabs { line.trim_start_matches('\t') } else { &line };
                if line == delimiter {
                    break;
                }
            }
        }
        Some(())
    }

    fn current(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn quoted(&mut self) -> &mut String {
        let word = self.current();
        word.quoted |= !word.text.contains('=');
        &mut word.text
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.operand.take() {
            Some(Operand::File) => {}
            Some(Operand::HereDocument { strip_tabs }) => self.here.push((word.text, strip_tabs)),
            None => self.command.words.push(word),
        }
    }

    /// Ends a simple command; `None` if what follows cannot be followed.
    fn end_command(&mut self, piped: bool) -> Option<()> {
        self.end_word();
        let mut command = std::mem::take(&mut self.command);
        self.command.stdin = piped;
        command.stdout |= piped;
        let compound = self.strip_keywords(&mut command)?;
        let only_exec = matches!(command.words.as_slice(), [word] if word.text == "exec");
        if compound || only_exec || command.words.is_empty() {
            // `… | while read line`, `exec < file`, `( … ) < file`
            self.script.compound_stdin |= command.stdin;
        }
        if !command.words.is_empty() {
            self.script.commands.push(command);
        }
        Some(())
    }

    /// Takes keywords and assignments off the front of a command. Says whether
    /// the command is, or belongs to, a compound one.
    fn strip_keywords(&mut self, command: &mut Simple) -> Option<bool> {
        let mut compound = false;
        let mut stripped = 0;
        for word in &command.words {
            match word.text.as_str() {
                _ if word.quoted => break,
                "case" => return None,
                "function" => {
                    self.script
                        .functions
                        .extend(command.words.get(stripped + 1).map(|w| w.text.clone()));
                    stripped = command.words.len();
                    break;
                }
                "if" | "then" | "elif" | "else" | "while" | "until" | "do" | "{" | "}" | "fi"
                | "done" => compound = true,
                "!" => {}
                _ if word.assigns().is_some() => {}
                _ => break,
            }
            stripped += 1;
        }
        let exports = command.words.get(stripped).is_some_and(|word| word.text == "export");
        let assignments = if exports { &command.words[..] } else { &command.words[..stripped] };
        self.script
            .assigned
            .extend(assignments.iter().filter_map(Word::assigns).map(str::to_owned));
        command.words.drain(..stripped);
        Some(compound)
    }
}
