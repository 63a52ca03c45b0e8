use std::os::unix::fs::symlink;

use super::*;
use crate::policy::Policy;

fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn only_what_is_not_there_is_none() {
    let dir = written(&[]);
    assert!(load(dir.path()).unwrap().is_none());
    assert!(load(&dir.path().join("none")).unwrap().is_none());
    symlink("nowhere", dir.path().join("link")).unwrap();
    assert!(load(&dir.path().join("link")).is_err());
    symlink("nowhere", dir.path().join(POLICY)).unwrap();
    assert!(load(dir.path()).is_err());
}

#[test]
fn one_that_is_unusable_stays_so_beside_others() {
    let dir = written(&[(POLICY, "binaries: [")]);
    let policy = Policy::all_of([Policy::machine_in(dir.path()), Policy::allow_all()]);
    assert_eq!(policy.troubles().len(), 1);
    let absent = written(&[]);
    let policy = Policy::all_of([Policy::machine_in(absent.path()), Policy::allow_all()]);
    assert!(policy.troubles().is_empty());
    assert!(policy.sha256().is_none());
}

#[test]
fn where_to_record_is_the_machines_to_say() {
    let text = "binaries: [{path: /bin/true}]\naudit: {path: /var/log/x.jsonl}\n";
    let dir = written(&[(POLICY, text)]);
    let policy = Policy::machine_in(dir.path());
    let (path, at) = policy.log().unwrap();
    assert_eq!((path, at.line()), (Path::new("/var/log/x.jsonl"), 2));
    let error = Policy::load(dir.path().join(POLICY)).unwrap_err().to_string();
    assert!(error.contains("only the machine's policy"), "{error}");
    assert!(Policy::from_yaml_str(text, "p.yml").is_err());
    assert!(Policy::from_yaml_str("audit: {required: true}\n", "p.yml").is_ok());
}
