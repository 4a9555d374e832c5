-- name: put
INSERT INTO answer (name, owner, born_ms, room, body) VALUES (:name, :owner, :born_ms, :room, :body);

-- name: get
SELECT owner, born_ms, body FROM answer WHERE name = :name;

-- name: drop
DELETE FROM answer WHERE name = :name RETURNING room;

-- name: drop_first
DELETE FROM answer WHERE seq IN (SELECT seq FROM answer ORDER BY seq LIMIT :count) RETURNING room;

-- name: drop_old
DELETE FROM answer WHERE born_ms < :before_ms RETURNING room;

-- name: drop_owner
DELETE FROM answer WHERE owner = :owner RETURNING room;

-- name: count
SELECT count(*), ifnull(sum(room), 0) FROM answer;

-- name: scheme
SELECT scheme FROM about;

-- name: set_scheme
INSERT INTO about (scheme) VALUES (:scheme);
