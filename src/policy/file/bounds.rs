//! `limits`, `rate_limit`, `sandbox_profiles` and `circuit_breaker`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::constraints::{
    Instances, Limits, Rate, Sandbox, SandboxBase, Scope, WhenExceeded,
};
use super::reader::Reader;
use crate::yaml::Value;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const BYTES_MAX: u64 = 1 << 60;
const COUNT_MAX: u32 = 1_000_000;
/// Each of them is a file of this machine while it runs.
const INSTANCES_MAX: u32 = 1000;

const WHEN_EXCEEDED: [(&str, WhenExceeded); 2] =
    [("refuse", WhenExceeded::Refuse), ("wait", WhenExceeded::Wait)];

/// When a host is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Connections that fail in a row until it is.
    pub failure_threshold: u32,
    /// Connections that succeed in a row until it is no longer.
    pub success_threshold: u32,
    /// For how long.
    pub timeout: Duration,
    /// Whether each program is counted by itself.
    pub per_binary: bool,
}

/// What names of sandboxes stand for.
pub(super) struct Sandboxes(BTreeMap<String, Sandbox>);

/// What only software on the host could enforce.
const SOFTWARE: [&str; 6] =
    ["apparmor_profile", "capabilities", "cgroup", "filesystem", "namespaces", "seccomp"];

impl<'d> Reader<'d> {
    pub(super) fn limits(&mut self, value: Option<Value<'d>>) -> Limits {
        let mut limits = Limits::default();
        let Some(value) = value else { return limits };
        let Some(mut section) = self.section(value) else { return limits };
        let mut time = |key| section.get(key).map(|value| value.duration(SECOND, YEAR));
        let (cpu, wall) = (time("max_cpu_time"), time("max_wall_time"));
        limits.max_cpu_time = cpu.and_then(|read| self.keep(read));
        limits.max_wall_time = wall.and_then(|read| self.keep(read));
        let mut size = |key| section.get(key).map(|value| value.size(1, BYTES_MAX));
        let (memory, file, output) =
            (size("max_memory"), size("max_file_size"), size("max_output"));
        limits.max_memory = memory.and_then(|read| self.keep(read));
        limits.max_file_size = file.and_then(|read| self.keep(read));
        limits.max_output = output.and_then(|read| self.keep(read));
        let mut count = |key| section.get(key).map(|value| value.integer(1..=COUNT_MAX));
        let (processes, files) = (count("max_processes"), count("max_open_files"));
        limits.max_processes = processes.and_then(|read| self.keep(read));
        limits.max_open_files = files.and_then(|read| self.keep(read));
        self.end(&section);
        limits
    }

    /// How often what a `rule` allows may be begun; without one, anything.
    pub(super) fn rate(
        &mut self,
        value: Option<Value<'d>>,
        rule: Option<&Arc<str>>,
    ) -> Option<Rate> {
        let value = value?;
        let mut section = self.section(value)?;
        let per_second = section.get("requests_per_second").map(|value| {
            let number = value.text()?.trim().parse::<f64>().ok();
            let fits = number.filter(|number| (0.001..=1_000_000.0).contains(number));
            fits.ok_or_else(|| value.unexpected("a number from 0.001 to 1000000"))
        });
        let burst = section.get("burst").map(|value| value.integer(1..=COUNT_MAX));
        let when = section.get("when_exceeded").map(|value| value.choice(&WHEN_EXCEEDED));
        self.end(&section);
        let Some(per_second) = per_second else {
            self.problem(value.diagnostic("requests_per_second is missing"));
            return None;
        };
        let interval = SECOND.div_f64(self.keep(per_second)?);
        let burst = burst.and_then(|read| self.keep(read)).unwrap_or(1);
        let when_exceeded = when.and_then(|read| self.keep(read)).unwrap_or(WhenExceeded::Refuse);
        Some(Rate { interval, burst, when_exceeded, scope: self.scope(value, rule) })
    }

    pub(super) fn instances(
        &mut self,
        value: Option<Value<'d>>,
        rule: &Arc<str>,
    ) -> Option<Instances> {
        let value = value?;
        let max = self.keep(value.integer(1..=INSTANCES_MAX))?;
        Some(Instances { max, scope: self.scope(value, Some(rule)) })
    }

