//! Asking for something to be done on some hosts.

mod applied;
mod written;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::access;
use super::labels::Labels;
use super::{HostError, Orchestrator, RequestError, RunError};
use crate::event::{EventKind, Stopped};
use crate::exec::Limits;
use crate::ids::{RunId, VmId};
use crate::inventory::{Inventory, SelectError};
use crate::nodeset::{HostPattern, NodeSet, ResolveError, Selection};
use crate::outcome::{HostResult, Status};
use crate::plan::{Asker, Plan, PlannedHost, Target};
use crate::remote::{
    Action, Command, CommandList, Direction, OutputDir, Script, ScriptSource, Spool, Stdin,
    Transfer,
};
use crate::retry::RetryPolicy;
use crate::run::{Gate, Options, OutputFiles, Rollout, RunHandle};
use crate::scan::{Mode, RuleName};
use crate::store::{Circumstances, Remembered, Way};

pub use applied::{Application, ApplyError};
pub use written::PlanError;
pub(super) use written::expires_max;

/// Some hosts, before it is said what is to be done there.
pub struct On {
    orchestrator: Orchestrator,
    hosts: Selection,
}

impl On {
    pub(super) fn new(orchestrator: Orchestrator, hosts: Selection) -> Self {
        Self { orchestrator, hosts }
    }

    pub(super) fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    pub(super) fn hosts(&self) -> &Selection {
        &self.hosts
    }

    /// Without these hosts.
    pub fn exclude(self, hosts: HostPattern) -> Self {
        Self { hosts: self.hosts.exclude(hosts), ..self }
    }

    /// Only those among these hosts.
    pub fn limit(self, hosts: HostPattern) -> Self {
        Self { hosts: self.hosts.limit(hosts), ..self }
    }

    /// At most `count` of what is left, at random. They are drawn once: a plan
    /// and the run that follows have the same.
    pub fn pick(self, count: usize) -> Self {
        Self { hosts: self.hosts.pick(count), ..self }
    }

    /// Asks for a command.
    pub fn command(self, command: Command) -> Request {
        self.action(command)
    }

    /// Asks for several commands on one connection to each host, each with its
    /// own result. Commands alone stop a host at the first that is no success;
    /// a [`CommandList`] has what else can be said.
    pub fn commands(self, commands: impl Into<CommandList>) -> Request {
        self.action(commands.into())
    }

    /// Asks for a script.
    pub fn script(self, script: Script) -> Request {
        self.action(script)
    }

    /// Asks for files to be moved. If several hosts could be meant, each host's
    /// downloads go to a directory of its own, `LOCAL/<vm_id>/…`.
    pub fn transfer(self, transfer: Transfer) -> Request {
        self.action(transfer)
    }

    /// Asks for an action.
    pub fn action(self, action: impl Into<Action>) -> Request {
        let scan = self.orchestrator.config().scripts.scan;
        let settings = &self.orchestrator.config().remote_execution;
        let attempts = NonZeroU32::new(settings.default_retry).unwrap_or(NonZeroU32::MIN);
        let options = Options {
            fanout: settings.max_parallel_commands as usize,
            limits: Limits {
                timeout: settings.default_timeout,
                grace: settings.grace,
                output_max: usize::try_from(settings.output_max).unwrap_or(usize::MAX),
                ..Limits::default()
            },
            retry: RetryPolicy::new(attempts),
            ..Options::default()
        };
        let action = action.into();
        let script = match &action {
            Action::Script(Script { source: ScriptSource::File(path), .. }) => Some(path.clone()),
            _ => None,
        };
        let asker = self.orchestrator.asker();
        let labels = Labels::of(asker.metadata.clone());
        Request {
            orchestrator: self.orchestrator,
            hosts: self.hosts,
            action,
            script,
            output_max: options.limits.output_max,
            outdir: None,
            errdir: None,
            options,
            asker,
            labels,
            rerun_of: None,
            scan,
            accepted: Vec::new(),
        }
    }

    /// Asks for what a remembered run did, with the settings that it had, and
    /// with its id as `rerun_of` in the records. Why that one was asked for, and its
    /// labels, were its own. How hosts were reached is not
    /// among the settings: see [`Overrides::of`](super::Overrides::of).
    ///
    /// # Errors
    /// It must be typed again, or a file that it needs is not what it was.
    pub fn again(self, run: &Remembered) -> Result<Request, RequestError> {
        let recipe = run.recipe.as_ref();
        let recipe = recipe.map_err(|why| RequestError::TypeAgain(why.clone()))?;
        let mut request = self.action(recipe.action()?);
        request.script = recipe.script();
        request.rerun_of = Some(run.id);
        Ok(request
            .timeout(recipe.timeout)
            .grace(recipe.grace)
            .retries(recipe.attempts.saturating_sub(1))
            .fanout(recipe.fanout))
    }

