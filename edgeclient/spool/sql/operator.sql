-- What only a person may ask, of a queue that no daemon has.

-- name: operator_jobs
SELECT * FROM job
WHERE seq < :before_seq AND state IN (SELECT value FROM json_each(:states)) AND (:caller = '' OR caller = :caller)
ORDER BY seq DESC LIMIT :limit;

-- name: operator_requeue
-- Of unknown outcome: a new life with new attempts. What is known of earlier bills stays.
UPDATE job
SET state = :to, revision = :revision, attempt_id = '', attempt_count = 0, attempt_due = 0, crash_count = 0,
    cancel_requested = 0, end_ms = 0, purge_due = 0, expire_due = :expire_due
WHERE id = :id AND kind = 1 AND state = :from
RETURNING *;

-- name: operator_contents
-- Content, row by row; LEFT JOIN, so that content without a job is found too.
SELECT content.seq, job.id, job.caller, content.part, content.sealed, content.checksum
FROM content LEFT JOIN job ON job.seq = content.seq ORDER BY content.seq, content.part;

-- name: operator_sizes
-- Rows whose size is not that of their content.
SELECT job.id FROM job
WHERE job.size_bytes <> (SELECT coalesce(sum(length(sealed)), 0) FROM content WHERE content.seq = job.seq);

-- name: operator_without_request
-- Jobs that are to be sent, with nothing to send.
SELECT job.id FROM job
WHERE job.state IN (1, 3) AND NOT EXISTS (SELECT 1 FROM content WHERE content.seq = job.seq AND content.part = 1);

-- name: operator_without_response
SELECT job.id FROM job
WHERE job.state = 6 AND NOT EXISTS (SELECT 1 FROM content WHERE content.seq = job.seq AND content.part = 2);

-- name: operator_request_left
-- Requests of jobs whose end leaves nothing to send.
SELECT job.id FROM job
WHERE job.state IN (6, 9) AND EXISTS (SELECT 1 FROM content WHERE content.seq = job.seq AND content.part = 1);

-- name: operator_erased_with_content
SELECT job.id FROM job
WHERE job.state = 11 AND EXISTS (SELECT 1 FROM content WHERE content.seq = job.seq);

-- name: operator_highest
SELECT coalesce(max(seq), 0), coalesce(max(revision), 0), count(*), count(DISTINCT revision) FROM job;

-- name: operator_caller_keys
SELECT caller, wrapped FROM caller_key;

-- name: operator_rewrap
UPDATE caller_key SET wrapped = :wrapped WHERE caller = :caller;

-- name: operator_scheme
UPDATE ledger SET scheme = :scheme;
