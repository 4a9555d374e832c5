"""The storage of accounts, in memory; passes the contract of its port."""

import copy
from collections.abc import Iterable

from edgeclient.core.accounts import ERASED, Kept, QuotaRecord, UsageRow
from edgeclient.core.errors import Reason, Rejected


class FakeAccounts:
    """See the module.

    Attributes:
        saves: What was given to each `save` that was done.
        failing: `load`, `save` and `erase` raise.
        full: `save` finds no room.
    """

    def __init__(self) -> None:
        self.saves: list[Kept] = []
        self.failing = self.full = False
        self._usage: dict[tuple[int, str, str, str], UsageRow] = {}
        self._quota: dict[tuple[str, str], QuotaRecord] = {}

    async def load(self) -> Kept:
        self._check()
        return copy.deepcopy(Kept(quota=list(self._quota.values()), usage=list(self._usage.values())))

    async def save(self, kept: Kept, *, drop_before_day: int) -> bool:
        self._check()
        if self.full:
            return False
        kept = copy.deepcopy(kept)
        self.saves.append(kept)
        self._usage |= {row.key: row for row in kept.usage}
        self._quota |= {(record.kind, record.name): record for record in kept.quota}
        self._usage = {key: row for key, row in self._usage.items() if row.day >= drop_before_day}
        return True

    async def erase(self, caller: str) -> None:
        self._check()
        self._quota.pop(("caller", caller), None)
        for row in [row for row in self._usage.values() if row.caller == caller]:
            del self._usage[row.key]
            row.caller = ERASED
            self._usage.setdefault(
                row.key, UsageRow(day=row.day, caller=ERASED, model=row.model, currency=row.currency)
            )
            self._usage[row.key].add(row)

    def rows(self) -> list[UsageRow]:
        return list(self._usage.values())

    def keep(self, rows: Iterable[UsageRow]) -> None:
        """As if an earlier process had saved them."""
        self._usage |= {row.key: row for row in rows}

    def _check(self) -> None:
        if self.failing:
            raise Rejected(Reason.ERROR_REASON_STORAGE_UNAVAILABLE, "the disk is on fire")