    /// The hosts, resolved against the inventory.
    ///
    /// # Errors
    /// An unknown name, a host that may not be used, or no host at all.
    pub fn resolve(&self) -> Result<NodeSet, RequestError> {
        resolve(self.orchestrator.inventory(), &self.hosts)
    }
}

/// An action for some hosts, with everything that can be set for one request.
pub struct Request {
    orchestrator: Orchestrator,
    hosts: Selection,
    action: Action,
    /// The file that a script comes from, which may have been read already.
    script: Option<PathBuf>,
    /// How much is kept of a stream that has to be kept.
    output_max: usize,
    outdir: Option<PathBuf>,
    errdir: Option<PathBuf>,
    options: Options,
    asker: Asker,
    labels: Labels,
    /// The run that this one repeats.
    rerun_of: Option<RunId>,
    scan: Mode,
    accepted: Vec<RuleName>,
}

impl Request {
    /// Who asks, as the records will say.
    pub fn operator(mut self, name: impl Into<String>) -> Self {
        self.asker.operator = name.into();
        self
    }

    /// Why, in the operator's words.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.asker.reason = Some(reason.into());
        self
    }

    /// Something else that the records shall carry: a name and a text, as
    /// [`Label`](crate::plan::Label) has them. The run is not begun if it cannot be
    /// one ([`RequestError::Label`]). The last of one name counts.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.add(name, value);
        self
    }

    /// Which scripts are searched for what is dangerous before they are run; the
    /// configuration's `scripts.scan` without this.
    pub fn scan(mut self, mode: Mode) -> Self {
        self.scan = mode;
        self
    }

    /// Runs a script although this rule of the scan finds something in it. That
    /// needs a [`reason`](Self::reason), stands in the records, and is the policy's
    /// to allow, if there is one.
    pub fn allow_threat(mut self, rule: RuleName) -> Self {
        self.accepted.push(rule);
        self
    }

    /// How long it may take on each host, counted from the first thing that is
    /// sent; zero is no limit. Without this a command or script has the
    /// configuration's `default_timeout`, and a transfer no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.limits.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        if let Action::Transfer(transfer) = &mut self.action {
            transfer.timeout = self.options.limits.timeout;
        }
        self
    }

    /// How long a process has between TERM and KILL.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.limits.grace = grace;
        self
    }

    /// How many bytes of each stream are kept; the configuration's
    /// `remote_execution.output_max` without this, and at most 10 MiB where there
    /// is no state directory to put them into. Of more, the beginning and the
    /// end are kept.
    ///
    /// With 0 a stream is only counted and hashed. Gates and output files that
    /// need its bytes keep to the bound that was set before.
    pub fn output_max(mut self, bytes: usize) -> Self {
        self.options.limits.output_max = bytes;
        self.output_max = if bytes == 0 { self.output_max } else { bytes };
        self
    }

    /// Writes what each host writes to stdout to a file in this directory, too,
    /// as it comes: `DIR/<vm_id>`, mode 0600, at most as many bytes as are kept of
    /// a stream. The directory is made if it is missing. Files that are there
    /// under the names of the run's hosts are removed when the run begins; a
    /// retry begins its file anew.
    pub fn outdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.outdir = Some(dir.into());
        self
    }

    /// The same for stderr, in another directory.
    pub fn errdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.errdir = Some(dir.into());
        self
    }

    /// How often to try again after the first attempt, however long that takes.
    /// Without this, `default_retry` attempts are made, but a host that let all of
    /// `connect_timeout` pass is not tried again.
    pub fn retries(mut self, retries: u32) -> Self {
        let attempts = NonZeroU32::MIN.saturating_add(retries);
        self.options.retry = RetryPolicy::new(attempts).insisting();
        self
    }

    /// How many hosts are worked on at once.
    pub fn fanout(mut self, hosts: usize) -> Self {
        self.options.fanout = hosts;
        self
    }

    /// In which steps the hosts are gone through, and what stops the run.
    pub fn rollout(mut self, rollout: Rollout) -> Self {
        self.options.rollout = rollout;
        self
    }

    /// Whether output is told in events as it comes.
    pub fn stream(mut self, stream: bool) -> Self {
        self.options.stream = stream;
        self
    }

    /// Decides, without doing anything.
    ///
    /// # Errors
    /// It can be done on no host, the expression names none, or a local file
    /// cannot be read.
    pub fn plan(&self) -> Result<Plan, RequestError> {
        let action = self.prepared()?;
        let reason = self.asker.reason.as_deref().unwrap_or_default();
        if !self.accepted.is_empty() && reason.trim().is_empty() {
            return Err(RequestError::ThreatReason);
        }
        let mut asker = self.asker.clone();
        asker.metadata.clone_from(self.labels.check()?);
        let rerun_of = self.rerun_of.map(|run| ("rerun_of".to_owned(), run.to_string()));
        asker.metadata.extend(rerun_of);
        asker.allow_threat = !self.accepted.is_empty();
        let orchestrator = &self.orchestrator;
        let (inventory, access) = (orchestrator.inventory(), &orchestrator.inner.access);
        let memberships = inventory.memberships();
        let mut targets = Vec::new();
        for vm in resolve(inventory, &self.hosts)?.iter() {
            let Some(host) = inventory.get(vm) else { continue };
            let endpoint =
                access::runnable(&action, host.os).and_then(|()| access.endpoint(inventory, host));
            targets.push(Target::new(host, memberships.of(host), endpoint));
        }
        // One policy for all of it, whatever becomes of the file meanwhile.
        let policy = orchestrator.policy();
        let decide = |action, targets| Plan::decide(action, targets, asker.clone(), &policy);
        let mut plan = decide(action, targets.clone());
        plan.search_script(self.scan, &self.accepted);
        for gate in &self.options.rollout.gates {
            if let Gate::Probe(command) = gate {
                let probe = Action::from((**command).clone());
                probe.validate()?;
                plan.probe_by(decide(probe, targets.clone()));
            }
        }
        Ok(plan)
    }

    /// The action with what is read here only once, before anything is decided.
    fn prepared(&self) -> Result<Action, RequestError> {
        let mut action = self.action.clone();
        match &mut action {
            Action::Command(_) | Action::Commands(_) => {}
            Action::Script(script) => {
                if let ScriptSource::File(path) = &script.source {
                    let path = path.clone();
                    script.load().map_err(|source| RequestError::Local { path, source })?;
                }
            }
            Action::Transfer(transfer) => {
                transfer.per_host |= !self.hosts.hosts().is_single_literal();
                if transfer.direction == Direction::Upload {
                    for path in &transfer.sources {
                        let unreadable = |source| RequestError::Local { path: path.into(), source };
                        check_readable(path, transfer.recursive).map_err(unreadable)?;
                    }
                }
            }
        }
        action.validate()?;
        let mut gates = self.options.rollout.gates.iter();
        let moves_files = matches!(action, Action::Transfer(_));
        match gates.find(|gate| moves_files && gate.needs_output()) {
            Some(gate) => Err(RequestError::Gate(gate.to_string())),
            None if moves_files && self.outdir.as_ref().or(self.errdir.as_ref()).is_some() => {
                Err(RequestError::NoOutput)
            }
            None => Ok(action),
        }
    }

    /// Begins, and gives what follows and stops the run.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), the orchestrator is shutting down, or the stdin
    /// cannot be given.
    pub fn start(self) -> Result<RunHandle, RequestError> {
        self.begin(|_| Ok(()))
    }

    /// Begins, after `last` has had a look at what will be done: when it is
    /// called, everything else is ready, and nothing was sent.
    fn begin<E: From<RequestError>>(
        mut self,
        last: impl FnOnce(&mut Plan) -> Result<(), E>,
    ) -> Result<RunHandle, E> {
        let searched = |gate: &Gate| matches!(gate, Gate::Match(_));
        let kept = &mut self.options.limits.output_max;
        if self.options.rollout.gates.iter().any(searched) {
            *kept = (*kept).max(self.output_max);
        }
        let inner = &self.orchestrator.inner;
        let state_dir = inner.config.state_dir.as_ref();
        if state_dir.is_none() {
            *kept = (*kept).min(Limits::default().output_max);
        }
        self.options.spool = Spool::new(state_dir.map(|dir| dir.join("output")));
        if inner.closing.is_cancelled() {
            return Err(RequestError::Closing.into());
        }
        let mut plan = self.plan().inspect_err(|error| self.record_refusal(error))?;
        self.check_stdin(plan.hosts.len())?;
        self.options.files = self.output_files(&plan)?;
        last(&mut plan)?;
        let observer = inner.keeper.as_ref().and_then(|keeper| {
            let around = self.circumstances();
            keeper.remember(&plan, &around)
        });
        Ok(inner.engine.start(plan, self.options, inner.running.token(), observer))
    }

    /// Begins, and waits for the end.
    ///
    /// # Errors
    /// As [`start`](Self::start). That hosts failed is no error here; see
    /// [`Report::into_result`].
    ///
    /// # Cancel safety
    /// The run goes on when the future is dropped.
    pub async fn run(self) -> Result<Report, RequestError> {
        Ok(wait(self.start()?).await)
    }
}

