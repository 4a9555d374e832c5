"""The wiring of what is counted: limits, budgets, usage, and where they are kept. No logic.

In two steps, for the limits are asked on the road, and the storage stands behind it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.targets import targets_of
from edgeclient.core.accounts import Accounts
from edgeclient.core.errors import CallError
from edgeclient.core.events import Event
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.demand import Demand
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.quota import Quota
from edgeclient.policy.usage_book import UsageBook
from edgeclient.runtime import Work
from edgeclient.stages.accounting import Accounting
from edgeclient.telemetry.quota_metrics import QuotaView


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is counted.

    Attributes:
        quota: Limits and budgets.
        book: Usage.
        apply: Puts other limits and budgets in force.
    """

    quota: Quota
    book: UsageBook
    apply: Callable[[Config], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What keeps the counts.

    Attributes:
        take: Counts an event, one of `ACCOUNTED`.
        erase: Forgets a caller's name.
        open, close: See `Daemon`; those of the queue included, for the books are kept there.
        background: What runs all the time.
        usage: Makes the page for `edgeclient usage`.
        view: How limits and budgets stand.
    """

    take: Callable[[Event], None]
    erase: Callable[[str], Awaitable[None]]
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    background: Mapping[str, Work]
    usage: Callable[[], bytes]
    view: Callable[[], QuotaView]


class Storage(Protocol):
    """The queue, as far as the books are kept in it."""

    @property
    def accounts(self) -> Accounts | None:
        """Keeps them; None: nobody does."""
        ...

    @property
    def open(self) -> Callable[[], Awaitable[None]]:
        """Opens it."""
        ...

    @property
    def close(self) -> Callable[[], Awaitable[None]]:
        """Closes it."""
        ...


def counts(config: Config, *, models: Catalogue, prices: PriceTable, clock: Clock) -> Counts:
    """Make what counts."""
    book = UsageBook(currency_of=prices.currency)

    def unknown(demand: Demand) -> None:
        book.unknown(demand, quota.day(clock.monotonic_s()))

    quota = Quota(
        limits=config.limits,
        callers=config.callers,
        now_s=clock.monotonic_s(),
        wall_s=clock.wall_s(),
        resolve=lambda name: models.resolve(name).id,
        unknown=unknown,
        accounts=list(dict.fromkeys(target.account for target in targets_of(config, models))),
    )

    def apply(config: Config) -> None:
        quota.apply(limits=config.limits, callers=config.callers, now_s=clock.monotonic_s())

    return Counts(quota=quota, book=book, apply=apply)


def books(
    counted: Counts,
    *,
    queue: Storage,
    observe: Observe,
    clock: Clock,
) -> Books:
    """Make and join what keeps the counts."""
    quota = counted.quota
    accounting = Accounting(quota, counted.book, accounts=queue.accounts, observe=observe, clock=clock)

    async def open_books() -> None:
        await queue.open()
        try:
            await accounting.open()
        except CallError as error:
            raise SettingError([f"spool.directory: the accounts in it cannot be read: {error.message}"]) from error

    async def close_books() -> None:
        await accounting.close()
        await queue.close()

    def view() -> QuotaView:
        now_s = clock.monotonic_s()
        return QuotaView(standings=quota.standings(now_s), budgets=quota.budgets(now_s), refusals=quota.refusals)

    return Books(
        take=accounting.take,
        erase=accounting.erase,
        open=open_books,
        close=close_books,
        background={"accounting": accounting.run},
        usage=accounting.page,
        view=view,
    )
