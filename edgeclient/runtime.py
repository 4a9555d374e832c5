"""The life of the process: start order, drain order, signals, and the real clock.

Start: what others need comes first, the port for devices last, so that the first call finds everything in place. Drain,
on the first SIGTERM or SIGINT: health says NOT_SERVING, waits end and no stored job is begun any more, the port refuses
new calls, running calls get their grace and running jobs what is left of it, background work ends, the store closes,
connections close, the admin port last, so that the end can still be watched. A second signal ends the process at once.
A background task that fails takes the process down with it: an orchestrator restarts a dead process, but nothing mends
a half-dead one.

SIGHUP reads the configuration again, at any time; it never ends the process.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from edgeclient.config.setting import SettingError
from edgeclient.core.events import Event
from edgeclient.core.node_events import NodeDraining, NodeStopped
from edgeclient.core.ports import Clock, Observe

_STOP = (signal.SIGTERM, signal.SIGINT)
_RELOAD = signal.SIGHUP


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; never jumps."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` of monotonic time."""
        await asyncio.sleep(duration_s)


class Port(Protocol):
    """Something that listens."""

    @property
    def address(self) -> str:
        """Where, as bound."""
        ...

    async def start(self) -> None:
        """Bind and serve. Raises `SettingError` if that cannot be."""
        ...


class DevicePort(Port, Protocol):
    """The port for devices."""

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls at once, give running ones their grace."""
        ...


class AdminPort(Port, Protocol):
    """The port for operators."""

    async def close(self) -> None:
        """Stop at once."""
        ...


Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Everything that has a life of its own.

    Attributes:
        devices: The port for devices.
        admin: The port for operators, or None.
        background: Name and coroutine function of what runs all the time.
        open: Opens the storage, before anything else runs.
        reload: Has the configuration read again, soon.
        not_serving: Tells health checks that the end is near.
        stop_waiting: Ends all waits, and lets no stored job begin any more.
        drained: Returns when no stored job is under way, or after so many seconds; tells which.
        close: Closes the storage and the connections to the provider.
        started: Makes the event that tells that the node takes calls.
        active_calls: Chats in progress.
        grace_s: How long running calls may take after the signal.
    """

    devices: DevicePort
    admin: AdminPort | None
    open: Callable[[], Awaitable[None]]
    reload: Callable[[], None]
    not_serving: Callable[[], None]
    stop_waiting: Callable[[], None]
    drained: Callable[[float], Awaitable[bool]]
    close: Callable[[], Awaitable[None]]
    started: Callable[[], Event]
    active_calls: Callable[[], int]
    grace_s: float
    background: Mapping[str, Work]


async def run(daemon: Daemon, *, clock: Clock, observe: Observe) -> None:
    """Start, serve until a signal, drain.

    Raises:
        SettingError: A port or the storage cannot be used.
        CancelledError: A second signal came.
    """
    problem: SettingError | None = None
    with _signals(daemon.reload) as stop:
        async with AsyncExitStack() as stack:
            if daemon.admin is not None:
                await daemon.admin.start()
                stack.push_async_callback(daemon.admin.close)
            stack.push_async_callback(daemon.close)
            await daemon.open()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(), name=name) for name, work in daemon.background.items()]
                try:
                    await daemon.devices.start()
                    observe(daemon.started())
                    name = await stop
                    await _drain(daemon, name, clock=clock, observe=observe)
                except SettingError as error:
                    problem = error  # the group would wrap it
                finally:
                    for task in tasks:
                        task.cancel()
            if problem is not None:
                raise problem


async def _drain(daemon: Daemon, name: str, *, clock: Clock, observe: Observe) -> None:
    begun_s = clock.monotonic_s()
    observe(NodeDraining(signal=name, active_call_count=daemon.active_calls(), grace_s=daemon.grace_s))
    daemon.not_serving()
    daemon.stop_waiting()
    await daemon.devices.stop(daemon.grace_s)
    in_time = clock.monotonic_s() - begun_s < daemon.grace_s or not daemon.grace_s
    drained = await daemon.drained(max(0.0, begun_s + daemon.grace_s - clock.monotonic_s()))
    observe(NodeStopped(drained=in_time and drained, duration_s=clock.monotonic_s() - begun_s))


@contextmanager
def _signals(reload: Callable[[], None]) -> Iterator[asyncio.Future[str]]:
    """A future of the name of the first signal to stop. The second one cancels the running task."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[str] = loop.create_future()
    owner = asyncio.current_task()

    def received(number: signal.Signals) -> None:
        if not first.done():
            first.set_result(number.name)
        elif owner is not None:
            owner.cancel()

    for number in _STOP:
        loop.add_signal_handler(number, received, number)
    loop.add_signal_handler(_RELOAD, reload)
    try:
        yield first
    finally:
        for number in (*_STOP, _RELOAD):
            loop.remove_signal_handler(number)
