use std::os::unix::fs::PermissionsExt;

use super::*;

fn vm(id: &str) -> VmId {
    id.parse().unwrap()
}

fn scope(rule: Option<&str>) -> Scope {
    Scope { file: "p.yml".into(), rule: rule.map(Into::into) }
}

/// One in an hour after the burst, so that no test sees a second one.
fn rate(rule: Option<&str>, burst: u32) -> Rate {
    let interval = Duration::from_secs(3600);
    Rate { interval, burst, when_exceeded: WhenExceeded::Refuse, scope: scope(rule) }
}

fn quick(rule: Option<&str>) -> Rate {
    let interval = Duration::from_millis(20);
    Rate { interval, when_exceeded: WhenExceeded::Wait, ..rate(rule, 1) }
}

fn rates(rates: &[Rate]) -> Constraints {
    Constraints { rates: rates.to_vec(), ..Constraints::default() }
}

fn instances(max: u32) -> Constraints {
    let instances = vec![Instances { max, scope: scope(Some("a")) }];
    Constraints { instances, ..Constraints::default() }
}

/// In the process alone, and on the disk as two processes see it.
fn all() -> (tempfile::TempDir, Vec<[Counters; 2]>) {
    let dir = tempfile::tempdir().unwrap();
    let path = Some(dir.path().join("limits"));
    let here = Counters::default();
    let disk = [Counters::new(path.clone()), Counters::new(path)];
    (dir, vec![[here.clone(), here], disk])
}

#[tokio::test]
async fn a_bucket_for_each_rule_and_host_and_one_for_all() {
    let (_dir, all) = all();
    for counters in all {
        let enter = async |id: &str, bounds: &Constraints, by: usize| {
            counters[by].enter(&vm(id), bounds, None).await.map(drop)
        };
        let a = rates(&[rate(Some("a"), 2)]);
        enter("vm01", &a, 0).await.unwrap();
        enter("vm01", &a, 1).await.unwrap();
        let error = enter("vm01", &a, 0).await.unwrap_err().to_string();
        assert!(error.starts_with("the rule a: one in 3600 s, burst 2; the next"), "{error}");
        // Another host, another rule.
        enter("vm02", &a, 0).await.unwrap();
        enter("vm01", &rates(&[rate(Some("b"), 1)]), 1).await.unwrap();
        // One for all hosts; a refusal by one bucket takes from none.
        let both = rates(&[rate(Some("c"), 1), rate(None, 2)]);
        enter("vm01", &both, 0).await.unwrap();
        let error = enter("vm01", &both, 1).await.unwrap_err().to_string();
        assert!(error.starts_with("the rule c: "), "{error}");
        enter("vm02", &both, 1).await.unwrap();
        let error = enter("vm03", &both, 0).await.unwrap_err().to_string();
        assert!(error.starts_with("global.rate_limit: "), "{error}");
        enter("vm03", &rates(&[rate(Some("c"), 1)]), 0).await.unwrap();
    }
}

#[tokio::test]
async fn who_waits_gets_it_in_the_end() {
    let (_dir, all) = all();
    for counters in all {
        let began = Instant::now();
        let bounds = rates(&[quick(Some("a")), quick(None)]);
        let enter = |by: usize| counters[by % 2].enter(vm_ref(), &bounds, None);
        let entered = futures_util::future::join_all((0..10).map(enter)).await;
        assert!(entered.iter().all(Result::is_ok), "{entered:?}");
        // Of two buckets for ten, so nine intervals at least.
        assert!(began.elapsed() >= Duration::from_millis(180));
        assert!(entered.iter().flatten().any(|entry| entry.waited >= Duration::from_millis(20)));
        assert!(counters[0].0.queues.lock().unwrap().len() <= 2);
    }
}

fn vm_ref() -> &'static VmId {
    static VM: std::sync::OnceLock<VmId> = std::sync::OnceLock::new();
    VM.get_or_init(|| vm("vm01"))
}

#[tokio::test]
async fn nobody_waits_longer_than_he_has() {
    let (_dir, all) = all();
    for counters in all {
        let slow = Rate { when_exceeded: WhenExceeded::Wait, ..rate(Some("a"), 1) };
        let bounds = rates(&[slow]);
        let patience = Some(Duration::from_secs(30));
        counters[0].enter(vm_ref(), &bounds, patience).await.unwrap();
        let error = counters[1].enter(vm_ref(), &bounds, patience).await.unwrap_err();
        assert!(matches!(error, Refused::Rate { .. }), "{error}");
        // Without a limit it waits, until it is dropped.
        let waiting = counters[1].enter(vm_ref(), &bounds, None);
        let waited = tokio::time::timeout(Duration::from_millis(50), waiting).await;
        assert!(waited.is_err());
    }
}

