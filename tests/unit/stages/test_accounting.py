"""The books: kept over restarts, told once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes.accounts import FakeAccounts
from fakes.clock import FakeClock
from unit.telemetry.sample_events import answered, sample

from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.core.accounts import ERASED
from edgeclient.core.errors import CallError
from edgeclient.core.events import AttemptFinished, Event
from edgeclient.core.job_events import SpoolDamaged
from edgeclient.core.quota_events import AccountsUnsaved, BudgetNearlySpent, BudgetSpent
from edgeclient.policy.budget import NANOS
from edgeclient.policy.quota import Demand, Quota, Reservation, Shortage, Spent
from edgeclient.policy.usage_book import UsageBook
from edgeclient.stages.accounting import ACCOUNTED, Accounting

ROWS = [CallerConfig(name="*", budget_per_day=1.0, requests_per_minute=60)]
DAY_S = 86_400


async def turns() -> None:
    """Let everybody else go on as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Bench:
    """One life of a node's books; `FakeAccounts` outlives it."""

    def __init__(self, accounts: FakeAccounts | None, clock: FakeClock) -> None:
        self.events: list[Event] = []
        self.clock = clock
        self.book = UsageBook(currency_of=lambda _model: "CNY")
        self.quota = Quota(
            limits=[LimitConfig(model="*", requests_per_minute=600)],
            callers=ROWS,
            now_s=clock.monotonic_s(),
            wall_s=clock.wall_s(),
            unknown=lambda demand: self.book.unknown(demand, self.quota.day(clock.monotonic_s())),
        )
        self.accounting = Accounting(self.quota, self.book, accounts=accounts, observe=self.events.append, clock=clock)

    def tell(self, event: Event) -> None:
        assert isinstance(event, ACCOUNTED)
        self.accounting.take(event)

    def reserve(self, cost: float) -> Reservation | Shortage:
        demand = Demand(model="m", caller="a", tokens=1, cost_nanos=round(cost * NANOS), currency="CNY")
        return self.quota.reserve(demand, now_s=self.clock.monotonic_s())

    def spend(self, cost: float) -> None:
        got = self.reserve(cost)
        assert isinstance(got, Reservation)
        spent = Spent(tokens=1, cost_nanos=round(cost * NANOS), currency="CNY")
        self.quota.settle(got, spent, now_s=self.clock.monotonic_s())

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        await self.accounting.open()
        task = asyncio.create_task(self.accounting.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.wait([task])

    async def second(self) -> None:
        """Let one pass, and what comes of it."""
        await turns()
        assert self.clock.sleeping
        self.clock.advance(1.0)
        await turns()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_s=20_000.5 * DAY_S)


@pytest.fixture
def accounts() -> FakeAccounts:
    return FakeAccounts()


@pytest.fixture
def bench(accounts: FakeAccounts, clock: FakeClock) -> Bench:
    return Bench(accounts, clock)


def attempt(**over: Any) -> AttemptFinished:
    return sample(AttemptFinished, **({"caller": "a", "model": "m", "currency_code": "CNY"} | over))


async def test_what_changed_is_stored_once_a_second_and_only_then(bench: Bench, accounts: FakeAccounts) -> None:
    async with bench.alive():
        for _ in range(10):
            bench.tell(attempt())
        assert accounts.saves == []
        await bench.second()
        assert [row.attempts for save in accounts.saves for row in save.usage] == [10]
        await bench.second()
        assert len(accounts.saves) == 1


async def test_a_proper_end_stores_the_rest_exactly(bench: Bench, accounts: FakeAccounts, clock: FakeClock) -> None:
    async with bench.alive():
        bench.spend(0.4)
        await bench.second()
        bench.spend(0.1)
        bench.tell(answered(caller="a", model="m"))
    await bench.accounting.close()

    again = Bench(accounts, clock)
    await again.accounting.open()
    assert [state.spent_nanos for state in again.quota.budgets(clock.monotonic_s())] == [0.5 * NANOS]
    assert [row.requests for row in again.book] == [1]


async def test_a_kill_forgets_a_second_of_usage_and_gives_nobody_money(
    bench: Bench, accounts: FakeAccounts, clock: FakeClock
) -> None:
    async with bench.alive():
        bench.spend(0.3)
        await turns()
        bench.spend(0.3)
        bench.tell(attempt())

    again = Bench(accounts, clock)
    await again.accounting.open()
    assert [state.spent_nanos for state in again.quota.budgets(clock.monotonic_s())] == [0.6 * NANOS]
    assert list(again.book) == []


async def test_when_a_budget_begins_to_be_used_that_is_stored_at_once(
    bench: Bench, accounts: FakeAccounts, clock: FakeClock
) -> None:
    async with bench.alive():
        bench.spend(0.3)
        await turns()

    killed = Bench(accounts, clock)
    await killed.accounting.open()
    assert [state.spent_nanos for state in killed.quota.budgets(clock.monotonic_s())] == [0.6 * NANOS]


