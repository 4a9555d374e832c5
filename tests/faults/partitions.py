"""Partitions in a real network, and what a node makes of them without a restart.

Each scenario tells what it measured; `problems` are the promises that it saw broken. A silent connection has to be
found out within `DETECTED` times the keepalive, interval and time-out together: 45 s with the settings as they come.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from acceptance.daemon import Daemon
from faults.house import SAME_SOURCES
from faults.networks import CLOUD, CLOUD_6, LAN, MOVED, NAME, WAN, Networks
from faults.polling import GUARD_S, until

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.simulator import Fault, Simulator, SimulatorConfig

DETECTED: Final = 1.5
AT_ONCE_S: Final = 2.0  # a new connection and an answer; on a machine that does other things as well
_NEXT_LOOK_S: Final = 0.25  # who has looked at the address of the node looks again after this
_LONG_TALE: Final = "tell me all about pumps"
_CLOUD: Final = SimulatorConfig(host=CLOUD, extra_names=(NAME,), keep_bodies=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The settings that decide how soon a partition is found out."""

    keepalive_s: float
    keepalive_timeout_s: float
    connect_timeout_s: float

    @property
    def detected_s(self) -> float:
        """By when a silent connection has to be known as dead."""
        return DETECTED * (self.keepalive_s + self.keepalive_timeout_s)

    def settings(self) -> dict[str, str]:
        """As the daemon takes them."""
        return {
            "upstream.keepalive_s": str(self.keepalive_s),
            "upstream.keepalive_timeout_s": str(self.keepalive_timeout_s),
            "upstream.connect_timeout_s": str(self.connect_timeout_s),
        }


SHORT: Final = Timing(keepalive_s=2.0, keepalive_timeout_s=1.0, connect_timeout_s=1.0)
USUAL: Final = Timing(keepalive_s=20.0, keepalive_timeout_s=10.0, connect_timeout_s=10.0)


@dataclass(slots=True, kw_only=True)
class Finding:
    """What one scenario has shown."""

    name: str
    measured: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def within(self, what: str, seconds: float, most_s: float) -> None:
        """Keep a measured time, and complain if it is too long."""
        self.measured[what] = seconds
        if seconds > most_s:
            self.problems.append(f"{what}: {seconds:.1f} s, at most {most_s:g} s")

    def expect(self, holds: bool, problem: str) -> None:  # noqa: FBT001  reads as a sentence
        """Complain if it does not hold."""
        if not holds:
            self.problems.append(problem)


@dataclass(slots=True, kw_only=True)
class Site:
    """The node at its site, as a device sees it."""

    networks: Networks
    sim: Simulator
    daemon: Daemon
    device: EdgeClient
    timing: Timing

    async def ask(self, prompt: str = "are you there?", *, timeout_s: float = 60.0) -> tuple[float, EdgeError | None]:
        """A call; how long it took, and its error."""
        begun_s = _now_s()
        try:
            await self.device.chat(prompt, timeout_s=timeout_s)
        except EdgeError as error:
            return _now_s() - begun_s, error
        return _now_s() - begun_s, None

    async def works(self) -> None:
        """A call that has to be answered."""
        _, error = await self.ask()
        assert error is None, error

    async def recovers(self, finding: Finding, most_s: float) -> None:
        """Calls until one is answered."""

        async def answered() -> bool:
            return (await self.ask())[1] is None

        finding.within("answers again after", await until(answered), most_s)

    async def unconnected(self) -> float:
        """Until every connection that the node has to the cloud is given up; the time it took."""
        before = self.networks.connections()

        async def gone() -> bool:
            return not before & self.networks.connections()

        return await until(gone)

    def chats(self) -> int:
        """Chats that the cloud has heard of."""
        return sum(entry.path.endswith("/chat/completions") for entry in self.sim.ledger.entries)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def site(folder: Path, timing: Timing) -> AsyncIterator[Site]:
    """A node in its network, whose way works."""
    async with AsyncExitStack() as stack:
        networks = await stack.enter_async_context(Networks())
        sim = Simulator(_CLOUD)
        stack.push_async_callback(sim.close)
        with networks.inside(networks.cloud):
            await sim.start()
        settings = {
            "ingress.listen": f"{LAN[1]}:50051",
            "ingress.allow_plaintext": "true",
            "upstream.base_url": sim.base_url.replace(CLOUD, NAME),
            "upstream.ca_file": str(sim.ca_file),
            "upstream.probe_interval_s": "1",
            "upstream.max_attempts": "1",
            "spool.directory": str(folder / "queue"),
            "spool.resume_spread_s": "0",
            "spool.retry_initial_s": "0.1",
            "spool.retry_max_s": "0.5",
            "log.format": "json",
            **timing.settings(),
        }
        daemon = await stack.enter_async_context(Daemon(settings, under=(*networks.exec_in_node, *SAME_SOURCES)))
        device = EdgeClient(daemon.address, plaintext=True, retries=False)
        await stack.enter_async_context(device)
        it = Site(networks=networks, sim=sim, daemon=daemon, device=device, timing=timing)
        await it.works()
        yield it


