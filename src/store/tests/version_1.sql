-- A file of schema version 1, as text. It is never changed.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
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
INSERT INTO runs VALUES (
    '019aa3d0-7c11-7b52-9f0e-5d2b07a91c3e', 1795228800000000, 1795228801200000, 'alice', 'deploy 42',
    '{"ticket":"7"}', 'command', 'systemctl is-active nginx', '/etc/orchestrator/config.yml',
    '{"what":{"argv":{"argv":["systemctl","is-active","nginx"],"settings":{"cwd":null,"env":[],"clean_env":false,"stdin":null,"shell":null,"run_as":null,"kill_on_disconnect":false,"idempotent":false,"allow_interactive":false,"timeout_us":null}}},"way":{"user":null,"port":null,"identity_file":null,"proxy_jump":null},"timeout":{"secs":30,"nanos":0},"grace":{"secs":5,"nanos":0},"attempts":3,"fanout":32,"single":false}',
    NULL
);
INSERT INTO hosts VALUES (
    '019aa3d0-7c11-7b52-9f0e-5d2b07a91c3e', 0, 'vm01', 'success', 'present', 0, NULL, 1,
    1795228800000000, 1795228800041000, 41000,
    '{"failure":null,"kill":null,"timing":[12000,9000,20000],"output_incomplete":null,"script_sha256":null,"ssh":null,"refused_host_key":null,"files":null,"skipped":[],"files_total":null}'
);
INSERT INTO hosts VALUES (
    '019aa3d0-7c11-7b52-9f0e-5d2b07a91c3e', 1, 'vm02', 'unreachable', 'absent', NULL, NULL, 3,
    1795228800000000, 1795228801200000, 1200000,
    '{"failure":{"code":"connect_failed","phase":"tcp","message":"10.0.0.11:22: connection refused","hint":null,"retryable":true},"kill":null,"timing":[0,0,0],"output_incomplete":null,"script_sha256":null,"ssh":null,"refused_host_key":null,"files":null,"skipped":[],"files_total":null}'
);
INSERT INTO output VALUES (
    1, '019aa3d0-7c11-7b52-9f0e-5d2b07a91c3e', 0, 'stdout', 7,
    'fd7adad8a25c02e87bc7ddbc87c5ce3cf7dbbba4ca5c2b36b4b6c2f8a2a01ad0', X'6163746976650A', X''
);
PRAGMA user_version = 1;
