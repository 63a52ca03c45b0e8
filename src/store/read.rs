//! Reading runs back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::detail::{Detail, effect, status};
use super::recipe::Recipe;
use super::{Store, StoreError};
use crate::ids::{RunId, VmId};
use crate::outcome::{HostResult, Status};
use crate::remote::{Captured, ExitStatus};

/// A run as it is remembered, without what its hosts wrote.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The run.
    pub id: RunId,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` if it still goes on, or if its program ended first.
    pub ended: Option<Timestamp>,
    /// Who asked.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// What else was given for the records.
    pub metadata: BTreeMap<String, String>,
    /// `command`, `script`, `upload` or `download`.
    pub kind: String,
    /// What was done, as text without secrets.
    pub command: String,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// How to do it again, or why it must be typed again.
    pub recipe: Result<Recipe, String>,
    /// The hosts in their order, and how each ended; `unknown` where that is not
    /// remembered.
    pub hosts: Vec<(VmId, Status)>,
}

impl Store {
    /// What came of the hosts of a run, in its order, with what they wrote as far
    /// as that is kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn results(&self, run: RunId) -> Result<Vec<HostResult>, StoreError> {
        let id = run.to_string();
        let command = self.remembered(&run)?.command;
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT position, vm, status, effect, exit_code, signal, attempts, ended_at,
                        elapsed, detail, started_at
                 FROM hosts WHERE run = ?1 ORDER BY position",
            )?;
            let rows = statement.query_map([&id], HostRow::read)?;
            rows.collect::<rusqlite::Result<Vec<HostRow>>>()
        };
        let rows = read().map_err(|source| self.sqlite(source))?;
        rows.into_iter().map(|row| self.result(&id, &command, row)).collect()
    }

    fn result(&self, run: &str, command: &str, row: HostRow) -> Result<HostResult, StoreError> {
        let vm = self.vm(&row.vm)?;
        let mut result = HostResult::new(vm, command.to_owned(), self.status(&row.status)?);
        result.effect = effect(&row.effect);
        result.exit = match (row.exit_code, row.signal) {
            (Some(code), _) => Some(ExitStatus::Code(code)),
            (None, signal) => signal.map(ExitStatus::Signal),
        };
        result.attempts = row.attempts;
        result.elapsed = Duration::from_micros(row.elapsed);
        let ended = row.ended_at.or(row.started_at).and_then(moment);
        result.finished_at = ended.unwrap_or(Timestamp::UNIX_EPOCH);
        if let Some(detail) = row.detail {
            let detail: Detail = serde_json::from_str(&detail)
                .map_err(|error| self.damaged(format!("{} of run {run}: {error}", row.vm)))?;
            detail.restore(&mut result);
        }
        let stream = |name| self.output(run, row.position, name);
        result.stdout = stream("stdout")?;
        result.stderr = stream("stderr")?;
        Ok(result)
    }

    fn output(&self, run: &str, position: i64, stream: &str) -> Result<Captured, StoreError> {
        let read = self.connection.query_row(
            "SELECT head, tail, bytes, sha256 FROM output
             WHERE run = ?1 AND position = ?2 AND stream = ?3",
            params![run, position, stream],
            |row| {
                let bytes = row.get::<_, i64>(2)?.try_into().unwrap_or(0);
                Ok(Captured::restored(row.get(0)?, row.get(1)?, bytes, row.get(3)?))
            },
        );
        match read {
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Captured::default()),
            read => read.map_err(|source| self.sqlite(source)),
        }
    }

    /// A run by its whole id.
    pub(super) fn remembered(&self, run: &RunId) -> Result<Remembered, StoreError> {
        let id = run.to_string();
        let read = || {
            let text = "SELECT started_at, ended_at, operator, reason, metadata, kind, command,
                               config, recipe, not_again
                        FROM runs WHERE id = ?1";
            let row = self.connection.query_row(text, [&id], RunRow::read)?;
            let text = "SELECT vm, status FROM hosts WHERE run = ?1 ORDER BY position";
            let mut statement = self.connection.prepare(text)?;
            let hosts = statement.query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok((row, hosts.collect::<rusqlite::Result<Vec<(String, String)>>>()?))
        };
        let (row, hosts) = match read() {
            Err(rusqlite::Error::QueryReturnedNoRows) => return Err(StoreError::Unknown(id)),
            read => read.map_err(|source| self.sqlite(source))?,
        };
        let not_again = row.not_again.unwrap_or_else(|| "it is not remembered how".into());
        let hosts = hosts.iter().map(|(vm, status)| Ok((self.vm(vm)?, self.status(status)?)));
        Ok(Remembered {
            id: *run,
            started: moment(row.started_at).unwrap_or(Timestamp::UNIX_EPOCH),
            ended: row.ended_at.and_then(moment),
            operator: row.operator,
            reason: row.reason,
            metadata: serde_json::from_str(&row.metadata).unwrap_or_default(),
            kind: row.kind,
            command: row.command,
            config: row.config.map(PathBuf::from),
            recipe: match row.recipe {
                Some(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
                None => Err(not_again),
            },
            hosts: hosts.collect::<Result<_, StoreError>>()?,
        })
    }

    fn vm(&self, text: &str) -> Result<VmId, StoreError> {
        text.parse().map_err(|_| self.damaged(format!("the host {text:?}")))
    }

    fn status(&self, text: &str) -> Result<Status, StoreError> {
        status(text).ok_or_else(|| self.damaged(format!("the status {text:?}")))
    }
}

struct RunRow {
    started_at: i64,
    ended_at: Option<i64>,
    operator: String,
    reason: Option<String>,
    metadata: String,
    kind: String,
    command: String,
    config: Option<String>,
    recipe: Option<String>,
    not_again: Option<String>,
}

impl RunRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            started_at: row.get(0)?,
            ended_at: row.get(1)?,
            operator: row.get(2)?,
            reason: row.get(3)?,
            metadata: row.get(4)?,
            kind: row.get(5)?,
            command: row.get(6)?,
            config: row.get(7)?,
            recipe: row.get(8)?,
            not_again: row.get(9)?,
        })
    }
}

struct HostRow {
    position: i64,
    vm: String,
    status: String,
    effect: String,
    exit_code: Option<u32>,
    signal: Option<String>,
    attempts: u32,
    ended_at: Option<i64>,
    elapsed: u64,
    detail: Option<String>,
    started_at: Option<i64>,
}

impl HostRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: row.get(0)?,
            vm: row.get(1)?,
            status: row.get(2)?,
            effect: row.get(3)?,
            exit_code: row.get(4)?,
            signal: row.get(5)?,
            attempts: row.get(6)?,
            ended_at: row.get(7)?,
            elapsed: row.get::<_, i64>(8)?.try_into().unwrap_or(0),
            detail: row.get(9)?,
            started_at: row.get(10)?,
        })
    }
}

fn moment(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}
