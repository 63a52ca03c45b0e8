//! Writing runs down while they go on, without holding them up.
//!
//! An observer takes what a run tells and puts it into a queue; one thread
//! writes. What waits is bounded: beyond that output is only counted, never
//! an outcome lost. Whatever goes wrong here is told once and stops nothing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::commands::CommandEnded;
use super::detail::Detail;
use super::output::Output;
use super::recipe::{Circumstances, Recipe};
use super::write::{Began, HostEnded, Note};
use super::{Store, StoreError};
use crate::event::{EventKind, Observer};
use crate::ids::{RunId, VmId};
use crate::outcome::HostResult;
use crate::plan::Plan;
use crate::redact::Redactor;
use crate::remote::{Action, Direction, Ends, ExitStatus, Stream};

/// How many bytes of output may wait to be written.
const WAITING_MAX: usize = 64 << 20;

/// How many things are written in one transaction, and how many bytes of them.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 << 20;

/// How long the end of the program waits for what is not written yet: this
/// long for all of it, then once more for all but output.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Where runs are remembered, and how much of them.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// How many bytes of each stream of a host are kept.
    pub output_max: usize,
    /// What is forgotten.
    pub retention: Retention,
}

/// What is forgotten.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Runs that began longer ago.
    pub keep: Duration,
    /// The oldest runs, while there are more bytes than this.
    pub size_max: u64,
}

/// Remembers runs. Nothing is opened before the first one.
pub struct Keeper {
    options: Options,
    redactor: Arc<Redactor>,
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
}

enum Writer {
    /// No run yet.
    Idle,
    At {
        sender: Sender<Message>,
        done: Receiver<()>,
    },
    Closed,
}

enum Message {
    Note(Note),
    Close,
}

#[derive(Default)]
struct Shared {
    /// Bytes of output in the queue.
    waiting: AtomicUsize,
    /// Whether output is no longer worth the time.
    hurry: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Keeper {
    /// A keeper that takes out what `redactor` finds.
    pub fn new(options: Options, redactor: Arc<Redactor>) -> Self {
        let (shared, writer) = (Arc::default(), Mutex::new(Writer::Idle));
        Self { options, redactor, shared, writer }
    }

    /// Begins to remember a run. The observer is to be told its events.
    pub fn remember(&self, plan: &Plan, around: &Circumstances) -> Option<Arc<dyn Observer>> {
        let sender = self.sender()?;
        let redact = |text: &str| self.redactor.redact(text).text.into_owned();
        let hosts: Vec<VmId> = plan.hosts.iter().map(|host| host.vm.clone()).collect();
        let began = Began {
            run: plan.run,
            at: Timestamp::now(),
            operator: plan.operator.clone(),
            reason: plan.reason.clone(),
            metadata: plan.metadata.clone(),
            kind: kind(&plan.action),
            command: redact(&plan.action.display()),
            config: around.config.clone(),
            hosts: hosts.clone(),
            recipe: Recipe::of(&plan.action, around, &self.redactor),
        };
        let _ = sender.send(Message::Note(Note::Began(Box::new(began))));
        Some(Arc::new(Watch {
            run: plan.run,
            output_max: self.options.output_max,
            share: self.options.output_max / commands(&plan.action),
            positions: hosts.into_iter().zip(0..).collect(),
            told: Mutex::default(),
            sender,
            shared: Arc::clone(&self.shared),
        }))
    }

    /// Waits until everything is written down, for a few seconds at most. Blocks.
    /// Nothing is remembered after that.
    pub fn close(&self) {
        let writer = std::mem::replace(&mut *self.lock(), Writer::Closed);
        let Writer::At { sender, done } = writer else { return };
        let _ = sender.send(Message::Close);
        if done.recv_timeout(CLOSE_WAIT).is_ok() {
            return;
        }
        self.shared.hurry.store(true, Ordering::Relaxed);
        if done.recv_timeout(CLOSE_WAIT).is_err() {
            self.shared.trouble("it took too long to write it down".into());
        }
    }

    /// Why a run is not remembered, or not all of it.
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().clone()
    }