async def black_hole_while_idle(it: Site) -> Finding:
    """The way swallows packets while nobody asks: the connection is given up, and whoever asks then loses nothing."""
    found = Finding(name="black hole while idle")
    before = it.chats()
    it.networks.black_hole(on=True)
    found.within("connection given up after", await it.unconnected(), it.timing.detected_s)
    took_s, error = await it.ask()
    found.within("the next call is told after", took_s, it.timing.connect_timeout_s + AT_ONCE_S)
    found.expect(error is not None and not error.possibly_billed, f"it was told {error}")
    job = await it.device.submit("when the way is back")
    it.networks.black_hole(on=False)
    await it.recovers(found, it.timing.connect_timeout_s + 2 + AT_ONCE_S)
    ended = await it.device.wait_job(job.id, timeout_s=20)
    found.expect(ended.response.message.content != "", "the job of the outage did not succeed")
    answered = it.chats() - before
    found.expect(answered <= 3, f"the cloud heard {answered} chats for two answers")
    return found


async def black_hole_in_use(it: Site) -> Finding:
    """It swallows packets in mid-stream: whoever reads is told, and that it may be billed."""
    found = Finding(name="black hole in use")
    await _cut_in_mid_stream(it, found, lambda: it.networks.black_hole(on=True), it.timing.detected_s)
    it.networks.black_hole(on=False)
    await it.recovers(found, it.timing.connect_timeout_s + 2 + AT_ONCE_S)
    return found


async def address_change_while_idle(it: Site) -> Finding:
    """The node gets another address while nobody asks; the next call goes through, over a new connection."""
    found = Finding(name="address change while idle")
    it.networks.move(WAN[1], MOVED)
    found.within("connection given up after", await it.unconnected(), it.timing.detected_s)
    took_s, error = await it.ask()
    found.within("the next call is answered after", took_s, AT_ONCE_S)
    found.expect(error is None, f"it was told {error}")
    await _move_back(it, found)
    return found


async def address_change_and_used(it: Site) -> Finding:
    """The node gets another address and somebody asks at once."""
    found = Finding(name="address change, used at once")
    it.networks.move(WAN[1], MOVED)
    await asyncio.sleep(_NEXT_LOOK_S)
    took_s, error = await it.ask()
    found.within("the call is answered after", took_s, AT_ONCE_S)
    found.expect(error is None, f"it was told {error}")
    await _move_back(it, found)
    return found


async def link_flap(it: Site) -> Finding:
    """The plug is out for a moment: a stream outlives it or is told; the next call works."""
    found = Finding(name="link flap")
    it.networks.link(up=False)
    took_s, error = await it.ask(timeout_s=it.timing.detected_s + 5)
    found.within("a call without a link is told after", took_s, it.timing.detected_s + AT_ONCE_S)
    found.expect(error is not None, "it was answered without a link")
    it.networks.link(up=True)
    await it.recovers(found, it.timing.connect_timeout_s + 2 + AT_ONCE_S)
    return found


