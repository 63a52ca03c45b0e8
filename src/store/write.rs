//! Writing runs down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::detail::{Detail, effect_name, micros};
use super::output::Output;
use super::recipe::Recipe;
use super::{Store, StoreError};
use crate::ids::{RunId, VmId};
use crate::outcome::{Effect, Status};
use crate::redact::Redactor;

/// One thing to be written down.
pub(super) enum Note {
    Began(Box<Began>),
    HostStarted { run: RunId, position: usize, at: Timestamp },
    HostEnded(Box<HostEnded>),
    Ended { run: RunId, at: Timestamp },
}

/// A run as it begins.
pub(super) struct Began {
    pub(super) run: RunId,
    pub(super) at: Timestamp,
    pub(super) operator: String,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) kind: &'static str,
    pub(super) command: String,
    pub(super) config: Option<PathBuf>,
    pub(super) hosts: Vec<VmId>,
    pub(super) recipe: Result<Recipe, String>,
}

/// What came of one host.
pub(super) struct HostEnded {
    pub(super) run: RunId,
    pub(super) position: usize,
    pub(super) status: Status,
    pub(super) effect: Effect,
    pub(super) exit_code: Option<u32>,
    pub(super) signal: Option<String>,
    pub(super) attempts: u32,
    pub(super) at: Timestamp,
    pub(super) elapsed: Duration,
    pub(super) detail: Detail,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

impl HostEnded {
    /// How much memory its output takes.
    pub(super) fn size(&self) -> usize {
        let of_commands = self.detail.commands.iter().flat_map(|it| [&it.stdout, &it.stderr]);
        [&self.stdout, &self.stderr].into_iter().chain(of_commands).map(Output::size).sum()
    }

    /// Everything that was written, by each of several commands too.
    pub(super) fn outputs(&mut self) -> impl Iterator<Item = &mut Output> {
        let commands = self.detail.commands.iter_mut();
        let of_commands = commands.flat_map(|it| [&mut it.stdout, &mut it.stderr]);
        [&mut self.stdout, &mut self.stderr].into_iter().chain(of_commands)
    }
}

impl Store {
    /// Writes several things down, all of them or none.
    pub(super) fn write(
        &mut self,
        notes: &mut [Note],
        redactor: &Redactor,
    ) -> Result<(), StoreError> {
        // What takes time is done before others are kept waiting.
        for note in notes.iter_mut() {
            note.prepare(redactor);
        }
        let path = self.path.clone();
        let failed = |source| StoreError::Sqlite { path: path.clone(), source };
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin).map_err(failed)?;
        for note in notes.iter() {
            note.write(&transaction, redactor).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}

impl Note {
    fn prepare(&mut self, redactor: &Redactor) {
        match self {
            Self::Began(began) => {
                let proven = match &mut began.recipe {
                    Ok(recipe) => recipe.prove(),
                    Err(_) => Ok(()),
                };
                if let Err(why) = proven {
                    began.recipe = Err(why);
                }
            }
            Self::HostEnded(ended) => {
                ended.outputs().for_each(|output| output.redact(redactor));
            }
            Self::HostStarted { .. } | Self::Ended { .. } => {}
        }
    }

    fn write(&self, to: &Transaction<'_>, redactor: &Redactor) -> rusqlite::Result<()> {
        match self {
            Self::Began(began) => began.write(to, redactor),
            Self::HostStarted { run, position, at } => {
                let text = "UPDATE hosts SET started_at = ?3 WHERE run = ?1 AND position = ?2";
                to.execute(text, params![run.to_string(), number(*position), at.as_microsecond()])
                    .map(drop)
            }
            Self::HostEnded(ended) => ended.write(to, redactor),
            Self::Ended { run, at } => {
                let text = "UPDATE runs SET ended_at = ?2 WHERE id = ?1";
                to.execute(text, params![run.to_string(), at.as_microsecond()]).map(drop)
            }
        }
    }
}

impl Began {
    fn write(&self, to: &Transaction<'_>, redactor: &Redactor) -> rusqlite::Result<()> {
        let redact = |text: &str| redactor.redact(text).text.into_owned();
        let metadata: BTreeMap<&String, String> =
            self.metadata.iter().map(|(name, value)| (name, redact(value))).collect();
        let (recipe, not_again) = match &self.recipe {
            Ok(recipe) => (serde_json::to_string(recipe).ok(), None),
            Err(why) => (None, Some(redact(why))),
        };
        let run = self.run.to_string();
        to.execute(
            "INSERT INTO runs (id, started_at, operator, reason, metadata, kind, command, config,
                               recipe, not_again)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                run,
                self.at.as_microsecond(),
                self.operator,
                self.reason.as_deref().map(redact),
                serde_json::to_string(&metadata).unwrap_or_default(),
                self.kind,
                self.command,
                self.config.as_ref().map(|path| path.display().to_string()),
                recipe,
                not_again,
            ],
        )?;
        let mut insert = to.prepare(
            "INSERT INTO hosts (run, position, vm, status, effect, attempts, elapsed)
             VALUES (?1, ?2, ?3, 'unknown', 'unknown', 0, 0)",
        )?;
        for (position, vm) in self.hosts.iter().enumerate() {
            insert.execute(params![run, number(position), vm.as_str()])?;
        }
        Ok(())
    }
}

impl HostEnded {
    fn write(&self, to: &Transaction<'_>, redactor: &Redactor) -> rusqlite::Result<()> {
        let (run, position) = (self.run.to_string(), number(self.position));
        to.execute(
            "UPDATE hosts SET status = ?3, effect = ?4, exit_code = ?5, signal = ?6,
                              attempts = ?7, ended_at = ?8, elapsed = ?9, detail = ?10
             WHERE run = ?1 AND position = ?2",
            params![
                run,
                position,
                self.status.as_str(),
                effect_name(self.effect),
                self.exit_code,
                self.signal,
                self.attempts,
                self.at.as_microsecond(),
                i64::try_from(micros(self.elapsed)).unwrap_or(i64::MAX),
                self.detail.to_json(redactor).to_string(),
            ],
        )?;
        for (stream, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if output.bytes == 0 {
                continue;
            }
            to.execute(
                "INSERT OR REPLACE INTO output (run, position, stream, bytes, sha256, head, tail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    run,
                    position,
                    stream,
                    i64::try_from(output.bytes).unwrap_or(i64::MAX),
                    output.sha256,
                    output.head,
                    output.tail,
                ],
            )?;
        }
        Ok(())
    }
}

fn number(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
