//! What is made durable together.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::log::Receipt;
use super::record::{Body, Kind};
use super::writer::{Ack, Message};

/// The most records in one commit.
const RECORDS_MAX: usize = 256;

/// Records in the order in which they were queued, and whether the log is to be
/// closed after them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<(Body, Ack<Receipt>)>,
    pub(super) close: Option<Ack<()>>,
}

impl Batch {
    /// Takes a message, and what else is queued.
    pub(super) fn take(&mut self, message: Message, queue: &Receiver<Message>) {
        let mut message = Some(message);
        while let Some(next) = message.take() {
            match next {
                Message::Append(body, ack) => self.records.push((body, ack)),
                Message::Close(ack) => self.close = Some(ack),
            }
            if self.close.is_none() && self.records.len() < RECORDS_MAX {
                message = queue.try_recv().ok();
            }
        }
    }

    /// Waits for more, as long as all that it has may wait and there are
    /// attempts whose results it has not.
    pub(super) fn gather(&mut self, queue: &Receiver<Message>, open: usize, patience: Duration) {
        let end = Instant::now() + patience;
        while self.can_wait(open) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(message) = queue.recv_timeout(left) else { return };
            self.take(message, queue);
        }
    }

    fn can_wait(&self, open: usize) -> bool {
        self.close.is_none()
            && self.records.len() < RECORDS_MAX.min(open)
            && self.records.iter().all(|(body, _)| body.patient && body.kind == Kind::Result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};
    use std::thread;

    use super::*;
    use crate::audit::record::{Event, Record};

    /// Longer than any test: who waits for all of it fails.
    const LONG: Duration = Duration::from_secs(600);

    fn append(event: Event, patient: bool) -> Message {
        let body = Body { patient, ..Body::plain(&Record::new(event)) };
        Message::Append(body, Box::new(|_| {}))
    }

    fn result() -> Message {
        append(Event::ExecResult, true)
    }

    /// A batch that began with a result and gathered what was sent later.
    fn gathered(open: usize, later: impl FnOnce(&Sender<Message>) + Send) -> Batch {
        let (sender, queue) = mpsc::channel();
        let mut batch = Batch::default();
        batch.take(result(), &queue);
        thread::scope(|scope| {
            scope.spawn(|| later(&sender));
            batch.gather(&queue, open, LONG);
        });
        batch
    }

    fn send(sender: &Sender<Message>, messages: impl IntoIterator<Item = Message>) {
        messages.into_iter().for_each(|message| sender.send(message).unwrap());
    }

    #[test]
    fn results_wait_for_what_must_not() {
        for last in [append(Event::ExecAttempt, false), append(Event::ExecResult, false)] {
            let batch = gathered(9, |sender| send(sender, [result(), result(), last]));
            assert_eq!(batch.records.len(), 4);
        }
        let closing = Message::Close(Box::new(|_| {}));
        assert!(gathered(9, |sender| send(sender, [closing])).close.is_some());
    }

    #[test]
    fn the_last_result_waits_for_nobody() {
        assert_eq!(gathered(1, |_| {}).records.len(), 1);
        assert_eq!(gathered(3, |sender| send(sender, [result(), result()])).records.len(), 3);
    }

    #[test]
    fn a_batch_is_bounded() {
        let many = (1..RECORDS_MAX).map(|_| result());
        assert_eq!(gathered(1000, |sender| send(sender, many)).records.len(), RECORDS_MAX);
    }

    #[test]
    fn nobody_is_left_to_wait_for() {
        let (sender, queue) = mpsc::channel();
        let mut batch = Batch::default();
        batch.take(result(), &queue);
        drop(sender);
        batch.gather(&queue, 9, LONG);
        assert_eq!(batch.records.len(), 1);
    }
}
