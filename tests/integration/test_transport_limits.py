"""Every time limit fires when it should, says which one it was, and decides what may be done next."""

import asyncio
import time
from random import Random
from typing import Any

import builders
import pytest
from upstream_end import RealClock, UpstreamEnd

from edgeclient.config.row_schema import PriceConfig
from edgeclient.core.call import Delta
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import OutOfTime, Rejected, Throttled, Uncertain
from edgeclient.core.events import Uplink, UplinkChanged
from edgeclient.simulator import Fault, Simulator, SimulatorConfig
from edgeclient.upstream.probe import Probe

_EARLY_S = 0.01  # clocks are read one after the other
_LATE_S = 1.0  # as a rule 2 ms; a starved machine may take its time, and which limit ran out is told by the error


class Caller:
    """Takes pieces, in its own time."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pieces: list[str] = []
        self._pause_s = pause_s

    async def emit(self, delta: Delta) -> None:
        self.pieces.append(delta.content)
        await asyncio.sleep(self._pause_s)


def _with(sim: Simulator, setting: str) -> UpstreamEnd:
    settings: dict[str, Any] = {setting: 0.3}
    return UpstreamEnd(sim, **settings)


@pytest.mark.parametrize(
    ("fault", "setting", "reason"),
    [
        (Fault(kind="hang"), "headers_timeout_s", "UPSTREAM_TIMEOUT"),
        (Fault(kind="slow_first_token", delay_s=30), "first_token_timeout_s", "UPSTREAM_TIMEOUT"),
        (Fault(kind="stall"), "silence_timeout_s", "UPSTREAM_INTERRUPTED"),
        (Fault(kind="slow_chunks", delay_s=0.05), "total_timeout_s", "UPSTREAM_INTERRUPTED"),
        (Fault(kind="hang"), "total_timeout_s", "UPSTREAM_TIMEOUT"),
    ],
)
async def test_limit_of_a_stream(fault: Fault, setting: str, reason: str) -> None:
    async with Simulator() as sim, _with(sim, setting) as end:
        await end.ask(builders.call())
        sim.faults.add(fault)
        begun_s = time.monotonic()
        with pytest.raises(Uncertain) as caught:
            await end.ask(builders.call(emit=Caller().emit))
        took_s = time.monotonic() - begun_s
        async with asyncio.timeout(5):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

    assert -_EARLY_S <= took_s - 0.3 <= _LATE_S
    assert f"upstream.{setting}, 0.3 s" in caught.value.message
    assert reason == caught.value.reason_name
    assert reason == end.attempts[-1].reason


async def test_whole_answers_have_no_limit_but_the_total() -> None:
    settings: dict[str, Any] = {"headers_timeout_s": 0.05, "first_token_timeout_s": 0.05, "silence_timeout_s": 0.05}
    short = builders.chat_request(max_tokens=50)  # which is taken as a whole
    async with Simulator(SimulatorConfig(latency_ms=200)) as sim, UpstreamEnd(sim, **settings) as end:
        assert (await end.ask(builders.call(request=short))).response.message.content

    async with Simulator(SimulatorConfig(latency_ms=2000)) as sim, UpstreamEnd(sim, total_timeout_s=0.2) as end:
        with pytest.raises(Uncertain, match="total_timeout_s") as caught:
            await end.ask(builders.call(request=short))

    assert "UPSTREAM_TIMEOUT" == caught.value.reason_name


@pytest.mark.parametrize("streamed", [False, True])
async def test_deadline_comes_first(*, streamed: bool) -> None:
    async with Simulator() as sim, UpstreamEnd(sim, headers_timeout_s=0.5) as end:
        await end.ask(builders.call())
        sim.faults.add(Fault(kind="hang"))
        begun_s = time.monotonic()
        call = builders.call(deadline=Deadline.after(0.2, now_s=begun_s), emit=Caller().emit if streamed else None)
        with pytest.raises(OutOfTime) as caught:
            await end.ask(call)
        took_s = time.monotonic() - begun_s

    assert -_EARLY_S <= took_s - 0.2 <= _LATE_S
    assert caught.value.possibly_billed
    assert took_s - _LATE_S <= call.upstream_s <= took_s


async def test_slow_caller_is_no_silent_provider() -> None:
    caller = Caller(pause_s=0.2)
    config = SimulatorConfig(tokens_per_s=200, tokens_per_chunk=16)
    async with Simulator(config) as sim, UpstreamEnd(sim, silence_timeout_s=0.15) as end:
        reply = await end.ask(builders.call(emit=caller.emit))

    assert reply.response.message.content == "".join(caller.pieces)


async def test_answer_carries_what_the_road_adds() -> None:
    price = PriceConfig(model="qwen-plus", input_per_million=1, output_per_million=10)
    async with Simulator() as sim, UpstreamEnd(sim, prices=(price,), name="beijing") as end:
        call = builders.call(attempt_count=1)
        reply = await end.ask(call)

    usage = reply.response.usage
    assert "beijing" == reply.response.target
    assert 2 == reply.response.attempt_count
    assert usage.prompt_tokens * 1000 + usage.completion_tokens * 10_000 == usage.cost_nanos
    assert "CNY" == usage.currency_code
    assert reply.upstream_request_id
    assert 0 < call.upstream_s
    (attempt,) = end.attempts
    assert (200, "h2", "", "qwen-plus") == (attempt.http_status, attempt.protocol, attempt.reason, attempt.model)


async def test_stream_is_committed_before_its_first_piece_and_keeps_its_text() -> None:
    caller = Caller()
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        call = builders.call(emit=caller.emit)
        reply = await end.ask(call)

    assert call.committed
    assert call.first_piece_at_s > 0
    assert reply.response.message.content == "".join(caller.pieces)


async def test_refusals_keep_the_providers_code_and_its_pause() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="limit_requests", retry_after="7", count=1), Fault(kind="invalid_parameter", count=1))
        with pytest.raises(Throttled) as throttled:
            await end.ask(builders.call())
        with pytest.raises(Rejected):
            await end.ask(builders.call())

    assert 7 == throttled.value.retry_after_s
    assert ["limit_requests", 429] == [end.attempts[0].upstream_code, end.attempts[0].http_status]
    assert Uplink.ONLINE is end.uplink.state


async def test_uplink_goes_offline_and_comes_back_by_probes() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        probe = Probe(
            end.config,
            end.transport,
            end.uplink,
            observe=end.events.append,
            clock=RealClock(),
            rng=Random(1),
        )
        await probe.once()
        await sim.stop()
        await probe.once()
        await probe.once()
        assert Uplink.OFFLINE is end.uplink.state
        await sim.start()
        await probe.once()
        await probe.once()

    changes = [(event.before, event.after) for event in end.events if isinstance(event, UplinkChanged)]
    assert [
        (Uplink.UNKNOWN, Uplink.ONLINE),
        (Uplink.ONLINE, Uplink.DEGRADED),
        (Uplink.DEGRADED, Uplink.OFFLINE),
        (Uplink.OFFLINE, Uplink.DEGRADED),
        (Uplink.DEGRADED, Uplink.ONLINE),
    ] == changes


async def test_probe_runs_until_online_and_tells_a_refused_key_from_a_lost_way() -> None:
    async with Simulator(SimulatorConfig(api_key="sk-other")) as sim, UpstreamEnd(sim, probe_interval_s=1) as end:
        probe = Probe(
            end.config,
            end.transport,
            end.uplink,
            observe=end.events.append,
            clock=RealClock(),
            rng=Random(1),
        )
        running = asyncio.ensure_future(probe.run())
        async with asyncio.timeout(2):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.refused == 1)
            while not end.attempts:  # noqa: ASYNC110  the event follows within the turn
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert Uplink.ONLINE is end.uplink.state
    assert "API key" in probe.credentials_problem
    assert ("UPSTREAM_CREDENTIALS", 401) == (end.attempts[0].reason, end.attempts[0].http_status)


async def test_captive_portal_is_no_provider() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="captive_portal"))
        probe = Probe(
            end.config,
            end.transport,
            end.uplink,
            observe=end.events.append,
            clock=RealClock(),
            rng=Random(1),
        )
        await probe.once()

    assert Uplink.OFFLINE is end.uplink.state