async fn wait(mut handle: RunHandle) -> Report {
    let (run, mut stopped) = (handle.id(), None);
    while let Some(event) = handle.next_event().await {
        if let EventKind::RunFinished { stopped: why, .. } = event.kind {
            stopped = why;
        }
    }
    Report { run, stopped, results: handle.wait().await }
}

/// Sees that a source is there, before anything is begun; opening a pipe would
/// wait for its other end.
fn check_readable(path: &OsStr, recursive: bool) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_dir() && !recursive {
        let why = "it is a directory, which is sent only with everything in it (-r)";
        return Err(io::Error::new(io::ErrorKind::IsADirectory, why));
    }
    if found.is_file() || found.is_dir() {
        return File::open(path).map(drop);
    }
    let why = "it is neither a regular file nor a directory";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn check_stdin(stdin: &Stdin, hosts: usize) -> Result<(), RequestError> {
    match stdin {
        Stdin::File(path) => {
            let unreadable = |source| RequestError::Stdin { path: path.clone(), source };
            let file = File::open(path).map_err(unreadable)?;
            match file.metadata().map_err(unreadable)?.is_dir() {
                true => Err(unreadable(io::ErrorKind::IsADirectory.into())),
                false => Ok(()),
            }
        }
        Stdin::Inherit if hosts > 1 => Err(RequestError::StdinShared(hosts)),
        _ => Ok(()),
    }
}

