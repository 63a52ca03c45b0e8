//! Each rule, on something that it finds and on something that looks alike.

use std::collections::BTreeSet;

use super::*;

/// Rule, a text in which it finds something, one in which it does not.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "unusable",
        "binaries: [{path: /usr/bin/find}]",
        "binaries: [{path: /usr/bin/find, allowed_args: ['/srv']}]",
    ),
    (
        "escape-option",
        "binaries: [{path: /usr/bin/git, allowed_args: [status, '--.*']}]",
        "binaries: [{path: /usr/bin/git, allowed_args: [status, '--(oneline|stat)']}]",
    ),
    (
        "escape-option",
        "binaries: [{path: /usr/bin/sort, allowed_args: ['-[a-z]', '/.*']}]",
        "binaries: [{path: /usr/bin/sort, allowed_args: ['-[a-z]', '/.*'], denied_args: ['-o']}]",
    ),
    (
        "escape-example",
        "binaries: [{path: /usr/bin/capsh, allowed_args: ['[a-z-]+']}]",
        "binaries: [{path: /usr/bin/capsh, allowed_args: ['--print']}]",
    ),
    (
        "denied-args-only",
        "binaries: [{path: /usr/bin/find, denied_args: ['-exec']}]",
        "binaries: [{path: /usr/bin/uptime, denied_args: ['-x']}]",
    ),
    (
        "matches-everything",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['.*']}]",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['[a-z/ -]*']}]",
    ),
    (
        "redundant-anchor",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['^-p$']}]",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['-p', 'a\\$', '^a|b']}]",
    ),
    (
        "denied-anyway",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['--pretty'], denied_args: ['--p.*']}]",
        "binaries: [{path: /usr/bin/uptime, allowed_args: ['--pretty'], denied_args: [{pattern: '--p.*', position: 1}]}]",
    ),
    (
        "never-allows",
        "binaries: [{path: /x, allowed_args: [{pattern: a, position: 1, required: true}]}]",
        "binaries: [{path: /x, allowed_args: [b, {pattern: a, position: 1, required: true}]}]",
    ),
    (
        "shell-everywhere",
        "binaries: [{path: /bin/sh, shell: true, hosts: all}]",
        "binaries: [{path: /bin/sh, shell: true, hosts: '@lab'}]",
    ),
    (
        "shell-as-root",
        "binaries: [{path: /bin/sh, shell: true, hosts: vm01, sudo: true}]",
        "binaries: [{path: /bin/sh, shell: true, hosts: vm01}]",
    ),
    (
        "sudo-any-arguments",
        "binaries: [{path: /usr/bin/uptime, sudo: true}]",
        "binaries: [{path: /usr/bin/uptime, run_as: deploy}]",
    ),
    (
        "everybody",
        "roles: {a: {permissions: [exec, sudo], operators: ['*']}}",
        "roles: {a: {permissions: [exec, upload], operators: ['*']}}",
    ),
    (
        "no-roles",
        "binaries: [{path: /x, sudo: true, allowed_args: [a]}]",
        "binaries: [{path: /x, allowed_args: [a]}]",
    ),
    (
        "role-of-nobody",
        "roles: {a: {permissions: [exec]}}",
        "roles: {a: {permissions: [exec]}}\noperators: {bob: {roles: [a]}}",
    ),
    (
        "operator-without-role",
        "roles: {a: {permissions: [exec], operators: [alice]}}\noperators: {bob: bob@example}",
        "roles: {a: {permissions: [exec], operators: [bob@example]}}\noperators: {bob: bob@example}",
    ),
    (
        "granted-to-nobody",
        "roles: {a: {permissions: [exec], operators: [x]}}\ntransfers: {upload: [/srv/x]}",
        "roles: {a: {permissions: [upload], operators: [x]}}\ntransfers: {upload: [/srv/x]}",
    ),
    (
        "interpreter-stdin",
        "binaries: [{path: /usr/bin/python3, stdin: true, allowed_args: ['/srv/[a-z]+\\.py']}]",
        "binaries: [{path: /usr/bin/python3, stdin: true, allowed_args: [{pattern: '/srv/[a-z]+\\.py', position: 0, required: true}]}]",
    ),
    (
        "reads-any-file",
        "binaries: [{path: /bin/cat}]",
        "binaries: [{path: /bin/cat, allowed_args: ['/var/log/syslog']}]",
    ),
    ("program-replaceable", "binaries: [{path: /tmp/x}]", "binaries: [{path: /tmpx/x}]"),
    ("path-replaceable", "global: {path: /usr/bin:/home/a/bin}", "global: {path: /usr/bin}"),
    (
        "shadowed",
        "binaries: [{path: /x}, {path: /x, allowed_args: [a]}]",
        "binaries: [{path: /x, hosts: vm01}, {path: /x, allowed_args: [a]}]",
    ),
    (
        "switched-off",
        "binaries: [{path: /x}, {path: /x, enabled: false}]",
        "binaries: [{path: /x}, {path: /x, enabled: false, hosts: vm01}]",
    ),
    ("any-variable", "global: {allowed_env: '*'}", "global: {allowed_env: 'APP_*'}"),
    (
        "variable-chooses-program",
        "binaries: [{path: /x, env: [PAGER]}]",
        "binaries: [{path: /x, env: [PAGES]}]",
    ),
    (
        "no-wall-time",
        "binaries: [{path: /x, sandbox: minimal}]",
        "binaries: [{path: /x, sandbox: minimal, limits: {max_wall_time: 10s}}]",
    ),
    (
        "upload-executed",
        "binaries: [{path: /srv/app/run}]\ntransfers: {upload: [/srv]}",
        "binaries: [{path: /srv/app/run}]\ntransfers: {upload: [/srv, {path: /srv/app/run, deny: true}]}",
    ),
    (
        "upload-system",
        "transfers: {upload: [/home/deploy]}",
        "transfers: {upload: [/home/deploy/app]}",
    ),
    (
        "download-secrets",
        "transfers: {download: [/etc]}",
        "transfers: {download: ['/etc/app/*.conf']}",
    ),
    (
        "deny-of-nothing",
        "transfers: {upload: [/srv, {path: /opt, deny: true}]}",
        "transfers: {upload: [/srv, {path: /srv/x, deny: true}]}",
    ),
];

