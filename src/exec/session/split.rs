//! Cutting the two streams of a shell into those of its commands.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot};

use super::{Kept, Taken};
use crate::exec::Sink;
use crate::remote::{Capture, Collector, Stream};

/// How long what stands behind a mark can be.
const MESSAGE_MAX: usize = 64;

/// What a shell gives for an exit code that is none.
const NO_CODE: u32 = 255;

/// How much of what comes between two commands is kept for the next one.
const BETWEEN_MAX: usize = 64 * 1024;

/// Takes what a shell writes.
#[derive(Clone, Default)]
pub(super) struct Splitter(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    turn: Option<Turn>,
    /// What may be the beginning of a mark, or came after one.
    held: [Vec<u8>; 2],
}

/// The command whose output it is.
pub(super) struct Turn {
    mark: Vec<u8>,
    sink: Option<Box<dyn Sink>>,
    kept: [Collector; 2],
    /// Whether each stream's mark has come.
    cut: [bool; 2],
    code: u32,
    /// How many more bytes it may write; `None` is as many as it likes.
    output_left: Option<u64>,
    done: Option<oneshot::Sender<Told>>,
}

/// What is known of a command before its shell ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It ended with this exit code.
    Ended(u32),
    /// It wrote more than it may.
    TooMuch,
}

impl Turn {
    /// A command whose end `mark` tells, and which may write so much; with it, who
    /// is told of either.
    pub(super) fn new(
        mark: Vec<u8>,
        output_max: usize,
        output_left: Option<u64>,
        Taken { sink, stdout, stderr }: Taken,
    ) -> (Self, oneshot::Receiver<Told>) {
        let (done, told) = oneshot::channel();
        let kept = [stdout, stderr].map(|keep| Collector::new(output_max, keep));
        let (cut, code, done) = ([false; 2], 0, Some(done));
        (Self { mark, sink, kept, cut, code, output_left, done }, told)
    }

    fn tell(&mut self, told: Told) {
        if let Some(done) = self.done.take() {
            let _ = done.send(told);
        }
    }
}

impl Splitter {
    /// What comes from now on is this command's.
    pub(super) async fn begin(&self, turn: Turn) {
        self.0.lock().await.turn = Some(turn);
    }

    /// What the command wrote. Without its marks, all that came is its own.
    pub(super) async fn end(&self) -> Kept {
        let mut streams = self.0.lock().await;
        let Some(mut turn) = streams.turn.take() else {
            return (Capture::new(0).finish(), Capture::new(0).finish());
        };
        for side in [0, 1] {
            if !turn.cut[side] {
                let held = std::mem::take(&mut streams.held[side]);
                turn.kept[side].push(&held);
                if let Some(sink) = turn.sink.as_mut().filter(|_| !held.is_empty()) {
                    sink.push(stream(side), held.into()).await;
                }
            }
        }
        let [stdout, stderr] = turn.kept;
        (stdout.finish().await, stderr.finish().await)
    }
}

fn stream(side: usize) -> Stream {
    if side == 0 { Stream::Stdout } else { Stream::Stderr }
}

impl Sink for Splitter {
    /// Nothing has changed if the future is dropped: the same bytes are given
    /// again then.
    fn push(&mut self, stream: Stream, bytes: Bytes) -> BoxFuture<'_, ()> {
        async move {
            let mut streams = self.0.lock().await;
            let Streams { turn, held } = &mut *streams;
            let side = usize::from(stream == Stream::Stderr);
            let Some(turn) = turn.as_mut().filter(|turn| !turn.cut[side]) else {
                // A process that was left behind writes.
                let room = BETWEEN_MAX.saturating_sub(held[side].len()).min(bytes.len());
                held[side].extend_from_slice(&bytes[..room]);
                return;
            };
            turn.kept[side].room().await;
            let all = [held[side].as_slice(), &bytes].concat();
            let (own, code, rest) = cut(&all, &turn.mark);
            if let Some(sink) = turn.sink.as_mut().filter(|_| !own.is_empty()) {
                sink.push(stream, Bytes::copy_from_slice(own)).await;
            }
            turn.kept[side].push(own);
            held[side] = rest.to_vec();
            if let Some(left) = turn.output_left {
                turn.output_left = left.checked_sub(own.len() as u64);
                if turn.output_left.is_none() {
                    turn.tell(Told::TooMuch);
                }
            }
            if let Some(code) = code {
                turn.cut[side] = true;
                if stream == Stream::Stdout {
                    turn.code = code;
                }
            }
            if turn.cut == [true; 2] {
                turn.tell(Told::Ended(turn.code));
            }
        }
        .boxed()
    }
}

