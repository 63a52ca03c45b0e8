//! What a host wrote, as much of it as is kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commands;
use crate::hex::hex;
use crate::redact::Redactor;
use crate::remote::{Captured, Ends};

/// How far from a cut the end of a line is looked for.
const LINE_MAX: usize = 4096;

/// One stream of a host.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Output {
    #[serde(serialize_with = "commands::write", deserialize_with = "commands::read")]
    pub(super) head: Vec<u8>,
    #[serde(serialize_with = "commands::write", deserialize_with = "commands::read")]
    pub(super) tail: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// What head and tail are yet to be read from, and how much of it.
    #[serde(skip)]
    unread: Option<(Captured, usize)>,
}

impl Output {
    /// Takes a stream of a result, at most `cap` bytes of it. What was shown and
    /// not kept there is in `told`. Nothing is read yet: it may be on the disk.
    pub(super) fn new(stream: &Captured, told: Option<Ends>, cap: usize) -> Self {
        let (bytes, sha256) = (stream.len(), stream.sha256().to_owned());
        match told {
            Some(told) if told.total() > 0 => {
                let (head, tail) = of_last_attempt(told, bytes);
                Self { head, tail, bytes, sha256, unread: None }
            }
            _ => Self { bytes, sha256, unread: Some((stream.clone(), cap)), ..Self::default() },
        }
    }

    /// Reads what is kept of the stream. May wait for the disk.
    pub(super) fn read(&mut self) {
        if let Some((stream, cap)) = self.unread.take() {
            (self.head, self.tail) = stream.ends(cap);
        }
    }

    /// How much memory it takes, or will take when it is read.
    pub(super) fn size(&self) -> usize {
        let unread = self.unread.as_ref().map_or(0, |(stream, cap)| {
            usize::try_from(stream.kept()).unwrap_or(usize::MAX).min(*cap)
        });
        self.head.len() + self.tail.len() + unread
    }

    /// Drops what was kept; how much there was, and its digest, stay.
    pub(super) fn count_only(&mut self) {
        (self.head, self.tail, self.unread) = Default::default();
    }

    /// Takes out secrets, and what could be a part of one at the cut.
    pub(super) fn redact(&mut self, redactor: &Redactor) {
        self.read();
        if self.bytes > self.size() as u64 {
            self.head.truncate(end_of_last_line(&self.head));
            self.tail.drain(..start_of_first_line(&self.tail));
            self.tail.drain(..end_of_key(&self.tail));
        } else {
            // Nothing is missing, so that both are one text.
            self.head.append(&mut self.tail);
        }
        let before = self.size() as u64;
        let head = redact(&mut self.head, redactor);
        let tail = redact(&mut self.tail, redactor);
        if head || tail {
            self.bytes = self.bytes - before + self.size() as u64;
            // The digest of a text with a secret in it would let that be guessed.
            let digest = Sha256::new().chain_update(&self.head).chain_update(&self.tail);
            self.sha256 = hex(digest.finalize());
        }
    }
}

/// What was told of a host is that of all its attempts; a result has the last
/// one's only, which stands at the end.
fn of_last_attempt(told: Ends, bytes: u64) -> (Vec<u8>, Vec<u8>) {
    let all = told.total();
    let (mut head, mut tail) = told.into_parts();
    if all <= bytes {
        return (head, tail);
    }
    if all == (head.len() + tail.len()) as u64 {
        head.append(&mut tail);
        tail = std::mem::take(&mut head);
    }
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    tail.drain(..tail.len().saturating_sub(bytes));
    (Vec::new(), tail)
}

fn end_of_last_line(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(LINE_MAX);
    bytes[from..].iter().rposition(|&byte| byte == b'\n').map_or(from, |at| from + at + 1)
}

fn start_of_first_line(bytes: &[u8]) -> usize {
    let to = bytes.len().min(LINE_MAX);
    bytes[..to].iter().position(|&byte| byte == b'\n').map_or(to, |at| at + 1)
}

/// Where a private key ends whose beginning was cut away.
fn end_of_key(bytes: &[u8]) -> usize {
    let find = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let Some(end) = find(b"-----END ") else { return 0 };
    if find(b"-----BEGIN ").is_some_and(|begin| begin < end) { 0 } else { end }
}