fn found(text: &str) -> BTreeSet<&'static str> {
    let findings = lint_text("p.yml", text).unwrap_or_else(|error| panic!("{text}: {error}"));
    findings.into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn each_rule_finds_what_it_is_for_and_not_what_looks_alike() {
    for (rule, bad, good) in TABLE {
        assert!(found(bad).contains(rule), "{rule} misses {bad}");
        assert!(!found(good).contains(rule), "{rule} finds something in {good}");
    }
    let tested: BTreeSet<&str> = TABLE.iter().map(|(rule, ..)| *rule).collect();
    let checks = [arguments::CHECKS, grants::CHECKS, programs::CHECKS, transfers::CHECKS];
    let names: Vec<&str> = checks.into_iter().flatten().map(|check| check.name).collect();
    assert!(names.iter().all(|name| tested.contains(name)), "{names:?}");
    assert!(names.len() >= 20);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn options_are_those_of_programs_that_are_known() {
    for line in arguments::OPTIONS.lines() {
        let (program, words) = line.split_once('|').unwrap();
        assert!(arguments::options(program).any(|own| own == words), "{line}");
    }
}

#[test]
fn a_finding_says_where_and_what() {
    let text = "version: 1\nbinaries:\n  - path: /usr/bin/git\n    allowed_args: ['--.*']\n";
    let findings = lint_text("p.yml", text).unwrap();
    let finding = findings.iter().find(|finding| finding.rule == "escape-option").unwrap();
    assert_eq!(finding.place.to_string(), "p.yml:4:20");
    assert_eq!(finding.subject, "binaries[0]/git");
    assert!(finding.reason.contains("`--.*` allows `--exec-path=/tmp/x`"), "{}", finding.reason);
    // What makes the file unusable keeps nothing else from being told.
    let all = found("binaries: [{path: /usr/bin/find}, {path: /bin/cat}]");
    assert!(all.contains("unusable") && all.contains("reads-any-file"));
    assert!(lint_text("p.yml", "a: [").is_err());
}

/// The example shows how to do it, so it must not show what not to do.
#[test]
fn the_example_has_nothing_of_severity_high() {
    let text = include_str!("../../../configs/policy.example.yml");
    let findings = lint_text("policy.example.yml", text).unwrap();
    let high: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Severity::High).collect();
    assert!(high.is_empty(), "{high:#?}");
}
