"""The end of the road over a scripted engine: any transport of httpx will do for one."""

import json
from collections.abc import AsyncIterator, Callable

import builders
import httpx
import pytest
from upstream_end import UpstreamEnd

from edgeclient.config.row_schema import PriceConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.targets import TargetSettings
from edgeclient.core.call import Delta
from edgeclient.core.errors import CallError, Unavailable, Uncertain
from edgeclient.core.events import Uplink
from edgeclient.upstream.engines import Engine


class Pieces(httpx.AsyncByteStream):
    """A body that counts what was read of it and remembers that it was closed."""

    def __init__(self, piece: bytes, count: int) -> None:
        self._piece = piece
        self._left = count
        self.read_bytes = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._left:
            self._left -= 1
            self.read_bytes += len(self._piece)
            yield self._piece

    async def aclose(self) -> None:
        self.closed = True


class Scripted(httpx.AsyncBaseTransport):
    """Answers every request with one thing, after telling that it has left, as engines do."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.closed = False

    def __call__(self, config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
        del config, proxy_url, on_stream_limit
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([piece async for piece in request.stream]))
        request.extensions["on_sent"]()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def aclose(self) -> None:
        self.closed = True


def end(answer: httpx.Response | Exception) -> UpstreamEnd:
    return UpstreamEnd(build=Scripted(answer), base_url="https://cloud.test/v1", max_response_bytes=1024)


async def test_whole_answer_beyond_the_limit_is_cut() -> None:
    body = Pieces(b" " * 500, 1000)
    with pytest.raises(Uncertain, match=r"longer than upstream\.max_response_bytes, 1024"):
        await end(httpx.Response(200, stream=body)).ask(builders.call(request=builders.chat_request(max_tokens=9)))

    assert body.read_bytes == 1500
    assert body.closed


async def test_stream_of_noise_beyond_any_answer_is_cut() -> None:
    body = Pieces(b": noise\n\n" * 10, 100_000)

    async def emit(delta: Delta) -> None:
        del delta

    with pytest.raises(CallError, match="max_response_bytes"):
        await end(httpx.Response(200, stream=body)).ask(builders.call(emit=emit))

    assert body.read_bytes < 100_000
    assert body.closed


async def test_no_more_of_an_error_is_read_than_can_be_told() -> None:
    body = Pieces(b"x" * 16_384, 1000)
    with pytest.raises(Unavailable):
        await end(httpx.Response(500, stream=body)).ask(builders.call())

    assert body.read_bytes == 65_536
    assert body.closed


async def test_redirect_is_not_followed_and_no_answer() -> None:
    answer = httpx.Response(302, headers={"location": "https://portal.test/"}, stream=Pieces(b"", 0))
    with pytest.raises(CallError) as caught:
        await end(answer).ask(builders.call())

    assert "UPLINK_OFFLINE" == caught.value.reason_name


async def test_defect_of_an_engine_is_told_as_one_and_frees_the_place() -> None:
    the_end = end(RuntimeError("defect"))
    with pytest.raises(RuntimeError, match="defect"):
        await the_end.ask(builders.call())

    assert ["INTERNAL"] == [attempt.reason for attempt in the_end.attempts]
    assert 0 == the_end.transport.in_flight
    assert Uplink.UNKNOWN is the_end.uplink.state


async def test_key_and_prompt_stay_out_of_errors_and_events() -> None:
    the_end = end(httpx.ReadError("broken"))
    with pytest.raises(Uncertain) as caught:
        await the_end.ask(builders.call())

    told = repr((caught.value, the_end.events, the_end.transport))
    assert "sk-of-the-node" not in told
    assert "boiler" not in told


def answer(model: str) -> httpx.Response:
    body = {
        "model": model,
        "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1},
    }
    return httpx.Response(200, json=body, stream=Pieces(json.dumps(body).encode(), 1))


PRICES = (
    PriceConfig(model="qwen-plus", input_per_million=1),
    PriceConfig(model="qwen-plus-dated", input_per_million=2),
)


@pytest.mark.parametrize(
    ("named", "cost_nanos"),
    [("qwen-plus-us", 10_000), ("qwen-plus-dated", 20_000), ("qwen-turbo", 0)],
    ids=["the name there is the model's", "a dated one has its own price", "another one has none"],
)
async def test_model_is_asked_by_its_name_at_the_target(named: str, cost_nanos: int) -> None:
    engine = Scripted(answer(named))
    the_end = UpstreamEnd(
        build=engine, base_url="https://cloud.test/v1", prices=PRICES, serves={"qwen-plus": "qwen-plus-us"}.get
    )
    reply = await the_end.ask(builders.call(request=builders.chat_request(max_tokens=5)))
    assert json.loads(engine.bodies[0])["model"] == "qwen-plus-us"
    assert (reply.response.model, reply.response.usage.cost_nanos) == (named, cost_nanos)
    assert [(each.model, each.cost_nanos) for each in the_end.attempts] == [("qwen-plus", cost_nanos)]


async def test_model_that_is_not_served_is_a_defect_of_whoever_asks() -> None:
    the_end = UpstreamEnd(build=Scripted(answer("x")), base_url="https://cloud.test/v1", serves=lambda _: None)
    with pytest.raises(RuntimeError, match="dashscope was asked for qwen-plus, which it does not serve"):
        await the_end.ask(builders.call())


async def test_keyless_endpoint_is_shown_no_key() -> None:
    engine = Scripted(answer("qwen-plus"))
    the_end = UpstreamEnd(build=engine, base_url="http://192.168.7.20:8080/v1", keyless=True)
    await the_end.ask(builders.call(request=builders.chat_request(max_tokens=5)))
    assert "authorization" not in engine.requests[0].headers


async def test_failure_of_a_target_names_the_settings_of_its_row() -> None:
    the_end = UpstreamEnd(
        build=Scripted(httpx.Response(404, stream=Pieces(b"no", 1))),
        base_url="https://cloud.test/v1",
        reword=TargetSettings(upstream=UpstreamConfig(), path="targets[3]").in_own_terms,
    )
    with pytest.raises(CallError, match=r"check targets\[3\]\.base_url") as caught:
        await the_end.ask(builders.call())
    assert "upstream.base_url" not in caught.value.message + caught.value.summary
