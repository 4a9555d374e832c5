-- A checksum over every row of a job and of the ledger, which SQLite itself computes whenever a row is written: no
-- statement can forget it. `crc32` is that of zlib over bytes; the connection has it. Whoever only reads needs it not.

CREATE TABLE checked_job (
    seq              INTEGER NOT NULL PRIMARY KEY,
    id               TEXT    NOT NULL UNIQUE,
    caller           TEXT    NOT NULL,
    kind             INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 2),
    state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 11),
    priority         INTEGER NOT NULL,
    revision         INTEGER NOT NULL,
    idempotency_key  TEXT    NOT NULL,
    conversation_id  TEXT    NOT NULL,
    label            TEXT    NOT NULL,
    resend_policy    INTEGER NOT NULL CHECK (resend_policy BETWEEN 1 AND 2),
    attempt_count    INTEGER NOT NULL DEFAULT 0,
    attempt_id       TEXT    NOT NULL DEFAULT '',
    epoch            INTEGER NOT NULL DEFAULT 0,
    resent_count     INTEGER NOT NULL DEFAULT 0,
    crash_count      INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    size_bytes       INTEGER NOT NULL,
    create_ms        INTEGER NOT NULL,
    end_ms           INTEGER NOT NULL DEFAULT 0,
    expire_due       INTEGER NOT NULL,
    attempt_due      INTEGER NOT NULL DEFAULT 0,
    purge_due        INTEGER NOT NULL DEFAULT 0,
    key_due          INTEGER NOT NULL DEFAULT 0,
    checksum         INTEGER NOT NULL GENERATED ALWAYS AS (crc32(CAST(concat_ws(char(31),
        seq, id, caller, kind, state, priority, revision, idempotency_key, conversation_id, label, resend_policy,
        attempt_count, attempt_id, epoch, resent_count, crash_count, cancel_requested, size_bytes, create_ms, end_ms,
        expire_due, attempt_due, purge_due, key_due) AS BLOB))) STORED
) STRICT;

INSERT INTO checked_job (seq, id, caller, kind, state, priority, revision, idempotency_key, conversation_id, label,
    resend_policy, attempt_count, attempt_id, epoch, resent_count, crash_count, cancel_requested, size_bytes, create_ms,
    end_ms, expire_due, attempt_due, purge_due, key_due)
SELECT * FROM job;

DROP TABLE job;

ALTER TABLE checked_job RENAME TO job;

CREATE UNIQUE INDEX job_key ON job (caller, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX job_revision ON job (caller, revision);
CREATE INDEX job_open ON job (state, seq) WHERE state <= 5;
CREATE INDEX job_expire ON job (expire_due) WHERE state IN (1, 3);
CREATE INDEX job_purge ON job (purge_due) WHERE purge_due > 0;
CREATE INDEX job_key_due ON job (key_due) WHERE idempotency_key <> '';

-- A row that does not check is never written again, for its new checksum would vouch for what is wrong.
CREATE TRIGGER job_is_sound BEFORE UPDATE ON job
WHEN OLD.checksum IS NOT crc32(CAST(concat_ws(char(31),
    OLD.seq, OLD.id, OLD.caller, OLD.kind, OLD.state, OLD.priority, OLD.revision, OLD.idempotency_key,
    OLD.conversation_id, OLD.label, OLD.resend_policy, OLD.attempt_count, OLD.attempt_id, OLD.epoch, OLD.resent_count,
    OLD.crash_count, OLD.cancel_requested, OLD.size_bytes, OLD.create_ms, OLD.end_ms, OLD.expire_due, OLD.attempt_due,
    OLD.purge_due, OLD.key_due) AS BLOB))
BEGIN
    SELECT RAISE(ABORT, 'the row of a job is damaged');
END;

CREATE TABLE checked_ledger (
    only_row        INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    scheme          TEXT    NOT NULL,
    epoch           INTEGER NOT NULL DEFAULT 0,
    commit_count    INTEGER NOT NULL DEFAULT 0,
    last_seq        INTEGER NOT NULL DEFAULT 0,
    last_revision   INTEGER NOT NULL DEFAULT 0,
    accepted_total  INTEGER NOT NULL DEFAULT 0,
    purged_total    INTEGER NOT NULL DEFAULT 0,
    uncertain_total INTEGER NOT NULL DEFAULT 0,
    resent_total    INTEGER NOT NULL DEFAULT 0,
    lost_total      INTEGER NOT NULL DEFAULT 0,
    queue_ms        INTEGER NOT NULL DEFAULT 0,
    boot_id         TEXT    NOT NULL DEFAULT '',
    boot_ms         INTEGER NOT NULL DEFAULT 0,
    wall_ms         INTEGER NOT NULL DEFAULT 0,
    queue_id        TEXT    NOT NULL DEFAULT (lower(hex(randomblob(16)))),  -- of this queue alone: the mark bears it, too
    checksum        INTEGER NOT NULL GENERATED ALWAYS AS (crc32(CAST(concat_ws(char(31),
        scheme, epoch, commit_count, last_seq, last_revision, accepted_total, purged_total, uncertain_total,
        resent_total, lost_total, queue_ms, boot_id, boot_ms, wall_ms, queue_id) AS BLOB))) STORED
) STRICT;

INSERT INTO checked_ledger (only_row, scheme, epoch, commit_count, last_seq, last_revision, accepted_total,
    purged_total, uncertain_total, resent_total, lost_total, queue_ms, boot_id, boot_ms, wall_ms)
SELECT * FROM ledger;

DROP TABLE ledger;

ALTER TABLE checked_ledger RENAME TO ledger;
