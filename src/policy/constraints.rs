//! What holds for an action that is allowed.

use std::time::Duration;

/// The bounds within which an action is allowed. `None` and empty are no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// What it may use up on the host.
    pub limits: Limits,
    /// In what it must be confined; all of them at once.
    pub sandboxes: Vec<Sandbox>,
    /// How often it may run at the same time.
    pub max_instances: Option<u32>,
    /// How often it may be begun; each of them holds.
    pub rates: Vec<Rate>,
    /// The directories in which the host must look for programs, in this order;
    /// the decision rests on it.
    pub path: Option<Vec<String>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which one more may be begun.
    pub interval: Duration,
    /// How many may be begun at once.
    pub burst: u32,
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

/// The confinements that need no definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxBase {
    /// An empty environment and the limits.
    Minimal,
    /// As `Minimal`, without new privileges and without writing outside its own
    /// directories.
    Restricted,
}

impl Constraints {
    /// Both at once: of each bound the narrower.
    pub fn and(mut self, other: Self) -> Self {
        self.limits = self.limits.and(other.limits);
        self.max_instances = least(self.max_instances, other.max_instances);
        for sandbox in other.sandboxes {
            if !self.sandboxes.contains(&sandbox) {
                self.sandboxes.push(sandbox);
            }
        }
        for rate in other.rates {
            if !self.rates.contains(&rate) {
                self.rates.push(rate);
            }
        }
        self.path = match (self.path, other.path) {
            (Some(path), Some(other)) => {
                Some(path.into_iter().filter(|dir| other.contains(dir)).collect())
            }
            (path, other) => path.or(other),
        };
        self
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
        let rate = Rate { interval: Duration::from_secs(1), burst: 2 };
        let one = Constraints {
            limits: Limits { max_memory: Some(5), max_processes: Some(1), ..Limits::default() },
            max_instances: Some(3),
            rates: vec![rate],
            path: dirs(&["/usr/bin", "/bin"]),
            ..Constraints::default()
        };
        let other = Constraints {
            limits: Limits { max_memory: Some(4), max_output: Some(9), ..Limits::default() },
            max_instances: Some(4),
            rates: vec![rate],
            path: dirs(&["/bin", "/sbin"]),
            ..Constraints::default()
        };
        let both = one.clone().and(other.clone());
        assert_eq!(both.limits.max_memory, Some(4));
        assert_eq!(both.limits.max_processes, Some(1));
        assert_eq!(both.limits.max_output, Some(9));
        assert_eq!(both.max_instances, Some(3));
        assert_eq!(both.rates, [rate]);
        assert_eq!(both.path, dirs(&["/bin"]));
        assert_eq!(one.clone().and(Constraints::default()), one);
        assert_eq!(other.limits.or(one.limits).max_processes, Some(1));
        assert_eq!(other.limits.or(one.limits).max_memory, Some(4));
    }
}
