//! Finding our `/bin/sh`'s messages among what else is on stderr.

use super::mark::Mark;

/// How much may stand between the mark and the end of a message's line.
const MESSAGE_MAX: usize = 256;

/// A message of our `/bin/sh`, or sudo's prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// It cannot start the command: `cwd`, `stdin` or a variable's name.
    Error(String),
    /// sudo wants the password.
    Prompt,
    /// It is ready to read stdin.
    Ready,
    /// The command is being executed by the process of this id.
    Started(u32),
}

/// Cuts our messages out of stderr and lets the rest pass, as soon as it is
/// certain that it is the rest.
pub(super) struct HeaderScanner {
    header: Vec<u8>,
    held: Vec<u8>,
    done: bool,
}

impl HeaderScanner {
    pub(super) fn new(mark: &Mark) -> Self {
        Self { header: mark.header().into_bytes(), held: Vec::new(), done: false }
    }

    /// A scanner for the same messages that has seen nothing yet.
    pub(super) fn anew(&self) -> Self {
        Self { header: self.header.clone(), held: Vec::new(), done: false }
    }

    /// Takes bytes of stderr; gives what is the command's own, and the
    /// messages in between.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<Message>) {
        if self.done {
            return (bytes.to_vec(), Vec::new());
        }
        self.held.extend_from_slice(bytes);
        let mut passed = Vec::new();
        let mut messages = Vec::new();
        while !self.done {
            let Some(at) = find(&self.held, &self.header) else {
                let keep = partial(&self.held, &self.header);
                passed.extend(self.held.drain(..self.held.len() - keep));
                return (passed, messages);
            };
            let start = at + self.header.len();
            let Some((message, end)) = parse(&self.held, start) else {
                passed.extend(self.held.drain(..at));
                return (passed, messages);
            };
            passed.extend_from_slice(&self.held[..at]);
            self.held.drain(..end);
            self.done = matches!(message, Message::Started(_) | Message::Error(_));
            messages.push(message);
        }
        passed.append(&mut self.held);
        (passed, messages)
    }

    /// What was held back when stderr ended.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// The message after a header, and where it ends; `None` if it is not whole
/// yet. A line that is no message of ours cannot follow our header.
fn parse(held: &[u8], start: usize) -> Option<(Message, usize)> {
    let rest = held.get(start..)?;
    if rest.first() == Some(&b'P') {
        return Some((Message::Prompt, start + 1));
    }
    let length = rest.iter().position(|&byte| byte == b'\n');
    if length.is_none() && rest.len() < MESSAGE_MAX {
        return None;
    }
    let line = &rest[..length.unwrap_or(MESSAGE_MAX)];
    let end = start + length.map_or(MESSAGE_MAX, |length| length + 1);
    let text = String::from_utf8_lossy(line);
    let message = match text.split_once(' ') {
        Some(("S", pid)) => Message::Started(pid.trim().parse().unwrap_or(0)),
        Some(("E", what)) => Message::Error(what.trim().to_owned()),
        _ => Message::Ready,
    };
    Some((message, end))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// How many bytes at the end of `held` may be the beginning of `header`.
fn partial(held: &[u8], header: &[u8]) -> usize {
    (1..header.len().min(held.len() + 1))
        .rev()
        .find(|&length| held.ends_with(&header[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;

    fn scan(text: &str, chunk: usize) -> (String, Vec<Message>) {
        let mark = Mark::new(RunId::new(), &"vm01".parse().unwrap(), 1).unwrap();
        let text = text.replace("MARK", &mark.to_string());
        let mut scanner = HeaderScanner::new(&mark);
        let (mut passed, mut messages) = (Vec::new(), Vec::new());
        for bytes in text.as_bytes().chunks(chunk) {
            let (more, new) = scanner.push(bytes);
            passed.extend(more);
            messages.extend(new);
        }
        passed.extend(scanner.finish());
        (String::from_utf8(passed).unwrap().replace(&mark.to_string(), "MARK"), messages)
    }

    /// Whatever the chunks, the outcome is the same.
    fn check(text: &str, passed: &str, messages: &[Message]) {
        for chunk in [1, 2, 3, 7, 4096] {
            assert_eq!(scan(text, chunk), (passed.to_owned(), messages.to_vec()), "{chunk}");
        }
    }

    #[test]
    fn the_start_message_is_cut_out() {
        check("orch1 MARK S 42\nhello\n", "hello\n", &[Message::Started(42)]);
    }

    #[test]
    fn noise_of_the_login_shell_passes() {
        check("noise orch1 orch1 MARK S 7\nx", "noise orch1 x", &[Message::Started(7)]);
    }

    #[test]
    fn nothing_is_a_message_after_the_start() {
        check("orch1 MARK S 1\norch1 MARK S 2\n", "orch1 MARK S 2\n", &[Message::Started(1)]);
    }

    #[test]
    fn another_mark_is_no_mark() {
        check("orch1 other S 1\n", "orch1 other S 1\n", &[]);
    }

    #[test]
    fn sudo_asks_then_the_shell_is_ready_then_it_starts() {
        check(
            "orch1 MARK Porch1 MARK R\norch1 MARK S 9\n",
            "",
            &[Message::Prompt, Message::Ready, Message::Started(9)],
        );
    }

    #[test]
    fn an_error_names_its_cause() {
        check("orch1 MARK E cwd\n", "", &[Message::Error("cwd".into())]);
    }
}