#[tokio::test]
async fn so_many_at_the_same_time() {
    let (dir, all) = all();
    for counters in all {
        let bounds = instances(2);
        let one = counters[0].enter(vm_ref(), &bounds, None).await.unwrap();
        let two = counters[1].enter(vm_ref(), &bounds, None).await.unwrap();
        let error = counters[0].enter(vm_ref(), &bounds, None).await.unwrap_err().to_string();
        assert!(error.starts_with("the rule a: 2 at the same time"), "{error}");
        drop(counters[0].enter(&vm("vm02"), &bounds, None).await.unwrap());
        drop(one);
        let three = counters[0].enter(vm_ref(), &bounds, None).await.unwrap();
        assert!(counters[1].enter(vm_ref(), &bounds, None).await.is_err());
        drop((two, three));
    }
    // Nothing is left of those that ended.
    let left = fs::read_dir(dir.path().join("limits/running")).unwrap();
    assert_eq!(left.count(), 0);
}

/// Many threads at once, none of which ever sees more than there may be.
#[test]
fn never_more_at_the_same_time() {
    let (_dir, all) = all();
    for counters in all {
        let (at_work, most) = (Mutex::new((0_u32, 0_u32)), 3);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (counters, at_work) = (&counters[number % 2], &at_work);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let claimed = &instances(most).instances[0];
                        let Ok(Some(running)) = counters.0.running.claim(vm_ref(), claimed) else {
                            continue;
                        };
                        {
                            let mut work = at_work.lock().unwrap();
                            work.0 += 1;
                            work.1 = work.1.max(work.0);
                            assert!(work.0 <= most);
                        }
                        std::thread::yield_now();
                        at_work.lock().unwrap().0 -= 1;
                        drop(running);
                    }
                });
            }
        });
        assert!(at_work.lock().unwrap().1 > 1);
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("limits");
    let counters = Counters::new(Some(path.clone()));
    let bounds = rates(&[rate(Some("a"), 5), rate(None, 5)]);
    counters.enter(vm_ref(), &bounds, None).await.unwrap();
    let boot = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let boot = boot.into_iter().find(|path| path.is_dir()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = boot.join("vm01.json");
    assert_eq!((mode(&path), mode(&boot), mode(&file)), (0o700, 0o700, 0o600));
    let refused = async || {
        let error = counters.enter(vm_ref(), &bounds, None).await.unwrap_err();
        assert!(matches!(error, Refused::Unusable(_)), "{error}");
        error.to_string()
    };
    for bad in ["", "{", "[]", r#"{"a": -1}"#, r#"{"a": "b"}"#, "\0\0\0"] {
        fs::write(&file, bad).unwrap();
        let why = refused().await;
        assert!(why.contains("vm01.json is damaged"), "{why}");
    }
    fs::remove_file(&file).unwrap();
    counters.enter(vm_ref(), &bounds, None).await.unwrap();
    // Far in the future is no more than empty.
    fs::write(&file, format!(r#"{{"p.yml#a": {}}}"#, u64::MAX)).unwrap();
    let error = counters.enter(vm_ref(), &bounds, None).await.unwrap_err();
    let hour = Duration::from_secs(3600);
    assert!(matches!(error, Refused::Rate { next, .. } if next <= hour), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused().await.contains("others can write to it"));
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "").unwrap();
    refused().await;
}

#[tokio::test]
async fn a_file_holds_only_what_is_not_full() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::new(Some(dir.path().into()));
    for number in 0..20 {
        let name = format!("rule{number}");
        let nearly_none = Duration::from_nanos(1);
        let rate = Rate { interval: nearly_none, ..rate(Some(&name), 1) };
        counters.enter(vm_ref(), &rates(&[rate]), None).await.unwrap();
    }
    let boot = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let boot = boot.into_iter().find(|path| path.is_dir()).unwrap();
    let text = fs::read_to_string(boot.join("vm01.json")).unwrap();
    assert_eq!(text.matches("rule").count(), 1, "{text}");
}
