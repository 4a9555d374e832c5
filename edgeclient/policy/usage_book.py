"""Who used what: sums by day (UTC), caller, model and currency, of live chats, stored jobs and batches alike.

Fed from facts, each of which counts in one place: a chat or a job when it ends, tokens and cost with the attempt that
they were billed for, what was saved with the answer that was reused. So a job that needed three attempts is one
request, and an attempt that was billed for a call that failed is not lost.

Bounded: so many days are kept, the newest ones, and so many rows a day. Beyond that, sums go on under `OTHER` in place
of the caller, and then of the model as well.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from edgeclient.core.accounts import ERASED, OTHER, UsageRow
from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.events import AttemptFinished, CallFinished
from edgeclient.core.job_events import JobFinished
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.policy.demand import Demand

DAYS = 62
MOST_ROWS_A_DAY = 512
_SPARE_ROWS = 64  # by model, for callers beyond the bound

_Key = tuple[str, str, str]
_REUSED = {"cache": "from_cache", "stale_cache": "from_cache", "coalesced": "coalesced", "pinned": "pinned"}


class UsageBook:
    """See the module.

    Args:
        currency_of: The currency of a model's price, "" for none; a fact without a price belongs to its model's row.
        days: Days that are kept.
        most_rows_a_day: Most rows of one day.
    """

    def __init__(
        self, *, currency_of: Callable[[str], str], days: int = DAYS, most_rows_a_day: int = MOST_ROWS_A_DAY
    ) -> None:
        self._currency_of = currency_of
        self._most_days = days
        self._most_rows = most_rows_a_day
        self._days: dict[int, dict[_Key, UsageRow]] = {}
        self._changed: dict[tuple[int, str, str, str], UsageRow] = {}

    def __iter__(self) -> Iterator[UsageRow]:
        """All rows, the oldest day first."""
        return (row for day in sorted(self._days) for row in self._days[day].values())

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    @property
    def first_day(self) -> int:
        """The oldest day that is kept; days before it are to be forgotten."""
        return min(self._days, default=0) if len(self._days) >= self._most_days else 0

    # facts

    def call_finished(self, event: CallFinished, day: int) -> None:
        """A chat has ended. One that became a job is counted when the job ends."""
        if not event.reason and not event.source:
            return
        row = self._row(day, event.caller, event.model)
        row.requests += 1
        row.failed += bool(event.reason)
        row.replayed += event.source == "replay"

    def job_finished(self, event: JobFinished, day: int) -> None:
        """A stored job has ended."""
        row = self._row(day, event.caller, event.model)
        row.requests += 1
        row.failed += event.state != "succeeded"

    def attempt_finished(self, event: AttemptFinished, day: int) -> None:
        """A request to the provider has ended; one of the node's own is nobody's."""
        if not event.caller:
            return
        row = self._row(day, event.caller, event.model, event.currency_code)
        row.attempts += 1
        row.prompt_tokens += event.prompt_tokens
        row.completion_tokens += event.completion_tokens
        row.cached_tokens += event.cached_tokens
        row.reasoning_tokens += event.reasoning_tokens
        row.cost_nanos += event.cost_nanos
        row.uncertain += event.possibly_billed

    def reused(self, event: AnswerReused, day: int) -> None:
        """An answer was given without asking a model."""
        row = self._row(day, event.caller, event.model, event.currency_code)
        counter = _REUSED.get(event.source, "from_cache")
        setattr(row, counter, getattr(row, counter) + 1)
        row.saved_tokens += event.prompt_tokens + event.completion_tokens
        row.saved_nanos += event.cost_nanos

    def batched(self, event: BatchAnswered, day: int) -> None:
        """A request was answered at half price."""
        row = self._row(day, event.caller, event.model, event.currency_code)
        row.batched += 1
        row.prompt_tokens += event.prompt_tokens
        row.completion_tokens += event.completion_tokens
        row.cached_tokens += event.cached_tokens
        row.reasoning_tokens += event.reasoning_tokens
        row.cost_nanos += event.cost_nanos
        row.batch_saved_nanos += max(0, event.full_cost_nanos - event.cost_nanos)

    def unknown(self, demand: Demand, day: int) -> None:
        """What an attempt may have cost that was perhaps billed; that it was is told when it ends."""
        row = self._row(day, demand.caller, demand.model, demand.currency)
        row.uncertain_tokens += demand.tokens
        row.uncertain_nanos += demand.cost_nanos

    # what is kept

    def changes(self) -> list[UsageRow]:
        """Copies of the rows that have changed since the last time."""
        changed = [replace(row) for row in self._changed.values()]
        self._changed.clear()
        return changed

    def unsaved(self, rows: Iterable[UsageRow]) -> None:
        """These changes could not be kept: they are still to be."""
        for row in rows:
            present = self._days.get(row.day, {}).get((row.caller, row.model, row.currency))
            if present is not None:
                self._changed[row.key] = present

    def restore(self, rows: Iterable[UsageRow]) -> None:
        """Go on with what was kept."""
        for row in sorted(rows, key=lambda each: each.day):
            self._of_day(row.day)[row.caller, row.model, row.currency] = replace(row)

    def erase(self, caller: str) -> None:
        """Forget a caller's name; its sums go on under `ERASED`. Whoever keeps the rows has to do the same."""
        for day, rows in self._days.items():
            for key in [key for key in rows if key[0] == caller]:
                row = rows.pop(key)
                self._changed.pop(row.key, None)
                self._row(day, ERASED, row.model, row.currency).add(row)

    def _row(self, day: int, caller: str, model: str, currency: str = "") -> UsageRow:
        currency = currency or self._currency_of(model)
        rows = self._of_day(day)
        row = rows.get((caller, model, currency))
        if row is None:
            caller, model = self._bounded(rows, caller, model, currency)
            row = rows.get((caller, model, currency))
            if row is None:
                row = rows[caller, model, currency] = UsageRow(day=day, caller=caller, model=model, currency=currency)
        self._changed[row.key] = row
        return row

    def _bounded(self, rows: dict[_Key, UsageRow], caller: str, model: str, currency: str) -> tuple[str, str]:
        """The names that a new row may have."""
        if len(rows) < self._most_rows:
            return caller, model
        if len(rows) < self._most_rows + _SPARE_ROWS or (OTHER, model, currency) in rows:
            return OTHER, model
        return OTHER, OTHER

    def _of_day(self, day: int) -> dict[_Key, UsageRow]:
        rows = self._days.get(day)
        if rows is None:
            rows = self._days[day] = {}
            while len(self._days) > self._most_days:
                oldest = min(self._days)
                for row in self._days.pop(oldest).values():
                    self._changed.pop(row.key, None)
        return rows
