//! The person at the other end, if there is one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{keyboard, signals};
use crate::prompt::{PromptError, Prompter};
use crate::report::{Palette, Progress, Size, View};

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// Even into a file or a pipe
    Always,
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Plain text
    Never,
}

/// The controlling terminal.
pub(super) struct Terminal;

/// How long an answer may be.
const ANSWER_MAX: u64 = 16 * 1024;

impl Terminal {
    pub(super) fn stdout() -> bool {
        io::stdout().is_terminal()
    }

    pub(super) fn stderr() -> bool {
        io::stderr().is_terminal()
    }

    /// The colours for a stream that is a terminal or not.
    pub(super) fn palette(color: Color, terminal: bool) -> Palette {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = Self::dumb();
        let coloured = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto => set("CLICOLOR_FORCE") || (terminal && !dumb),
        };
        if coloured { Palette::ANSI } else { Palette::PLAIN }
    }

    /// How the run stands around a view, where stderr is a terminal: for whoever
    /// asks, and if it `draws` and the terminal can move its cursor, all the time.
    pub(super) fn progress(view: Box<dyn View>, palette: Palette, draws: bool) -> Box<dyn View> {
        if !Self::stderr() {
            return view;
        }
        let draws = draws && !Self::dumb();
        let size = move || {
            // Nothing is drawn over a question.
            let free = draws && !keyboard::taken() && keyboard::in_front(io::stderr());
            let size = tcgetwinsize(io::stderr()).ok().filter(|_| free)?;
            Some(Size { width: size.ws_col, height: size.ws_row })
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
        let blocks = has_blocks(locale);
        Box::new(Progress::new(view, palette, blocks, Box::new(size)))
    }

    /// Whether somebody watches who could press Ctrl-C or Enter.
    pub(super) fn watched() -> bool {
        io::stdin().is_terminal() && Self::stderr()
    }

    /// Whether what is written to stdout goes to a program, which may write on
    /// this terminal whenever it likes.
    pub(super) fn stdout_is_pipe() -> bool {
        let kind = rustix::fs::fstat(io::stdout()).map(|stat| stat.st_mode);
        kind.is_ok_and(|mode| {
            let kind = rustix::fs::FileType::from_raw_mode(mode);
            matches!(kind, rustix::fs::FileType::Fifo | rustix::fs::FileType::Socket)
        })
    }

    /// Whether it only ever writes on.
    fn dumb() -> bool {
        std::env::var_os("TERM").is_some_and(|term| term == "dumb")
    }
}

/// Whether the locale is one with UTF-8. The first of its variables that is not
/// empty decides (POSIX, 8.2).
fn has_blocks(locale: impl IntoIterator<Item = OsString>) -> bool {
    let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

impl Prompter for Terminal {
    fn secret(&self, question: &str) -> Result<SecretString, PromptError> {
        let mut tty = open(question)?;
        let _alone = keyboard::take();
        let hidden = Hidden::new(&tty, question)?;
        write!(tty, "{question}").map_err(failed)?;
        let typed = read_hidden(&tty);
        drop(hidden);
        let _ = writeln!(tty);
        let Typed::Line(line) = typed? else {
            // As the terminal would have done, but with its echo restored.
            signals::mean_it();
            let _ = kill_process(getpid(), Signal::INT);
            return Err(PromptError::Io("interrupted".into()));
        };
        let line = std::str::from_utf8(&line).map_err(|_| PromptError::Io("not UTF-8".into()))?;
        Ok(SecretString::from(line))
    }

    fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        let mut tty = open(question)?;
        let _alone = keyboard::take();
        write!(tty, "{question} [yes/no] ").map_err(failed)?;
        let mut line = Zeroizing::new(String::new());
        read_line(&tty, &mut line)?;
        Ok(line.trim().eq_ignore_ascii_case("yes"))
    }
}

/// stdin may be the command's own, so the terminal itself is asked.
fn open(question: &str) -> Result<File, PromptError> {
    if !io::stderr().is_terminal() {
        return Err(PromptError::Nobody(question.trim_end_matches([':', ' ']).into()));
    }
    File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| PromptError::Nobody(question.trim_end_matches([':', ' ']).into()))
}

fn read_line(tty: &File, line: &mut String) -> Result<(), PromptError> {
    let mut reader = BufReader::with_capacity(1, tty).take(ANSWER_MAX);
    match reader.read_line(line).map_err(failed)? {
        0 => Err(PromptError::Io("end of file".into())),
        _ => Ok(()),
    }
}

/// What came of a question whose answer is not shown.
enum Typed {
    Interrupt,
    Line(Zeroizing<Vec<u8>>),
}

/// Reads a line key by key, the terminal doing nothing by itself.
fn read_hidden(tty: &File) -> Result<Typed, PromptError> {
    let mut line = Zeroizing::new(Vec::with_capacity(1024));
    for key in BufReader::with_capacity(1, tty).take(ANSWER_MAX).bytes() {
        match key.map_err(failed)? {
            0x03 => return Ok(Typed::Interrupt),
            0x04 if line.is_empty() => break,
            b'\r' | b'\n' => return Ok(Typed::Line(line)),
            // A character may have several bytes.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => line.clear(),
            key => line.push(key),
        }
    }
    Err(PromptError::Io("end of file".into()))
}

fn failed(error: io::Error) -> PromptError {
    PromptError::Io(error.to_string())
}

/// Echo is off while this lives, and so is Ctrl-C: the death of the process would
/// leave it off.
struct Hidden {
    tty: File,
    before: Termios,
}

impl Hidden {
    fn new(tty: &File, question: &str) -> Result<Self, PromptError> {
        let nobody = |_| PromptError::Nobody(question.into());
        let before = tcgetattr(tty).map_err(nobody)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(tty, OptionalActions::Flush, &hidden).map_err(nobody)?;
        Ok(Self { tty: tty.try_clone().map_err(failed)?, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Result<Option<String>, PromptError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), keys).unwrap();
        Ok(match read_hidden(&file.reopen().unwrap())? {
            Typed::Interrupt => None,
            Typed::Line(line) => Some(String::from_utf8(line.to_vec()).unwrap()),
        })
    }

    #[test]
    fn the_locale_says_what_can_be_shown() {
        let check = |locale: &[&str], expected| {
            assert_eq!(has_blocks(locale.iter().map(OsString::from)), expected, "{locale:?}");
        };
        check(&["C.UTF-8"], true);
        check(&["", "pl_PL.utf8"], true);
        check(&["C", "", "en_US.UTF-8"], false);
        check(&["en_US.ISO-8859-1"], false);
        check(&[], false);
    }

    #[test]
    fn hidden_lines() {
        assert_eq!(typed("a b\nrest").unwrap().unwrap(), "a b");
        assert_eq!(typed("aé\u{7f}c\r").unwrap().unwrap(), "ac");
        assert_eq!(typed("wrong\u{15}right\n").unwrap().unwrap(), "right");
        assert_eq!(typed("abc\u{3}\n").unwrap(), None);
        assert!(typed("\u{4}").is_err());
        assert!(typed("no end").is_err());
    }
}
