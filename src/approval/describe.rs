//! A plan file in words, for whoever is to say yes to it.

use crate::quote;

use super::action::{Source, What};
use super::document::{Gate, PlannedOn};
use super::octets::Octets;
use super::transfer::Sent;
use super::{PlanFile, process::Process};
use crate::units::duration;

type Lines = Vec<(&'static str, String)>;

impl PlanFile {
    /// What it would do, a line each under a name. Nothing of it is checked: it
    /// is what the file says. Control characters are as they are.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let document = self.document();
        let asked = &document.requester;
        let mut lines = Lines::new();
        let mut line = |name, text: String| lines.push((name, text));
        let principal = asked.principal.as_ref().map(|principal| format!(" ({principal})"));
        line("asked by", format!("{}{}", self.requester(), principal.unwrap_or_default()));
        if asked.os_user.as_ref() != Some(&asked.operator) {
            line("operator", asked.operator.clone());
        }
        if let Some(reason) = self.reason() {
            line("reason", reason.to_owned());
        }
        for (name, value) in &document.metadata {
            line("label", format!("{name}={value}"));
        }
        line("made", self.created().to_string());
        line("expires", self.expires().to_string());
        lines.extend(document.action.describe());
        lines.extend(self.describe_steps());
        for host in &document.hosts {
            lines.push(("host", describe_host(host, &document.action)));
        }
        if let Some(sha256) = &document.policy_sha256 {
            lines.push(("policy", format!("sha256 {sha256}")));
        }
        lines.push(("digest", format!("sha256 {}", self.sha256())));
        lines
    }

    fn describe_steps(&self) -> Lines {
        let (bounds, rollout) = (&self.document().bounds, &self.document().rollout);
        let time = |ms| duration::format(std::time::Duration::from_millis(ms));
        let mut steps = Vec::new();
        steps.extend(rollout.canary.map(|hosts| format!("{hosts} first")));
        if !rollout.batch.is_empty() {
            steps.push(format!("batches of {}", rollout.batch.join(",")));
        }
        steps.extend(rollout.max_fail.as_ref().map(|most| format!("stops above {most} failures")));
        steps.extend(rollout.deadline_ms.map(|ms| format!("ends after {}", time(ms))));
        let mut lines: Lines =
            (!steps.is_empty()).then(|| ("steps", steps.join(", "))).into_iter().collect();
        for gate in &rollout.gates {
            match gate {
                Gate::Rc => lines.push(("gate", "rc".into())),
                Gate::SameOutput => lines.push(("gate", "same-output".into())),
                Gate::Match(regex) => lines.push(("gate", format!("match:{regex}"))),
                Gate::Probe(probe) => {
                    lines.push(("gate", "probe".into()));
                    lines.extend(probe.describe());
                }
            }
        }
        let limit = bounds.timeout_ms.map_or_else(|| "no limit".to_owned(), time);
        lines.push(("timeout", limit));
        let scan = &self.document().scan;
        for rule in &scan.accepted {
            lines.push(("accepts", format!("scan/{rule}")));
        }
        lines
    }
}

/// A host, the way there, and the words that are executed.
fn describe_host(host: &PlannedOn, action: &What) -> String {
    let verdict = if host.requires_approval { "ALLOWED, with an approval," } else { "allowed" };
    let PlannedOn { vm, reach, rule, .. } = host;
    let argv = action.argv(host.shell.as_deref());
    let argv = argv.map(|argv| format!("  argv: {}", words(&argv))).unwrap_or_default();
    format!("{vm}  {reach}  {verdict} by {rule}{argv}")
}

