//! The tables, and how a file of an older version becomes one of this.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// One text per version, in order; `PRAGMA user_version` counts how many a file
/// has had. A text that was released is never changed.
const MIGRATIONS: [&str; 1] = [V1];

/// Moments are microseconds since 1970 in UTC, durations microseconds. A host
/// without a result is `unknown`: that is what it is if the program ends before
/// the run does.
const V1: &str = "
CREATE TABLE runs (
    id         TEXT PRIMARY KEY,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    operator   TEXT NOT NULL,
    reason     TEXT,
    metadata   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    command    TEXT NOT NULL,
    config     TEXT,
    recipe     TEXT,
    not_again  TEXT
);
CREATE INDEX runs_by_time ON runs (started_at);
CREATE TABLE hosts (
    run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    vm         TEXT NOT NULL,
    status     TEXT NOT NULL,
    effect     TEXT NOT NULL,
    exit_code  INTEGER,
    signal     TEXT,
    attempts   INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    elapsed    INTEGER NOT NULL,
    detail     TEXT,
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE output (
    id         INTEGER PRIMARY KEY,
    run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    stream     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    head       BLOB NOT NULL,
    tail       BLOB NOT NULL,
    UNIQUE (run, position, stream)
);
";

/// Brings a file to the latest version.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Sqlite { path: path.into(), source };
    if check(connection, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    // Another process may be doing the same: look again, alone.
    let alone = TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(alone).map_err(failed)?;
    let had = check(&transaction, path)?;
    for (version, text) in (1i64..).zip(MIGRATIONS).skip(had) {
        transaction.execute_batch(text).map_err(failed)?;
        transaction.pragma_update(None, "user_version", version).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// How many migrations a file has had. A file of a newer version, or of another
/// program, is not ours to change.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let failed = |source| StoreError::Sqlite { path: path.into(), source };
    // First the tables, then the version: a process that makes both at once, in
    // between, is not taken for another program.
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    match usize::try_from(found) {
        Ok(0) if tables > 0 => {
            let what = "it is a database of another program, which".to_owned();
            Err(StoreError::Damaged { path: path.into(), what })
        }
        Ok(had) if had <= MIGRATIONS.len() => Ok(had),
        Ok(_) => Err(StoreError::Newer { path: path.into(), found, known }),
        Err(_) => {
            let what = format!("schema version {found}");
            Err(StoreError::Damaged { path: path.into(), what })
        }
    }
}
