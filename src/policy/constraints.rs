//! What holds for an action that is allowed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::units::{duration, size};

/// The bounds within which an action is allowed. `None` and empty are no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// What it may use up on the host.
    pub limits: Limits,
    /// In what it must be confined; all of them at once.
    pub sandboxes: Vec<Sandbox>,
    /// How often it may be at work on one host at the same time; each of them
    /// holds.
    pub instances: Vec<Instances>,
    /// How often it may be begun; each of them holds.
    pub rates: Vec<Rate>,
    /// The directories in which the host must look for programs, in this order;
    /// the decision rests on it.
    pub path: Option<Vec<String>>,
    /// Names of variables, with `*` and `?` for several, that the host's own
    /// environment must not pass on.
    pub unset_env: Vec<Cow<'static, str>>,
}

/// What a process may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processor time, to the second.
    pub max_cpu_time: Option<Duration>,
    /// Time until it is ended.
    pub max_wall_time: Option<Duration>,
    /// Bytes of memory.
    pub max_memory: Option<u64>,
    /// Processes of the user.
    pub max_processes: Option<u32>,
    /// Open files of each process.
    pub max_open_files: Option<u32>,
    /// Bytes of each file it writes.
    pub max_file_size: Option<u64>,
    /// Bytes that it writes to us.
    pub max_output: Option<u64>,
}

/// How often something may be begun: a bucket that holds `burst` and gains one
/// each `interval`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which one more may be begun.
    pub interval: Duration,
    /// How many may be begun at once.
    pub burst: u32,
    /// What becomes of one too many.
    pub when_exceeded: WhenExceeded,
    /// What is counted.
    pub scope: Scope,
}

/// What becomes of an action whose rate is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenExceeded {
    /// It is refused, and told when the next one may be begun.
    Refuse,
    /// It waits, no longer than it may run.
    Wait,
}

/// How many of the same rule may be at work on one host at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances {
    /// So many.
    pub max: u32,
    /// Of what.
    pub scope: Scope,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The file that says so, as it was named.
    pub file: Arc<str>,
    /// The rule, which counts for each host by itself; without one it is
    /// whatever the operator begins anywhere.
    pub rule: Option<Arc<str>>,
}

/// What confines a process on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its name in the policy.
    pub name: String,
    /// What it begins with.
    pub base: SandboxBase,
    /// Bounds of its own.
    pub limits: Limits,
    /// Whether there is a network in it; as `base` has it if `None`.
    pub network: Option<bool>,
}

/// The confinements that need no definition, the wider first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxBase {
    /// An empty environment and the limits.
    Minimal,
    /// As `Minimal`, without new privileges, without other processes in sight,
    /// and without writing outside a `/tmp` of its own.
    Restricted,
}

impl WhenExceeded {
    /// As a policy file has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Wait => "wait",
        }
    }
}

impl SandboxBase {
    /// What is built in, by its name.
    pub(super) const BUILT_IN: [(&'static str, Self); 2] =
        [("minimal", Self::Minimal), ("restricted", Self::Restricted)];

    /// What a process may use up in it, unless a profile says otherwise.
    pub(super) fn limits(self) -> Limits {
        let (minutes, memory, files, file) = match self {
            Self::Minimal => (10, 2 << 30, 1024, 1 << 30),
            Self::Restricted => (5, 1 << 30, 256, 100 << 20),
        };
        Limits {
            max_cpu_time: Some(Duration::from_secs(minutes * 60)),
            max_memory: Some(memory),
            max_open_files: Some(files),
            max_file_size: Some(file),
            ..Limits::default()
        }
    }
}

impl fmt::Display for Rate {
    /// `2 per second, burst 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, burst) = (self.interval.as_secs_f64(), self.burst);
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        match seconds <= 1.0 {
            true => write!(f, "{} per second, burst {burst}", rounded(1.0 / seconds)),
            false => write!(f, "one in {} s, burst {burst}", rounded(seconds)),
        }
    }
}

impl Sandbox {
    /// Whether the host must have a tool for it.
    pub fn needs_tool(&self) -> bool {
        self.base == SandboxBase::Restricted || self.network == Some(false)
    }

    fn and(self, other: Self) -> Self {
        let off = [self.network, other.network].contains(&Some(false));
        Self {
            name: format!("{} and {}", self.name, other.name),
            base: self.base.max(other.base),
            limits: self.limits.and(other.limits),
            network: if off { Some(false) } else { self.network.or(other.network) },
        }
    }
}

impl Constraints {
    /// Both at once: of each bound the narrower.
    pub fn and(mut self, other: Self) -> Self {
        self.limits = self.limits.and(other.limits);
        add(&mut self.instances, other.instances);
        add(&mut self.sandboxes, other.sandboxes);
        add(&mut self.rates, other.rates);
        self.path = match (self.path, other.path) {
            (Some(path), Some(other)) => {
                Some(path.into_iter().filter(|dir| other.contains(dir)).collect())
            }
            (path, other) => path.or(other),
        };
        add(&mut self.unset_env, other.unset_env);
        self
    }

