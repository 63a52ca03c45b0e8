//! Why a shell text says not by itself what runs.

use thiserror::Error;

use super::character::visible;

/// The longest token that is shown, in characters.
const TOKEN_MAX: usize = 40;

/// The first thing in a shell text whose meaning the text alone does not fix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{what}", place(.token, *.offset))]
pub(crate) struct Dynamic {
    /// What it is; its `Display` is a sentence without a full stop.
    pub(crate) what: DynamicKind,
    /// The text of it, shortened, with what cannot be seen written as
    /// `\u{…}`. Empty where something is missing.
    pub(crate) token: String,
    /// The byte of the text at which it stands.
    pub(crate) offset: usize,
}

impl Dynamic {
    pub(super) fn new(what: DynamicKind, token: &str, offset: usize) -> Self {
        let mut shown = String::new();
        let mut chars = token.chars();
        chars.by_ref().take(TOKEN_MAX).for_each(|c| shown.push_str(&visible(c)));
        if chars.next().is_some() {
            shown.push('…');
        }
        Self { what, token: shown, offset }
    }
}

fn place(token: &str, offset: usize) -> String {
    match token {
        "" => String::new(),
        _ => format!("`{token}` at byte {offset}: "),
    }
}

/// A reason to refuse a shell text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub(crate) enum DynamicKind {
    /// `$((…))`, `$[…]`.
    #[error("the result of a calculation becomes part of the command")]
    Arithmetic,
    /// `A=b` before a command, or in place of one.
    #[error(
        "a word with `=` in place of a program sets a variable, and may change which program runs"
    )]
    Assignment,
    /// `&`, and zsh's `&|` and `&!`.
    #[error("the command before it would go on in the background")]
    Background,
    /// A space that is none to the shell.
    #[error("a blank that people see as a space and shells do not")]
    Blank,
    /// `{`, `}`.
    #[error("braces group commands, or make several words out of one; put them in quotes")]
    Brace,
    /// `cd`, `eval`, `.`, `test`, and an alias that some shell is born with.
    #[error(
        "the shell does this by itself, and it may run, read or change what no argument shows; \
         name a program by its path"
    )]
    Builtin,
    /// `$(…)`, backquotes.
    #[error("what another command prints becomes part of this one")]
    CommandSubstitution,
    /// `# …`.
    #[error("a comment; leave it out, or put the `#` in quotes")]
    Comment,
    /// A backslash at the end of a line.
    #[error("a command that goes on in the next line; write it in one")]
    Continuation,
    /// CR, NUL, escape and the like, quoted or not.
    #[error("a control character")]
    Control,
    /// `$'…'`, `$"…"`.
    #[error("a kind of quote that not every shell knows")]
    DollarQuote,
    /// Nothing but blanks.
    #[error("there is no command in the text")]
    Empty,
    /// `''` in place of a program.
    #[error("the name of a program is empty")]
    EmptyName,
    /// What stands for something in one shell only: `=ls`, `^`, `|&`.
    #[error("some shells read this in a way of their own; put it in quotes")]
    Extension,
    /// `*`, `?`, `[`.
    #[error("a pattern stands for names of files that only the host knows; put it in quotes")]
    Glob,
    /// `<<`, `<<<`.
    #[error("a here-document is input that no argument shows")]
    HereDocument,
    /// A mark without width, or one that changes the direction of writing.
    #[error("a character that cannot be seen")]
    Hidden,
    /// `!` anywhere but before a pipeline.
    #[error("`!` calls up earlier commands in some shells; put it in quotes")]
    History,
    /// A character that is not ASCII outside quotes, or before a backslash.
    #[error(
        "a character beyond ASCII, which a shell with another encoding may split into signs of \
         its own; put it in single quotes"
    )]
    NonAscii,
    /// `(…)`, `f()`, `((…))`, and patterns in parentheses.
    #[error("a parenthesis makes a subshell, a function or a pattern")]
    Parenthesis,
    /// `<(…)`, `>(…)`, `=(…)`.
    #[error("a command in place of a file")]
    ProcessSubstitution,
    /// `<`, `>`, `2>&1`, `&>`.
    #[error("a redirection opens a file that no argument names")]
    Redirection,
    /// `if`, `for`, `time`, `[[`, in place of a program.
    #[error("a word of the shell's grammar, and no program; name a program by its path")]
    Reserved,
    /// `-x`, `+x`, `%1` in place of a program.
    #[error("the name of a program begins like an option or a job; name it by its path")]
    Sign,
    /// A command is missing, or a sign stands where none can.
    #[error("a command is missing before or behind `;`, `&&`, `||`, `|` or `!`")]
    Syntax,
    /// `~`.
    #[error("a tilde stands for a home directory that only the host knows; put it in quotes")]
    Tilde,
    /// A quote or a backslash at the end.
    #[error("a quote or a backslash that nothing ends")]
    Unbalanced,
    /// `$NAME`, `${…}`, and a `$` by itself.
    #[error("a variable, whose value only the host knows")]
    Variable,
}
