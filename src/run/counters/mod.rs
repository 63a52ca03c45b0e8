//! How often something may be begun, and how many of it may be at work at the
//! same time.
//!
//! Each run of the program is a process of its own, so what is counted is on
//! the disk, below the state directory, where all processes of an account see
//! it. Without a state directory it holds within one process. Where it cannot
//! be counted nothing is begun.

mod bucket;
mod instances;
mod rates;

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout_at};

use self::instances::Running;
use self::rates::{Rates, Short};
use crate::ids::VmId;
use crate::policy::{Constraints, Instances, Rate, Scope, WhenExceeded};

/// What is counted for the rules of a policy. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    rates: Rates,
    running: instances::Place,
    /// Who waits for a bucket: one looks at it, the others wait for that one.
    queues: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// The right to begin; what is at work is counted until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// How long it had to be waited for.
    pub(super) waited: Duration,
    _running: Vec<Running>,
}

/// Why something may not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{name}: {of} at the same time on one host, and so many are at work")]
    Instances { name: String, of: u32 },
    #[error("{name}: {rate}; the next one may begin in {} s", seconds(*.next))]
    Rate { name: String, rate: Rate, next: Duration },
    #[error("it cannot be counted how often this is done: {0}")]
    Unusable(#[from] io::Error),
}

impl Counters {
    /// Counters below this directory, which is made when it is first needed;
    /// without one they hold within this process.
    pub fn new(dir: Option<PathBuf>) -> Self {
        let dir = dir.map(Arc::from);
        Self(Arc::new(Shared {
            rates: Rates::new(dir.clone()),
            running: instances::Place::new(dir),
            queues: Mutex::default(),
        }))
    }

    /// Lets something begin on a host. A bucket whose rule says so is waited
    /// for, no longer than `patience`.
    ///
    /// # Errors
    /// There are enough of it, or it cannot be counted. Nothing was taken.
    ///
    /// # Cancel safety
    /// Who is dropped may have taken from a bucket, but is not at work.
    pub(super) async fn enter(
        &self,
        vm: &VmId,
        bounds: &Constraints,
        patience: Option<Duration>,
    ) -> Result<Entry, Refused> {
        let running = match bounds.instances.as_slice() {
            [] => Vec::new(),
            instances => self.run(vm, instances).await?,
        };
        let began = Instant::now();
        self.wait(vm, &bounds.rates, patience.map(|patience| began + patience)).await?;
        Ok(Entry { waited: began.elapsed(), _running: running })
    }

    /// Counts it among what is at work, unless there is enough of that.
    async fn run(&self, vm: &VmId, instances: &[Instances]) -> Result<Vec<Running>, Refused> {
        let (shared, vm, instances) = (Arc::clone(&self.0), vm.clone(), instances.to_vec());
        blocking(move || {
            let mut running = Vec::new();
            for one in &instances {
                let claimed = shared.running.claim(&vm, one)?;
                let full = || Refused::Instances { name: name(&one.scope), of: one.max };
                running.push(claimed.ok_or_else(full)?);
            }
            Ok(running)
        })
        .await
    }

    /// Takes from all buckets at once, as soon as there is something in each.
    async fn wait(&self, vm: &VmId, rates: &[Rate], until: Option<Instant>) -> Result<(), Refused> {
        if rates.is_empty() {
            return Ok(());
        }
        let mut turn: Option<(usize, OwnedMutexGuard<()>)> = None;
        loop {
            let (shared, vm_id, wanted) = (Arc::clone(&self.0), vm.clone(), rates.to_vec());
            let taken = blocking(move || Ok(shared.rates.take(&vm_id, &wanted)?)).await?;
            let Err(Short { of, wait }) = taken else { return Ok(()) };
            let refused = || Refused::Rate {
                name: name(&rates[of].scope),
                rate: rates[of].clone(),
                next: wait,
            };
            let late = until.is_some_and(|until| Instant::now() + wait > until);
            if late || rates[of].when_exceeded == WhenExceeded::Refuse {
                return Err(refused());
            }
            tracing::debug!(%vm, ?wait, "waiting for the rate of {}", name(&rates[of].scope));
            if turn.as_ref().is_some_and(|(own, _)| *own == of) {
                sleep(wait).await;
                continue;
            }
            // Nobody waits for a turn who has one: two could wait for each other.
            drop(turn.take());
            let queue = self.queue(vm, &rates[of].scope).lock_owned();
            let got = match until {
                Some(until) => timeout_at(until, queue).await.map_err(|_| refused())?,
                None => queue.await,
            };
            turn = Some((of, got));
        }
    }

    fn queue(&self, vm: &VmId, scope: &Scope) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = lock(&self.0.queues);
        let key = format!("{}/{}", rates::place(vm, scope), key(scope));
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        queues.insert(key, Arc::downgrade(&queue));
        queue
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let lost = |error| Refused::Unusable(io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

/// What a scope is called by whoever wrote the policy.
fn name(scope: &Scope) -> String {
    match &scope.rule {
        Some(rule) => format!("the rule {rule}"),
        None => "global.rate_limit".to_owned(),
    }
}

/// The same in all processes.
fn key(scope: &Scope) -> String {
    format!("{}#{}", scope.file, scope.rule.as_deref().unwrap_or("global"))
}

/// Rounded up, so that nobody who waits that long is too early.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).ceil() / 10.0
}

/// A directory that nobody else can write to, made if it is missing.
fn own_dir(dir: &Path) -> io::Result<()> {
    let named = |error: io::Error| at(dir, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(named)?;
    let metadata = fs::metadata(dir).map_err(named)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        let why = format!("{} is another's, or others can write to it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
