"""The transport against the simulated cloud: real HTTP/2 and TLS."""

import asyncio
import time

import builders
import pytest
from upstream_end import UpstreamEnd

from edgeclient.core.call import Delta
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import Blocked, OutOfTime, Reason, Stopping
from edgeclient.core.events import ProtocolNegotiated
from edgeclient.simulator import Fault, Outcome, Simulator, SimulatorConfig
from edgeclient.upstream.exchange import Outgoing

MODELS = Outgoing(method="GET", path="/models")


async def test_fifty_cold_calls_share_one_connection() -> None:
    async with Simulator(SimulatorConfig(ttft_ms=20)) as sim, UpstreamEnd(sim) as end:
        replies = await asyncio.gather(*(end.ask(builders.call()) for _ in range(50)))

        assert 50 == len(replies)
        assert 1 == sim.stats.connections_accepted
        assert {"h2": 50} == sim.stats.by_protocol
        assert [ProtocolNegotiated(target="dashscope", protocol="h2")] == [
            event for event in end.events if isinstance(event, ProtocolNegotiated)
        ]


async def test_a_hundred_calls_after_the_connection_broke_share_a_new_one() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        await end.ask(builders.call())
        await sim.stop()
        await sim.start()
        accepted = sim.stats.connections_accepted
        results = await asyncio.gather(*(end.ask(builders.call()) for _ in range(100)), return_exceptions=True)

        assert sum(isinstance(result, Exception) for result in results) <= 1  # the one that finds out
        assert sim.stats.connections_accepted - accepted <= 2


async def test_requests_look_as_the_provider_wants_them() -> None:
    async with Simulator(SimulatorConfig(keep_bodies=True)) as sim, UpstreamEnd(sim) as end:
        for _ in range(2):
            await end.ask(builders.call(id="01JREQUEST", request=builders.chat_request(max_tokens=50)))
        for entry in sim.ledger.entries:
            assert entry.headers is not None
            assert "host" not in entry.headers
            assert "application/json" == entry.headers["content-type"]
            assert "application/json" == entry.headers["accept"]
            assert "01JREQUEST" == entry.headers["x-request-id"]
            assert entry.headers["user-agent"].startswith("edgeclient/")
            assert str(entry.body_bytes) == entry.headers["content-length"]


async def test_streams_are_asked_for_uncompressed_and_answers_are_not() -> None:
    config = SimulatorConfig(keep_bodies=True, gzip=True)
    async with Simulator(config) as sim, UpstreamEnd(sim) as end:
        reply = await end.ask(builders.call(request=builders.chat_request(max_tokens=50)))
        streamed = await end.ask(builders.call(emit=_ignore))

        assert reply.response.message.content
        assert streamed.response.message.content
        headers = [entry.headers or {} for entry in sim.ledger.entries]
        assert "identity" == headers[1]["accept-encoding"]
        assert "gzip" == headers[0]["accept-encoding"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelled_call_stops_generating_at_once(*, streamed: bool) -> None:
    config = SimulatorConfig(tokens_per_s=50, tokens_per_chunk=1)
    async with Simulator(config) as sim, UpstreamEnd(sim) as end:
        asking = asyncio.ensure_future(end.ask(builders.call(emit=_ignore if streamed else None)))
        await sim.ledger.wait_until(lambda: any(entry.tokens_generated > 1 for entry in sim.ledger.entries))
        (entry,) = sim.ledger.entries
        generated = entry.tokens_generated
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(5):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

        assert Outcome.CUT_BY_CLIENT is entry.outcome
        assert entry.tokens_generated <= generated + 5  # 100 ms at 50 tokens a second
        assert "CANCELLED" == end.attempts[-1].reason
        assert 0 == end.transport.in_flight


@pytest.mark.parametrize("streamed", [True, False])
async def test_call_that_is_cancelled_before_its_headers_ends_at_the_provider_at_once(*, streamed: bool) -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        await end.ask(builders.call())
        sim.faults.add(Fault(kind="hang"))
        asking = asyncio.ensure_future(end.ask(builders.call(emit=_ignore if streamed else None)))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 1)
        asking.cancel()
        begun_s = time.monotonic()
        await asyncio.wait([asking])
        async with asyncio.timeout(5):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)
        took_s = time.monotonic() - begun_s

        assert took_s <= 0.1
        assert Outcome.CUT_BY_CLIENT is sim.ledger.entries[-1].outcome
        assert 0 == sim.ledger.entries[-1].tokens_generated
        assert 1 == sim.stats.connections_accepted


async def test_peers_limit_of_streams_is_kept_and_nobody_is_refused() -> None:
    async with Simulator(SimulatorConfig(max_streams=3, ttft_ms=5)) as sim, UpstreamEnd(sim) as end:
        replies = await asyncio.gather(*(end.ask(builders.call()) for _ in range(30)))

        assert 30 == len(replies)
        assert 0 == sim.stats.streams_refused
        assert 1 == sim.stats.connections_accepted
        assert 3 == end.transport.stream_limit


async def test_peer_that_retires_connection_after_connection_costs_nobody_an_answer() -> None:
    async with Simulator(SimulatorConfig(max_streams=2, ttft_ms=5)) as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="goaway_above", count=10))
        replies = await asyncio.gather(*(end.ask(builders.call()) for _ in range(40)))

        assert 40 == len(replies) == sim.ledger.totals.answered
        assert sim.stats.connections_accepted >= 6
        assert 40 == len(end.attempts)