/// Whether there was something to take out.
fn redact(bytes: &mut Vec<u8>, redactor: &Redactor) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let redacted = redactor.redact(&text);
    if redacted.hits.is_empty() {
        return false;
    }
    let redacted = redacted.text.into_owned().into_bytes();
    *bytes = redacted;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Capture;

    fn captured(bytes: &[u8], cap: usize) -> Captured {
        let mut capture = Capture::new(cap);
        capture.push(bytes);
        capture.finish()
    }

    fn read(stream: &Captured, told: Option<Ends>, cap: usize) -> Output {
        let mut output = Output::new(stream, told, cap);
        output.read();
        output
    }

    fn told(chunks: &[&[u8]], cap: usize) -> Option<Ends> {
        let mut ends = Ends::new(cap);
        chunks.iter().for_each(|chunk| ends.push(chunk));
        Some(ends)
    }

    fn parts(output: &Output) -> (&str, &str) {
        (str::from_utf8(&output.head).unwrap(), str::from_utf8(&output.tail).unwrap())
    }

    #[test]
    fn a_stream_is_cut_in_the_middle() {
        let whole = read(&captured(b"abcdef", 6), None, 6);
        assert_eq!([whole.head, whole.tail].concat(), b"abcdef");
        let cut = read(&captured(b"abcdef", 100), None, 4);
        assert_eq!((parts(&cut), cut.bytes), (("ab", "ef"), 6));
        let twice = read(&captured(b"abcdefghij", 6), None, 3);
        assert_eq!((parts(&twice), twice.bytes), (("ab", "j"), 10));
        let counted = read(&captured(b"abc", 0), None, 100);
        assert_eq!((counted.size(), counted.bytes), (0, 3));
    }

    #[test]
    fn what_was_told_is_kept_where_the_result_only_counted() {
        let output = read(&captured(b"abcdef", 0), told(&[b"abc", b"def"], 100), 100);
        assert_eq!([output.head, output.tail].concat(), b"abcdef");
    }

    #[test]
    fn of_several_attempts_the_last_counts() {
        let output = read(&captured(b"xyz", 0), told(&[b"abc", b"xyz"], 100), 100);
        assert_eq!(parts(&output), ("", "xyz"));
        let long = read(&captured(b"uvwxyz", 0), told(&[b"abc", b"uvwxyz"], 4), 4);
        assert_eq!((parts(&long), long.bytes), (("", "yz"), 6));
    }

    #[test]
    fn secrets_go_and_leave_no_digest() {
        let text = b"a\npassword=hunter2\n";
        let mut output = read(&captured(text, 100), None, 100);
        let digest = output.sha256.clone();
        output.redact(&Redactor::builtin());
        assert_eq!(parts(&output), ("a\npassword=[redacted]\n", ""));
        assert_eq!(output.bytes, output.head.len() as u64);
        assert_ne!(output.sha256, digest);
    }

    #[test]
    fn bytes_without_a_secret_stay_exact() {
        let all: Vec<u8> = (0..=255).collect();
        let mut output = read(&captured(&all, 1000), None, 1000);
        output.redact(&Redactor::builtin());
        assert_eq!([output.head, output.tail].concat(), all);
    }

    #[test]
    fn no_half_of_a_secret_is_left_at_the_cut() {
        let secret = Redactor::builtin().with_secret("tr0ub4dor".into());
        let mut output = read(&captured(b"one\ntr0ub4dor and more\ntwo\n", 16), None, 16);
        assert_eq!(parts(&output), ("one\ntr0u", "ore\ntwo\n"));
        output.redact(&secret);
        assert_eq!(parts(&output), ("one\n", "two\n"));
        assert_eq!(output.bytes, 27);
        let key = format!("{}\n-----END RSA PRIVATE KEY-----\nend\n", "TUlJ\n".repeat(20));
        let mut output = read(&captured(key.as_bytes(), 100), None, 100);
        output.redact(&secret);
        assert!(!parts(&output).1.contains("TUlJ"), "{output:?}");
    }
}
