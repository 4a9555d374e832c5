-- The statements of work that can wait.

-- name: defer
INSERT OR IGNORE INTO deferred (seq) VALUES (:seq);

-- name: undefer
DELETE FROM deferred WHERE seq = :seq;

-- name: deferred_ids
SELECT job.id FROM deferred JOIN job USING (seq) WHERE job.state <= 5 ORDER BY seq;

-- name: touch
-- A change for those who follow the changes: it goes another road.
UPDATE job SET revision = :revision WHERE id = :id AND state = :from RETURNING *;

-- name: load_batches
SELECT name, state, model, window_h, line_count, input_file_id, batch_id, output_file_id, error_file_id, status,
       since_due, checksum
FROM batch ORDER BY since_due, name;

-- name: insert_batch
INSERT INTO batch (name, state, model, window_h, line_count, input_file_id, batch_id, output_file_id, error_file_id,
                   status, since_due)
VALUES (:batch, :state, :model, :window_h, :line_count, :input_file_id, :batch_id, :output_file_id, :error_file_id,
        :status, :since_due);

-- name: save_batch
UPDATE batch
SET state = :state, line_count = :line_count, input_file_id = :input_file_id, batch_id = :batch_id,
    output_file_id = :output_file_id, error_file_id = :error_file_id, status = :status, since_due = :since_due
WHERE name = :batch AND state = :from
RETURNING name;

-- name: drop_batch
DELETE FROM batch WHERE name = :batch;

-- name: insert_line
INSERT INTO batch_line (seq, name, attempt_id, epoch) VALUES (:seq, :batch, :attempt_id, :epoch);

-- name: line_of
SELECT name, attempt_id, epoch FROM batch_line WHERE seq = :seq;

-- name: batch_of
SELECT batch.batch_id FROM batch_line JOIN batch USING (name) WHERE batch_line.seq = :seq;

-- name: drop_line
DELETE FROM batch_line WHERE seq = :seq;

-- name: lines
SELECT seq, attempt_id, epoch FROM batch_line WHERE name = :batch AND seq > :after_seq ORDER BY seq LIMIT :limit;

-- name: every_line
SELECT seq, name, attempt_id, epoch FROM batch_line;

-- name: every_deferred
SELECT seq FROM deferred;

-- name: job_by_seq
SELECT * FROM job WHERE seq = :seq;

-- name: hand_over
UPDATE job SET state = :to, revision = :revision
WHERE id = :id AND attempt_id = :attempt_id AND epoch = :epoch AND state = :from
RETURNING *;

-- name: jobs_of_batch
-- Jobs in a state that are lines of a batch, and were sent with nothing else since.
SELECT job.* FROM batch_line JOIN job USING (seq)
WHERE batch_line.name = :batch AND job.state = :state AND job.attempt_id IN ('', batch_line.attempt_id)
ORDER BY seq LIMIT :limit;

-- name: come_back
-- The attempt that was in doubt goes on.
UPDATE job
SET state = :to, revision = :revision, attempt_id = :attempt_id, epoch = :epoch, end_ms = 0, purge_due = 0
WHERE id = :id AND attempt_id = '' AND state = :from
RETURNING *;

-- name: wanted_lines
-- How many answers of a batch anybody still wants.
SELECT count(*) FROM batch_line JOIN job USING (seq)
WHERE batch_line.name = :batch AND job.state IN (2, 4) AND job.attempt_id = batch_line.attempt_id
    AND NOT job.cancel_requested;

-- name: unbatched
-- Jobs whose batch was lost with damaged storage.
SELECT * FROM job
WHERE state = 4 AND NOT EXISTS (SELECT 1 FROM batch_line WHERE batch_line.seq = job.seq) ORDER BY seq LIMIT :limit;
