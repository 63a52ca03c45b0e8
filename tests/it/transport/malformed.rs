//! A server that spoils its own messages, by chance but reproducibly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, timeout};

use super::{GROWTH_MAX_KIB, Target, exec, nothing_is_left, soak, tasks};
use crate::support::{Behaviour, Hostile, rss_kib};

/// A message that was spoilt may be one we wait for, so many attempts end here.
const DEADLINE: Duration = Duration::from_secs(1);
const LATE_MAX: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 64;

#[tokio::test]
async fn check_08_spoilt_messages_neither_panic_nor_hang() {
    let seeds = if soak() { 10_000 } else { 1_000 };
    let panics = count_panics();
    let (tasks_before, rss_before) = (tasks(), rss_kib());
    let ended: Vec<Ended> =
        stream::iter(0..seeds).map(attempt).buffer_unordered(AT_ONCE).collect().await;
    let count = |what| ended.iter().filter(|ended| **ended == what).count();
    let reached = [Ended::Refused, Ended::Connected, Ended::Finished].map(count);
    // The mutations reach every part of the conversation.
    assert!(reached.iter().all(|count| *count > 0), "{reached:?}");
    let none = "127.0.0.1:9".parse().unwrap();
    nothing_is_left(tasks_before, none).await;
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    let growth = rss_kib().saturating_sub(rss_before);
    assert!(growth < GROWTH_MAX_KIB, "grew by {growth} KiB");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Refused,
    Connected,
    Finished,
}

async fn attempt(seed: u64) -> Ended {
    let server = Hostile::start(Behaviour::Mutates(seed));
    let target = Target::hostile(&server);
    let started = Instant::now();
    let connected = target.connect_within(DEADLINE).await;
    assert!(started.elapsed() < DEADLINE + LATE_MAX, "seed {seed}");
    let Ok(connection) = connected else { return Ended::Refused };
    let command = async {
        let mut channel = exec(&*connection, "echo hello").await.ok()?;
        super::listen(&mut *channel.output).await.exit
    };
    let exit = timeout(DEADLINE, command).await;
    if matches!(exit, Ok(Some(_))) { Ended::Finished } else { Ended::Connected }
}

/// Counts panics outside the tests themselves from now on: in a task they
/// would otherwise only be seen as a connection that ends.
fn count_panics() -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|at| !at.file().starts_with("tests/")) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        usual(panic);
    }));
    count
}