    /// The way to the thread, which is started if there is none.
    fn sender(&self) -> Option<Sender<Message>> {
        let mut writer = self.lock();
        match &*writer {
            Writer::At { sender, .. } => return Some(sender.clone()),
            Writer::Closed => return None,
            Writer::Idle => {}
        }
        let (sender, queue) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let task = Task {
            options: self.options.clone(),
            redactor: Arc::clone(&self.redactor),
            shared: Arc::clone(&self.shared),
        };
        let spawned = thread::Builder::new().name("store".into()).spawn(move || {
            task.run(&queue);
            let _ = finished.send(());
        });
        if let Err(error) = spawned {
            self.shared.trouble(format!("no thread: {error}"));
            *writer = Writer::Closed;
            return None;
        }
        *writer = Writer::At { sender: sender.clone(), done };
        Some(sender)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Only the first is told; the others follow from it.
    fn trouble(&self, what: String) {
        tracing::debug!(what, "runs are not remembered");
        self.lock().get_or_insert(what);
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Command(_) => "command",
        Action::Commands(_) => "commands",
        Action::Script(_) => "script",
        Action::Transfer(transfer) => match transfer.direction() {
            Direction::Download => "download",
            Direction::Upload => "upload",
        },
    }
}

/// How many commands share what is kept of a host's output.
fn commands(action: &Action) -> usize {
    match action {
        Action::Commands(list) => list.commands().len().max(1),
        _ => 1,
    }
}

/// Watches one run.
struct Watch {
    run: RunId,
    output_max: usize,
    /// The same for each of several commands.
    share: usize,
    positions: HashMap<VmId, usize>,
    /// What hosts that are at work wrote, where that is told as it comes: then
    /// a result may only have counted it.
    told: Mutex<HashMap<(VmId, Option<usize>), Told>>,
    sender: Sender<Message>,
    shared: Arc<Shared>,
}

struct Told {
    stdout: Ends,
    stderr: Ends,
}

impl Observer for Watch {
    fn observe(&self, kind: &EventKind) {
        let at = Timestamp::now();
        match kind {
            EventKind::Output { vm, index, stream, bytes } => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                let cap = if index.is_some() { self.share } else { self.output_max };
                let new = || Told { stdout: Ends::new(cap), stderr: Ends::new(cap) };
                let told = told.entry((vm.clone(), *index)).or_insert_with(new);
                match stream {
                    Stream::Stderr => told.stderr.push(bytes),
                    Stream::Stdout => told.stdout.push(bytes),
                }
            }
            EventKind::HostStarted { vm } => {
                let Some(&position) = self.positions.get(vm) else { return };
                self.send(Note::HostStarted { run: self.run, position, at });
            }
            EventKind::HostFinished(result) => self.finished(result),
            EventKind::RunFinished { .. } => self.send(Note::Ended { run: self.run, at }),
            EventKind::BatchFinished { .. }
            | EventKind::CommandFinished { .. }
            | EventKind::Progress { .. }
            | EventKind::RunStarted { .. } => {}
        }
    }
}

impl Watch {
    fn finished(&self, result: &HostResult) {
        let Some(&position) = self.positions.get(&result.vm) else { return };
        let told = |index| {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.remove(&(result.vm.clone(), index)).map(|told| (told.stdout, told.stderr)).unzip()
        };
        let (stdout, stderr) = told(None);
        let commands = result.commands.iter().enumerate();
        let commands =
            commands.map(|(index, it)| CommandEnded::of(it, told(Some(index)), self.share));
        let mut ended = HostEnded {
            run: self.run,
            position,
            status: result.status,
            effect: result.effect,
            exit_code: result.exit.as_ref().and_then(ExitStatus::code),
            signal: result.exit.as_ref().and_then(ExitStatus::signal).map(str::to_owned),
            attempts: result.attempts,
            at: result.finished_at,
            elapsed: result.elapsed,
            detail: Detail::of(result).with(commands.collect()),
            stdout: Output::new(&result.stdout, stdout, self.output_max),
            stderr: Output::new(&result.stderr, stderr, self.output_max),
        };
        let size = ended.size();
        if self.shared.waiting.fetch_add(size, Ordering::Relaxed) + size > WAITING_MAX {
            self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            ended.outputs().for_each(Output::count_only);
        }
        self.send(Note::HostEnded(Box::new(ended)));
    }

    fn send(&self, note: Note) {
        let _ = self.sender.send(Message::Note(note));
    }
}

/// What the thread has.
struct Task {
    options: Options,
    redactor: Arc<Redactor>,
    shared: Arc<Shared>,
}

impl Task {
    /// Writes until there is nothing more to come.
    fn run(&self, queue: &Receiver<Message>) {
        if let Err(error) = self.write_all(queue) {
            self.shared.trouble(chain(&error));
            // Nobody else empties the queue.
            while let Ok(Message::Note(note)) = queue.recv() {
                self.taken(&note);
            }
        }
    }

    fn write_all(&self, queue: &Receiver<Message>) -> Result<(), StoreError> {
        let mut store = Store::open(&self.options.path)?;
        while let Some((mut notes, last)) = self.batch(queue) {
            if self.shared.hurry.load(Ordering::Relaxed) {
                for note in &mut notes {
                    if let Note::HostEnded(ended) = note {
                        ended.outputs().for_each(Output::count_only);
                    }
                }
            }
            let ends = notes.iter().any(|note| matches!(note, Note::Ended { .. }));
            if !notes.is_empty() {
                store.write(&mut notes, &self.redactor)?;
            }
            if ends {
                store.prune(&self.options.retention)?;
            }
            if last {
                break;
            }
        }
        Ok(())
    }

    /// What waits now, at least one thing; and whether nothing more comes.
    fn batch(&self, queue: &Receiver<Message>) -> Option<(Vec<Note>, bool)> {
        let mut notes = Vec::new();
        let mut bytes = 0;
        let mut next = queue.recv().ok();
        while let Some(message) = next {
            let Message::Note(note) = message else { return Some((notes, true)) };
            bytes += self.taken(&note);
            notes.push(note);
            if notes.len() == BATCH || bytes > BATCH_BYTES {
                break;
            }
            next = queue.try_recv().ok();
        }
        (!notes.is_empty()).then_some((notes, false))
    }

    /// Makes room for what comes next, and says how much.
    fn taken(&self, note: &Note) -> usize {
        let Note::HostEnded(ended) = note else { return 0 };
        let size = ended.size();
        self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
        size
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
