use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::event::{Chunk, EventKind, Observer};
use crate::ids::{RunId, VmId};
use crate::outcome::{Effect, Failure, HostResult, Phase, Status};
use crate::plan::{Asker, Plan, Target};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::remote::{
    Action, Capture, Command, ExitStatus, RunAs, Script, Secret, Stdin, Stream, SudoPassword,
    Transfer,
};

/// A state directory, and a keeper in it.
struct World {
    dir: TempDir,
    keeper: Keeper,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options {
            path: dir.path().join("state/runs.db"),
            output_max: 1 << 20,
            retention: Retention { keep: Duration::from_secs(3600), size_max: 1 << 30 },
        };
        set(&mut options);
        let redactor = Redactor::builtin().with_secret("tr0ub4dor".into());
        Self { dir, keeper: Keeper::new(options, Arc::new(redactor)) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state/runs.db")
    }

    fn store(&self) -> Store {
        Store::open(self.path()).unwrap()
    }

    /// Remembers a whole run.
    fn run(&self, action: impl Into<Action>, results: Vec<HostResult>) -> RunId {
        self.run_around(action, results, &Circumstances::default())
    }

    fn run_around(
        &self,
        action: impl Into<Action>,
        results: Vec<HostResult>,
        around: &Circumstances,
    ) -> RunId {
        let plan = plan(action, &results);
        let observer = self.keeper.remember(&plan, around).unwrap();
        play(&*observer, results);
        plan.run
    }
}

fn plan(action: impl Into<Action>, results: &[HostResult]) -> Plan {
    let targets = results.iter().map(|result| Target {
        vm: result.vm.clone(),
        allowed: true,
        groups: Vec::new(),
        tags: Vec::new(),
        shell: None,
        endpoint: Err(failure()),
    });
    let asker = Asker { operator: "alice".into(), ..Asker::default() };
    Plan::decide(action.into(), targets.collect(), asker, &Policy::allow_all())
}

fn play(observer: &dyn Observer, results: Vec<HostResult>) {
    for result in results {
        observer.observe(&EventKind::HostStarted { vm: result.vm.clone() });
        observer.observe(&EventKind::HostFinished(Box::new(result)));
    }
    observer.observe(&EventKind::RunFinished { summary: Vec::new(), stopped: None });
}

fn failure() -> Failure {
    Failure {
        code: "connect_failed",
        phase: Phase::Tcp,
        message: "connection refused".into(),
        hint: None,
        retryable: true,
    }
}

fn result(vm: &str, status: Status) -> HostResult {
    let vm: VmId = vm.parse().unwrap();
    HostResult { attempts: 1, ..HostResult::new(vm, "uptime".into(), status) }
}

fn wrote(vm: &str, stdout: &[u8], cap: usize) -> HostResult {
    let mut capture = Capture::new(cap);
    capture.push(stdout);
    HostResult {
        stdout: capture.finish(),
        exit: Some(ExitStatus::Code(0)),
        effect: Effect::Present,
        ..result(vm, Status::Success)
    }
}