async def test_no_cancellation_is_lost_whenever_it_comes() -> None:
    async with Simulator(SimulatorConfig(tokens_per_s=50, tokens_per_chunk=1)) as sim, UpstreamEnd(sim) as end:
        await end.ask(builders.call(request=builders.chat_request(max_tokens=5)))
        sim.ledger.reset()
        asking = []
        for turn in range(100):
            asking.append(asyncio.ensure_future(end.ask(builders.call(emit=_ignore))))
            await asyncio.wait([asking[-1]], timeout=turn % 20 * 0.0005)  # over the few milliseconds until it flows
            asking[-1].cancel()
        results = await asyncio.gather(*asking, return_exceptions=True)
        async with asyncio.timeout(20):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

        assert {asyncio.CancelledError} == {type(result) for result in results}
        answered = [entry for entry in sim.ledger.entries if entry.outcome is not Outcome.CUT_BY_CLIENT]
        assert [] == answered


async def test_unary_call_ends_at_the_provider_with_its_deadline() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="hang"))
        call = builders.call(deadline=Deadline.after(0.2, now_s=end.ask.clock.monotonic_s()))
        with pytest.raises(OutOfTime) as caught:
            await end.ask(call)
        async with asyncio.timeout(5):
            await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)

        assert caught.value.possibly_billed


async def test_cancelled_call_frees_its_place() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="hang", count=1))
        asking = asyncio.ensure_future(end.ask(builders.call()))
        await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert 0 == end.transport.in_flight
        assert (await end.ask(builders.call())).response.message.content


async def test_requests_that_were_not_processed_are_free() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        sim.faults.add(Fault(kind="refused_stream"))
        error = await end.fails()

        assert not error.possibly_billed
        assert "UPSTREAM_UNAVAILABLE" == error.reason_name


@pytest.mark.parametrize("kind", ["close", "tcp_reset", "reset_stream"])
async def test_connection_lost_in_mid_request_is_perhaps_billed(kind: str) -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        await end.ask(builders.call())
        sim.faults.add(Fault(kind=kind))
        error = await end.fails()

        assert error.possibly_billed
        assert "UPSTREAM_INTERRUPTED" == error.reason_name


@pytest.mark.parametrize("http1_only", [False, True])
async def test_http1_is_used_where_there_is_no_http2(*, http1_only: bool) -> None:
    async with (
        Simulator(SimulatorConfig(http1_only=http1_only, ttft_ms=20)) as sim,
        UpstreamEnd(sim, http1=True) as end,
    ):
        for _ in range(3):
            replies = await asyncio.gather(*(end.ask(builders.call()) for _ in range(10)))
            assert 10 == len(replies)

        assert ("http/1.1" if http1_only else "h2") == end.transport.protocol
        if http1_only:
            assert sim.stats.connections_open_now <= 10
        else:
            assert sim.stats.connections_accepted <= 2  # the one that asked which protocol it is, and the one for all


async def test_http1_alone_is_refused_with_the_setting_that_helps() -> None:
    async with Simulator(SimulatorConfig(http1_only=True)) as sim, UpstreamEnd(sim) as end:
        error = await end.fails()

        assert isinstance(error, Blocked)
        assert "does not speak HTTP/2; set upstream.http1 = true" in error.message


@pytest.mark.parametrize("http1", [False, True])
async def test_plaintext_on_this_machine(*, http1: bool) -> None:
    async with (
        Simulator(SimulatorConfig(plaintext=True)) as sim,
        UpstreamEnd(sim, http1=http1) as end,
    ):
        assert (await end.ask(builders.call())).response.message.content
        assert ("http/1.1" if http1 else "h2") == end.transport.protocol


async def test_key_is_read_for_every_request() -> None:
    async with Simulator(SimulatorConfig(api_key="sk-new")) as sim, UpstreamEnd(sim) as end:
        with pytest.raises(Blocked) as caught:
            await end.ask(builders.call())
        end.key.key = "sk-new"
        await end.ask(builders.call())

        assert Reason.ERROR_REASON_UPSTREAM_CREDENTIALS == caught.value.reason


async def test_without_a_key_nothing_is_sent() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        end.key.key = ""
        error = await end.fails()

        assert "UPSTREAM_CREDENTIALS" == error.reason_name
        assert 0 == sim.stats.requests


async def test_wedged_connection_is_replaced() -> None:
    async with Simulator() as sim, UpstreamEnd(sim, connect_timeout_s=0.05) as end:
        await end.ask(builders.call())
        sim.faults.add(Fault(kind="black_hole", count=1))
        call = builders.call(deadline=Deadline.after(0.2, now_s=end.ask.clock.monotonic_s()))
        with pytest.raises(OutOfTime):
            await end.ask(call)

        assert (await end.ask(builders.call())).response.message.content


async def test_dead_connection_is_found_by_its_pings() -> None:
    async with Simulator() as sim, UpstreamEnd(sim, keepalive_s=1, keepalive_timeout_s=1) as end:
        await end.ask(builders.call())
        sim.faults.add(Fault(kind="black_hole", count=1))
        async with asyncio.timeout(4):
            error = await end.fails()

        assert "UPSTREAM_INTERRUPTED" == error.reason_name


async def test_closed_transport_takes_no_calls() -> None:
    async with Simulator() as sim, UpstreamEnd(sim) as end:
        await end.transport.close()
        with pytest.raises(Stopping):
            async with end.transport.exchange(MODELS):
                pass


async def _ignore(delta: Delta) -> None:
    del delta