impl Request {
    /// A command must not run on half of its input, let alone on none.
    fn check_stdin(&self, hosts: usize) -> Result<(), RequestError> {
        match &self.action {
            Action::Command(command) => check_stdin(&command.stdin, hosts),
            Action::Commands(list) => {
                let mut commands = list.commands().iter();
                commands.try_for_each(|command| check_stdin(&command.stdin, hosts))
            }
            Action::Script(script) => check_stdin(&script.settings.stdin, hosts),
            Action::Transfer(_) => Ok(()),
        }
    }

    /// Sees that files for output can be made, and that none is there.
    fn output_files(&self, plan: &Plan) -> Result<OutputFiles, RequestError> {
        let open = |path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let unusable = |source| RequestError::OutputDir { path: path.clone(), source };
            OutputDir::open(path).map(Some).map_err(unusable)
        };
        let (stdout, stderr) = (open(&self.outdir)?, open(&self.errdir)?);
        if let (Some(out), Some(err)) = (&stdout, &stderr)
            && out.is(err)
        {
            return Err(RequestError::OutputDirShared);
        }
        for dir in [&stdout, &stderr].into_iter().flatten() {
            let unusable = |source| RequestError::OutputDir { path: dir.path().into(), source };
            let clear = |host: &PlannedHost| match &plan.action {
                Action::Commands(list) => {
                    (0..list.commands().len()).try_for_each(|nth| dir.clear(&host.vm, Some(nth)))
                }
                _ => dir.clear(&host.vm, None),
            };
            plan.hosts.iter().try_for_each(clear).map_err(unusable)?;
        }
        Ok(OutputFiles { stdout, stderr, max: self.output_max as u64 })
    }

    /// What it takes to do the same again, beside the action.
    fn circumstances(&self) -> Circumstances {
        let inner = &self.orchestrator.inner;
        let overrides = &inner.access.overrides;
        let jumps = overrides.proxy_jump.as_ref().map(|jumps| {
            let hops: Vec<String> = jumps.iter().map(ToString::to_string).collect();
            if hops.is_empty() { "none".to_owned() } else { hops.join(",") }
        });
        let identity = overrides.identity_file.as_ref();
        Circumstances {
            script: self.script.clone(),
            cwd: inner.cwd.clone(),
            config: inner.config.path().map(Into::into),
            way: Way {
                user: overrides.user.clone(),
                port: overrides.port,
                identity_file: identity.map(|file| match &inner.cwd {
                    Some(cwd) => cwd.join(file),
                    None => file.clone(),
                }),
                proxy_jump: jumps,
            },
            timeout: match &self.action {
                Action::Transfer(transfer) => transfer.timeout,
                _ => self.options.limits.timeout,
            }
            .unwrap_or_default(),
            grace: self.options.limits.grace,
            attempts: self.options.retry.attempts().get(),
            fanout: self.options.fanout,
            single: self.hosts.hosts().is_single_literal(),
        }
    }

    /// A host that was asked for and may not be used is on record too.
    fn record_refusal(&self, error: &RequestError) {
        let Some(vm) = refused_host(error) else { return };
        let recorder = self.orchestrator.inner.engine.recorder();
        let action = recorder.action(&self.action, None);
        let mut asker = self.asker.clone();
        if let Ok(labels) = self.labels.check() {
            asker.metadata.clone_from(labels);
        }
        let policy = self.orchestrator.policy().sha256();
        recorder.refused(vm, action, &asker, policy, &error.to_string());
    }
}

