"""The wiring of what keeps requests: spool, drainer, idempotency, JobService. No logic; the rest is in `app.py`.

A node without a folder for its queue has none of it, and what stands in its place does nothing or says so. It does not
even load SQLite and the ciphers, which are a tenth of its memory.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclient.config.schema import Config
from edgeclient.core.accounts import Accounts
from edgeclient.core.call import Call, Handler, Stage, road
from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.events import Event, Uplink
from edgeclient.core.half_price import HalfPrice, OpenBatches
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.jobs import JobService, NoJobs
from edgeclient.policy.demands import Demands
from edgeclient.policy.half_price import Deferring
from edgeclient.policy.quota import Quota
from edgeclient.runtime import Work
from edgeclient.spool.drainer import Drainer
from edgeclient.stages.budgeted import Budgeted
from edgeclient.stages.cache import Cache
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.stages.idempotency import Idempotency
from edgeclient.stages.served_only import ServedOnly

if TYPE_CHECKING:
    from edgeclient.spool.control import ControlSocket
    from edgeclient.spool.half_price.roads import Roads
    from edgeclient.spool.half_price.worker import HalfPriceWorker
    from edgeclient.spool.spool import SqliteSpool


async def _nothing_to_do() -> None:
    """A part that a node does not have needs no opening and no closing."""


async def _all_done(_grace_s: float) -> bool:
    """Nor has it anything under way."""
    return True


def _in_turn(*steps: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """One after the other."""

    async def all_of_them() -> None:
        for step in steps:
            await step()

    return all_of_them


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """The durable part of the house; the defaults are those of a node that has none.

    Attributes:
        spool: The storage, or None.
        accounts: Keeps usage and limits beside the jobs, or None.
        jobs: Serves JobService.
        open_batches: Counts of the provider's batches that are not over, or None.
        stages: What a call passes on its way.
        background: What runs all the time.
        open, close, stop, drained: See `Daemon`.
        uplink_changed, key_changed, storage_recovered: Take the fact.
    """

    spool: Spool | None = None
    accounts: Accounts | None = None
    jobs: JobService | NoJobs = field(default_factory=NoJobs)
    open_batches: Callable[[], Mapping[str, OpenBatches]] | None = None
    stages: tuple[Stage, ...] = ()
    background: Mapping[str, Work] = field(default_factory=dict)
    open: Callable[[], Awaitable[None]] = _nothing_to_do
    close: Callable[[], Awaitable[None]] = _nothing_to_do
    stop: Callable[[], None] = lambda: None
    drained: Callable[[float], Awaitable[bool]] = _all_done
    uplink_changed: Callable[[Event], None] = lambda _event: None
    key_changed: Callable[[Event], None] = lambda _event: None
    storage_recovered: Callable[[Event], None] = lambda _event: None


def durable(
    config: Config,
    *,
    admit: Callable[[Call], None],
    send: Handler,
    keep: Cache,
    places: Callable[[], int],
    quota: Quota,
    demands: Demands,
    uplink: Callable[[], Uplink],
    half_price: HalfPrice | None = None,
    forget: Callable[[str], Awaitable[None]],
    observe: Observe,
    clock: Clock,
    rng: random.Random,
) -> Durable:
    """Make and join what keeps requests, if the node has a place for them."""
    if not config.spool.directory:
        return Durable()
    from edgeclient.spool.control import ControlSocket  # noqa: PLC0415  see the module
    from edgeclient.spool.half_price.roads import Roads  # noqa: PLC0415
    from edgeclient.spool.sealing import vault_of  # noqa: PLC0415
    from edgeclient.spool.spool import SqliteSpool  # noqa: PLC0415

    spool = SqliteSpool(config.spool, vault=vault_of(config.spool.encryption_key_file), observe=observe)
    roads = Roads(spool)
    feed = JobFeed(spool)
    idempotency = Idempotency(roads.ordinary, feed, config.spool, uplink=uplink, clock=clock)

    drain = partial(
        Drainer, admit=admit, uplink=uplink, rebooted=lambda: spool.rebooted, observe=observe, clock=clock, rng=rng
    )
    drainers = {"drainer": drain(roads.ordinary, send=road(keep, to=send), places=places, config=config.spool)}
    if half_price is not None and half_price.chat is not None:
        held = Reservations(quota, demand=partial(demands.demand, batch=True), spent=demands.spent)
        budgeted = Budgeted(held, clock=clock)
        drainers["half-price drainer"] = drain(
            roads.deferred,
            send=road(keep, to=ServedOnly(config.half_price, chat=road(budgeted, to=half_price.chat), live=send)),
            uplink=partial(half_price.uplink, ""),
            config=replace(
                config.spool,
                max_in_flight=config.half_price.max_in_flight,
                attempt_timeout_s=config.half_price.chat_timeout_s,
            ),
        )
    workers = _workers(
        config,
        spool,
        roads,
        half_price,
        money=(quota, demands),
        keep=keep,
        admit=admit,
        tools=(observe, clock, rng),
    )

    def end_attempt(job_id: str) -> None:
        for drainer in drainers.values():
            drainer.cancel(job_id)

    jobs = JobService(
        spool=spool,
        feed=feed,
        accept=idempotency.accept,
        end_attempt=end_attempt,
        admit=admit,
        gate=Gate(most=config.ingress.max_in_flight, observe=observe),  # its own: who waits keeps no chat out
        config=config.ingress,
        spool_config=config.spool,
        deferring=Deferring(config.half_price),
        clock=clock,
    )
    control = ControlSocket(
        spool, directory=Path(config.spool.directory), end_attempt=end_attempt, forget=forget, observe=observe
    )
    return _joined(spool, roads, feed, idempotency, jobs, control=control, drainers=drainers, workers=workers)


def _workers(
    config: Config,
    spool: "SqliteSpool",
    roads: "Roads",
    half_price: HalfPrice | None,
    *,
    money: tuple[Quota, Demands],
    keep: Cache,
    admit: Callable[[Call], None],
    tools: tuple[Observe, Clock, random.Random],
) -> dict[str, "HalfPriceWorker"]:
    """Who sends batches; also where none are to be sent any more, for there may be some that were ordered before."""
    if half_price is None:
        return {}
    from edgeclient.spool.half_price.purse import Purse  # noqa: PLC0415
    from edgeclient.spool.half_price.worker import HalfPriceWorker  # noqa: PLC0415

    observe, clock, rng = tools
    quota, demands = money
    worker = HalfPriceWorker(
        spool,
        roads,
        half_price=half_price,
        config=config.half_price,
        spool_config=config.spool,
        admit=partial(_fit_for, half_price, admit),
        purse=Purse(quota, demand=partial(demands.demand, batch=True), clock=clock),
        cache=keep,
        uplink=half_price.uplink,
        observe=observe,
        clock=clock,
        rng=rng,
    )
    return {"half price": worker}


def _fit_for(half_price: HalfPrice, admit: Callable[[Call], None], call: Call) -> None:
    """Admit a call whose model is served where batches are made; another one goes the ordinary road."""
    admit(call)
    if call.model is not None and half_price.serves(call.model.id) is None:
        raise Rejected(Reason.ERROR_REASON_MODEL_NOT_FOUND, f"{call.model.id} is not served where batches are made")


def _joined(
    spool: "SqliteSpool",
    roads: "Roads",
    feed: JobFeed,
    idempotency: Idempotency,
    jobs: JobService,
    *,
    control: "ControlSocket",
    drainers: Mapping[str, Drainer],
    workers: Mapping[str, "HalfPriceWorker"],
) -> Durable:
    from edgeclient.spool.sqlite_accounts import SqliteAccounts  # noqa: PLC0415

    senders: list[Drainer | HalfPriceWorker] = [*drainers.values(), *workers.values()]

    def stop() -> None:
        feed.stop()
        for sender in senders:
            sender.stop()

    async def drained(grace_s: float) -> bool:
        return all(await asyncio.gather(*(drainer.drained(grace_s) for drainer in drainers.values())))

    def uplink_changed(event: Event) -> None:
        for sender in senders:
            sender.uplink_changed(event)

    def key_changed(event: Event) -> None:
        for drainer in drainers.values():
            drainer.key_changed(event)

    def storage_recovered(event: Event) -> None:
        for sender in senders:
            sender.storage_recovered(event)

    return Durable(
        spool=spool,
        accounts=SqliteAccounts(spool),
        jobs=jobs,
        open_batches=next((worker.open_batches for worker in workers.values()), None),
        stages=(idempotency,),
        background={
            "job feed": feed.run,
            **{name: drainer.run for name, drainer in drainers.items()},
            **{name: worker.run for name, worker in workers.items()},
        },
        open=_in_turn(roads.open, control.open),
        close=_in_turn(control.close, spool.close),
        stop=stop,
        drained=drained,
        uplink_changed=uplink_changed,
        key_changed=key_changed,
        storage_recovered=storage_recovered,
    )
