-- Every statement of the queue. `UPDATE`s of an attempt are fenced by id, attempt and epoch; each must change one row.

-- name: load_ledger
SELECT scheme, epoch, commit_count, last_seq, last_revision, accepted_total, purged_total, uncertain_total,
       resent_total, lost_total, queue_ms, boot_id, boot_ms, wall_ms, queue_id, checksum
FROM ledger;

-- name: create_ledger
INSERT INTO ledger (only_row, scheme) VALUES (1, :scheme);

-- name: save_ledger
UPDATE ledger
SET epoch = :epoch, commit_count = :commit_count, last_seq = :last_seq, last_revision = :last_revision,
    accepted_total = :accepted_total, purged_total = :purged_total, uncertain_total = :uncertain_total,
    resent_total = :resent_total, lost_total = :lost_total,
    queue_ms = :queue_ms, boot_id = :boot_id, boot_ms = :boot_ms, wall_ms = :wall_ms;

-- name: every_row
SELECT * FROM job;

-- name: insert_job
-- In the order of the table; the checksum is SQLite's to write. Changes nothing if the caller has used the key before.
INSERT INTO job (seq, id, caller, kind, state, priority, revision, idempotency_key, conversation_id, label,
                 resend_policy, attempt_count, attempt_id, epoch, resent_count, crash_count, cancel_requested,
                 size_bytes, create_ms, end_ms, expire_due, attempt_due, purge_due, key_due)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (caller, idempotency_key) WHERE idempotency_key <> '' DO NOTHING;

-- name: job_by_id
SELECT * FROM job WHERE id = :id;

-- name: job_by_key
SELECT * FROM job WHERE caller = :caller AND idempotency_key = :key AND idempotency_key <> '';

-- name: begin
UPDATE job
SET state = :to, revision = :revision, attempt_id = :attempt_id, epoch = :epoch, attempt_count = attempt_count + 1,
    attempt_due = 0
WHERE id = :id AND state = :from
RETURNING *;

-- name: end_attempt
-- Succeeded, refused, used up, given up, or lost for good.
UPDATE job
SET state = :to, revision = :revision, attempt_id = '', attempt_due = 0, end_ms = :end_ms, purge_due = :purge_due,
    attempt_count = attempt_count - :uncounted,
    size_bytes = (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq)
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state = :from
RETURNING *;

-- name: retry_attempt
-- Back to those that wait: not billed, blocked, or perhaps billed and sent once more.
UPDATE job
SET state = :to, revision = :revision, attempt_id = '', attempt_due = :attempt_due,
    attempt_count = attempt_count - :uncounted, resent_count = resent_count + :resent,
    size_bytes = (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq)
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state = :from
RETURNING *;

-- name: park_attempt
UPDATE job
SET state = :to, kind = :kind, revision = :revision, attempt_id = '', attempt_count = attempt_count - 1,
    expire_due = :expire_due, purge_due = 0
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state = :from
RETURNING *;

-- name: forget_attempt
DELETE FROM job
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state IN (2, 5) AND kind = 2
RETURNING *;

-- name: request_cancel
UPDATE job SET cancel_requested = 1, revision = :revision WHERE id = :id AND state = :from RETURNING *;

-- name: end_unsent
-- Given, expired, cancelled or spoilt while no attempt was under way.
UPDATE job
SET state = :to, revision = :revision, attempt_due = 0, end_ms = :end_ms, purge_due = :purge_due,
    size_bytes = (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq)
WHERE id = :id AND state = :from
RETURNING *;

-- name: erase
-- A tombstone: who and when, nothing of what.
UPDATE job
SET state = :to, revision = :revision, attempt_id = '', attempt_due = 0, idempotency_key = '', conversation_id = '',
    label = '', size_bytes = 0, end_ms = :end_ms, purge_due = :purge_due, key_due = 0
WHERE id = :id AND state = :from
RETURNING *;

-- name: orphans
-- Attempts that an earlier daemon left behind.
SELECT * FROM job WHERE state = :sending AND kind = :kind AND epoch < :epoch ORDER BY seq LIMIT :limit;

-- name: sending_now
SELECT * FROM job WHERE state = :sending AND epoch = :epoch ORDER BY seq;

-- name: crash_attempt
-- What became of an attempt that a crash cut off: it stays UNCERTAIN, waits for the resend, or is dead.
UPDATE job
SET state = :to, revision = :revision, attempt_id = '', attempt_due = 0, crash_count = crash_count + 1,
    resent_count = resent_count + :resent, end_ms = :end_ms, purge_due = :purge_due,
    size_bytes = (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq)
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state = :from
RETURNING *;

-- name: waiting
SELECT id, caller, conversation_id, priority, seq, create_ms, expire_due, attempt_due
FROM job WHERE state IN (1, 3) AND kind = 1 ORDER BY seq;

-- name: list_jobs
SELECT * FROM job
WHERE caller = :caller AND kind = 1 AND seq < :before_seq AND state IN (SELECT value FROM json_each(:states))
ORDER BY seq DESC LIMIT :limit;

-- name: changed_since
SELECT * FROM job WHERE caller = :caller AND kind = 1 AND revision > :revision ORDER BY revision LIMIT :limit;

-- name: changed_since_of
SELECT * FROM job
WHERE caller = :caller AND kind = 1 AND revision > :revision AND id IN (SELECT value FROM json_each(:ids))
ORDER BY revision LIMIT :limit;

-- name: of_caller
SELECT * FROM job WHERE caller = :caller AND seq > :after_seq AND state <> 11 ORDER BY seq LIMIT :limit;

-- name: overdue
SELECT * FROM job WHERE state IN (1, 3) AND expire_due <= :now ORDER BY expire_due LIMIT :limit;

-- name: purge
-- Kept long enough. A live call that still runs is not touched.
DELETE FROM job
WHERE seq IN (
    SELECT seq FROM job
    WHERE purge_due > 0 AND purge_due <= :now AND (state <> 2 OR epoch < :epoch)
    ORDER BY purge_due LIMIT :limit)
RETURNING *;

-- name: forget_keys
UPDATE job SET idempotency_key = '', key_due = 0
WHERE seq IN (
    SELECT seq FROM job WHERE idempotency_key <> '' AND key_due <= :now AND state > 5 ORDER BY key_due LIMIT :limit)
RETURNING *;

-- name: add_contents
-- Request and digest of a new job.
INSERT INTO content (seq, part, sealed, checksum) VALUES (?, ?, ?, ?), (?, ?, ?, ?);

-- name: put_content
INSERT INTO content (seq, part, sealed, checksum) VALUES (:seq, :part, :sealed, :checksum)
ON CONFLICT (seq, part) DO UPDATE SET sealed = excluded.sealed, checksum = excluded.checksum;

-- name: get_content
SELECT sealed, checksum FROM content WHERE seq = :seq AND part = :part;

-- name: drop_part
DELETE FROM content WHERE seq = :seq AND part = :part;

-- name: drop_content
DELETE FROM content WHERE seq = :seq;

-- name: get_caller_key
SELECT wrapped FROM caller_key WHERE caller = :caller;

-- name: put_caller_key
INSERT INTO caller_key (caller, wrapped) VALUES (:caller, :wrapped);

-- name: drop_caller_key
DELETE FROM caller_key WHERE caller = :caller;

-- name: withdraw
DELETE FROM job WHERE id = :id AND state = 1;
