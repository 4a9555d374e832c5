"""The end of the road against a real peer: transport, uplink and handler, wired as the node wires them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from edgeclient.config.row_schema import PriceConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import CallError
from edgeclient.core.events import AttemptFinished, Event
from edgeclient.policy.pricing import PriceTable
from edgeclient.simulator import Simulator
from edgeclient.upstream.completion import Upstream
from edgeclient.upstream.engines import BuildEngine, build_engine
from edgeclient.upstream.exchange import Outgoing
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.uplink import UplinkWatch


class RealClock:
    """The clocks of this machine."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class Key:
    """A key that a test may change."""

    def __init__(self, key: str = "sk-of-the-node") -> None:
        self.key = key

    def current(self) -> str:
        return self.key


class UpstreamEnd:
    """`async with UpstreamEnd(sim, http1=True) as end`; settings as in `[upstream]`."""

    def __init__(
        self,
        sim: Simulator | None = None,
        *,
        prices: tuple[PriceConfig, ...] = (),
        environ: Mapping[str, str] | None = None,
        build: BuildEngine = build_engine,
        serves: Callable[[str], str | None] | None = None,
        reword: Callable[[str], str] = str,
        **settings: Any,
    ) -> None:
        defaults: dict[str, Any] = {"proxy": "none"}
        if sim is not None:
            defaults |= {"base_url": sim.base_url, "ca_file": str(sim.ca_file or "")}
        self.config = UpstreamConfig(**(defaults | settings))
        self.events: list[Event] = []
        self.key = Key()
        clock = RealClock()
        observe = self.events.append
        self.transport = Transport(
            self.config,
            None if self.config.keyless else self.key,
            observe=observe,
            clock=clock,
            environ=environ or {},
            build=build,
            reword=reword,
        )
        self.uplink = UplinkWatch(self.config.name, observe=observe, clock=clock)
        self.ask = Upstream(
            self.config,
            self.transport,
            observe=observe,
            clock=clock,
            uplink=self.uplink,
            prices=PriceTable(prices) if prices else None,
            serves=serves,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.transport.close()

    @property
    def attempts(self) -> list[AttemptFinished]:
        return [event for event in self.events if isinstance(event, AttemptFinished)]

    async def fails(self) -> CallError:
        """Ask for something small; returns the error that has to come."""
        try:
            async with asyncio.timeout(10), self.transport.exchange(Outgoing(method="GET", path="/models")) as incoming:
                raise AssertionError(f"the provider answered with {incoming.status}")
        except CallError as error:
            return error
