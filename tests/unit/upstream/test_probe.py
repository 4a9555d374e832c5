"""The probe knows the way from the key, and asks only as long as it has to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import httpx
import pytest
from fakes.clock import FakeClock
from upstream_end import UpstreamEnd

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.events import AttemptFinished, KeyRefused, Uplink
from edgeclient.upstream.engines import Engine
from edgeclient.upstream.probe import Probe

REFUSED = b'{"error":{"message":"Incorrect API key provided.","code":"invalid_api_key"}}'


class _Cloud(httpx.AsyncBaseTransport):
    """Answers each request with what it holds at the moment."""

    def __init__(self, status: int, body: bytes = b"{}", content_type: str = "application/json") -> None:
        self.says(status, body, content_type)
        self.asked = 0

    def __call__(self, config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
        del config, proxy_url, on_stream_limit
        return self

    def says(self, status: int, body: bytes = b"{}", content_type: str = "application/json") -> None:
        self._answer = (status, body, content_type)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert isinstance(request.stream, httpx.AsyncByteStream)
        assert b"" == b"".join([piece async for piece in request.stream])
        assert "GET https://cloud.test/v1/models" == f"{request.method} {request.url}"
        status, body, content_type = self._answer
        return httpx.Response(status, headers={"content-type": content_type}, stream=_Body(body))


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _probe(cloud: _Cloud, clock: FakeClock | None = None) -> tuple[Probe, UpstreamEnd]:
    end = UpstreamEnd(build=cloud, base_url="https://cloud.test/v1")
    probe = Probe(
        end.config, end.transport, end.uplink, observe=end.events.append, clock=clock or FakeClock(), rng=Random(1)
    )
    return probe, end


async def test_an_answer_shows_that_the_way_works() -> None:
    probe, end = _probe(_Cloud(200, b'{"data":[]}'))

    assert await probe.once()

    assert Uplink.ONLINE is end.uplink.state
    (attempt,) = [event for event in end.events if isinstance(event, AttemptFinished)]
    assert (200, "") == (attempt.http_status, attempt.reason)


async def test_a_refused_key_is_no_fault_of_the_way_and_is_told_once() -> None:
    cloud = _Cloud(401, REFUSED)
    probe, end = _probe(cloud)

    assert not await probe.once()
    assert not await probe.once()

    assert Uplink.ONLINE is end.uplink.state
    assert ["dashscope"] == [event.target for event in end.events if isinstance(event, KeyRefused)]
    assert "invalid_api_key" in probe.credentials_problem
    assert "Incorrect" not in probe.credentials_problem  # the provider's own words stay out of logs

    cloud.says(200)
    await probe.once()
    assert not probe.credentials_problem


@pytest.mark.parametrize("status", [404, 405, 429, 500])
async def test_any_answer_of_the_provider_shows_that_the_way_works(status: int) -> None:
    probe, end = _probe(_Cloud(status))

    await probe.once()

    assert Uplink.ONLINE is end.uplink.state


async def test_a_sign_in_page_is_no_way() -> None:
    probe, end = _probe(_Cloud(200, b"<html>sign in</html>", "text/html"))

    await probe.once()

    assert Uplink.OFFLINE is end.uplink.state


async def test_it_asks_until_the_way_works_and_then_no_more() -> None:
    clock = FakeClock()
    cloud = _Cloud(200, b"<html>", "text/html")
    probe, end = _probe(cloud, clock)
    running = asyncio.ensure_future(probe.run())

    async with asyncio.timeout(5):
        for _ in range(2):  # offline; then degraded, then online
            while not clock.sleeping:
                await asyncio.wait([running], timeout=0)
            cloud.says(200)
            clock.advance(60)
        while end.uplink.state is not Uplink.ONLINE:
            await asyncio.wait([running], timeout=0)
    asked = cloud.asked
    clock.advance(3600)
    await asyncio.wait([running], timeout=0)

    assert asked == cloud.asked == 3
    running.cancel()
