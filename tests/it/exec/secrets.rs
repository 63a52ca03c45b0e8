//! Secrets are seen by the command alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use orchestrator::remote::{Command, Secret, Stdin};

use super::{Running, exited, host, run};
use crate::support::client::connect;
use crate::support::{block_until, wait_until};

/// Looks at every process's argument list all the time.
pub(crate) struct Onlooker {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Onlooker {
    pub(crate) fn start(secret: &'static str) -> Self {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), looks.clone());
        let thread = thread::spawn(move || {
            let mut seen = 0;
            while !stopped.load(Ordering::SeqCst) {
                seen += usize::from(somebody_shows(secret.as_bytes()));
                counted.fetch_add(1, Ordering::SeqCst);
            }
            seen
        });
        let onlooker = Self { stop, looks, thread: Some(thread) };
        block_until("the onlooker looks", || onlooker.looks() > 0);
        onlooker
    }

    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// How often it saw the secret.
    pub(crate) fn seen(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn somebody_shows(secret: &[u8]) -> bool {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|process| {
        let cmdline = fs::read(process.path().join("cmdline")).unwrap_or_default();
        cmdline.windows(secret.len()).any(|text| text == secret)
    })
}

#[test]
fn the_onlooker_sees_what_is_there_to_see() {
    let onlooker = Onlooker::start("orch-visible-secret");
    let mut waiting = std::process::Command::new("sh")
        .args(["-c", "read -r _", "orch-visible-secret"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let looks = onlooker.looks();
    block_until("it looked again", || onlooker.looks() > looks + 2);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(onlooker.seen() > 0);
}

#[tokio::test]
async fn check_26_a_secret_is_in_no_argument_list_and_no_report() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    let onlooker = Onlooker::start("orch-hunter2");
    let gate = host::open_dir();
    let open = gate.path().join("open");
    let text = format!("while ! [ -e {} ]; do sleep 0.02; done; exit ${{#TOKEN}}", open.display());
    let command = Command::shell(text)
        .secret_env("TOKEN".parse().unwrap(), Secret::new("orch-hunter2".to_owned()));
    assert!(!format!("{command:?}").contains("hunter2"));
    let running = Running::start(&connection, command);
    let looks = onlooker.looks();
    wait_until("it looked often", || onlooker.looks() > looks + 50).await;
    fs::write(open, "").unwrap();
    let report = running.report.await.unwrap();
    exited(&report, 12);
    assert!(!format!("{report:?}").contains("hunter2"));
    assert_eq!(onlooker.seen(), 0);
}

#[tokio::test]
async fn check_26_a_secret_arrives_exactly_and_stdin_after_it() {
    let sshd = host::ordinary();
    let connection = connect(&sshd).await;
    for secret in ["plain", "it's \"quoted\" $HOME `id` \\n !\n\nlast\n", "\n", "", "caf\u{e9}\t\r"]
    {
        let command = Command::shell("printf '%s|' \"$TOKEN\"; cat")
            .secret_env("TOKEN".parse().unwrap(), Secret::new(secret.to_owned()))
            .stdin(Stdin::Bytes((*b"the rest\n").into()));
        let report = run(&*connection, &command).await;
        exited(&report, 0);
        assert_eq!(report.stdout.to_text(), format!("{secret}|the rest\n"));
    }
}
