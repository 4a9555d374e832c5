"""One attempt over an engine in the hands of the test: what is known of it, and told, while it is under way."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import builders
import httpx
import pytest
from upstream_end import UpstreamEnd

from edgeclient.core.call import Call, Delta
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Unavailable
from edgeclient.policy.first_bytes import LEAST_S

GUARD_S = 20.0
SHORT_S = 0.05
Answers = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Body(httpx.AsyncByteStream):
    """Comes in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Engine(httpx.AsyncBaseTransport):
    """Does what it is told; it tells by itself that a request has left only if `sends`."""

    def __init__(self, answers: Answers, *, sends: bool = True) -> None:
        self.answers = answers
        self.sends = sends
        self.asked = asyncio.Event()

    def __call__(self, *_: object, **__: object) -> "Engine":
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.sends:
            request.extensions["on_sent"]()
        self.asked.set()
        return await self.answers(request)


def end(engine: Engine, **over: Any) -> UpstreamEnd:
    return UpstreamEnd(build=engine, base_url="https://cloud.test/v1", **over)


def event(content: str, **facts: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": content}}], **facts}).encode() + b"\n\n"


STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def streams(*pieces: bytes) -> Answers:
    async def answers(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Body(*pieces))

    return answers


def fails(status: int) -> Answers:
    async def answers(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=Body(b"{}"))

    return answers


async def hangs(_request: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError("it waits for ever")


def within(duration_s: float, the_end: UpstreamEnd) -> Call:
    deadline = Deadline.after(duration_s, now_s=the_end.transport.clock.monotonic_s())
    return builders.call(deadline=deadline)


async def fail(the_end: UpstreamEnd, call: Call) -> CallError:
    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(GUARD_S):
            await the_end.ask(call)
    return caught.value


async def test_way_that_takes_longer_than_headers_may_is_certainly_not_paid_for() -> None:
    async def stalls(_request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(4 * SHORT_S):
                await asyncio.Event().wait()
        except TimeoutError as error:
            raise httpx.ConnectTimeout("timed out") from error
        raise AssertionError("it waits for ever")

    limits = dict.fromkeys(("headers_timeout_s", "first_token_timeout_s", "total_timeout_s"), SHORT_S)
    the_end = end(Engine(stalls, sends=False), **limits)
    call = builders.call()

    error = await fail(the_end, call)

    assert isinstance(error, Unavailable)
    assert ("UPLINK_OFFLINE", False, False) == (error.reason_name, error.possibly_billed, call.maybe_paid)
    assert [False] == [attempt.possibly_billed for attempt in the_end.attempts]


@pytest.mark.parametrize(
    ("facts", "served_as"), [({}, "qwen-plus-us"), ({"model": "qwen-plus-2026"}, "qwen-plus-2026")], ids=["", "told"]
)
async def test_first_piece_names_the_model_that_serves(facts: dict[str, str], served_as: str) -> None:
    seen: list[tuple[str, str]] = []

    async def emit(delta: Delta) -> None:
        seen.append((delta.content, call.served_as))

    call = builders.call(emit=emit)
    engine = Engine(streams(event("Yes", **facts), event(", it is"), STOP))
    the_end = end(engine, serves={"qwen-plus": "qwen-plus-us"}.get)

    reply = await the_end.ask(call)

    assert [("Yes", served_as), (", it is", served_as)] == seen
    assert served_as == reply.response.model


async def test_stream_of_a_relay_that_does_not_stream_is_delivered_as_one_piece() -> None:
    seen: list[str] = []

    async def emit(delta: Delta) -> None:
        seen.append(delta.content)

    whole = {"model": "m", "choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}]}
    call = builders.call(emit=emit)

    await end(Engine(streams(json.dumps(whole).encode()))).ask(call)

    assert ["Yes"] == seen
    assert ("m", True) == (call.served_as, call.committed)


@pytest.mark.parametrize(
    ("answers", "sends", "paid"),
    [
        (fails(429), True, False),
        (fails(503), True, False),
        (streams(event("Ye")), True, True),
        (streams(event("Yes"), STOP), True, True),
        (hangs, True, True),
        (hangs, False, False),
    ],
    ids=["429", "503", "broke off", "answered", "under way", "not sent yet"],
)
async def test_whether_a_call_may_have_been_paid_for_is_known_at_any_time(
    answers: Answers, *, sends: bool, paid: bool
) -> None:
    engine = Engine(answers, sends=sends)
    the_end, call = end(engine), builders.call()

    task = asyncio.ensure_future(the_end.ask(call))
    await (engine.asked.wait() if answers is hangs else asyncio.wait([task], timeout=GUARD_S))

    assert paid is call.maybe_paid
    task.cancel()
    await asyncio.wait([task])
    assert paid is call.maybe_paid


async def test_what_may_have_been_paid_before_stays_so() -> None:
    call = builders.call(maybe_paid=True)

    await fail(end(Engine(fails(503))), call)

    assert call.maybe_paid


async def test_deadline_that_ends_an_unusual_silence_shows_it() -> None:
    engine = Engine(streams(event("Yes"), STOP))
    the_end = end(engine)
    await the_end.ask(builders.call())
    engine.answers = hangs

    silent = await fail(the_end, within(LEAST_S + SHORT_S, the_end))
    impatient = await fail(the_end, within(SHORT_S, the_end))

    assert isinstance(silent, OutOfTime)
    assert isinstance(impatient, OutOfTime)
    assert (True, False) == (silent.shows_silence, impatient.shows_silence)


async def test_refusals_come_sooner_than_answers_and_teach_nothing() -> None:
    engine = Engine(fails(429))
    the_end = end(engine)
    await fail(the_end, builders.call())
    engine.answers = hangs

    error = await fail(the_end, within(LEAST_S + SHORT_S, the_end))

    assert isinstance(error, OutOfTime)
    assert not error.shows_silence
