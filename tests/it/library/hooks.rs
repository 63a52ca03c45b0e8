//! Hooks: asked before, told after, and never stronger than a denial.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use orchestrator::Orchestrator;
use orchestrator::audit::{AuditLog, Options};
use orchestrator::config::Config;
use orchestrator::event::EventKind;
use orchestrator::hook::{Hook, Intent, Veto};
use orchestrator::outcome::{HostResult, Status};
use orchestrator::policy::Policy;
use orchestrator::remote::{Action, Command, CommandList, Script};
use orchestrator::ssh::known_hosts::KnownHosts;
use sha2::{Digest, Sha256};

use crate::cli_exec::Lab;
use crate::support::{Proxy, Sshd};

/// What a hook saw, in order.
type Seen = Arc<Mutex<Vec<String>>>;

/// What a hook does when it is asked.
#[derive(Clone, Copy)]
enum Does {
    Allow,
    Hang,
    Panic,
    PanicAtOnce,
    PanicWhenTold,
    Veto,
}

struct Probe {
    name: &'static str,
    does: Does,
    seen: Seen,
}

impl Hook for Probe {
    fn time_limit(&self) -> Duration {
        match self.does {
            Does::Hang => Duration::from_millis(50),
            _ => Duration::from_secs(60),
        }
    }

    fn before<'a>(&'a self, intent: &'a Intent<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        assert!(intent.decision.allow, "policy was to be asked first");
        let text = format!("{} before {} {}", self.name, intent.vm, intent.action.display());
        self.seen.lock().unwrap().push(text);
        assert!(!matches!(self.does, Does::PanicAtOnce), "at once");
        async move {
            tokio::task::yield_now().await;
            match self.does {
                Does::Allow | Does::PanicWhenTold => Ok(()),
                Does::Hang => pending().await,
                Does::Panic | Does::PanicAtOnce => panic!("while it is asked"),
                Does::Veto => Err(Veto::new("not on a Friday").hint("ask on Monday")),
            }
        }
        .boxed()
    }

    fn after<'a>(&'a self, intent: &'a Intent<'a>, result: &'a HostResult) -> BoxFuture<'a, ()> {
        assert!(!matches!(self.does, Does::PanicWhenTold), "told");
        assert_eq!(*intent.vm, result.vm);
        let (vm, out) = (&result.vm, result.stdout.to_text());
        let text = format!("{} after {vm} {} {}", self.name, result.status, out.trim());
        self.seen.lock().unwrap().push(text.trim_end().to_owned());
        async {}.boxed()
    }
}

/// An orchestrator of a lab with these hooks and this policy, and what they see.
fn open(lab: &Lab, policy: Policy, hooks: &[(&'static str, Does)]) -> (Orchestrator, Seen) {
    let config = Config::load(lab.config()).unwrap();
    let known_hosts = KnownHosts::load(&config.ssh.known_hosts).unwrap();
    let plain: orchestrator::audit::Redact = Arc::new(|text| text.into());
    let audit = AuditLog::open(lab.audit_path(), Options::new(plain)).unwrap();
    let seen = Seen::default();
    let mut builder =
        Orchestrator::builder(config).known_hosts(known_hosts).policy(policy).audit(audit);
    for &(name, does) in hooks {
        builder = builder.hook(name, Probe { name, does, seen: Arc::clone(&seen) });
    }
    (builder.build().unwrap(), seen)
}

async fn run(orchestrator: &Orchestrator, action: impl Into<Action>) -> HostResult {
    let request = orchestrator.on("vm01".parse().unwrap()).action(action);
    request.run().await.unwrap().results()[0].clone()
}

fn seen(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test]
async fn a_hook_is_asked_and_told() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let hooks = [("one", Does::Allow), ("two", Does::PanicWhenTold), ("three", Does::Allow)];
    let (orchestrator, saw) = open(&lab, Policy::allow_all(), &hooks);
    let result = run(&orchestrator, Command::shell("echo hello")).await;
    assert_eq!(result.status, Status::Success);
    let before = hooks.map(|(name, _)| format!("{name} before vm01 echo hello"));
    let after = ["three after vm01 success hello", "one after vm01 success hello"];
    assert_eq!(seen(&saw), [before.as_slice(), &after.map(str::to_owned)].concat());
    // One plan is one question, however it ends.
    let result = run(&orchestrator, Command::shell("exit 3")).await;
    assert_eq!(result.status, Status::Failed);
    assert_eq!(seen(&saw).last().unwrap(), "one after vm01 failed");
}

/// A veto, a panic and silence are one: denied, on record, and nothing sent.
#[tokio::test]
async fn whatever_is_no_yes_denies() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    for (does, why) in [
        (Does::Veto, "not on a Friday (rule hook/gate)"),
        (Does::Panic, "it panicked instead of answering (rule hook/gate)"),
        (Does::PanicAtOnce, "it panicked instead of answering (rule hook/gate)"),
        (Does::Hang, "it did not answer within 0.05 s (rule hook/gate)"),
    ] {
        let hooks = [("first", Does::Allow), ("gate", does), ("last", Does::Allow)];
        let (orchestrator, saw) = open(&lab, Policy::allow_all(), &hooks);
        let actions: [Action; 2] = [
            Command::shell("true").into(),
            CommandList::new([Command::new("true"), Command::new("true")]).into(),
        ];
        for action in actions {
            let several = matches!(action, Action::Commands(_));
            let result = run(&orchestrator, action).await;
            assert_eq!(result.status, Status::PolicyDenied, "{result:?}");
            let failure = match several {
                true => result.commands[0].failure.as_ref().unwrap(),
                false => result.failure.as_ref().unwrap(),
            };
            assert_eq!((failure.code, failure.message.as_str()), ("policy_denied", why));
            let seen = seen(&saw);
            // The last was not asked; who was is told.
            assert!(seen.iter().all(|text| !text.starts_with("last")), "{seen:?}");
            assert_eq!(seen.last().unwrap(), "first after vm01 policy_denied");
        }
        orchestrator.shutdown().await;
    }
    assert_eq!(proxy.connections(), 0);
    let records = lab.audit();
    let first = &records[0];
    assert_eq!(first["decision"]["rule"], "hook/gate");
    assert_eq!(first["decision"]["allow"], false);
    assert!(records.iter().all(|record| record["decision"]["allow"] == false));
    let statuses = lab.statuses();
    assert!(statuses.iter().all(|status| status != "success"), "{statuses:?}");
}

