-- The cache's own file. There are no migrations: a file of another version is thrown away and begun anew.
CREATE TABLE answer (
    seq     INTEGER PRIMARY KEY,      -- order of insertion; the first one goes when room is needed
    name    BLOB    NOT NULL UNIQUE,  -- stands for the request
    owner   BLOB    NOT NULL,         -- stands for the caller
    born_ms INTEGER NOT NULL,         -- when it came from the provider, since the Unix epoch
    room    INTEGER NOT NULL,         -- bytes that the row takes in the file, rounded up
    body    BLOB    NOT NULL          -- the answer, sealed
) STRICT;

CREATE INDEX answer_by_owner ON answer (owner);
CREATE INDEX answer_by_birth ON answer (born_ms);

CREATE TABLE about (
    scheme TEXT NOT NULL              -- how bodies are sealed
) STRICT;
