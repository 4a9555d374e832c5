"""What every `Accounts` promises, as tests; run against the fake and against the real one."""

from dataclasses import replace
from typing import Any, Protocol

from edgeclient.core.accounts import ERASED, SUMS, Accounts, Kept, QuotaRecord, UsageRow

DAY = 20_000


class AccountsBench(Protocol):
    """Accounts that can be left and opened again."""

    @property
    def accounts(self) -> Accounts:
        """As of now."""
        ...

    async def restart(self) -> Accounts:
        """Leave them as a crash does, and open them again."""
        ...


def row(**over: Any) -> UsageRow:
    """A row in which every sum differs from the others."""
    sums = {name: number + 1 for number, name in enumerate(SUMS)}
    names: dict[str, Any] = {"day": DAY, "caller": "a", "model": "qwen-plus", "currency": "CNY"}
    return UsageRow(**(names | sums | over))


def record(name: str = "a", **over: Any) -> QuotaRecord:
    state = {"tokens_per_minute": [[0.0, 5], [5.0, 70]], "budget": {"day": DAY, "spent_nanos": 1 << 60}}
    facts: dict[str, Any] = {"kind": "caller", "name": name, "wall_s": 1_800_000_000.125, "state": state}
    return QuotaRecord(**(facts | over))


def by_key(kept: Kept) -> tuple[dict[Any, UsageRow], dict[Any, QuotaRecord]]:
    return {row.key: row for row in kept.usage}, {(each.kind, each.name): each for each in kept.quota}


class AccountsContract:
    """Inherit it and give the fixture `bench`."""

    async def test_what_was_saved_is_there_after_a_restart(self, bench: AccountsBench) -> None:
        kept = Kept(usage=[row(), row(model="qwen-max", currency="")], quota=[record(), record(kind="model", name="m")])
        assert await bench.accounts.save(kept, drop_before_day=0)

        assert by_key(await (await bench.restart()).load()) == by_key(kept)

    async def test_at_first_there_is_nothing(self, bench: AccountsBench) -> None:
        assert by_key(await bench.accounts.load()) == ({}, {})

    async def test_what_is_saved_takes_the_place_of_what_was(self, bench: AccountsBench) -> None:
        await bench.accounts.save(Kept(usage=[row()], quota=[record()]), drop_before_day=0)
        newer = Kept(usage=[row(requests=99)], quota=[record(state={})])
        await bench.accounts.save(newer, drop_before_day=0)

        assert by_key(await bench.accounts.load()) == by_key(newer)

    async def test_days_that_are_over_are_forgotten(self, bench: AccountsBench) -> None:
        await bench.accounts.save(Kept(usage=[row(day=DAY + each) for each in range(4)]), drop_before_day=0)
        await bench.accounts.save(Kept(), drop_before_day=DAY + 2)

        assert sorted(each.day for each in (await bench.accounts.load()).usage) == [DAY + 2, DAY + 3]

    async def test_an_erased_name_is_gone_and_its_sums_are_not(self, bench: AccountsBench) -> None:
        rows = [row(), row(caller="b"), row(caller=ERASED), row(day=DAY + 1)]
        await bench.accounts.save(Kept(usage=rows, quota=[record(), record("b")]), drop_before_day=0)
        await bench.accounts.erase("a")
        await bench.accounts.erase("nobody")

        usage, quota = by_key(await (await bench.restart()).load())
        both = row(caller=ERASED)
        both.add(row())
        assert usage == {each.key: each for each in (both, row(caller="b"), replace(row(), day=DAY + 1, caller=ERASED))}
        assert list(quota) == [("caller", "b")]
