//! Who may do what where.

use super::*;

const ROLES: &str = "
operators:
  alice: alice@example.org
  bob: {principal: bob@example.org, roles: [deploy]}
roles:
  read:   {permissions: [exec, download], operators: ['*']}
  ops:    {permissions: [exec, shell, script, sudo], hosts: '@web', operators: alice@example.org}
  deploy: {permissions: [upload, script]}
  frozen: {denied_permissions: [upload, sudo], hosts: tag=frozen, operators: ['*']}
  root:   {permissions: [admin, kill, schedule], operators: [carol]}
binaries:
- {path: /bin/x, sudo: true}
- {path: /bin/sh, shell: true, sudo: true}
scripts: [{sha256: aa00000000000000000000000000000000000000000000000000000000000000, sudo: true}]
transfers: {upload: [{path: /, sudo: true}], download: [/]}
";

/// Everything that can be done, by name.
fn act(asked: &Asked, action: &str) -> Decision {
    let policy = policy(ROLES);
    let paths = ["/x".into()];
    let sha256 = format!("{:0<64}", "aa");
    let argv = ["/bin/x".into()];
    asked.decide(
        &policy,
        match action {
            "exec" => ActionView::Argv(&argv),
            "shell" => ActionView::Shell("/bin/x $HOME"),
            "script" => {
                let sha256 = Some(sha256.as_str());
                ActionView::Script { sha256, path: None, interpreter: &[], args: &[] }
            }
            "upload" => {
                ActionView::Upload { path: OsStr::new("/x"), sources: &paths, recursive: false }
            }
            "download" => ActionView::Download { paths: &paths, recursive: false },
            "kill" => ActionView::Kill,
            "schedule" => ActionView::Schedule,
            "admin" => ActionView::Admin,
            "check" => ActionView::Check,
            other => panic!("{other}"),
        },
    )
}

const ACTIONS: [&str; 9] =
    ["exec", "shell", "script", "upload", "download", "kill", "schedule", "admin", "check"];