/// The host that was asked for and may not be used.
pub(super) fn refused_host(error: &RequestError) -> Option<&VmId> {
    match error {
        RequestError::Host(
            SelectError::NotAllowed { id, .. } | SelectError::NotFound { id, .. },
        ) => Some(id),
        RequestError::Pattern(ResolveError::Unknown { name, .. }) => Some(name),
        _ => None,
    }
}

/// The hosts that are selected, all of which may be used.
pub(crate) fn resolve(inventory: &Inventory, hosts: &Selection) -> Result<NodeSet, RequestError> {
    let set = hosts.resolve(&inventory.targets())?;
    for vm in set.iter() {
        // Named hosts must be usable; `all` names only those that are.
        inventory.require(vm)?;
    }
    Ok(set)
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    run: RunId,
    stopped: Option<Stopped>,
    results: Vec<HostResult>,
}

impl Report {
    /// The run's id.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Why not everything was done, if the run was stopped.
    pub fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// One result per host, in the order of the request.
    pub fn results(&self) -> &[HostResult] {
        &self.results
    }

    /// The results of hosts that did not succeed, or whose success is not on
    /// record.
    pub fn failed(&self) -> impl Iterator<Item = &HostResult> {
        self.results.iter().filter(|result| !result.success())
    }

    /// The report itself if every host succeeded; the error keeps it too.
    ///
    /// # Errors
    /// Some host did not succeed.
    pub fn into_result(self) -> Result<Self, RunError> {
        if self.failed().next().is_none() {
            Ok(self)
        } else {
            Err(RunError::Failed(Box::new(self)))
        }
    }

    /// The result of the only host, if its command ran to its end or its files are
    /// in place, and that is on record.
    ///
    /// # Errors
    /// It did not or is not, or there are several hosts.
    pub fn into_single(mut self) -> Result<HostResult, RunError> {
        if self.results.len() != 1 {
            return Err(RunError::Failed(Box::new(self)));
        }
        let result = self.results.remove(0);
        let ended_non_zero = result.status == Status::Failed && result.exit.is_some();
        if result.success() || ended_non_zero && result.recorded() {
            Ok(result)
        } else {
            Err(HostError(Box::new(result)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Phase};
    use crate::remote::ExitStatus;

    fn report(phase: Option<Phase>) -> Report {
        let mut result = HostResult::new("vm01".parse().unwrap(), "true".into(), Status::Success);
        result.exit = Some(ExitStatus::Code(0));
        result.failure = phase.map(|phase| Failure {
            code: "audit_failed",
            phase,
            message: "no space".into(),
            hint: None,
            retryable: false,
        });
        Report { run: RunId::new(), stopped: None, results: vec![result] }
    }

    #[test]
    fn what_is_not_on_record_is_no_success() {
        assert!(report(None).into_result().is_ok());
        assert!(report(None).into_single().is_ok());
        assert!(report(Some(Phase::Audit)).into_result().is_err());
        assert!(report(Some(Phase::Audit)).into_single().is_err());
    }
}