async def ipv6_black_hole(it: Site) -> Finding:
    """The name has an IPv6 address behind which nobody is: IPv4 carries on, soon."""
    found = Finding(name="IPv6 black hole")
    it.networks.dns.addresses_6 = [CLOUD_6]
    it.networks.black_hole_6(on=True)
    await it.sim.stop()
    with it.networks.inside(it.networks.cloud):
        await it.sim.start()  # every connection is a new one
    took_s, error = await it.ask()
    if error is not None:  # the one that found the old connection closed
        took_s, error = await it.ask()
    found.within("a call over a new connection is answered after", took_s, AT_ONCE_S)
    found.expect(error is None, f"it was told {error}")
    it.networks.black_hole_6(on=False)
    it.networks.dns.addresses_6 = []
    return found


async def dns_black_hole(it: Site) -> Finding:
    """DNS says nothing: a new connection fails in time and free of charge, one that stands carries on."""
    found = Finding(name="DNS black hole")
    it.networks.dns.silent = True
    took_s, error = await it.ask()
    found.expect(error is None, f"a call over the standing connection was told {error}")
    await _reconnect(it)
    took_s, error = await it.ask()
    found.within("a call without DNS is told after", took_s, it.timing.connect_timeout_s + AT_ONCE_S)
    found.expect(error is not None and not error.possibly_billed, f"it was told {error}")
    it.networks.dns.silent = False
    await it.recovers(found, it.timing.connect_timeout_s + 6 + AT_ONCE_S)
    return found


async def slow_dns(it: Site) -> Finding:
    """DNS thinks for a while: so does the first call, and no other."""
    found = Finding(name="slow DNS")
    it.networks.dns.delay_s = it.timing.connect_timeout_s / 4
    await _reconnect(it)
    results = await asyncio.gather(*(it.ask() for _ in range(10)))
    found.within("ten calls are answered after", max(took_s for took_s, _ in results), AT_ONCE_S + 3)
    lost = [error for _, error in results if error is not None]
    found.expect(not any(error.possibly_billed for error in lost), f"lost calls: {lost}")
    it.networks.dns.delay_s = 0.0
    await it.recovers(found, AT_ONCE_S + 2)
    return found


async def _move_back(it: Site, found: Finding) -> None:
    """The old address again."""
    it.networks.move(MOVED, WAN[1])
    await asyncio.sleep(_NEXT_LOOK_S)
    await it.recovers(found, it.timing.detected_s + AT_ONCE_S)


async def _reconnect(it: Site) -> None:
    """The cloud has closed every connection."""
    await it.sim.stop()
    with it.networks.inside(it.networks.cloud):
        await it.sim.start()
    await it.unconnected()


async def _cut_in_mid_stream(it: Site, found: Finding, cut: Callable[[], None], most_s: float) -> None:
    """A stream that is under way meets what `cut` does."""
    it.sim.faults.add(Fault(kind="slow_chunks", delay_s=0.3, text=_LONG_TALE))
    stream = it.device.stream(_LONG_TALE, timeout_s=GUARD_S)
    begun_s, told = 0.0, None
    try:
        async for piece in stream:
            if piece.content and not begun_s:
                begun_s = _now_s()
                cut()
    except EdgeError as error:
        told = error
    it.sim.faults.clear()
    found.within("whoever reads is told after", _now_s() - begun_s, most_s)
    found.expect(told is not None and told.possibly_billed, f"it was told {told}")


SCENARIOS: Final[tuple[Callable[[Site], Awaitable[Finding]], ...]] = (
    black_hole_while_idle,
    black_hole_in_use,
    address_change_while_idle,
    address_change_and_used,
    link_flap,
    ipv6_black_hole,
    dns_black_hole,
    slow_dns,
)


async def partitions(folder: Path, timing: Timing) -> AsyncIterator[Finding]:
    """Every scenario, one after the other, through one node: each has to leave it well."""
    async with site(folder, timing) as it:
        for scenario in SCENARIOS:
            yield await scenario(it)


__all__ = ["SCENARIOS", "SHORT", "USUAL", "Finding", "Site", "partitions", "site"]