/// Every cell of operators × hosts × actions × sudo: what the table does not
/// name is denied.
#[test]
fn the_matrix() {
    let web = || Asked { groups: vec!["web".into()], tags: vec![], ..Asked::default() };
    let db = || Asked { groups: vec![], tags: vec![], ..Asked::default() };
    let frozen = || Asked { tags: vec!["frozen".into()], ..web() };
    let hosts: [(&str, &dyn Fn() -> Asked); 3] = [("web", &web), ("db", &db), ("frozen", &frozen)];
    let table: &[(&str, &str, &str)] = &[
        ("alice", "web", "exec shell script download check"),
        ("alice", "web sudo", "exec shell script check"),
        ("alice", "db", "exec download check"),
        ("alice", "frozen", "exec shell script download check"),
        ("bob", "web", "exec script upload download check"),
        ("bob", "db", "exec script upload download check"),
        ("bob", "frozen", "exec script download check"),
        ("carol", "web", "exec download kill schedule admin check"),
        ("carol", "db", "exec download kill schedule admin check"),
        ("carol", "frozen", "exec download kill schedule admin check"),
        ("dave", "web", "exec download check"),
        ("dave", "db", "exec download check"),
        ("dave", "frozen", "exec download check"),
    ];
    let mut cells = 0;
    for user in ["alice", "bob", "carol", "dave", "alice@example.org"] {
        for (host, make) in hosts {
            for sudo in [false, true] {
                let row = if sudo { format!("{host} sudo") } else { host.to_owned() };
                let allowed = table.iter().find(|(who, at, _)| *who == user && *at == row);
                let allowed = allowed.map(|(_, _, actions)| *actions).unwrap_or_default();
                for action in ACTIONS {
                    let asked =
                        Asked { os_user: Some(user), run_as: sudo.then_some("root"), ..make() };
                    let decision = act(&asked, action);
                    let expected = allowed.split(' ').any(|own| own == action);
                    assert_eq!(decision.allow, expected, "{user} {row} {action}: {decision:#?}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 270);
}

#[test]
fn why_not() {
    let asked = |os_user| Asked { os_user, groups: vec!["db".into()], ..Asked::default() };
    let decision = act(&asked(Some("alice")), "script");
    denies(
        decision,
        "builtin/roles",
        "no role of alice@example.org (read, ops, frozen) has script",
    );
    let frozen = Asked { tags: vec!["frozen".into()], os_user: Some("bob"), ..Asked::default() };
    let decision = act(&frozen, "upload");
    assert_eq!(decision.place.as_ref().unwrap().line(), 9);
    denies(decision, "roles/frozen", "the role frozen denies upload here");
    denies(act(&asked(None), "exec"), "builtin/roles", "nobody known asks");
    let taken = act(&asked(Some("alice@example.org")), "exec");
    denies(taken, "builtin/roles", "what another account stands for");
}

#[test]
fn the_role_is_told() {
    let asked = Asked { os_user: Some("alice"), ..Asked::default() };
    assert_eq!(act(&asked, "script").role.as_deref(), Some("ops"));
    assert_eq!(act(&asked, "exec").role.as_deref(), Some("read"));
    let carol = Asked { os_user: Some("carol"), ..Asked::default() };
    allows(act(&carol, "admin"), "roles/root");
}

/// A claim gives no role.
#[test]
fn roles_go_by_the_account() {
    let policy =
        policy("roles: {a: {permissions: exec, operators: alice}}\nbinaries: [{path: /x}]");
    let asked = Asked { os_user: Some("mallory"), ..Asked::default() };
    assert!(!asked.argv(&policy, "/x").allow);
}

#[test]
fn without_roles_everybody_has_all() {
    let policy = policy("binaries: [{path: /x}]");
    let asked = Asked { os_user: None, ..Asked::default() };
    allows(asked.argv(&policy, "/x"), "binaries[0]/x");
    allows(asked.decide(&policy, ActionView::Admin), "builtin/roles");
    allows(asked.decide(&policy, ActionView::Check), "builtin/roles");
}

/// Whoever may change what is trusted would need nobody's approval.
#[test]
fn what_wants_approvals_says_who_changes_what_is_trusted() {
    let approvals = "approvals: {allowed_signers: /x}\noperators: {alice: a}\n";
    let rule = "binaries: [{path: /x, require_approval: true}]\n";
    let asked = Asked { os_user: Some("alice"), ..Asked::default() };
    let without = policy(&format!("{approvals}{rule}"));
    assert!(!asked.decide(&without, ActionView::Admin).allow);
    allows(asked.decide(&without, ActionView::Check), "builtin/roles");
    let roles = "roles: {root: {permissions: admin, operators: a}}\n";
    let with = policy(&format!("{approvals}{roles}{rule}"));
    allows(asked.decide(&with, ActionView::Admin), "roles/root");
}

#[test]
fn whoever_may_do_nothing_on_a_host_may_not_look_at_it() {
    let policy = policy(
        "roles:\n  a: {permissions: [exec], operators: [alice], hosts: '@web'}\n  \
         b: {denied_permissions: [exec], operators: [bob]}\n  \
         c: {permissions: [exec], operators: [bob]}\nbinaries: [{path: /x}]",
    );
    let asked = |user, groups: &[&str]| Asked {
        os_user: user,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Asked::default()
    };
    let check = |asked: Asked| asked.decide(&policy, ActionView::Check);
    assert!(check(asked(Some("alice"), &["web"])).allow);
    denies(check(asked(Some("alice"), &[])), "builtin/roles", "any permission here");
    denies(check(asked(Some("bob"), &["web"])), "builtin/roles", "any permission here");
    denies(check(asked(None, &["web"])), "builtin/roles", "nobody known asks");
}
