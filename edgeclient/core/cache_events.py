"""Facts about the cache, shared calls and prepared answers; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReused(Event):
    """A call was answered without an upstream request of its own.

    Attributes:
        call_id: Call that was answered.
        caller: Who asked.
        model: Model that was asked.
        source: `cache`, `stale_cache`, `coalesced` or `pinned`.
        store: Where it was kept: `memory`, `disk`, `redis`; "" if it was kept nowhere.
        age_s: Age of the answer; None: it has none, or it is not known.
        prompt_tokens, completion_tokens: What the original has cost and this call has not.
        cost_nanos: The same in billionths of `currency_code`; 0 if no price is known.
        currency_code: ISO 4217 code; "" if no price is known.
    """

    call_id: str
    caller: str
    model: str
    source: str
    store: str
    age_s: float | None
    prompt_tokens: int
    completion_tokens: int
    cost_nanos: int
    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMissed(Event):
    """A call that might have been answered from the cache was not.

    Attributes:
        call_id: Which call.
        why: `absent`; `outdated`: older than the call accepts.
    """

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKept(Event):
    """What became of an answer that the cache was to keep.

    Attributes:
        call_id: Call that brought it.
        outcome: `kept`; `too_large`; `unfinished`: it is no whole good answer.
        size_bytes: Its size.
    """

    call_id: str
    outcome: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEvicted(Event):
    """Answers were removed from the cache.

    Attributes:
        store: `memory` or `disk`.
        cause: `room`: for others; `age`: they were too old.
        count: How many.
    """

    store: str
    cause: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWriteDropped(Event):
    """An answer was not written to a store, which is too slow or cannot take it; the call is not affected.

    Attributes:
        store: `disk` or `redis`.
        why: `busy`: too many wait already; `failed`: the store refused it; `unusable`: it was not tried.
    """

    store: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLookedUp(Event):
    """A store outside of the process was asked.

    Attributes:
        store: `disk` or `redis`.
        outcome: `hit`, `miss`, `late`: not within its budget, or `failed`.
        duration_s: How long the call waited for it.
    """

    store: str
    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStoreLost(Event):
    """A store of the cache cannot be used; calls go on without it.

    Attributes:
        store: `disk` or `redis`.
        problem: What is wrong and, where it is known, what would be right.
    """

    store: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStoreBack(Event):
    """A store of the cache can be used again.

    Attributes:
        store: `disk` or `redis`.
        duration_s: How long it could not.
    """

    store: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWritesRefused(Event):
    """A store of the cache can be read and takes nothing; it is spared writes for a while.

    Attributes:
        store: `redis`.
        problem: What it said.
    """

    store: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFileDiscarded(Event):
    """The file of the cache was thrown away and begun anew.

    Attributes:
        path: The file.
        problem: What was wrong with it.
    """

    path: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCallPassedOn(Event):
    """A running call that several waited for ended for a reason of the caller that led it; another one leads now.

    Attributes:
        call_id: Call that leads now.
        reason: Why the one before ended.
    """

    call_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChanged(Event):
    """The file of prepared answers and templates was taken over.

    Attributes:
        path: The file.
        pinned_count, template_count: What it holds.
        names: Names of the templates, with commas between them.
    """

    path: str
    pinned_count: int
    template_count: int
    names: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedUnusable(Event):
    """The file of prepared answers and templates has changed and cannot be used; the last good one stays in use.

    Attributes:
        path: The file.
        problem: What is wrong, with the line.
    """

    path: str
    problem: str
