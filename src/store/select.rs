//! Which of the runs.

use jiff::Timestamp;
use rusqlite::params;

use super::{Remembered, Store, StoreError};
use crate::ids::{RunId, VmId};
use crate::outcome::Status;

/// What stands for the run that began last.
pub const LAST: &str = "last";

/// How many ids are told where several fit.
const FITTING_MAX: usize = 5;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At most so many, the newest.
    pub limit: Option<usize>,
    /// Only those in which some host did not succeed.
    pub failed: bool,
    /// Only those that this operator asked for.
    pub operator: Option<String>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
}

impl Store {
    /// Runs, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<Remembered>, StoreError> {
        let ids = self.ids(
            "SELECT id FROM runs
             WHERE (?1 IS NULL OR operator = ?1) AND started_at >= ?2
               AND (?3 = 0 OR EXISTS (SELECT 1 FROM hosts
                                      WHERE run = runs.id AND status <> 'success'))
             ORDER BY started_at DESC, id DESC LIMIT ?4",
            params![
                filter.operator,
                filter.since.map_or(i64::MIN, Timestamp::as_microsecond),
                filter.failed,
                filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
            ],
        )?;
        ids.into_iter().map(|id| self.remembered(&id)).collect()
    }

    /// The run with `part` in its id, which no other has; or the [`LAST`].
    ///
    /// # Errors
    /// There is no such run, there are several, or the file cannot be read.
    pub fn run(&self, part: &str) -> Result<Remembered, StoreError> {
        let mut ids = if part == LAST {
            self.ids("SELECT id FROM runs ORDER BY started_at DESC, id DESC LIMIT 1", [])?
        } else {
            // Ids are hexadecimal; anything else would be a pattern to LIKE.
            let valid = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            if part.is_empty() || !valid {
                return Err(StoreError::Unknown(part.into()));
            }
            let like = format!("%{}%", part.to_ascii_lowercase());
            self.ids("SELECT id FROM runs WHERE id LIKE ?1 ORDER BY started_at DESC", [like])?
        };
        match ids.len() {
            0 if part == LAST => Err(StoreError::Nothing(self.path.clone())),
            0 => Err(StoreError::Unknown(part.into())),
            1 => self.remembered(&ids.remove(0)),
            _ => {
                ids.truncate(FITTING_MAX);
                let ids = ids.iter().map(RunId::to_string).collect();
                Err(StoreError::Ambiguous { part: part.into(), ids })
            }
        }
    }

    /// The hosts of a run that ended in one of these, in the run's order:
    /// `@unreachable:RUN`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn hosts_with(&self, part: &str, statuses: &[Status]) -> Result<Vec<VmId>, StoreError> {
        let hosts = self.run(part)?.hosts.into_iter();
        Ok(hosts.filter(|(_, status)| statuses.contains(status)).map(|(vm, _)| vm).collect())
    }

    /// The hosts of a run that did not succeed: `@failed:RUN`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn hosts_failed(&self, part: &str) -> Result<Vec<VmId>, StoreError> {
        let not_success: Vec<Status> =
            Status::ALL.into_iter().filter(|status| *status != Status::Success).collect();
        self.hosts_with(part, &not_success)
    }

    fn ids(&self, text: &str, params: impl rusqlite::Params) -> Result<Vec<RunId>, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare(text)?;
            let rows = statement.query_map(params, |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        let ids = read().map_err(|source| self.sqlite(source))?.into_iter();
        ids.map(|id| id.parse().map_err(|_| self.damaged(format!("the run id {id:?}")))).collect()
    }
}
