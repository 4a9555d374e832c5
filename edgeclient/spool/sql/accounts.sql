-- The statements of accounts.

-- name: load_usage
SELECT
    day, caller, model, currency, requests, failed, attempts, prompt_tokens, completion_tokens, cached_tokens,
    reasoning_tokens, cost_nanos, from_cache, coalesced, pinned, replayed, saved_tokens, saved_nanos, batched,
    batch_saved_nanos, uncertain, uncertain_tokens, uncertain_nanos
FROM usage;

-- name: load_usage_backwards
-- Past a damaged page from the other side.
SELECT
    day, caller, model, currency, requests, failed, attempts, prompt_tokens, completion_tokens, cached_tokens,
    reasoning_tokens, cost_nanos, from_cache, coalesced, pinned, replayed, saved_tokens, saved_nanos, batched,
    batch_saved_nanos, uncertain, uncertain_tokens, uncertain_nanos
FROM usage ORDER BY day DESC, caller DESC, model DESC, currency DESC;

-- name: put_usage
INSERT OR REPLACE INTO usage (
    day, caller, model, currency, requests, failed, attempts, prompt_tokens, completion_tokens, cached_tokens,
    reasoning_tokens, cost_nanos, from_cache, coalesced, pinned, replayed, saved_tokens, saved_nanos, batched,
    batch_saved_nanos, uncertain, uncertain_tokens, uncertain_nanos)
VALUES (
    :day, :caller, :model, :currency, :requests, :failed, :attempts, :prompt_tokens, :completion_tokens,
    :cached_tokens, :reasoning_tokens, :cost_nanos, :from_cache, :coalesced, :pinned, :replayed, :saved_tokens,
    :saved_nanos, :batched, :batch_saved_nanos, :uncertain, :uncertain_tokens, :uncertain_nanos);

-- name: drop_usage
DELETE FROM usage WHERE day < :before_day;

-- name: erase_usage
-- The sums go on without the name.
INSERT INTO usage (
    day, caller, model, currency, requests, failed, attempts, prompt_tokens, completion_tokens, cached_tokens,
    reasoning_tokens, cost_nanos, from_cache, coalesced, pinned, replayed, saved_tokens, saved_nanos, batched,
    batch_saved_nanos, uncertain, uncertain_tokens, uncertain_nanos)
SELECT
    day, :erased, model, currency, requests, failed, attempts, prompt_tokens, completion_tokens, cached_tokens,
    reasoning_tokens, cost_nanos, from_cache, coalesced, pinned, replayed, saved_tokens, saved_nanos, batched,
    batch_saved_nanos, uncertain, uncertain_tokens, uncertain_nanos
FROM usage WHERE caller = :caller
ON CONFLICT (day, caller, model, currency) DO UPDATE SET
    requests = requests + excluded.requests,
    failed = failed + excluded.failed,
    attempts = attempts + excluded.attempts,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost_nanos = cost_nanos + excluded.cost_nanos,
    from_cache = from_cache + excluded.from_cache,
    coalesced = coalesced + excluded.coalesced,
    pinned = pinned + excluded.pinned,
    replayed = replayed + excluded.replayed,
    saved_tokens = saved_tokens + excluded.saved_tokens,
    saved_nanos = saved_nanos + excluded.saved_nanos,
    batched = batched + excluded.batched,
    batch_saved_nanos = batch_saved_nanos + excluded.batch_saved_nanos,
    uncertain = uncertain + excluded.uncertain,
    uncertain_tokens = uncertain_tokens + excluded.uncertain_tokens,
    uncertain_nanos = uncertain_nanos + excluded.uncertain_nanos;

-- name: drop_usage_of
DELETE FROM usage WHERE caller = :caller;

-- name: load_quota
SELECT kind, name, wall_ms, state FROM quota;

-- name: put_quota
INSERT OR REPLACE INTO quota (kind, name, wall_ms, state) VALUES (:kind, :name, :wall_ms, :state);

-- name: drop_old_quota
-- Subjects that nobody has seen for longest.
DELETE FROM quota
WHERE (kind, name) IN (SELECT kind, name FROM quota ORDER BY wall_ms DESC LIMIT -1 OFFSET :most);

-- name: drop_quota_of
DELETE FROM quota WHERE kind = 'caller' AND name = :caller;
