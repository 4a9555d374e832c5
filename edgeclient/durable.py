"""The wiring of what keeps requests: spool, drainer, idempotency, JobService. No logic; the rest is in `app.py`.

A node without a folder for its queue has none of it, and what stands in its place does nothing or says so. It does not
even load SQLite and the ciphers, which are a tenth of its memory.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from edgeclient.config.schema import Config
from edgeclient.core.call import Call, Handler, Stage
from edgeclient.core.events import Event, Uplink
from edgeclient.core.job_feed import JobFeed
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.spool import Spool
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.jobs import JobService, NoJobs
from edgeclient.runtime import Work
from edgeclient.spool.drainer import Drainer
from edgeclient.stages.idempotency import Idempotency


async def _nothing_to_do() -> None:
    """A part that a node does not have needs no opening and no closing."""


async def _all_done(_grace_s: float) -> bool:
    """Nor has it anything under way."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """The durable part of the house; the defaults are those of a node that has none.

    Attributes:
        spool: The storage, or None.
        jobs: Serves JobService.
        stages: What a call passes on its way.
        background: What runs all the time.
        open, close, stop, drained: See `Daemon`.
        uplink_changed, key_changed, storage_recovered: Take the fact.
    """

    spool: Spool | None = None
    jobs: JobService | NoJobs = field(default_factory=NoJobs)
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
    uplink: Callable[[], Uplink],
    observe: Observe,
    clock: Clock,
    rng: random.Random,
) -> Durable:
    """Make and join what keeps requests, if the node has a place for them."""
    if not config.spool.directory:
        return Durable()
    from edgeclient.spool.spool import SqliteSpool  # noqa: PLC0415  see the module
    from edgeclient.spool.vault import vault_of  # noqa: PLC0415

    spool = SqliteSpool(config.spool, vault=vault_of(config.spool.encryption_key_file), observe=observe)
    feed = JobFeed(spool)
    idempotency = Idempotency(spool, feed, config.spool, uplink=uplink, clock=clock)
    drainer = Drainer(
        spool, send=send, admit=admit, uplink=uplink, config=config.spool, observe=observe, clock=clock, rng=rng
    )
    jobs = JobService(
        spool=spool,
        feed=feed,
        accept=idempotency.accept,
        end_attempt=drainer.cancel,
        admit=admit,
        gate=Gate(most=config.ingress.max_in_flight, observe=observe),  # its own: who waits keeps no chat out
        config=config.ingress,
        spool_config=config.spool,
        clock=clock,
    )

    def stop() -> None:
        feed.stop()
        drainer.stop()

    return Durable(
        spool=spool,
        jobs=jobs,
        stages=(idempotency,),
        background={"job feed": feed.run, "drainer": drainer.run},
        open=spool.open,
        close=spool.close,
        stop=stop,
        drained=drainer.drained,
        uplink_changed=drainer.uplink_changed,
        key_changed=drainer.key_changed,
        storage_recovered=drainer.storage_recovered,
    )
