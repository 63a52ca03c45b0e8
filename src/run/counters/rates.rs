//! The buckets of all rules, where every process of an account finds them.
//!
//! A file for each host, and one for what is counted over all hosts; in it each
//! bucket by its rule, and none that is full. They are below a directory for
//! this boot: what the clock said before means nothing, and what a power cut
//! left of a file is never read.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::bucket::{self, FullAt};
use super::{at, key, lock, own_dir};
use crate::ids::VmId;
use crate::policy::{Rate, Scope, WhenExceeded};

/// How long other processes may count before we give up, and how often we look.
const LOCK_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(1);

/// A file of more bytes is none of ours.
const FILE_MAX: u64 = 4 << 20;

const DAY: Duration = Duration::from_secs(86_400);

/// How the directory of a boot is called, before the boot's own id.
const BOOT: &str = "rates-";

/// Where the buckets are.
#[derive(Debug)]
pub(super) enum Rates {
    Dir(Arc<Path>),
    /// Those of this process, by file.
    Here(Mutex<BTreeMap<String, Buckets>>),
}

type Buckets = BTreeMap<String, FullAt>;

/// A bucket in which there is nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Short {
    /// Of which rate.
    pub(super) of: usize,
    /// Until there is something.
    pub(super) wait: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self::Here(Mutex::default())
    }
}

impl Rates {
    pub(super) fn new(dir: Option<Arc<Path>>) -> Self {
        dir.map_or_else(Self::default, Self::Dir)
    }

    /// Takes one from the bucket of each rate, or none from any. Blocks for the
    /// disk, and for other processes that do the same.
    ///
    /// # Errors
    /// The buckets cannot be read or written.
    pub(super) fn take(&self, vm: &VmId, rates: &[Rate]) -> io::Result<Result<(), Short>> {
        match self {
            Self::Dir(dir) => Locked::of(dir)?.take(vm, rates),
            Self::Here(all) => {
                let (mut all, now) = (lock(all), since_boot());
                let read = |name: &str| Ok(all.get(name).cloned().unwrap_or_default());
                let changed = match taken(vm, rates, now, read)? {
                    Ok(changed) => changed,
                    Err(short) => return Ok(Err(short)),
                };
                all.extend(changed);
                all.retain(|_, buckets| buckets.values().any(|&full_at| full_at > now));
                Ok(Ok(()))
            }
        }
    }
}

/// The files in which a bucket's scope is counted.
pub(super) fn place(vm: &VmId, scope: &Scope) -> String {
    match scope.rule {
        Some(_) => format!("{vm}.json"),
        // No host is called so.
        None => "@all.json".to_owned(),
    }
}

/// The files as they are when one was taken from each bucket. Of several that
/// have nothing, one that is not waited for counts first, then the longest wait.
fn taken(
    vm: &VmId,
    rates: &[Rate],
    now: u64,
    read: impl Fn(&str) -> io::Result<Buckets>,
) -> io::Result<Result<BTreeMap<String, Buckets>, Short>> {
    let mut files: BTreeMap<String, Buckets> = BTreeMap::new();
    let mut short: Option<((bool, Duration), usize)> = None;
    for (of, rate) in rates.iter().enumerate() {
        let name = place(vm, &rate.scope);
        let buckets = match files.entry(name) {
            std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::btree_map::Entry::Vacant(file) => {
                let mut buckets = read(file.key())?;
                buckets.retain(|_, full_at| *full_at > now);
                file.insert(buckets)
            }
        };
        let full_at = buckets.entry(key(&rate.scope)).or_insert(now);
        match bucket::take(*full_at, rate, now) {
            Ok(next) => *full_at = next,
            Err(wait) => {
                let refuses = rate.when_exceeded == WhenExceeded::Refuse;
                short = short.max(Some(((refuses, wait), of)));
            }
        }
    }
    Ok(match short {
        None => Ok(files),
        Some(((_, wait), of)) => Err(Short { of, wait }),
    })
}

/// The right to read and change the files.
struct Locked {
    dir: PathBuf,
    /// Held for its lock, which ends with it.
    _lock: File,
}

impl Locked {
    fn of(dir: &Path) -> io::Result<Self> {
        own_dir(dir)?;
        let path = dir.join("lock");
        let named = |error: io::Error| at(&path, &error);
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).mode(0o600).open(&path).map_err(named)?;
        let since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_MAX => thread::sleep(POLL),
                Err(error) => return Err(named(error.into())),
            }
        }
        Ok(Self { dir: of_this_boot(dir)?, _lock: lock })
    }

    fn take(&self, vm: &VmId, rates: &[Rate]) -> io::Result<Result<(), Short>> {
        let read = |name: &str| read(&self.dir.join(name));
        let files = match taken(vm, rates, since_boot(), read)? {
            Ok(files) => files,
            Err(short) => return Ok(Err(short)),
        };
        for (name, buckets) in &files {
            self.write(name, buckets)?;
        }
        Ok(Ok(()))
    }

    /// Replaces a file, so that one who is killed leaves the old or the new one.
    fn write(&self, name: &str, buckets: &Buckets) -> io::Result<()> {
        let (path, new) = (self.dir.join(name), self.dir.join(".new"));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(buckets)?)?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| at(&path, &error))
    }
}

fn read(path: &Path) -> io::Result<Buckets> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Buckets::new()),
        Err(error) => return Err(at(path, &error)),
    };
    let mut text = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| at(path, &error))?;
    let damaged = |why: String| {
        let message = format!("{} is damaged ({why}): remove it", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    if text.len() as u64 > FILE_MAX {
        return Err(damaged("it is too large".into()));
    }
    serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
}

/// The directory of this boot. Whoever makes it removes those of boots before;
/// one that is written to is another machine's, which has the same home.
fn of_this_boot(dir: &Path) -> io::Result<PathBuf> {
    let source = Path::new("/proc/sys/kernel/random/boot_id");
    let boot = fs::read_to_string(source).map_err(|error| at(source, &error))?;
    let own = dir.join(format!("{BOOT}{}", boot.trim()));
    match DirBuilder::new().mode(0o700).create(&own) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(own),
        Err(error) => return Err(at(&own, &error)),
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        let age = entry.metadata().and_then(|it| it.modified()).map(|at| at.elapsed());
        let old = age.is_ok_and(|age| age.is_ok_and(|age| age > DAY));
        if old && entry.file_name().to_string_lossy().starts_with(BOOT) {
            let _ = fs::remove_dir_all(path);
        }
    }
    Ok(own)
}

/// Nanoseconds since this machine was started, sleep included. Nobody sets this
/// clock, and all processes have the same.
fn since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