/// What policy denies, no hook is asked about; and what is only shown neither.
#[tokio::test]
async fn a_hook_cannot_allow() {
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let policy = Policy::from_yaml_str("binaries: [{path: /bin/true}]", "p.yml").unwrap();
    let (orchestrator, saw) = open(&lab, policy, &[("yes", Does::Allow)]);
    let result = run(&orchestrator, Command::new("/bin/false")).await;
    assert_eq!(result.status, Status::PolicyDenied);
    let request = orchestrator.on("vm01".parse().unwrap()).command(Command::new("/bin/true"));
    assert!(request.plan().unwrap().hosts[0].decision.allow);
    assert_eq!(seen(&saw), Vec::<String>::new());
    assert_eq!(run(&orchestrator, Command::new("/bin/true")).await.status, Status::Success);
    assert_eq!(seen(&saw).len(), 2);
}

/// A script whose file changes once it was decided on.
#[tokio::test]
async fn check_60_what_is_sent_is_what_was_decided_on() {
    struct Changes(std::path::PathBuf);
    impl Hook for Changes {
        fn before<'a>(&'a self, _: &'a Intent<'a>) -> BoxFuture<'a, Result<(), Veto>> {
            std::fs::write(&self.0, "#!/bin/sh\necho changed\n").unwrap();
            async { Ok(()) }.boxed()
        }
    }
    let sshd = Sshd::start();
    let lab = Lab::one(&sshd);
    let file = lab.path("job.sh");
    std::fs::write(&file, "#!/bin/sh\necho decided\n").unwrap();
    let digest = Sha256::digest(std::fs::read(&file).unwrap());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let policy = Policy::from_yaml_str(&format!("scripts: [{{sha256: {digest}}}]"), "p.yml");
    let config = Config::load(lab.config()).unwrap();
    let known_hosts = KnownHosts::load(&config.ssh.known_hosts).unwrap();
    let builder = Orchestrator::builder(config).known_hosts(known_hosts);
    let builder = builder.policy(policy.unwrap()).without_audit();
    let orchestrator = builder.hook("changes", Changes(file.clone())).build().unwrap();
    let result = run(&orchestrator, Script::upload(&file)).await;
    assert_eq!((result.status, result.stdout.to_text().as_str()), (Status::Success, "decided\n"));
    assert_eq!(result.script_sha256.as_deref(), Some(digest.as_str()));
    let result = run(&orchestrator, Script::upload(&file)).await;
    assert_eq!(result.status, Status::PolicyDenied);
}

/// Whoever cancels does not wait for an answer, and nothing is begun without one.
#[tokio::test]
async fn a_run_that_is_cancelled_meanwhile_does_not_begin() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.addr());
    let lab = Lab::new().vm_at("vm01", &sshd, proxy.addr(), "");
    struct Waits(tokio::sync::mpsc::UnboundedSender<()>);
    impl Hook for Waits {
        fn time_limit(&self) -> Duration {
            Duration::from_secs(3600)
        }
        fn before<'a>(&'a self, _: &'a Intent<'a>) -> BoxFuture<'a, Result<(), Veto>> {
            self.0.send(()).unwrap();
            pending().boxed()
        }
    }
    let config = Config::load(lab.config()).unwrap();
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let builder = Orchestrator::builder(config).known_hosts(KnownHosts::default());
    let builder = builder.policy(Policy::allow_all()).without_audit();
    let orchestrator = builder.hook("waits", Waits(sender)).build().unwrap();
    let request = orchestrator.on("vm01".parse().unwrap()).command(Command::new("true"));
    let mut handle = request.start().unwrap();
    asked.recv().await.unwrap();
    handle.canceller().cancel();
    let mut ended = None;
    while let Some(event) = handle.next_event().await {
        if let EventKind::HostFinished(result) = event.kind {
            ended = Some(result.status);
        }
    }
    assert_eq!(ended, Some(Status::NotStarted));
    assert_eq!(proxy.connections(), 0);
}