fn output(vm: &str, bytes: &[u8]) -> EventKind {
    let bytes = Chunk::new(Bytes::copy_from_slice(bytes), None);
    EventKind::Output { vm: vm.parse().unwrap(), index: None, stream: Stream::Stdout, bytes }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_run_comes_back() {
    let world = World::new();
    let refused = HostResult {
        failure: Some(failure()),
        finished_at: "2026-11-21T02:40:00.123456Z".parse().unwrap(),
        elapsed: Duration::from_millis(7),
        ..result("vm02", Status::Unreachable)
    };
    let run = world.run(Command::shell("uptime"), vec![wrote("vm01", b"up\n", 100), refused]);
    world.keeper.close();
    assert_eq!(world.keeper.trouble(), None);

    let store = world.store();
    let remembered = store.run(LAST).unwrap();
    assert_eq!((remembered.id, remembered.operator.as_str()), (run, "alice"));
    assert_eq!((remembered.kind.as_str(), remembered.command.as_str()), ("command", "uptime"));
    assert!(remembered.ended.unwrap() >= remembered.started);
    let results = store.results(run).unwrap();
    assert_eq!(results[0].stdout.to_bytes(), b"up\n");
    assert_eq!(results[0].exit, Some(ExitStatus::Code(0)));
    assert_eq!(results[0].effect, Effect::Present);
    let refused = &results[1];
    assert_eq!(refused.failure, Some(failure()));
    assert_eq!(refused.finished_at.to_string(), "2026-11-21T02:40:00.123456Z");
    assert_eq!(refused.elapsed, Duration::from_millis(7));
    assert_eq!(store.hosts_failed(LAST).unwrap()[0], refused.vm);
    assert_eq!(store.hosts_with(LAST, &[Status::Success]).unwrap(), [results[0].vm.clone()]);
}

#[test]
fn files_are_for_their_owner_alone() {
    let world = World::new();
    let run = world.run(Command::new("id"), vec![result("vm01", Status::Success)]);
    world.keeper.close();
    // While it is open the files beside it are there.
    let store = world.store();
    assert_eq!(store.run(LAST).unwrap().id, run);
    assert_eq!(mode(&world.dir.path().join("state")), 0o700);
    for entry in fs::read_dir(world.dir.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o644)).unwrap();
    world.store();
    assert_eq!(mode(&world.path()), 0o600);
}

#[test]
fn a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("runs.db"), dir.path().join("other"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(Store::open(&link), Err(StoreError::File { .. })));
    assert!(!target.exists());
}

#[test]
fn what_is_told_and_not_kept_in_the_result_is_remembered() {
    let world = World::new();
    let results = vec![wrote("vm01", b"one\ntwo\n", 0)];
    let plan = plan(Command::new("id"), &results);
    let observer = world.keeper.remember(&plan, &Circumstances::default()).unwrap();
    observer.observe(&output("vm01", b"one\n"));
    observer.observe(&output("vm01", b"two\n"));
    play(&*observer, results.clone());
    world.keeper.close();
    let kept = &world.store().results(plan.run).unwrap()[0].stdout;
    assert_eq!(kept.to_bytes(), b"one\ntwo\n");
    assert_eq!(kept.sha256(), results[0].stdout.sha256());
}

