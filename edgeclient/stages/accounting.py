"""Keeps the books: what limits, budgets and usage have to know after a restart, and what is told of them now.

Decided in `policy/quota.py` and `policy/usage_book.py`; here is the clock, the storage, and the telling. What has
changed is stored once a second and at the end, as one operation beside those of the queue, never on the road of a call;
at once only when a budget begins to be used after a rest. So a `kill -9` loses what happened since the last snapshot:

* a caller's budget is not exceeded all the same, because each snapshot allows for it (`policy/budget.py`);
* the minute windows have lost at most a second's traffic;
* the sums of usage are too low by as much, and by what was under way.

A node without a storage keeps its books in memory: a restart begins a new day's budget and forgets the usage.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from edgeclient.core.accounts import KEYS, SUMS, Accounts, Kept, QuotaRecord
from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.companion import companion
from edgeclient.core.errors import CallError
from edgeclient.core.events import AttemptFinished, CallFinished, Event
from edgeclient.core.job_events import JobFinished, SpoolDamaged
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.quota_events import AccountsUnsaved, BatchAnswered, BudgetNearlySpent, BudgetSpent
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.policy.quota import Quota
from edgeclient.policy.usage_book import UsageBook

PERIOD_S = 1.0
ACCOUNTED: tuple[type[Event], ...] = (
    CallFinished,
    JobFinished,
    AttemptFinished,
    AnswerReused,
    BatchAnswered,
    SpoolDamaged,
)
"""The events that `take` wants."""
NEARLY = 0.8
"""The part of a budget at which it is told to be nearly spent."""


class Accounting:
    """See the module. `run` is a task of whoever wires it, between `open` and `close`.

    Args:
        quota: Limits and budgets.
        book: Usage.
        accounts: The storage; None: there is none.
        observe: Takes `BudgetNearlySpent`, `BudgetSpent` and `AccountsUnsaved`.
        clock: Time.
    """

    def __init__(
        self, quota: Quota, book: UsageBook, *, accounts: Accounts | None, observe: Observe, clock: Clock
    ) -> None:
        self._quota = quota
        self._book = book
        self._accounts = accounts
        self._observe = observe
        self._clock = clock
        self._records: dict[tuple[str, str], QuotaRecord] = {}  # not stored yet
        self._nearly: set[tuple[str, int]] = set()
        self._spent: set[tuple[str, int]] = set()
        self._problem = ""
        self._everything = False
        self._wake = asyncio.Event()
        quota.on_urgent = self._wake.set
        self._table: dict[type[Event], Callable[[Any], None]] = {
            CallFinished: lambda event: book.call_finished(event, self._day()),
            JobFinished: lambda event: book.job_finished(event, self._day()),
            AttemptFinished: lambda event: book.attempt_finished(event, self._day()),
            AnswerReused: lambda event: book.reused(event, self._day()),
            BatchAnswered: lambda event: book.batched(event, self._day()),
            SpoolDamaged: self._storage_made_anew,
        }

    def take(self, event: Event) -> None:
        """Count a fact; one of `ACCOUNTED`."""
        self._table[type(event)](event)

    async def open(self) -> None:
        """Go on with what was kept.

        Raises:
            CallError: The storage cannot be used.
        """
        if self._accounts is None:
            return
        kept = await self._accounts.load()
        self._book.restore(kept.usage)
        self._quota.restore(kept.quota, now_s=self._clock.monotonic_s(), wall_s=self._clock.wall_s())

    async def run(self) -> None:
        """Look at the clock, tell what is to be told, and store what has changed, until cancelled."""
        while True:
            async with companion(self._alarm(), name="accounting alarm"):
                await self._wake.wait()
            self._wake.clear()
            self._quota.set_clock(now_s=self._clock.monotonic_s(), wall_s=self._clock.wall_s())
            for state in self._quota.budgets(self._clock.monotonic_s()):
                self._tell(state)
            with suppress(CallError):  # it was told
                await self._save(final=False)

    async def _alarm(self) -> None:
        await self._clock.sleep(PERIOD_S)
        self._wake.set()

    async def close(self) -> None:
        """Store everything, exactly. What cannot be stored now is lost."""
        with suppress(CallError):
            await self._save(final=True)

    async def erase(self, caller: str) -> None:
        """Forget a caller's name, in memory and in the storage.

        Raises:
            CallError: The storage cannot be used; then only the memory has forgotten it.
        """
        self._quota.erase(caller)
        self._book.erase(caller)
        self._records.pop(("caller", caller), None)
        if self._accounts is not None:
            await self._accounts.erase(caller)

    def page(self) -> bytes:
        """The usage as JSON: the names of the columns, the rows, and how budgets and limits stand now."""
        now_s = self._clock.monotonic_s()
        names = (*KEYS, *SUMS)
        return msgspec.json.encode(
            {
                "columns": names,
                "rows": [[getattr(row, name) for name in names] for row in self._book],
                "day": self._quota.day(now_s),
                "budgets": self._quota.budgets(now_s),
                "limits": list(self._quota.standings(now_s)),
            }
        )

    def _storage_made_anew(self, _event: SpoolDamaged) -> None:
        """What was stored may be gone, and is all here."""
        self._book.unsaved(self._book)
        self._everything = True

    def _day(self) -> int:
        return self._quota.day(self._clock.monotonic_s())

    async def _save(self, *, final: bool) -> None:
        """Store what has changed; what could not be stored stays to be."""
        if self._accounts is None:
            return
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        everything, self._everything = self._everything, False
        for record in self._quota.snapshot(now_s=now_s, wall_s=wall_s, final=final, everything=everything):
            self._records[record.kind, record.name] = record
        usage, records = self._book.changes(), dict(self._records)
        if not usage and not records:
            return
        is_saved = False
        try:
            kept = Kept(quota=list(records.values()), usage=usage)
            is_saved = await self._accounts.save(kept, drop_before_day=self._book.first_day)
            self._told("" if is_saved else "there is no room that others do not need more")
        except CallError as error:
            self._told(error.summary)
            raise
        finally:
            if is_saved:
                self._records = {key: each for key, each in self._records.items() if records.get(key) is not each}
            else:
                self._book.unsaved(usage)

    def _told(self, problem: str) -> None:
        """Tell a problem when it begins."""
        if problem and not self._problem:
            self._observe(AccountsUnsaved(problem=problem))
        self._problem = problem

    def _tell(self, state: BudgetState) -> None:
        used = (state.spent_nanos + state.reserved_nanos) / NANOS
        limit = state.limit_nanos / NANOS
        key = (state.caller, state.day)
        if used >= NEARLY * limit and key not in self._nearly:
            self._nearly = {each for each in self._nearly if each[1] == state.day} | {key}
            self._observe(
                BudgetNearlySpent(
                    caller=state.caller, limit=state.path, value=limit, spent=used, currency_code=state.currency
                )
            )
        if state.refused and key not in self._spent:
            self._spent = {each for each in self._spent if each[1] == state.day} | {key}
            self._observe(
                BudgetSpent(
                    caller=state.caller,
                    limit=state.path,
                    value=limit,
                    spent=used,
                    currency_code=state.currency,
                    ends_in_s=self._quota.day_ends_s(self._clock.monotonic_s()) - self._clock.monotonic_s(),
                )
            )