    fn scope(&self, value: Value<'d>, rule: Option<&Arc<str>>) -> Scope {
        Scope { file: self.place(value).file().into(), rule: rule.cloned() }
    }

    pub(super) fn sandboxes(&mut self, value: Option<Value<'d>>) -> Sandboxes {
        let mut known = BTreeMap::new();
        for (name, base) in SandboxBase::BUILT_IN {
            let (name, limits) = (name.to_owned(), base.limits());
            known.insert(name.clone(), Sandbox { name, base, limits, network: None });
        }
        let Some(section) = value.and_then(|value| self.section(value)) else {
            return Sandboxes(known);
        };
        let mut left: Vec<_> = section.entries().collect();
        // Each round defines what builds on something that is defined by now.
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, value)| {
                let inherit = inherited(*value);
                inherit.is_none_or(|name| known.contains_key(name))
            });
            for (key, value) in &ready {
                if known.contains_key(key.text()) {
                    let message = format!("the sandbox `{}` is built in", key.text());
                    self.problem(key.diagnostic(message));
                } else if let Some(sandbox) = self.sandbox(key.text(), *value, &known) {
                    known.insert(key.text().to_owned(), sandbox);
                }
            }
            if ready.is_empty() {
                for (key, value) in &later {
                    let base = inherited(*value).unwrap_or_default();
                    let message = format!(
                        "`{}` inherits `{base}`, which is not defined, or leads back here",
                        key.text()
                    );
                    self.problem(key.diagnostic(message));
                }
                break;
            }
            left = later;
        }
        Sandboxes(known)
    }

    fn sandbox(
        &mut self,
        name: &str,
        value: Value<'d>,
        known: &BTreeMap<String, Sandbox>,
    ) -> Option<Sandbox> {
        let mut section = self.section(value)?;
        let inherit = section.get("inherit").map_or(Ok("minimal"), |value| value.word());
        let base = known.get(self.keep(inherit)?)?;
        self.note(section.get("description"));
        let limits = section.get("limits");
        let network = section.get("network").map(|value| value.boolean());
        for key in SOFTWARE {
            if let Some(value) = section.get_or_null(key) {
                let message = "nothing is installed on the hosts that could enforce it: remove it";
                self.problem(value.diagnostic(message));
            }
        }
        self.end(&section);
        Some(Sandbox {
            name: name.to_owned(),
            base: base.base,
            limits: self.limits(limits).or(base.limits),
            network: network.and_then(|read| self.keep(read)).or(base.network),
        })
    }

    /// The name of a sandbox that is defined.
    pub(super) fn sandbox_named(
        &mut self,
        value: Option<Value<'d>>,
        sandboxes: &Sandboxes,
    ) -> Option<Sandbox> {
        let value = value?;
        let name = self.keep(value.word())?;
        let found = sandboxes.0.get(name).cloned();
        if found.is_none() {
            let known: Vec<&str> = sandboxes.0.keys().map(String::as_str).collect();
            let message = format!(
                "the sandbox `{name}` is not defined: define it under sandbox_profiles, or use \
                 one of {}",
                known.join(", ")
            );
            self.problem(value.diagnostic(&message));
        }
        found
    }

    pub(super) fn breaker(&mut self, value: Option<Value<'d>>) -> Option<Breaker> {
        let value = value?;
        let mut section = self.section(value)?;
        let enabled = section.get("enabled");
        let enabled = self.switch(enabled, true);
        let mut count = |key| section.get(key).map(|value| value.integer(1..=1000));
        let (failures, successes) = (count("failure_threshold"), count("success_threshold"));
        let timeout = section.get("timeout").map(|value| value.duration(SECOND, YEAR));
        let per_binary = section.get("per_binary");
        let breaker = Breaker {
            failure_threshold: failures.and_then(|read| self.keep(read)).unwrap_or(5),
            success_threshold: successes.and_then(|read| self.keep(read)).unwrap_or(2),
            timeout: timeout.and_then(|read| self.keep(read)).unwrap_or(30 * SECOND),
            per_binary: self.switch(per_binary, false),
        };
        self.end(&section);
        enabled.then_some(breaker)
    }
}

fn inherited<'d>(value: Value<'d>) -> Option<&'d str> {
    value.section().ok()?.get("inherit")?.word().ok()
}
