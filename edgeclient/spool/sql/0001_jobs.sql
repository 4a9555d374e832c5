-- Jobs, their content and the keys of it. Times: `_ms` is wall time, to be told; `_due` is queue time (ttl_clock.py),
-- to be compared. 0: does not apply.

-- What has to survive and belongs to no job. One row.
CREATE TABLE ledger (
    only_row        INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    scheme          TEXT    NOT NULL,            -- how content is sealed, and with which node key
    epoch           INTEGER NOT NULL DEFAULT 0,  -- number of the daemon's start
    commit_count    INTEGER NOT NULL DEFAULT 0,  -- tells after a failed commit whether it happened
    last_seq        INTEGER NOT NULL DEFAULT 0,
    last_revision   INTEGER NOT NULL DEFAULT 0,
    accepted_total  INTEGER NOT NULL DEFAULT 0,
    purged_total    INTEGER NOT NULL DEFAULT 0,
    uncertain_total INTEGER NOT NULL DEFAULT 0,
    resent_total    INTEGER NOT NULL DEFAULT 0,
    lost_total      INTEGER NOT NULL DEFAULT 0,
    queue_ms        INTEGER NOT NULL DEFAULT 0,  -- the clock: one moment on all clocks
    boot_id         TEXT    NOT NULL DEFAULT '',
    boot_ms         INTEGER NOT NULL DEFAULT 0,
    wall_ms         INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE job (
    seq              INTEGER NOT NULL PRIMARY KEY,  -- order of acceptance
    id               TEXT    NOT NULL UNIQUE,
    caller           TEXT    NOT NULL,
    kind             INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 2),
    state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 11),
    priority         INTEGER NOT NULL,
    revision         INTEGER NOT NULL,              -- order of changes
    idempotency_key  TEXT    NOT NULL,
    conversation_id  TEXT    NOT NULL,
    label            TEXT    NOT NULL,
    resend_policy    INTEGER NOT NULL CHECK (resend_policy BETWEEN 1 AND 2),
    attempt_count    INTEGER NOT NULL DEFAULT 0,
    attempt_id       TEXT    NOT NULL DEFAULT '',   -- the fence: of the attempt in SENDING
    epoch            INTEGER NOT NULL DEFAULT 0,    -- the fence: of the daemon that began it
    resent_count     INTEGER NOT NULL DEFAULT 0,
    crash_count      INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    size_bytes       INTEGER NOT NULL,              -- of the content
    create_ms        INTEGER NOT NULL,
    end_ms           INTEGER NOT NULL DEFAULT 0,
    expire_due       INTEGER NOT NULL,
    attempt_due      INTEGER NOT NULL DEFAULT 0,
    purge_due        INTEGER NOT NULL DEFAULT 0,
    key_due          INTEGER NOT NULL DEFAULT 0     -- when the key is forgotten
) STRICT;

-- One row per caller and key: the promise that a repeat is not a second request.
CREATE UNIQUE INDEX job_key ON job (caller, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX job_revision ON job (caller, revision);
CREATE INDEX job_open ON job (state, seq) WHERE state <= 5;
CREATE INDEX job_expire ON job (expire_due) WHERE state IN (1, 3);
CREATE INDEX job_purge ON job (purge_due) WHERE purge_due > 0;
CREATE INDEX job_key_due ON job (key_due) WHERE idempotency_key <> '';

-- What is secret. In a table of its own, so that looking through many jobs does not read it.
CREATE TABLE content (
    seq      INTEGER NOT NULL REFERENCES job (seq) ON DELETE CASCADE,
    part     INTEGER NOT NULL CHECK (part BETWEEN 1 AND 4),  -- request, response, error, digest
    sealed   BLOB    NOT NULL,
    checksum BLOB    NOT NULL,                    -- over place and bytes
    PRIMARY KEY (seq, part)
) STRICT;

-- Key of a caller's content, wrapped by the node key. Deleting it makes every copy of that content unreadable.
CREATE TABLE caller_key (
    caller  TEXT NOT NULL PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
