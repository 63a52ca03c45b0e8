//! Removing what was sent, whatever became of it, and what programs that were
//! killed left behind.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Place;
use super::refusal::NotRun;
use crate::exec::{Limits, Reconnect, Shell};
use crate::remote::Script;
use crate::run::unit::Unit;
use crate::transfer::{Entry, Kind, Open};

/// What runs on the host.
const TEXT: &str = concat!(include_str!("bases.sh"), include_str!("remove.sh"));

/// How long a removal may take, and a second connection for it.
const TIDY: Duration = Duration::from_secs(5);

/// How many leftovers are removed along with a script.
const ORPHANS_MAX: usize = 100;

/// When a directory may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Unless a living process came from there.
    Idle,
    /// At once.
    Now,
}

impl Unit {
    /// Writes down that there will be a directory of this name.
    ///
    /// # Errors
    /// It cannot be written down, so it must not be made.
    pub(super) async fn write_down(
        &self,
        script: &Script,
        directory: &str,
        place: Place<'_>,
    ) -> Result<Open, NotRun> {
        let entry = Entry {
            login: self.login(place.endpoint),
            kind: Kind::ScriptDir,
            path: directory.into(),
            target: Vec::new(),
            source: Vec::new(),
            run_as: run_as(script),
        };
        let ledger = self.ledger.clone();
        let opened = spawn_blocking(move || ledger.open(entry)).await;
        let opened = opened.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        opened.map_err(|error| {
            let dir = self.ledger.dir().map(|dir| dir.display().to_string()).unwrap_or_default();
            NotRun::fault(format!("{dir}: cannot write down what will be on the host: {error}"))
        })
    }

    /// Removes the directory of a script, and those of earlier ones that nobody
    /// uses any more. That the run was cancelled does not keep it from this;
    /// what cannot be removed now is left to the next script for this host.
    pub(super) async fn remove(&self, script: &Script, own: Open, when: When, place: Place<'_>) {
        let (ledger, login) = (self.ledger.clone(), self.login(place.endpoint));
        let orphans = spawn_blocking(move || ledger.orphans(&login)).await.unwrap_or_default();
        let mine = |open: &Open| {
            let entry = open.entry();
            entry.kind == Kind::ScriptDir && entry.run_as == run_as(script) && is_name(&entry.path)
        };
        let orphans = orphans.into_iter().filter(mine).take(ORPHANS_MAX);
        let all: Vec<(Open, When)> =
            [(own, when)].into_iter().chain(orphans.map(|open| (open, When::Idle))).collect();
        let orders: String = all.iter().map(|(open, when)| order(open, *when)).collect();
        let said = self.remove_all(script, &orders, place).await.unwrap_or_default();
        let settle = move || {
            for (open, _) in all {
                let name = name(&open);
                if said.contains(&format!("orch1 {name} gone\n")) {
                    open.close();
                } else {
                    tracing::warn!(host = open.entry().login, directory = name, "not removed yet");
                }
            }
        };
        let _ = spawn_blocking(settle).await;
    }

    /// What the host says, over this connection or else another one.
    async fn remove_all(&self, script: &Script, orders: &str, place: Place<'_>) -> Option<String> {
        let never = CancellationToken::new();
        if place.connection.is_open()
            && let Some(said) = remove(&self.shell(script, place, &never), orders).await
        {
            return Some(said);
        }
        let second = timeout(TIDY, place.again.reconnect()).await.ok().flatten()?;
        let place = Place { connection: &second, ..place };
        remove(&self.shell(script, place, &never), orders).await
    }
}

async fn remove(shell: &Shell<'_>, orders: &str) -> Option<String> {
    let limits = Limits { timeout: Some(TIDY), ..Limits::default() };
    let answer = shell.run_within(TEXT, &[], orders.as_bytes(), limits).await.ok()?;
    Some(answer.stdout.to_text())
}

fn order(open: &Open, when: When) -> String {
    let when = if when == When::Idle { "idle" } else { "now" };
    format!("{when} {}\n", name(open))
}

fn name(open: &Open) -> String {
    String::from_utf8_lossy(&open.entry().path).into_owned()
}

/// Nothing else is ever removed, whatever the journal says.
fn is_name(path: &[u8]) -> bool {
    let random = path.strip_prefix(b"orch-").unwrap_or_default();
    random.len() == 32 && random.iter().all(|byte| b"0123456789abcdef".contains(byte))
}

fn run_as(script: &Script) -> Option<String> {
    let run_as = script.settings.run_as.as_ref()?;
    Some(run_as.user.clone().unwrap_or_else(|| "root".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_removed() {
        assert!(is_name(b"orch-0123456789abcdef0123456789abcdef"));
        for other in ["", "orch-", "/", "orch-0123456789abcdef0123456789abcde/", "../orch-0"] {
            assert!(!is_name(other.as_bytes()), "{other}");
        }
    }
}
