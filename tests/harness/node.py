"""A whole node in this process, wired by `app.build` and driven by `runtime.run`, with a simulated cloud behind it.

It lives as the daemon lives: started in order, ended by a signal. What happened is in `events`; `seen` waits for it.
"""

import asyncio
import io
import signal
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import builders
import grpc.aio
from upstream_end import RealClock

from edgeclient.app import build
from edgeclient.core.events import Event
from edgeclient.core.node_events import NodeStarted
from edgeclient.runtime import run
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2_grpc, node_pb2_grpc

if TYPE_CHECKING:
    from edgeclient.v1.chat_pb2_grpc import ChatServiceAsyncStub
    from edgeclient.v1.node_pb2_grpc import NodeServiceAsyncStub

API_KEY = "sk-of-the-node"
GUARD_S = 20.0
_QUICK = {"retry_initial_s": 0.01, "retry_max_s": 0.02, "probe_interval_s": 1.0}

Fact = TypeVar("Fact", bound=Event)


class Node:
    """`async with Node(sim, upstream={"max_attempts": 1}) as node`; sections as in `builders.config`.

    Attributes:
        events: All that was observed, in order.
        stderr: What went to the log.
        channel: To the port for devices.
    """

    def __init__(self, sim: Simulator | None = None, **sections: Any) -> None:
        upstream: dict[str, Any] = _QUICK | sections.pop("upstream", {})
        if sim is not None:
            upstream |= {"base_url": sim.base_url, "ca_file": str(sim.ca_file or "")}
        self.config = builders.config(upstream=upstream, **sections)
        self.events: list[Event] = []
        self.stderr = io.BytesIO()
        self.channel: grpc.aio.Channel
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []
        self._life: asyncio.Task[None] | None = None
        self._signalled = False

    async def __aenter__(self) -> Self:
        clock = RealClock()
        watch = dict.fromkeys(Event.__subclasses__(), self._observed)
        environ = {"DASHSCOPE_API_KEY": API_KEY}
        app = build(self.config, environ=environ, clock=clock, stderr=self.stderr, watch=watch)
        self._life = asyncio.create_task(run(app.daemon, clock=clock, observe=app.observe), name="the node")
        started = asyncio.create_task(self.seen(NodeStarted), name="start of the node")
        await asyncio.wait([self._life, started], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
            await self._life
        self.address = (await started).listen
        self.admin = (await started).admin
        self.channel = grpc.aio.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.channel.close()
        await self.stopped()

    @property
    def chat(self) -> "ChatServiceAsyncStub":
        """The chat service over the channel."""
        return chat_pb2_grpc.ChatServiceStub(self.channel)

    @property
    def node(self) -> "NodeServiceAsyncStub":
        """The node service over the channel."""
        return node_pb2_grpc.NodeServiceStub(self.channel)

    def told(self, kind: type[Fact]) -> list[Fact]:
        """The events of a type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def seen(self, kind: type[Fact], condition: Callable[[Fact], bool] = lambda _: True) -> Fact:
        """The first event of the type for which the condition holds; waits for it."""

        def fits(event: Event) -> bool:
            return isinstance(event, kind) and condition(event)

        for event in self.told(kind):
            if condition(event):
                return event
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting.append((fits, future))
        async with asyncio.timeout(GUARD_S):
            happened = await future
        assert isinstance(happened, kind)
        return happened

    def drain(self) -> None:
        """Send the first signal; harmless when repeated."""
        assert self._life is not None
        if not self._signalled and not self._life.done():
            self._signalled = True
            signal.raise_signal(signal.SIGTERM)

    async def stopped(self) -> None:
        """Drain, if that has not begun, and wait for the end."""
        assert self._life is not None
        self.drain()
        async with asyncio.timeout(GUARD_S):
            await self._life

    def _observed(self, event: Event) -> None:
        self.events.append(event)
        for fits, future in self._waiting:
            if not future.done() and fits(event):
                future.set_result(event)
        self._waiting = [each for each in self._waiting if not each[1].done()]