    /// What confines it: all of its sandboxes at once.
    pub fn sandbox(&self) -> Option<Sandbox> {
        self.sandboxes.iter().cloned().reduce(Sandbox::and)
    }

    /// What it may use up, its sandboxes included.
    pub fn all_limits(&self) -> Limits {
        let inner = self.sandboxes.iter().map(|sandbox| sandbox.limits);
        inner.fold(self.limits, Limits::and)
    }

    /// What it may use up and what confines it, in words; empty if nothing does.
    pub fn within(&self) -> String {
        let limits = self.all_limits().to_string();
        let sandbox = self.sandbox().map(|sandbox| match sandbox.network {
            Some(false) => format!("sandbox {} without network", sandbox.name),
            _ => format!("sandbox {}", sandbox.name),
        });
        let parts = [Some(limits).filter(|limits| !limits.is_empty()), sandbox];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Limits {
    /// Both at once: of each bound the narrower.
    pub fn and(self, other: Self) -> Self {
        Self {
            max_cpu_time: least(self.max_cpu_time, other.max_cpu_time),
            max_wall_time: least(self.max_wall_time, other.max_wall_time),
            max_memory: least(self.max_memory, other.max_memory),
            max_processes: least(self.max_processes, other.max_processes),
            max_open_files: least(self.max_open_files, other.max_open_files),
            max_file_size: least(self.max_file_size, other.max_file_size),
            max_output: least(self.max_output, other.max_output),
        }
    }

    /// These, and `defaults` where they say nothing.
    pub fn or(self, defaults: Self) -> Self {
        Self {
            max_cpu_time: self.max_cpu_time.or(defaults.max_cpu_time),
            max_wall_time: self.max_wall_time.or(defaults.max_wall_time),
            max_memory: self.max_memory.or(defaults.max_memory),
            max_processes: self.max_processes.or(defaults.max_processes),
            max_open_files: self.max_open_files.or(defaults.max_open_files),
            max_file_size: self.max_file_size.or(defaults.max_file_size),
            max_output: self.max_output.or(defaults.max_output),
        }
    }
}

impl fmt::Display for Limits {
    /// Those that are set: `cpu 30s, memory 256Mi`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u32| count.to_string();
        let parts = [
            ("cpu", self.max_cpu_time.map(duration::format)),
            ("time", self.max_wall_time.map(duration::format)),
            ("memory", self.max_memory.map(size::format)),
            ("processes", self.max_processes.map(count)),
            ("open files", self.max_open_files.map(count)),
            ("file size", self.max_file_size.map(size::format)),
            ("output", self.max_output.map(size::format)),
        ];
        let mut separator = "";
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{separator}{name} {value}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// Adds what is not there yet.
fn add<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_bound_holds() {
        let dirs = |dirs: &[&str]| Some(dirs.iter().map(|dir| (*dir).to_owned()).collect());
        let scope = Scope { file: "p.yml".into(), rule: None };
        let (interval, when_exceeded) = (Duration::from_secs(1), WhenExceeded::Refuse);
        let rate = Rate { interval, burst: 2, when_exceeded, scope: scope.clone() };
        let instances = |max| vec![Instances { max, scope: scope.clone() }];
        let one = Constraints {
            limits: Limits { max_memory: Some(5), max_processes: Some(1), ..Limits::default() },
            instances: instances(3),
            rates: vec![rate.clone()],
            path: dirs(&["/usr/bin", "/bin"]),
            ..Constraints::default()
        };
        let other = Constraints {
            limits: Limits { max_memory: Some(4), max_output: Some(9), ..Limits::default() },
            instances: instances(4),
            rates: vec![rate.clone()],
            path: dirs(&["/bin", "/sbin"]),
            ..Constraints::default()
        };
        let both = one.clone().and(other.clone());
        assert_eq!(both.limits.max_memory, Some(4));
        assert_eq!(both.limits.max_processes, Some(1));
        assert_eq!(both.limits.max_output, Some(9));
        assert_eq!(both.instances, [instances(3), instances(4)].concat());
        assert_eq!(both.rates, [rate]);
        assert_eq!(both.path, dirs(&["/bin"]));
        assert_eq!(one.clone().and(Constraints::default()), one);
        assert_eq!(other.limits.or(one.limits).max_processes, Some(1));
        assert_eq!(other.limits.or(one.limits).max_memory, Some(4));
    }
}
