"""What is kept of use and money over a restart, and the port of whoever keeps it.

Accounting is no content: it says who used how much of what, never a word of a prompt. The name of a caller may be
personal all the same, so an erased caller's sums go on under a name that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

OTHER = "(other)"
"""Stands for callers or models beyond the bound. No caller can be called so: names have no brackets."""

ERASED = "(erased)"
"""Stands for callers whose name was erased."""


@dataclass(slots=True, kw_only=True)
class UsageRow:
    """What one caller used of one model on one day (UTC), in one currency. Sums over a day; never negative.

    Attributes:
        day: Days since the Unix epoch.
        caller: Who asked.
        model: Id of the model; "" if the request was refused before it was known.
        currency: ISO 4217 code of all sums of money here; "" if the model has no price.
        requests: Chats and jobs that have ended.
        failed: Those of them without an answer.
        attempts: Requests to the provider.
        prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens: As billed; cached ones are part of the
            prompt, reasoning is part of the completion.
        cost_nanos: Price of them, in billionths.
        from_cache, coalesced, pinned, replayed: Answers that no model was asked for.
        saved_tokens, saved_nanos: What those would have cost.
        batched: Answers by the provider's half-price interfaces.
        batch_saved_nanos: What they would have cost in addition.
        uncertain: Attempts that may have been billed, and nobody knows.
        uncertain_tokens, uncertain_nanos: What they may have cost at most, estimated.
    """

    day: int
    caller: str
    model: str
    currency: str = ""
    requests: int = 0
    failed: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    from_cache: int = 0
    coalesced: int = 0
    pinned: int = 0
    replayed: int = 0
    saved_tokens: int = 0
    saved_nanos: int = 0
    batched: int = 0
    batch_saved_nanos: int = 0
    uncertain: int = 0
    uncertain_tokens: int = 0
    uncertain_nanos: int = 0

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What tells it from others."""
        return self.day, self.caller, self.model, self.currency

    def add(self, other: "UsageRow") -> None:
        """Add the sums of another row."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


KEYS = ("day", "caller", "model", "currency")
SUMS = tuple(each.name for each in fields(UsageRow) if each.name not in KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRecord:
    """What is counted of one subject at a moment, so that a restart forgets no limit.

    Attributes:
        kind: `model` or `caller`.
        name: Which.
        wall_s: The moment, since the Unix epoch.
        state: Plain values, fit for JSON.
    """

    kind: str
    name: str
    wall_s: float
    state: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that was kept."""

    quota: Sequence[QuotaRecord] = ()
    usage: Sequence[UsageRow] = ()


class Accounts(Protocol):
    """Keeps accounts. All methods raise `CallError` if the storage cannot be used; nothing was changed then."""

    async def load(self) -> Kept:
        """All that was kept."""
        ...

    async def save(self, kept: Kept, *, drop_before_day: int) -> bool:
        """Put these in the place of those with the same names, and forget the days before one.

        Returns:
            Whether it was done; False if there is no room that others do not need more.
        """
        ...

    async def erase(self, caller: str) -> None:
        """Forget a caller's name: its sums go on under `ERASED`, and what is counted of its limits is gone."""
        ...
