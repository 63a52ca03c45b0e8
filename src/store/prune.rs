//! Forgetting what is old, and what is too much.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::params;

use super::keeper::Retention;
use super::{Store, StoreError};

/// How long one pass may take; the next run goes on.
const PASS_MAX: Duration = Duration::from_millis(500);

/// How many runs are forgotten at once, so that others wait only briefly.
const BATCH: i64 = 16;

/// How many free pages are given back at once, and at most, in a pass.
const PAGES: i64 = 256;

impl Store {
    /// Forgets runs by age and size, the oldest first and never the newest, for
    /// at most half a second.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn prune(&mut self, retention: &Retention) -> Result<(), StoreError> {
        let end = Instant::now() + PASS_MAX;
        let keep = i64::try_from(retention.keep.as_micros()).unwrap_or(i64::MAX);
        let oldest = Timestamp::now().as_microsecond().saturating_sub(keep);
        let prune = || {
            let mut forgotten = 0;
            while Instant::now() < end {
                let too_much = self.size()? > retention.size_max;
                // Whatever its age, if there is too much.
                let before = if too_much { i64::MAX } else { oldest };
                let gone = self.connection.execute(
                    "DELETE FROM runs WHERE id IN (
                         SELECT id FROM runs WHERE started_at < ?1
                         AND id <> (SELECT id FROM runs ORDER BY started_at DESC, id DESC LIMIT 1)
                         ORDER BY started_at LIMIT ?2)",
                    params![before, BATCH],
                )?;
                forgotten += gone;
                if gone == 0 {
                    break;
                }
            }
            while Instant::now() < end && self.pragma("freelist_count")? > PAGES {
                let text = format!("PRAGMA incremental_vacuum({PAGES})");
                self.connection.execute_batch(&text)?;
            }
            match forgotten {
                0 => Ok(()),
                _ => self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)"),
            }
        };
        prune().map_err(|source| StoreError::Sqlite { path: self.path.clone(), source })
    }

    /// How many bytes are in use.
    fn size(&self) -> rusqlite::Result<u64> {
        let used = self.pragma("page_count")? - self.pragma("freelist_count")?;
        Ok(u64::try_from(used * self.pragma("page_size")?).unwrap_or(0))
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, name, |row| row.get(0))
    }
}
