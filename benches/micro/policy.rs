//! Decisions, as each host of each run needs one.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use divan::{Bencher, black_box};
use orchestrator::ids::VmId;
use orchestrator::policy::{ActionView, HostView, Policy, Request};

const EXAMPLE: &str = include_str!("../../configs/policy.example.yml");
const RULES: usize = 1_000;
const THREE_COMMANDS: &str = "df -h /srv/app && /usr/bin/whoami; /usr/bin/free -m";

/// A policy of as many programs, each with arguments of its own.
fn large() -> String {
    let mut text = String::from("version: \"1.0\"\nglobal: { allowed_env: [LANG] }\nbinaries:\n");
    for number in 0..RULES {
        writeln!(
            text,
            "  - {{ path: /opt/bin/tool{number:04}, allowed_args: \
             [\"status|restart\", \"[a-z]+{number}\\\\.service\"] }}"
        )
        .unwrap();
    }
    text
}

/// Times a decision, which has to be the expected one.
fn decide(bencher: Bencher<'_, '_>, text: &str, action: ActionView<'_>, allow: bool) {
    let policy = Policy::from_yaml_str(text, "policy.yml").unwrap();
    let (id, groups): (VmId, _) = ("vm01".parse().unwrap(), ["web".into(), "lab".into()]);
    let host = HostView { id: &id, allowed: true, groups: &groups, tags: &[], reached: None };
    let request = Request {
        operator: "alice",
        os_user: Some("alice"),
        host,
        action,
        shell: None,
        run_as: None,
        env: &["LANG"],
        cwd: Some(OsStr::new("/srv/app")),
        stdin_given: false,
        allow_interactive: false,
        allow_threat: false,
    };
    let decision = policy.decide(&request);
    assert_eq!(decision.allow, allow, "{decision:?}");
    bencher.bench(|| policy.decide(black_box(&request)));
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(Into::into).collect()
}

#[divan::bench]
fn allowed(bencher: Bencher<'_, '_>) {
    let argv = words("/usr/bin/git log --oneline");
    decide(bencher, EXAMPLE, ActionView::Argv(&argv), true);
}

#[divan::bench]
fn denied(bencher: Bencher<'_, '_>) {
    let argv = words("/usr/bin/git push --force");
    decide(bencher, EXAMPLE, ActionView::Argv(&argv), false);
}

#[divan::bench]
fn shell_string(bencher: Bencher<'_, '_>) {
    decide(bencher, EXAMPLE, ActionView::Shell(THREE_COMMANDS), true);
}

/// Allowed by the last one.
#[divan::bench]
fn among_a_thousand_rules(bencher: Bencher<'_, '_>) {
    let argv = words("/opt/bin/tool0999 restart web999.service");
    decide(bencher, &large(), ActionView::Argv(&argv), true);
}

#[divan::bench]
fn shell_string_among_a_thousand_rules(bencher: Bencher<'_, '_>) {
    let text = "/opt/bin/tool0000 status; /opt/bin/tool0500 restart && /opt/bin/tool0999 status";
    decide(bencher, &large(), ActionView::Shell(text), true);
}

#[divan::bench(sample_count = 20)]
fn read_a_thousand_rules(bencher: Bencher<'_, '_>) {
    let text = large();
    bencher.bench(|| Policy::from_yaml_str(black_box(&text), "policy.yml").unwrap());
}