async def test_a_kill_at_rest_costs_nobody_anything(bench: Bench, accounts: FakeAccounts, clock: FakeClock) -> None:
    async with bench.alive():
        bench.spend(0.3)
        for _ in range(3):
            await bench.second()

    killed = Bench(accounts, clock)
    await killed.accounting.open()
    assert [state.spent_nanos for state in killed.quota.budgets(clock.monotonic_s())] == [0.3 * NANOS]


async def test_a_storage_that_fails_is_told_once_and_gets_everything_later(
    bench: Bench, accounts: FakeAccounts
) -> None:
    async with bench.alive():
        accounts.failing = True
        for _ in range(3):
            bench.tell(attempt())
            bench.spend(0.1)
            await bench.second()
        assert bench.events == [AccountsUnsaved(problem="the disk is on fire")]
        accounts.failing = False
        await bench.second()

    (save,) = accounts.saves
    assert [row.attempts for row in save.usage] == [3]
    assert {record.name for record in save.quota} == {"a", "m"}


async def test_without_room_nothing_is_stored_and_nothing_lost(bench: Bench, accounts: FakeAccounts) -> None:
    async with bench.alive():
        accounts.full = True
        bench.tell(attempt())
        await bench.second()
        assert [type(event) for event in bench.events] == [AccountsUnsaved]
        accounts.full = False
        await bench.second()

    assert [row.attempts for row in accounts.rows()] == [1]


async def test_a_storage_that_cannot_be_read_stops_the_start(bench: Bench, accounts: FakeAccounts) -> None:
    accounts.failing = True
    with pytest.raises(CallError):
        await bench.accounting.open()


async def test_without_a_storage_the_books_are_kept_in_memory(clock: FakeClock) -> None:
    bench = Bench(None, clock)
    async with bench.alive():
        bench.tell(attempt())
        await bench.second()
    await bench.accounting.close()

    assert len(bench.book) == 1


async def test_a_budget_is_told_at_80_percent_and_when_it_refuses_once_a_day(bench: Bench, clock: FakeClock) -> None:
    async with bench.alive():
        bench.spend(0.79)
        await bench.second()
        assert bench.events == []
        bench.spend(0.05)
        for _ in range(3):
            assert isinstance(bench.reserve(0.2), Shortage)
            await bench.second()
        assert bench.events == [
            BudgetNearlySpent(
                caller="a", limit="callers[0].budget_per_day", value=1.0, spent=0.84, currency_code="CNY"
            ),
            BudgetSpent(
                caller="a",
                limit="callers[0].budget_per_day",
                value=1.0,
                spent=0.84,
                currency_code="CNY",
                ends_in_s=DAY_S / 2 - 1,
            ),
        ]
        clock.advance(DAY_S)
        bench.spend(0.9)
        await bench.second()
        assert [type(event) for event in bench.events[2:]] == [BudgetNearlySpent]


async def test_a_clock_that_is_put_right_is_noticed(bench: Bench, clock: FakeClock) -> None:
    async with bench.alive():
        bench.spend(1.0)
        clock._wall_s += DAY_S
        await bench.second()
        bench.spend(1.0)


async def test_a_storage_that_was_damaged_gets_everything_again(bench: Bench, accounts: FakeAccounts) -> None:
    async with bench.alive():
        bench.tell(attempt())
        bench.spend(0.5)
        await bench.second()
        accounts.saves.clear()
        bench.tell(sample(SpoolDamaged))
        await bench.second()

    (save,) = accounts.saves
    assert [row.attempts for row in save.usage] == [1]
    assert {record.name for record in save.quota} == {"a", "m"}


async def test_an_erased_caller_is_forgotten_everywhere(bench: Bench, accounts: FakeAccounts) -> None:
    async with bench.alive():
        bench.tell(attempt())
        bench.spend(0.5)
        await bench.second()
        bench.tell(attempt())
        await bench.accounting.erase("a")
        await bench.second()

    assert [(row.caller, row.attempts) for row in accounts.rows()] == [(ERASED, 2)]
    assert "a" not in {record.name for record in (await accounts.load()).quota}


async def test_every_event_that_is_wanted_is_taken(bench: Bench) -> None:
    for kind in ACCOUNTED:
        bench.tell(sample(kind))

    assert len(bench.book) > 0


async def test_the_page_has_columns_rows_budgets_and_limits(bench: Bench) -> None:
    bench.tell(attempt(prompt_tokens=7))
    bench.spend(0.25)
    page = json.loads(bench.accounting.page())

    (row,) = page["rows"]
    values = dict(zip(page["columns"], row, strict=True))
    assert (values["day"], values["caller"], values["prompt_tokens"]) == (20_000, "a", 7)
    assert page["budgets"][0]["spent_nanos"] == 0.25 * NANOS
    assert {"kind": "model", "name": "m", "limit": "requests_per_minute", "used": 1, "most": 600} in page["limits"]
