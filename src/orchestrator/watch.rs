//! A policy that is read again when its file changes.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Orchestrator;
use crate::audit::{ActorFacts, AuditError, AuditLog, Event, Record};
use crate::inventory::Inventory;
use crate::policy::{Policy, PolicyError};

/// What came of a change of the files that a policy comes from.
#[derive(Debug)]
pub enum PolicyChange {
    /// The next request is decided by what they hold now.
    Replaced {
        /// The SHA-256 of what decided until now, as [`Policy::sha256`] has it.
        old: Option<String>,
        /// That of what decides from now on.
        new: Option<String>,
    },
    /// What decided until now goes on deciding. This is told once, not each time
    /// that the same is found wrong.
    Kept(PolicyNotReplaced),
}

/// Why a policy goes on deciding although its files changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyNotReplaced {
    /// The files cannot be used as they are now.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The change could not be recorded.
    #[error("the change of the policy cannot be recorded: {0}")]
    Audit(#[from] AuditError),
}

/// Looks at the files of an orchestrator's policy again and again, until it is
/// stopped or dropped.
pub struct PolicyWatch {
    policy: Arc<RwLock<Policy>>,
    /// Dropping the sender ends the thread.
    running: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Orchestrator {
    /// Reads the files of the [policy](Self::policy) again, now and each time
    /// that `every` has passed, and lets the next request be decided by them
    /// once their content, by its SHA-256, is another one. Requests under way
    /// keep the decisions that they have. The change is recorded
    /// (`policy.reloaded`) before it takes effect.
    ///
    /// A file that cannot be used changes nothing. `on_change` is told of both,
    /// on a thread of its own, which waits for it. A policy that was made in code
    /// never changes; of several, each that comes from a file is read again.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn watch_policy(
        &self,
        every: Duration,
        on_change: impl FnMut(PolicyChange) + Send + 'static,
    ) -> io::Result<PolicyWatch> {
        let inner = &self.inner;
        let mut watcher = Watcher {
            policy: Arc::clone(&inner.policy),
            inventory: inner.config.inventory.clone(),
            log: inner.audit.clone(),
            actor: inner.engine.recorder().actor(&inner.operator),
            on_change: Box::new(on_change),
            told: None,
        };
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("policy".into()).spawn(move || {
            loop {
                watcher.look();
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        let running = Mutex::new(Some((stop, thread)));
        Ok(PolicyWatch { policy: Arc::clone(&inner.policy), running })
    }
}

impl PolicyWatch {
    /// The policy that decides the next request.
    pub fn get(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops looking, and waits until the thread has ended; called by `on_change`
    /// itself, it does not wait. The policy stays as it is. Stopping what has
    /// been stopped does nothing.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((stop, thread)) = running else { return };
        drop(stop);
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Drop for PolicyWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for PolicyWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyWatch").field("policy", &self.get()).finish_non_exhaustive()
    }
}

/// What the thread knows. It keeps no connection open.
struct Watcher {
    policy: Arc<RwLock<Policy>>,
    inventory: Inventory,
    log: Option<AuditLog>,
    actor: ActorFacts,
    on_change: Box<dyn FnMut(PolicyChange) + Send>,
    /// What was said to be wrong and still is.
    told: Option<String>,
}

impl Watcher {
    fn look(&mut self) {
        match self.replace() {
            Ok(None) => self.told = None,
            Ok(Some(change)) => {
                self.told = None;
                (self.on_change)(change);
            }
            Err(why) => {
                let text = why.to_string();
                if self.told.as_ref() != Some(&text) {
                    self.told = Some(text);
                    (self.on_change)(PolicyChange::Kept(why));
                }
            }
        }
    }

    fn replace(&self) -> Result<Option<PolicyChange>, PolicyNotReplaced> {
        let current = self.policy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let read = current.reload()?;
        if read.same_content(&current) {
            return Ok(None);
        }
        read.check_hosts(&self.inventory)?;
        let (old, new) = (current.sha256(), read.sha256());
        self.record(old.as_deref(), new.as_deref())?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(Some(PolicyChange::Replaced { old, new }))
    }

    fn record(&self, old: Option<&str>, new: Option<&str>) -> Result<(), AuditError> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut record = Record::new(Event::PolicyReloaded);
        record.actor = Some(self.actor.clone());
        for (name, digest) in [("old_sha256", old), ("new_sha256", new)] {
            record.metadata.extend(digest.map(|digest| (name.to_owned(), digest.to_owned())));
        }
        log.append_blocking(record).map(drop)
    }
}