#[test]
fn output_is_bounded_and_the_rest_is_counted() {
    let world = World::with(|options| options.output_max = 16);
    let text: Vec<u8> = (0..1000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let run = world.run(Command::new("seq"), vec![wrote("vm01", &text, 1 << 20)]);
    world.keeper.close();
    let kept = &world.store().results(run).unwrap()[0].stdout;
    assert_eq!(kept.len(), text.len() as u64);
    assert!(kept.truncated());
    assert!(kept.to_text().starts_with("0\n1\n2\n3\n"), "{}", kept.to_text());
    assert!(kept.to_text().ends_with("\n999\n"), "{}", kept.to_text());
}

#[test]
fn no_secret_reaches_the_file() {
    let world = World::new();
    let failed = HostResult {
        failure: Some(Failure { message: "no tr0ub4dor".into(), ..failure() }),
        ..wrote("vm01", b"it is tr0ub4dor\n", 100)
    };
    world.run(Command::shell("mysql -ptr0ub4dor"), vec![failed]);
    world.run(Command::new("mysql").args(["--password", "s3cretword"]), vec![]);
    let env = "DB_PASSWORD".parse().unwrap();
    world.run(Command::new("x").env(env, "envsecret"), vec![]);
    world.keeper.close();
    assert_eq!(world.keeper.trouble(), None);
    let store = world.store();
    let runs = store.runs(&Filter::default()).unwrap();
    assert!(runs.iter().all(|run| run.recipe.is_err()), "{runs:#?}");
    assert!(runs.iter().any(|run| run.command == "mysql -p[redacted]"), "{runs:#?}");
    drop(store);
    for entry in fs::read_dir(world.dir.path().join("state")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["tr0ub4dor", "s3cretword", "envsecret"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

#[test]
fn what_needs_a_secret_must_be_typed_again() {
    let secret = || Secret::new("tr0ub4dor".to_string());
    let sudo = RunAs { user: None, password: SudoPassword::Given(secret()) };
    let check = |action: Action, why: &str| {
        let world = World::new();
        world.run(action, vec![]);
        world.keeper.close();
        let refusal = world.store().run(LAST).unwrap().recipe.unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    };
    let secret_env = Command::new("x").secret_env("TOKEN".parse().unwrap(), secret());
    check(secret_env.into(), "the secret TOKEN");
    check(Command::new("x").run_as(sudo.clone()).into(), "sudo password");
    check(Transfer::upload("a", "/b").run_as(sudo).into(), "sudo password");
    check(Command::new("x").stdin(Stdin::Bytes((*b"y").into())).into(), "input");
    check(Script::text("stdin", *b"echo").into(), "script");
    check(Transfer::upload("/tmp", "/b").recursive(true).into(), "directory");
}

#[test]
fn a_command_is_done_again_as_it_was() {
    let world = World::new();
    let sudo = RunAs { user: Some("app".into()), password: SudoPassword::NotNeeded };
    let stdin = world.dir.path().join("input");
    fs::write(&stdin, "x").unwrap();
    let command = Command::new("printf")
        .args(["%s", "a  b", "é"])
        .env("LANG".parse().unwrap(), "C")
        .current_dir("/opt")
        .clean_env(true)
        .idempotent(true)
        .stdin(Stdin::File("input".into()))
        .run_as(sudo);
    let around = Circumstances {
        cwd: Some(world.dir.path().into()),
        timeout: Duration::from_secs(7),
        way: Way { user: Some("ops".into()), ..Way::default() },
        ..Circumstances::default()
    };
    world.run_around(command.clone(), vec![], &around);
    world.keeper.close();
    let recipe = world.store().run(LAST).unwrap().recipe.unwrap();
    let expected: Action = command.stdin(Stdin::File(stdin.clone())).into();
    assert_eq!(format!("{:?}", recipe.action().unwrap()), format!("{expected:?}"));
    assert_eq!((recipe.timeout, recipe.way.user.as_deref()), (around.timeout, Some("ops")));
    fs::write(&stdin, "y").unwrap();
    assert!(matches!(recipe.action(), Err(Changed::Content { .. })));
    fs::remove_file(&stdin).unwrap();
    assert!(matches!(recipe.action(), Err(Changed::Unreadable { .. })));
}

#[test]
fn a_script_must_be_what_it_was() {
    let world = World::new();
    let path = world.dir.path().join("job.sh");
    fs::write(&path, "echo 1\n").unwrap();
    let mut script = Script::upload(&path).args(["a", "b"]).interpreter(["sh", "-e"]);
    script.load().unwrap();
    let around = Circumstances { script: Some(path.clone()), ..Circumstances::default() };
    world.run_around(script.clone(), vec![], &around);
    world.keeper.close();
    let recipe = world.store().run(LAST).unwrap().recipe.unwrap();
    let again = recipe.action().unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", Action::from(script)));
    fs::write(&path, "echo 2\n").unwrap();
    let changed = recipe.action().unwrap_err().to_string();
    assert!(changed.starts_with("SHA256 mismatch: "), "{changed}");
}

#[test]
fn a_file_must_be_what_it_was() {
    let world = World::new();
    let path = world.dir.path().join("a.tar");
    fs::write(&path, "one").unwrap();
    let upload = Transfer::upload(&path, "/opt/").mode(0o600).mkdir(true);
    world.run(upload, vec![]);
    world.keeper.close();
    let recipe = world.store().run(LAST).unwrap().recipe.unwrap();
    let again = format!("{:?}", recipe.action().unwrap());
    assert!(again.contains("mode: Some(384)") && again.contains("mkdir: true"), "{again}");
    // What is sent is held against it once more.
    assert!(again.contains("sha256: Some("), "{again}");
    fs::write(&path, "two").unwrap();
    assert!(matches!(recipe.action(), Err(Changed::Content { .. })));
}

#[test]
fn a_pipe_is_not_read_to_see_what_it_holds() {
    let world = World::new();
    let command = Command::new("cat").stdin(Stdin::File("/dev/stdin".into()));
    let pipe = world.dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    world.run(command.stdin(Stdin::File(pipe)), vec![]);
    world.keeper.close();
    let why = world.store().run(LAST).unwrap().recipe.unwrap_err();
    assert!(why.contains("not a regular file"), "{why}");
}

#[test]
fn runs_are_found_by_a_part_of_their_id() {
    let world = World::new();
    let runs = [(); 3].map(|()| world.run(Command::new("id"), vec![]));
    world.keeper.close();
    let store = world.store();
    let id = runs[1].to_string();
    assert_eq!(store.run(&id).unwrap().id, runs[1]);
    assert_eq!(store.run(&id[24..].to_uppercase()).unwrap().id, runs[1]);
    assert_eq!(store.run(LAST).unwrap().id, runs[2]);
    let ambiguous = store.run(&id[..4]).unwrap_err();
    assert!(matches!(&ambiguous, StoreError::Ambiguous { ids, .. } if ids.len() == 3));
    for bad in ["", "%", "_", "zz", "ffffffffffffffff"] {
        assert!(matches!(store.run(bad), Err(StoreError::Unknown(_))), "{bad}");
    }
    let newest: Vec<RunId> =
        store.runs(&Filter::default()).unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(newest, [runs[2], runs[1], runs[0]]);
}

#[test]
fn runs_are_filtered() {
    let world = World::new();
    let good = world.run(Command::new("id"), vec![result("vm01", Status::Success)]);
    let bad = world.run(
        Command::new("id"),
        vec![result("vm01", Status::Success), result("vm02", Status::Failed)],
    );
    world.keeper.close();
    let store = world.store();
    let ids = |filter: Filter| -> Vec<RunId> {
        store.runs(&filter).unwrap().into_iter().map(|run| run.id).collect()
    };
    assert_eq!(ids(Filter { failed: true, ..Filter::default() }), [bad]);
    assert_eq!(ids(Filter { limit: Some(1), ..Filter::default() }), [bad]);
    let alice = Filter { operator: Some("alice".into()), ..Filter::default() };
    assert_eq!(ids(alice), [bad, good]);
    assert!(ids(Filter { operator: Some("bob".into()), ..Filter::default() }).is_empty());
    let since = Some(Timestamp::now());
    assert!(ids(Filter { since, ..Filter::default() }).is_empty());
}

#[test]
fn a_run_whose_program_died_leaves_its_hosts_unknown() {
    let world = World::new();
    let results = vec![result("vm01", Status::Success), result("vm02", Status::Success)];
    let plan = plan(Command::new("id"), &results);
    let observer = world.keeper.remember(&plan, &Circumstances::default()).unwrap();
    observer.observe(&EventKind::HostFinished(Box::new(results[0].clone())));
    world.keeper.close();
    let run = world.store().run(LAST).unwrap();
    assert_eq!(run.ended, None);
    let statuses: Vec<Status> = run.hosts.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, [Status::Success, Status::Unknown]);
    assert_eq!(world.store().results(run.id).unwrap().len(), 2);
}

#[test]
fn old_runs_are_forgotten_and_the_newest_never() {
    let world = World::new();
    for _ in 0..3 {
        world.run(Command::new("id"), vec![wrote("vm01", b"x", 10)]);
    }
    world.keeper.close();
    let mut store = world.store();
    thread::sleep(Duration::from_millis(2));
    let keep = Duration::from_millis(1);
    store.prune(&Retention { keep, size_max: 1 << 30 }).unwrap();
    assert_eq!(store.runs(&Filter::default()).unwrap().len(), 1);
    let left: i64 = store
        .connection
        .query_row(
            "SELECT (SELECT count(*) FROM hosts) + (SELECT count(*) FROM output)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 2);
}

#[test]
fn the_file_does_not_grow_beyond_its_bound() {
    let world = World::with(|options| options.retention.size_max = 1 << 20);
    let noise: Vec<u8> = (0..200_000u32).flat_map(|n| (n * 7919).to_be_bytes()).collect();
    for _ in 0..10 {
        world.run(Command::new("id"), vec![wrote("vm01", &noise, 1 << 20)]);
    }
    world.keeper.close();
    assert_eq!(world.keeper.trouble(), None);
    let store = world.store();
    let left = store.runs(&Filter::default()).unwrap().len();
    assert!((1..4).contains(&left), "{left}");
    drop(store);
    let size = fs::metadata(world.path()).unwrap().len();
    assert!(size < 6 << 20, "{size}");
}

#[test]
fn a_newer_file_is_not_touched() {
    let world = World::new();
    drop(world.store());
    let connection = Connection::open(world.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(world.path()).unwrap();
    let newer = Store::open(world.path()).err().unwrap();
    assert!(matches!(newer, StoreError::Newer { found: 99, known: 1, .. }), "{newer}");
    world.run(Command::new("id"), vec![]);
    world.keeper.close();
    assert!(world.keeper.trouble().unwrap().contains("schema version 99"));
    assert!(fs::read(world.path()).unwrap() == before, "it was changed");
}

#[test]
fn a_database_of_another_program_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).err().unwrap();
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(fs::read(&path).unwrap() == before, "it was changed");
}

/// A file as the first version wrote it, to be read by every later one.
#[test]
fn a_file_of_version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(include_str!("tests/version_1.sql")).unwrap();
    drop(connection);
    let store = Store::open(&path).unwrap();
    let run = store.run("5d2b07a91c3e").unwrap();
    assert_eq!(run.command, "systemctl is-active nginx");
    assert_eq!(run.reason.as_deref(), Some("deploy 42"));
    assert_eq!(run.metadata["ticket"], "7");
    let Ok(Action::Command(command)) = run.recipe.unwrap().action() else { panic!("a command") };
    assert_eq!(command.display(), "systemctl is-active nginx");
    let results = store.results(run.id).unwrap();
    assert_eq!(results[0].stdout.to_bytes(), b"active\n");
    assert_eq!(results[1].failure.as_ref().unwrap().message, "10.0.0.11:22: connection refused");
    assert_eq!(store.hosts_with(LAST, &[Status::Unreachable]).unwrap().len(), 1);
}

#[test]
fn a_store_that_cannot_be_used_is_told_once_and_holds_nothing_up() {
    let world = World::new();
    fs::create_dir_all(world.path()).unwrap();
    for _ in 0..100 {
        world.run(Command::new("id"), vec![wrote("vm01", &[b'x'; 10_000], 1 << 20)]);
    }
    world.keeper.close();
    let trouble = world.keeper.trouble().unwrap();
    assert!(trouble.contains("runs.db cannot be opened: "), "{trouble}");
    let plan = plan(Command::new("id"), &[]);
    assert!(world.keeper.remember(&plan, &Circumstances::default()).is_none());
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let world = World::new();
    fs::create_dir_all(world.dir.path().join("state")).unwrap();
    fs::write(world.path(), "my notes\n".repeat(1000)).unwrap();
    world.run(Command::new("id"), vec![]);
    world.keeper.close();
    assert!(world.keeper.trouble().unwrap().contains("not a database"));
    assert_eq!(fs::read_to_string(world.path()).unwrap(), "my notes\n".repeat(1000));
}

#[test]
fn several_write_at_once() {
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let options = Options {
                    path: world.path(),
                    output_max: 1000,
                    retention: Retention { keep: Duration::from_secs(3600), size_max: 1 << 30 },
                };
                let keeper = Keeper::new(options, Arc::new(Redactor::builtin()));
                for _ in 0..20 {
                    let results = vec![wrote("vm01", b"x\n", 100)];
                    let plan = plan(Command::new("id"), &results);
                    let observer = keeper.remember(&plan, &Circumstances::default()).unwrap();
                    play(&*observer, results);
                }
                keeper.close();
                assert_eq!(keeper.trouble(), None);
            });
        }
    });
    let runs = world.store().runs(&Filter::default()).unwrap();
    assert_eq!(runs.len(), 160);
    assert!(runs.iter().all(|run| run.ended.is_some()));
}
