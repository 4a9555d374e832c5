-- Accounts: who used what, and what limits and budgets have to know after a restart. No content, so nothing is sealed.

-- Sums of one day (UTC, days since 1970), caller, model and currency.
CREATE TABLE usage (
    day               INTEGER NOT NULL,
    caller            TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    currency          TEXT    NOT NULL,
    requests          INTEGER NOT NULL DEFAULT 0,  -- chats and jobs that have ended
    failed            INTEGER NOT NULL DEFAULT 0,  -- of these, without an answer
    attempts          INTEGER NOT NULL DEFAULT 0,  -- requests to the provider
    prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens     INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens  INTEGER NOT NULL DEFAULT 0,
    cost_nanos        INTEGER NOT NULL DEFAULT 0,  -- all sums of money: billionths of the currency
    from_cache        INTEGER NOT NULL DEFAULT 0,  -- answers that no model was asked for
    coalesced         INTEGER NOT NULL DEFAULT 0,
    pinned            INTEGER NOT NULL DEFAULT 0,
    replayed          INTEGER NOT NULL DEFAULT 0,
    saved_tokens      INTEGER NOT NULL DEFAULT 0,  -- what those would have cost
    saved_nanos       INTEGER NOT NULL DEFAULT 0,
    batched           INTEGER NOT NULL DEFAULT 0,  -- by the half-price interfaces
    batch_saved_nanos INTEGER NOT NULL DEFAULT 0,  -- what they would have cost in addition
    uncertain         INTEGER NOT NULL DEFAULT 0,  -- attempts that were perhaps billed
    uncertain_tokens  INTEGER NOT NULL DEFAULT 0,  -- what they may have cost at most
    uncertain_nanos   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, caller, model, currency)
) STRICT, WITHOUT ROWID;

-- What is counted of a model or a caller at a moment.
CREATE TABLE quota (
    kind    TEXT    NOT NULL CHECK (kind IN ('model', 'caller')),
    name    TEXT    NOT NULL,
    wall_ms INTEGER NOT NULL,
    state   TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
