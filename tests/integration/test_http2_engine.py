"""How the engine finds its way: connections that died unnoticed, dials that are shared, given up and cleaned away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import builders
import pytest
from upstream_end import UpstreamEnd

from edgeclient.core.errors import Unavailable
from edgeclient.simulator import Fault, Simulator, SimulatorConfig
from edgeclient.upstream.http2 import engine as engines


class Link:
    """A TCP way to a port of this machine that can go dead without a word.

    Attributes:
        port: Where it begins.
        accepted: Connections that came.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.accepted = 0
        self._to_port = to_port
        self._dead = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def die(self) -> None:
        """From now on nothing that is sent over the connections that there are arrives, and nobody is told."""
        self._dead.set()
        self._dead = asyncio.Event()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers += [writer, far_writer]
        dead = self._dead
        await asyncio.gather(
            self._pump(reader, far_writer, dead), self._pump(far_reader, writer, dead), return_exceptions=True
        )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dead: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            if not dead.is_set():
                writer.write(data)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(extra_names=("localhost",))) as sim:
        yield sim


async def test_connection_that_died_while_it_was_idle_costs_a_ping_and_no_bill(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FRESH_S", 0.0)
    monkeypatch.setattr(engines, "_PING_S", 0.2)
    async with Link(sim.port) as link:
        base_url = f"https://127.0.0.1:{link.port}/compatible-mode/v1"
        async with UpstreamEnd(base_url=base_url, ca_file=str(sim.ca_file)) as end:
            await end.ask(builders.call())
            await end.ask(builders.call())
            assert 1 == link.accepted
            link.die()
            replies = await asyncio.gather(*(end.ask(builders.call()) for _ in range(20)))

            assert 20 == len(replies)
            assert 2 == link.accepted
    assert 22 == sim.ledger.totals.requests == sim.ledger.totals.answered
    assert 22 == len(end.attempts)


async def test_connection_on_which_a_call_was_given_up_in_silence_is_asked_before_the_next(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_PING_S", 0.2)
    async with Link(sim.port) as link:
        base_url = f"https://127.0.0.1:{link.port}/compatible-mode/v1"
        async with UpstreamEnd(base_url=base_url, ca_file=str(sim.ca_file)) as end:
            await end.ask(builders.call())
            link.die()
            asking = asyncio.ensure_future(end.ask(builders.call()))
            while not end.transport.in_flight:  # noqa: ASYNC110  the next turns
                await asyncio.sleep(0)
            await asyncio.wait([asking], timeout=0.05)  # it is on the wire and nothing answers
            asking.cancel()
            await asyncio.wait([asking])

            assert (await end.ask(builders.call())).response.message.content
            assert 2 == link.accepted


async def test_call_that_the_peer_is_slow_with_does_not_cost_the_connection(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FRESH_S", 0.0)
    async with UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="delay_headers", delay_s=0.3, count=1))
        slow = asyncio.ensure_future(end.ask(builders.call()))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 1)
        await end.ask(builders.call())

        assert (await slow).response.message.content
        assert 1 == sim.stats.connections_accepted


async def test_dial_that_nobody_waits_for_any_more_is_given_up_and_leaves_no_socket() -> None:
    async with Link(1) as link:  # it takes connections and leads nowhere: no TLS ever comes
        before = _open_files()
        for _ in range(5):
            async with UpstreamEnd(base_url=f"https://127.0.0.1:{link.port}/v1") as end:
                asking = [asyncio.ensure_future(end.ask(builders.call())) for _ in range(3)]
                await asyncio.wait(asking, timeout=0.05)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
                assert 0 == end.transport.in_flight
        await link.__aexit__()
        async with asyncio.timeout(5):
            while _open_files() > before:  # noqa: ASYNC110  sockets are closed in their own turns
                await asyncio.sleep(0.01)


async def test_leader_that_is_cancelled_leaves_the_dial_to_the_others(sim: Simulator) -> None:
    async with UpstreamEnd(sim) as end:
        leader = asyncio.ensure_future(end.ask(builders.call()))
        follower = asyncio.ensure_future(end.ask(builders.call()))
        while end.transport.in_flight < 2:  # noqa: ASYNC110  the next turns
            await asyncio.sleep(0)
        leader.cancel()

        assert (await follower).response.message.content
        assert 1 == sim.stats.connections_accepted


async def test_name_is_looked_up_and_the_family_that_answers_is_taken(sim: Simulator) -> None:
    """`localhost` is IPv6 first on most machines, and the simulated cloud listens on IPv4 alone."""
    async with UpstreamEnd(sim, base_url=f"https://localhost:{sim.port}/compatible-mode/v1") as end:
        assert (await end.ask(builders.call())).response.message.content


async def test_transport_that_is_closed_while_it_connects_fails_its_calls() -> None:
    async with Link(1) as link, UpstreamEnd(base_url=f"https://127.0.0.1:{link.port}/v1") as end:
        asking = asyncio.ensure_future(end.ask(builders.call()))
        await asyncio.wait([asking], timeout=0.05)
        await end.transport.close()
        with pytest.raises(Unavailable):
            await asking
