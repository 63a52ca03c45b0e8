//! One of several commands, and all its attempts.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::line::Line;
use crate::outcome::{Failure, HostResult, Status};
use crate::remote::CommandList;
use crate::retry::{self, Sent};
use crate::run::counters::Entry;
use crate::run::record::{Nth, Op};
use crate::run::unit::{Done as Acted, Unit};
use crate::run::verdict;

/// How often, and how long apart, a channel is asked for on a connection that
/// has given some before.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How a command's turn ended.
pub(super) enum End {
    /// There was no channel for it beside the others: it may come later.
    Crowded(usize, Op, Entry),
    /// It is done.
    Done(Done),
}

/// A command that is done.
pub(super) struct Done {
    pub(super) index: usize,
    /// The attempt whose result is not on record yet.
    pub(super) op: Option<Op>,
    pub(super) result: Box<HostResult>,
}

impl Unit {
    /// Runs one command, whose first attempt is on record; `entered` is its right
    /// to begin, if it has that already.
    pub(super) async fn one(
        &self,
        nth: Nth<'_>,
        list: &CommandList,
        line: &Line<'_>,
        mut op: Op,
        entered: Option<Entry>,
    ) -> End {
        let index = nth.index;
        let entry = match entered {
            Some(entry) => entry,
            None => match self.admit(Some(index), None).await {
                Ok(entry) => entry,
                Err(result) => return End::Done(Done { index, op: Some(op), result }),
            },
        };
        let began = Instant::now();
        let _busy = line.begin();
        // A shell that is gone took with it what the commands before had set.
        let idempotent = nth.command.idempotent && !list.shell_session;
        let done = |op, mut result: HostResult| {
            result.elapsed = began.elapsed();
            result.finished_at = Timestamp::now();
            End::Done(Done { index, op, result: Box::new(result) })
        };
        let mut delays = self.options.retry.delays(retry::random);
        let mut number = 0;
        loop {
            number += 1;
            let attempt = self.attempt_nth(nth, list, line, number);
            let (mut result, sent) = match AssertUnwindSafe(attempt).catch_unwind().await {
                Ok(Some(end)) => end,
                Ok(None) => return End::Crowded(index, op, entry),
                Err(_) => {
                    (verdict::fault(self.host().vm.clone(), self.command.clone()), Sent::Unknown)
                }
            };
            (result.attempts, result.waited) = (number, entry.waited);
            self.halt.explain(&mut result);
            let again = self.may_try_again(&result, sent, idempotent);
            let Some(delay) = delays.next().filter(|_| again) else {
                return done(Some(op), result);
            };
            if let Err(failure) = self.recorder.result_nth(nth, &op, &result).await {
                result.failure = Some(failure);
                return done(None, result);
            }
            tracing::debug!(vm = %self.host().vm, index, attempt = number, ?delay, "trying again");
            tokio::select! {
                () = sleep(delay) => {}
                () = self.cancel.cancelled() => return done(None, result),
            }
            op = match self.recorder.attempt_nth(nth, number + 1).await {
                Ok(op) => op,
                Err(failure) => return done(None, self.unannounced(failure, number)),
            };
        }
    }

    fn unannounced(&self, failure: Failure, attempts: u32) -> HostResult {
        let mut result = self.blank(Status::NotStarted);
        result.failure = Some(failure);
        result.attempts = attempts;
        result
    }

    /// One attempt; `None` if there is no channel for it as long as others have
    /// theirs.
    async fn attempt_nth(
        &self,
        nth: Nth<'_>,
        list: &CommandList,
        line: &Line<'_>,
        number: u32,
    ) -> Option<(HostResult, Sent)> {
        let mut result = self.blank(Status::Unreachable);
        let mut looks = LOOKS;
        loop {
            let connected = tokio::select! {
                connected = line.connection(&mut result) => Some(connected),
                () = self.cancel.cancelled() => None,
            };
            let connection = match connected {
                Some(Ok(connection)) => connection,
                Some(Err(error)) => {
                    verdict::not_connected(&mut result, &error);
                    line.note(&result);
                    return Some((result, Sent::No));
                }
                None => {
                    result.status = Status::Cancelled;
                    return Some((result, Sent::No));
                }
            };
            let report = if list.shell_session {
                line.in_shell(&connection, nth, number).await
            } else {
                let again = self.again(line.endpoint());
                let index = Some(nth.index);
                let (held, taken) = ((nth.command, self.bounds(index)), (index, self.sink(index)));
                self.execute_held(&*connection, held, &again, number, taken).await
            };
            let Acted { sent, unsent } = Acted::of_command(report, &mut result);
            if !unsent {
                line.prove().await;
                return Some((result, sent));
            }
            if connection.is_open() && line.is_shared() {
                return None;
            }
            // A server may still count a command that has just ended.
            if connection.is_open() && looks > 0 && line.is_used().await {
                looks -= 1;
                sleep(LOOK_AGAIN).await;
                continue;
            }
            if !line.give_up(&connection).await {
                return Some((result, sent));
            }
        }
    }
}