/// What is certain to stand before the mark, what follows the mark if that has
/// come whole, and what is to be looked at again.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], Option<u32>, &'a [u8]) {
    let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) else {
        let longest = (mark.len() - 1).min(bytes.len());
        let partial = (1..=longest).rev().find(|&length| bytes.ends_with(&mark[..length]));
        let (own, rest) = bytes.split_at(bytes.len() - partial.unwrap_or(0));
        return (own, None, rest);
    };
    let (own, marked) = bytes.split_at(at);
    let said = &marked[mark.len()..];
    match said.iter().position(|&byte| byte == b'\n') {
        None if said.len() < MESSAGE_MAX => (own, None, marked),
        end => {
            let end = end.unwrap_or(MESSAGE_MAX);
            let code = std::str::from_utf8(&said[..end]).ok().and_then(|code| code.parse().ok());
            (own, Some(code.unwrap_or(NO_CODE)), said.get(end + 1..).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(out: &str, err: &str, chunk: usize) -> (String, String, Option<u32>) {
        let mut splitter = Splitter::default();
        let (turn, mut done) = Turn::new(b"orch1 abc ".to_vec(), 100, None, Taken::default());
        splitter.begin(turn).await;
        for (stream, text) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
            for bytes in text.as_bytes().chunks(chunk) {
                splitter.push(stream, Bytes::copy_from_slice(bytes)).await;
            }
        }
        let (stdout, stderr) = splitter.end().await;
        let code = done.try_recv().ok().map(|told| match told {
            Told::Ended(code) => code,
            Told::TooMuch => u32::MAX,
        });
        (stdout.to_text(), stderr.to_text(), code)
    }

    #[tokio::test]
    async fn each_stream_ends_at_its_mark() {
        for chunk in [1, 2, 5, 100] {
            let told = check("one\norch1 abc 3\nlater", "orch1 xyz 0\norch1 abc .\n", chunk).await;
            assert_eq!(told, ("one\n".into(), "orch1 xyz 0\n".into(), Some(3)), "{chunk}");
            let told = check("orch1 or", "torch1 abc", chunk).await;
            assert_eq!(told, ("orch1 or".into(), "torch1 abc".into(), None), "{chunk}");
            let told = check("xorch1 abc 0\n", "e", chunk).await;
            assert_eq!(told, ("x".into(), "e".into(), None), "{chunk}");
        }
    }

    #[tokio::test]
    async fn what_comes_between_two_commands_is_the_next_ones() {
        let mut splitter = Splitter::default();
        let push = async |splitter: &mut Splitter, text: &'static str| {
            splitter.push(Stream::Stdout, Bytes::from_static(text.as_bytes())).await;
        };
        let (turn, _done) = Turn::new(b"orch1 1 ".to_vec(), 100, None, Taken::default());
        splitter.begin(turn).await;
        push(&mut splitter, "a orch1 1 0\nb").await;
        push(&mut splitter, "c").await;
        assert_eq!(splitter.end().await.0.to_text(), "a ");
        let (turn, _done) = Turn::new(b"orch1 2 ".to_vec(), 100, None, Taken::default());
        splitter.begin(turn).await;
        push(&mut splitter, "d").await;
        assert_eq!(splitter.end().await.0.to_text(), "bcd");
    }
}