impl What {
    fn describe(&self) -> Lines {
        let mut lines = Lines::new();
        match self {
            Self::Argv { argv, process } => {
                lines.push(("command", words(argv)));
                lines.extend(process.describe());
            }
            Self::Shell { text, process } => {
                lines.push(("shell", text.to_os().to_string_lossy().into_owned()));
                lines.extend(process.describe());
            }
            Self::Commands { commands, keep_going, parallel, shell_session } => {
                let way = match (shell_session, parallel.get()) {
                    (true, _) => "in one shell".to_owned(),
                    (false, 1) => "one after another".to_owned(),
                    (false, several) => format!("{several} at once"),
                };
                let fails = if *keep_going { "goes on after" } else { "stops at" };
                let count = commands.len();
                lines.push(("commands", format!("{count}, {way}; a VM {fails} a failure")));
                lines.extend(commands.iter().flat_map(Self::describe));
            }
            Self::Script { source, interpreter, args, place, mode, id, systems, process } => {
                let text = match source {
                    Source::Host(path) => {
                        format!("{} of the VM", words(std::slice::from_ref(path)))
                    }
                    Source::Bytes { name, sha256, .. } => {
                        format!("{} sha256 {sha256}", words(std::slice::from_ref(name)))
                    }
                };
                lines.push(("script", text));
                lines.extend(id.iter().map(|id| ("library", id.clone())));
                lines.extend(source.text().map(|text| ("text", text)));
                lines.extend(mode.map(|mode| ("mode", format!("{mode:o}"))));
                if !systems.is_empty() {
                    lines.push(("systems", systems.join(", ")));
                }
                if !interpreter.is_empty() {
                    lines.push(("read by", words(interpreter)));
                }
                if !args.is_empty() {
                    lines.push(("args", words(args)));
                }
                if let Some(place) = place {
                    lines.push(("placed at", words(std::slice::from_ref(place))));
                }
                lines.extend(process.describe());
            }
            Self::Transfer(moved) => {
                let verb = if moved.upload { "push" } else { "pull" };
                let target = words(std::slice::from_ref(&moved.target));
                lines.push((verb, format!("{} -> {target}", words(&moved.sources))));
                if let Some(sudo) = &moved.sudo {
                    lines.push(("as user", sudo.user.clone()));
                }
                lines.extend(moved.options().into_iter().map(|option| ("option", option)));
                lines.extend(moved.files.iter().map(|sent| ("sends", sent.describe())));
            }
        }
        lines
    }

    /// The words that are executed on a host, where that is one program.
    fn argv(&self, host_shell: Option<&str>) -> Option<Vec<Octets>> {
        match self {
            Self::Argv { argv, .. } => Some(argv.clone()),
            Self::Shell { text, process } => {
                let shell = process.shell.as_deref().or(host_shell).unwrap_or("/bin/sh");
                Some(vec![Octets::of(shell), Octets::of("-c"), text.clone()])
            }
            Self::Commands { .. } | Self::Script { .. } | Self::Transfer(_) => None,
        }
    }
}

impl Process {
    fn describe(&self) -> Lines {
        let mut lines = Lines::new();
        let mut line = |name, text: String| lines.push((name, text));
        if let Some(sudo) = &self.sudo {
            line("as user", sudo.user.clone());
        }
        if let Some(cwd) = &self.cwd {
            line("in", words(std::slice::from_ref(cwd)));
        }
        for assignment in self.assignments() {
            line("variable", assignment);
        }
        for (name, source) in &self.secret_env {
            line("secret", format!("{name} from {source}"));
        }
        if self.clean_env {
            line("variable", "none of the host's own".into());
        }
        if let Some(stdin) = &self.stdin {
            line("stdin", stdin.describe());
        }
        if self.allow_interactive {
            line("terminal", "it runs even if it is known to need one".into());
        }
        if self.kill_on_disconnect {
            line("link lost", "its process tree is killed".into());
        }
        if let Some(ms) = self.timeout_ms {
            line("own time", duration::format(std::time::Duration::from_millis(ms)));
        }
        if self.idempotent {
            line("retries", "a lost link, too: it is said to be idempotent".into());
        }
        lines
    }
}

impl Sent {
    fn describe(&self) -> String {
        let path = |path: &Octets| words(std::slice::from_ref(path));
        match self {
            Self::Dir { path: dir, mode } => format!("{}/ mode {mode:o}", path(dir)),
            Self::File { path: file, mode, bytes, sha256 } => {
                format!("{} {bytes} bytes, mode {mode:o}, sha256 {sha256}", path(file))
            }
            Self::Symlink { path: link, target } => format!("{} -> {}", path(link), path(target)),
        }
    }
}

/// Words as one would type them.
pub(super) fn words(words: &[Octets]) -> String {
    let quoted = words.iter().map(|word| quote::word(&word.0));
    let quoted = quoted.map(|word| String::from_utf8_lossy(&word).into_owned());
    quoted.collect::<Vec<_>>().join(" ")
}
