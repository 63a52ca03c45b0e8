//! Transfers with hosts that lie: a server of files that is true to the
//! protocols but for one thing.

mod answers;
mod bounds;
mod names;
mod shown;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orchestrator::event::Progress;
use orchestrator::ids::{RunId, VmId};
use orchestrator::outcome::{FileOutcome, Status};
use orchestrator::remote::Transfer;
use orchestrator::transfer::{self, Context, Ledger, Report, Watcher};
use orchestrator::transport::{Connection, Connector, Endpoint, Identity, Route, Trust};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::files::{Exec, Files, Lie, Tree};
use crate::support::{Hostile, KeyKind, KeyPair, client};

/// Longer than anything takes that ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host that lies, and a directory of ours with other things around it.
struct World {
    host: Hostile,
    dir: TempDir,
    ledger: Ledger,
}

impl World {
    fn new(tree: Tree, lie: Lie, exec: Exec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("around/target")).unwrap();
        fs::write(dir.path().join("around/precious"), "precious\n").unwrap();
        KeyPair::shared(KeyKind::Ed25519).write_to(dir.path().join("key"));
        let ledger = Ledger::new(Some(dir.path().join("state")));
        Self { host: Hostile::with_files(Files { tree, lie, exec }), dir, ledger }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("around").join(name)
    }

    async fn connect(&self) -> Arc<dyn Connection> {
        let endpoint = Endpoint {
            label: "vm01".into(),
            address: self.host.addr().ip().to_string(),
            port: self.host.addr().port(),
            user: "root".into(),
            route: Route::Direct,
            trust: Trust::default(),
            identity: Identity { key_file: Some(self.dir.path().join("key")), agent: false },
            profile: None,
        };
        let connector = client::connector(&self.host.known_hosts());
        connector.connect(&endpoint, Instant::now() + PATIENCE).await.unwrap()
    }

    /// Moves files, on a connection of its own.
    async fn run(&self, transfer: &Transfer) -> Report {
        let (connection, cancel) = (self.connect().await, CancellationToken::new());
        let vm: VmId = "vm01".parse().unwrap();
        let context = Context {
            connection: &connection,
            run: RunId::new(),
            vm: &vm,
            attempt: 1,
            login: "root@host:22",
            ledger: &self.ledger,
            watcher: &Nobody,
            cancel: &cancel,
        };
        timeout(PATIENCE, transfer::run(transfer, context)).await.expect("it comes to an end")
    }

    async fn pull(&self, source: &str) -> Report {
        self.run(&Transfer::download(source, self.path("target")).recursive(true)).await
    }

    async fn push(&self, source: &str, target: &str) -> Report {
        self.run(&Transfer::upload(self.path(source), target).recursive(true)).await
    }

    /// Everything around the target, down to modes.
    fn around(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        snapshot(&self.dir.path().join("around"), &self.path("target"))
    }

    fn local_parts(&self) -> Vec<String> {
        let names = snapshot(&self.path("target"), Path::new("")).into_keys();
        names.filter(|name| name.ends_with(".part")).collect()
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn progress(&self, _: Progress) {}
}

/// Every path below a directory with its mode and what is in it, but for what
/// is below another one.
fn snapshot(dir: &Path, but: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path == but {
                continue;
            }
            let there = fs::symlink_metadata(&path).unwrap();
            let content = match there.file_type() {
                kind if kind.is_symlink() => {
                    fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
                }
                kind if kind.is_dir() => {
                    left.push(path.clone());
                    Vec::new()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(path.to_string_lossy().into_owned(), (there.mode(), content));
        }
    }
    found
}

/// What became of the file that has this path on the host.
fn file(report: &Report, remote: impl AsRef<[u8]>) -> &FileOutcome {
    let files = &report.transferred.files;
    let found = files.iter().find(|file| file.remote.as_bytes() == remote.as_ref());
    found.unwrap_or_else(|| panic!("{}: {report:?}", String::from_utf8_lossy(remote.as_ref())))
}

/// The code of each failure, in order.
fn codes(report: &Report) -> Vec<&'static str> {
    let failures = report.transferred.files.iter().filter_map(|file| file.failure.as_ref());
    let mut codes: Vec<&str> = failures.map(|failure| failure.code).collect();
    codes.sort_unstable();
    codes
}

fn is_success(report: &Report) -> bool {
    report.status == Status::Success
}
