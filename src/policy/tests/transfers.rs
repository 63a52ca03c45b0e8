//! Files, each way by itself.

use super::*;

const FILES: &str = "
transfers:
  upload:
  - /opt/app
  - {path: '/srv/*/conf', hosts: '@web', run_as: deploy}
  - {path: /etc/app/x.conf}
  - {paths: [/opt/app/secret, /opt/app/.ssh], deny: true}
  download:
  - /var/log/
  - {path: '/var/log/**/*.key', deny: true}
";

fn upload(asked: &Asked, target: &str, sources: &[&str], recursive: bool) -> Decision {
    let sources: Vec<OsString> = sources.iter().map(OsString::from).collect();
    let path = OsStr::new(target);
    asked.decide(&policy(FILES), ActionView::Upload { path, sources: &sources, recursive })
}

fn download(paths: &[&str], recursive: bool) -> Decision {
    let paths: Vec<OsString> = paths.iter().map(OsString::from).collect();
    let view = ActionView::Download { paths: &paths, recursive };
    Asked::default().decide(&policy(FILES), view)
}

#[test]
fn uploads() {
    let asked = Asked::default();
    for (target, sources) in [
        ("/opt/app", &["a.tar"][..]),
        ("/opt/app/", &["a.tar"]),
        ("/opt/app/deep/x", &["a.tar"]),
        ("/opt/app", &["a", "b"]),
        ("/etc/app/x.conf", &["y"]),
        ("/etc/app/", &["d/x.conf"]),
        ("/srv/one/conf", &["x"]),
    ] {
        let decision = upload(&asked, target, sources, false);
        assert!(decision.allow, "{target}: {decision:?}");
    }
    for target in ["/opt", "/opt/apple", "/opt/", "/etc/app/y.conf", "/srv/a/b/conf", "/srv/conf"] {
        let decision = upload(&asked, target, &["a"], false);
        denies(decision, "builtin/default-deny", "no rule allows the upload");
    }
    let db = Asked { groups: Vec::new(), ..Asked::default() };
    assert!(!upload(&db, "/srv/one/conf", &["x"], false).allow);
    for target in ["opt/app", "~/x", "/opt/app/../x", "/opt//app", "/opt/app//", "./x", "x"] {
        let decision = upload(&asked, target, &["a"], false);
        assert_eq!(decision.token.as_ref().unwrap().kind, TokenKind::Path);
        denies(decision, "builtin/path", "the path");
    }
}

/// What may be touched, not only what is named.
#[test]
fn what_is_denied_below_what_is_allowed() {
    let asked = Asked::default();
    for (target, sources, recursive) in [
        ("/opt/app/secret", &["x"][..], false),
        ("/opt/app/secret/x", &["x"], false),
        ("/opt/app", &["d/secret"], false),
        ("/opt/app/", &["x", "secret"], false),
        ("/opt/app", &["d"], true),
        ("/opt/app/", &["."], true),
        ("/opt/app/", &["d/."], true),
        ("/opt/app/", &[".ssh"], true),
    ] {
        let decision = upload(&asked, target, sources, recursive);
        assert!(decision.rule == "transfers.upload[3]", "{target}: {decision:?}");
        assert!(!decision.allow);
    }
    assert!(upload(&asked, "/opt/app/", &["d"], true).allow);
    assert!(upload(&asked, "/opt/app/x", &["x"], false).allow);
}

#[test]
fn downloads() {
    for path in ["/var/log", "/var/log/syslog", "/var/log/a/b"] {
        assert!(download(&[path], false).allow, "{path}");
    }
    for paths in [&["/var/log/a.key"][..], &["/var/log/x", "/var/log/a/b.key"]] {
        let decision = download(paths, false);
        assert_eq!(decision.token.as_ref().unwrap().index, paths.len() - 1);
        denies(decision, "transfers.download[1]", "the rule denies the download");
    }
    let tree = download(&["/var/log/a"], true);
    denies(tree, "transfers.download[1]", "could touch a path that the rule denies");
    denies(
        download(&["/etc/passwd"], false),
        "builtin/default-deny",
        "no rule allows the download",
    );
    denies(download(&["/var/log/../x"], false), "builtin/path", "`..`");
    // The right to write is none to read.
    denies(download(&["/opt/app/x"], false), "builtin/default-deny", "no rule allows the download");
}

#[test]
fn as_another_user() {
    let deploy = Asked { run_as: Some("deploy"), ..Asked::default() };
    allows(upload(&deploy, "/srv/a/conf", &["x"], false), "transfers.upload[1]");
    denies(upload(&deploy, "/opt/app/x", &["x"], false), "transfers.upload[0]", "sudo to deploy");
}
