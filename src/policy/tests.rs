//! One row per rule of the policy.

mod files;
mod programs;
mod roles;
mod shells;
mod transfers;

use std::ffi::{OsStr, OsString};

use super::*;
use crate::ids::VmId;

/// Everything that can be asked; a test changes what it is about.
struct Asked {
    host: VmId,
    allowed: bool,
    groups: Vec<String>,
    tags: Vec<String>,
    os_user: Option<&'static str>,
    shell: Option<&'static str>,
    run_as: Option<&'static str>,
    env: Vec<&'static str>,
    cwd: Option<&'static str>,
    allow_interactive: bool,
    allow_threat: bool,
    stdin: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            host: "vm01".parse().unwrap(),
            allowed: true,
            groups: vec!["web".into()],
            tags: vec!["prod".into()],
            os_user: Some("alice"),
            shell: None,
            run_as: None,
            env: Vec::new(),
            cwd: None,
            allow_interactive: false,
            allow_threat: false,
            stdin: false,
        }
    }
}

impl Asked {
    fn decide(&self, policy: &Policy, action: ActionView<'_>) -> Decision {
        policy.decide(&Request {
            operator: "alice",
            os_user: self.os_user,
            host: HostView {
                id: &self.host,
                allowed: self.allowed,
                groups: &self.groups,
                tags: &self.tags,
                reached: None,
            },
            action,
            shell: self.shell,
            run_as: self.run_as,
            env: &self.env,
            cwd: self.cwd.map(OsStr::new),
            stdin_given: self.stdin,
            allow_interactive: self.allow_interactive,
            allow_threat: self.allow_threat,
        })
    }

    fn argv(&self, policy: &Policy, line: &str) -> Decision {
        self.decide(policy, ActionView::Argv(&words(line)))
    }

    fn shell(&self, policy: &Policy, text: &str) -> Decision {
        self.decide(policy, ActionView::Shell(text))
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

/// A policy from a text, in which fields that are not enforced yet may stand.
fn policy(text: &str) -> Policy {
    match file::read("p.yml", text) {
        Ok(rules) => Policy::of(rules),
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// What is wrong with a text, without the file's name and without the lines
/// shown.
fn problems(text: &str) -> Vec<String> {
    let Err(error) = Policy::from_yaml_str(text, "p.yml") else { panic!("accepted: {text}") };
    let shown = |problem: &crate::yaml::Diagnostic| {
        let place = problem.location();
        format!("{}:{}: {}", place.line(), place.column(), problem.message())
    };
    error.diagnostics().iter().map(shown).collect()
}

#[track_caller]
fn allows(decision: Decision, rule: &str) {
    assert!(decision.allow, "{decision:#?}");
    assert_eq!(decision.rule, rule);
}

/// Denied by `rule`, for a reason that holds `reason`, and with a hint.
#[track_caller]
fn denies(decision: Decision, rule: &str, reason: &str) {
    assert!(!decision.allow, "{decision:#?}");
    assert_eq!(decision.rule, rule, "{decision:#?}");
    let found = decision.reason.as_deref().unwrap();
    assert!(found.contains(reason), "{found:?} does not hold {reason:?}");
    assert!(decision.hint.is_some_and(|hint| !hint.is_empty()));
}

#[test]
fn allows_what_no_rule_denies() {
    let decision = Asked::default().shell(&Policy::allow_all(), "uptime");
    assert_eq!(decision, Decision::allow("allow-all"));
}

#[test]
fn a_host_that_is_not_allowed_is_denied_before_all_else() {
    let asked = Asked { allowed: false, allow_interactive: true, ..Asked::default() };
    for policy in [Policy::allow_all(), policy("binaries: []")] {
        let decision = asked.shell(&policy, "vi x");
        assert_eq!(decision.policy_sha256, policy.sha256());
        denies(decision, "builtin/allowed-vms", "vm_id vm01 not in allowed list");
    }
}

#[test]
fn a_command_that_needs_a_terminal_is_denied() {
    let asked = Asked::default();
    let everything = Policy::allow_all();
    for decision in
        [asked.argv(&everything, "top -d1"), asked.shell(&everything, "cd /tmp && top -d1")]
    {
        let hint = "use: top -b -n1; to run it anyway: --allow-interactive";
        assert_eq!(decision.hint.as_deref(), Some(hint));
        denies(decision, "builtin/interactive", "`top` draws on a terminal, and there is none");
    }
}

#[test]
fn overriding_is_noted() {
    let asked = Asked { allow_interactive: true, ..Asked::default() };
    let decision = asked.shell(&Policy::allow_all(), "top");
    let note = "builtin/interactive (overridden): `top` draws on a terminal, and there is none";
    assert_eq!(decision.notes, [note]);
    allows(decision, "allow-all");
}

#[test]
fn what_cannot_be_used_denies_everything() {
    let policy = Policy::unusable("p.yml:3:1: no");
    let asked = Asked::default();
    denies(asked.argv(&policy, "/bin/true"), "builtin/policy-unusable", "p.yml:3:1: no");
    let both = Policy::all_of([Policy::allow_all(), policy]);
    denies(asked.argv(&both, "/bin/true"), "builtin/policy-unusable", "p.yml:3:1: no");
}

#[test]
fn of_several_policies_all_must_allow() {
    let one = policy("binaries: [{path: /bin/a}, {path: /bin/b, limits: {max_memory: 2Mi}}]");
    let other = policy("binaries: [{path: /bin/b, limits: {max_memory: 1Mi, max_processes: 3}}]");
    let asked = Asked::default();
    let both = Policy::all_of([one.clone(), Policy::allow_all(), other.clone()]);
    let decision = asked.argv(&both, "/bin/b");
    assert_eq!(decision.constraints.limits.max_memory, Some(1 << 20));
    assert_eq!(decision.constraints.limits.max_processes, Some(3));
    let sha256 = format!("{}+{}", one.sha256().unwrap(), other.sha256().unwrap());
    assert_eq!(decision.policy_sha256.as_ref(), Some(&sha256));
    assert_eq!(both.sha256(), Some(sha256));
    allows(decision, "binaries[1]/b + binaries[0]/b");
    let decision = asked.argv(&both, "/bin/a");
    assert_eq!(decision.policy_sha256, other.sha256());
    denies(decision, "builtin/default-deny", "no rule names /bin/a");
    allows(asked.argv(&Policy::all_of([one]), "/bin/a"), "binaries[0]/a");
    allows(asked.argv(&Policy::all_of([]), "/bin/a"), "allow-all");
}

#[test]
fn policies_without_a_directory_in_common_find_no_program() {
    let of = |dir: &str| policy(&format!("global: {{path: {dir}}}\nbinaries: [{{path: ls}}]"));
    let asked = Asked::default();
    let same = Policy::all_of([of("/bin"), of("/bin:/usr/bin")]);
    let decision = asked.argv(&same, "ls");
    assert_eq!(decision.constraints.path, Some(vec!["/bin".into()]));
    allows(decision, "binaries[0]/ls + binaries[0]/ls");
    let none = Policy::all_of([of("/bin"), of("/sbin")]);
    denies(asked.argv(&none, "ls"), "builtin/program-name", "no directory in common");
}
