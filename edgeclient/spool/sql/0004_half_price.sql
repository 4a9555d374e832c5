-- Jobs that can wait, and the batches at the provider that hold some of them. Nothing secret: who and when, not what.

-- A job that goes out at half price as long as it is here; a table of its own, for most jobs are none.
CREATE TABLE deferred (
    seq INTEGER NOT NULL PRIMARY KEY REFERENCES job (seq) ON DELETE CASCADE
) STRICT;

-- A batch, from the plan until the provider's files are gone. The checksum is as that of a job (0003_checksums.sql): a
-- bit that has turned must not make a batch be created twice.
CREATE TABLE batch (
    name           TEXT    NOT NULL PRIMARY KEY,  -- given by us; the provider's listing shows it
    state          INTEGER NOT NULL CHECK (state BETWEEN 1 AND 6),
    model          TEXT    NOT NULL,
    window_h       INTEGER NOT NULL,
    line_count     INTEGER NOT NULL,
    input_file_id  TEXT    NOT NULL DEFAULT '',
    batch_id       TEXT    NOT NULL DEFAULT '',   -- the provider's
    output_file_id TEXT    NOT NULL DEFAULT '',
    error_file_id  TEXT    NOT NULL DEFAULT '',
    status         TEXT    NOT NULL DEFAULT '',   -- the provider's word
    since_due      INTEGER NOT NULL,              -- queue time of its present state
    checksum       INTEGER NOT NULL GENERATED ALWAYS AS (crc32(CAST(concat_ws(char(31),
        name, state, model, window_h, line_count, input_file_id, batch_id, output_file_id, error_file_id, status,
        since_due) AS BLOB))) STORED
) STRICT;

-- Which attempt of which job is a line of it.
CREATE TABLE batch_line (
    seq        INTEGER NOT NULL PRIMARY KEY REFERENCES job (seq) ON DELETE CASCADE,
    name       TEXT    NOT NULL REFERENCES batch (name) ON DELETE CASCADE,
    attempt_id TEXT    NOT NULL,
    epoch      INTEGER NOT NULL
) STRICT;

CREATE INDEX batch_line_name ON batch_line (name, seq);
