"""The client's side of a connection against a peer in memory that a test drives frame by frame."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h2_peer import Peer

from edgeclient.upstream.http2 import pulse as pulses
from edgeclient.upstream.http2.connection import Http2Connection
from edgeclient.upstream.http2.pulse import Upkeep
from edgeclient.upstream.http2.stream import Http2Stream, NotProcessed

FIELDS = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"cloud.test"), (b":path", b"/v1/chat")]
USUAL = Upkeep(keepalive_s=20.0, keepalive_timeout_s=10.0, idle_timeout_s=300.0)
MIB = 1024 * 1024


class Client:
    """A connection, its peer, and the requests that a test has begun."""

    def __init__(self, upkeep: Upkeep = USUAL) -> None:
        self.limits: list[int] = []
        self.sent: list[int] = []
        self.connection = Http2Connection(upkeep, on_stream_limit=self.limits.append)
        self.peer = Peer(self.connection)
        self.tasks: list[asyncio.Task[Http2Stream]] = []

    async def ask(self, body: bytes = b"{}") -> asyncio.Task[Http2Stream]:
        number = len(self.tasks)
        sending = self.connection.send(FIELDS, body, on_sent=lambda: self.sent.append(number))
        task = asyncio.ensure_future(sending)
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client whose peer permits a hundred streams."""
    client = Client()
    client.peer.settle(streams=100)
    yield client
    for task in client.tasks:
        task.cancel()
    await asyncio.gather(*client.tasks, return_exceptions=True)
    client.connection.close("the test is over")


async def body_of(stream: Http2Stream) -> bytes:
    pieces = []
    while piece := await stream.read():
        pieces.append(piece)
    return b"".join(pieces)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  what it waits for happens in turns of the loop
            await asyncio.sleep(0.001)


async def test_answer_is_read_as_it_comes(client: Client) -> None:
    asking = await client.ask(b'{"model":"qwen"}')
    await client.peer.hear()
    client.peer.answer(1, b"one ", end=False)
    stream = await asking
    assert (200, b"one ") == (stream.status, await stream.read())
    client.peer.h2.send_data(1, b"two", end_stream=True)
    client.peer.say()

    assert b"two" == await body_of(stream)
    assert [(b"content-type", b"application/json")] == stream.fields
    assert [1] == client.peer.whole


async def test_requests_of_one_turn_leave_in_one_write(client: Client) -> None:
    await client.peer.hear()
    for _ in range(20):
        await client.ask()
    before = len(client.peer.wire.written)
    tasks = [asyncio.ensure_future(client.connection.send(FIELDS, b"{}", on_sent=lambda: None)) for _ in range(20)]
    await asyncio.sleep(0)
    await client.peer.hear()

    assert len(client.peer.whole) == 40
    assert before >= 1
    client.tasks += tasks
    more = [asyncio.ensure_future(client.connection.send(FIELDS, b"{}", on_sent=lambda: None)) for _ in range(20)]
    client.tasks += more
    await asyncio.sleep(0)
    assert 1 == await client.peer.hear()
    assert len(client.peer.whole) == 60


async def test_request_that_is_given_up_before_its_headers_is_reset_in_the_same_turn(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    asking.cancel()
    await asyncio.wait([asking])
    await client.peer.hear()

    assert [(1, ErrorCodes.CANCEL)] == client.peer.resets


async def test_answer_that_nobody_reads_to_its_end_is_reset(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    client.peer.answer(1, b"a piece", end=False)
    (await asking).leave()
    await client.peer.hear()

    assert [(1, ErrorCodes.CANCEL)] == client.peer.resets


async def test_answer_that_was_complete_is_not_reset(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    client.peer.answer(1)
    (await asking).leave()
    await client.peer.hear()

    assert [] == client.peer.resets


async def test_before_the_settings_one_request_leaves_and_the_others_wait_unsent() -> None:
    client = Client()
    for _ in range(3):
        await client.ask()
    await client.peer.hear()
    assert [0] == client.sent

    client.peer.settle(streams=2)
    await client.peer.hear()
    assert ([0, 1], [2]) == (client.sent, client.limits)
    client.peer.answer(1)
    await client.peer.hear()
    assert [0, 1, 2] == client.sent
    await asyncio.wait([client.tasks[0]])
    client.connection.close("the test is over")
    await asyncio.gather(*client.tasks, return_exceptions=True)


async def test_limit_that_shrinks_is_kept_and_those_under_way_go_on(client: Client) -> None:
    for _ in range(3):
        await client.ask()
    await client.peer.hear()
    client.peer.limit(1)
    await client.peer.hear()
    waiting = await client.ask()
    for number in (1, 3):
        client.peer.answer(number)
    await client.peer.hear()
    assert 3 == len(client.sent)
    client.peer.answer(5)
    await until(lambda: 4 == len(client.sent))
    await client.peer.hear()

    assert [100, 1] == client.limits
    client.peer.answer(7)
    assert 200 == (await waiting).status


async def test_who_waits_for_a_place_may_leave_and_the_next_one_gets_it() -> None:
    client = Client()
    client.peer.settle(streams=1)
    first, second, third = [await client.ask() for _ in range(3)]
    await client.peer.hear()
    client.peer.answer(1)
    second.cancel()  # in the moment in which the place is its own
    await asyncio.wait([first, second])
    await until(lambda: client.sent == [0, 2])
    await client.peer.hear()
    client.peer.answer(3)

    assert 200 == (await third).status
    client.connection.close("the test is over")


async def test_goaway_spares_what_it_names_and_turns_the_rest_away(client: Client) -> None:
    spared, late = await client.ask(), await client.ask()
    await client.peer.hear()
    client.peer.goaway(last=1)
    with pytest.raises(NotProcessed):
        await late
    assert not client.connection.is_open
    with pytest.raises(NotProcessed):
        await (await client.ask())
    client.peer.answer(1, b"whole")

    assert b"whole" == await body_of(await spared)
    assert "closed" == client.peer.wire.ended


async def test_refused_stream_was_not_processed_and_any_other_reset_may_have_been(client: Client) -> None:
    refused, broken = await client.ask(), await client.ask()
    await client.peer.hear()
    client.peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    client.peer.h2.reset_stream(3, ErrorCodes.INTERNAL_ERROR)
    client.peer.say()

    with pytest.raises(NotProcessed):
        await refused
    with pytest.raises(httpx.ReadError, match="INTERNAL_ERROR"):
        await broken


async def test_answer_cut_off_is_read_to_the_cut_and_then_fails(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    client.peer.answer(1, b"half an", end=False)
    stream = await asking
    client.connection.connection_lost(ConnectionResetError("reset by peer"))

    assert b"half an" == await stream.read()
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        await stream.read()
    assert client.connection.is_lost


@pytest.mark.parametrize("settled", [False, True])
async def test_peer_that_does_not_speak_the_protocol_is_left(*, settled: bool) -> None:
    client = Client()
    if settled:
        client.peer.settle()
    asking = await client.ask()
    noise = b"\x00\x00\x01\x06\x00\x00\x00\x00\x00x" if settled else b"HTTP/1.1 400 Bad Request\r\n\r\n"
    client.connection.data_received(noise)

    with pytest.raises(httpx.RemoteProtocolError, match="breaks HTTP/2" if settled else "no application protocol"):
        await asking
    await client.connection.settled()
    assert settled != client.connection.is_foreign
    assert "aborted" == client.peer.wire.ended


async def test_large_request_follows_the_windows_of_the_peer(client: Client) -> None:
    body = b"x" * (3 * MIB)
    asking = await client.ask(body)
    await client.peer.hear()
    assert [] == client.peer.whole
    received = 0
    while not client.peer.whole:
        received = client.peer.h2.remote_flow_control_window(1)
        client.peer.h2.increment_flow_control_window(MIB)
        client.peer.h2.increment_flow_control_window(MIB, 1)
        client.peer.say()
        await client.peer.hear()
    client.peer.answer(1)

    assert 200 == (await asking).status
    assert 0 <= received


async def test_bodies_wait_while_the_kernel_takes_nothing(client: Client) -> None:
    client.connection.pause_writing()
    await client.ask(b"body")
    await client.peer.hear()
    assert ([1], []) == (client.peer.asked, client.peer.whole)
    client.connection.resume_writing()
    await client.peer.hear()

    assert [1] == client.peer.whole


async def test_peer_gets_its_window_back_only_as_the_answer_is_read(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    client.peer.h2.send_headers(1, [(b":status", b"200")])
    for _ in range(60):
        client.peer.h2.send_data(1, b"x" * 16_000)
        client.peer.say()
    await client.peer.hear()
    full = client.peer.h2.local_flow_control_window(1)
    stream = await asking
    assert 960_000 == len(await stream.read())
    await client.peer.hear()

    assert full < 100_000
    assert client.peer.h2.local_flow_control_window(1) > full + 900_000


async def test_answer_before_the_end_of_the_request_ends_the_request(client: Client) -> None:
    asking = await client.ask(b"x" * (3 * MIB))
    await client.peer.hear()
    client.peer.h2.send_headers(1, [(b":status", b"413")], end_stream=True)
    client.peer.say()
    await client.peer.hear()

    assert 413 == (await asking).status
    assert [(1, ErrorCodes.NO_ERROR)] == client.peer.resets


async def test_pushes_are_refused_and_windows_are_announced() -> None:
    client = Client()
    client.peer.settle()
    await client.peer.hear()
    settings = client.peer.h2.remote_settings

    assert (0, MIB) == (settings.enable_push, settings.initial_window_size)
    assert 64 * 1024 == settings[SettingCodes.MAX_HEADER_LIST_SIZE]
    assert 8 * MIB == client.peer.h2.outbound_flow_control_window
    client.connection.close("the test is over")


async def test_silent_connection_is_pinged_and_stays_if_it_answers() -> None:
    client = Client(Upkeep(keepalive_s=0.02, keepalive_timeout_s=0.5, idle_timeout_s=300.0))
    client.peer.settle(streams=100)
    for count in (1, 2):
        await until(lambda: any(client.peer.wire.written))
        await client.peer.hear()
        assert client.peer.pings >= count - 1
        client.peer.say()

    assert client.connection.is_open
    client.connection.close("the test is over")


async def test_connection_that_does_not_answer_its_ping_is_dead() -> None:
    client = Client(Upkeep(keepalive_s=0.02, keepalive_timeout_s=0.02, idle_timeout_s=300.0))
    client.peer.settle(streams=100)
    asking = await client.ask()

    with pytest.raises(httpx.ReadError, match="keep-alive timed out"):
        await asking
    assert client.connection.is_lost
    assert "aborted" == client.peer.wire.ended


async def test_request_that_meets_silence_asks_long_before_a_ping_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "_CONFIRM_S", 0.02)
    client = Client(Upkeep(keepalive_s=300.0, keepalive_timeout_s=0.02, idle_timeout_s=300.0))
    client.peer.settle(streams=100)
    asking = await client.ask()

    with pytest.raises(httpx.ReadError, match="keep-alive timed out"):
        await asking
    await client.peer.hear()
    assert 1 == client.peer.pings


async def test_request_that_is_heard_of_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "_CONFIRM_S", 0.02)
    client = Client(Upkeep(keepalive_s=300.0, keepalive_timeout_s=0.02, idle_timeout_s=300.0))
    client.peer.settle(streams=100)
    asking = await client.ask()
    await client.peer.hear()
    client.peer.answer(1, b"a piece", end=False)
    stream = await asking
    assert b"a piece" == await stream.read()
    await asyncio.wait([asyncio.ensure_future(stream.read())], timeout=0.1)  # a long while, as such things go
    await client.peer.hear()

    assert 0 == client.peer.pings
    assert client.connection.is_open
    client.connection.close("the test is over")


async def test_connection_that_nobody_uses_is_closed() -> None:
    client = Client(Upkeep(keepalive_s=0.02, keepalive_timeout_s=5.0, idle_timeout_s=0.01))
    client.peer.settle(streams=100)

    await until(lambda: client.connection.is_lost)
    assert "closed" == client.peer.wire.ended


async def test_after_a_request_was_given_up_without_headers_the_peer_has_to_answer_a_ping(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    asking.cancel()
    await asyncio.wait([asking])
    assert client.connection.pulse.is_asked
    assert not await client.connection.pulse.answers(within_s=0.01)

    await client.peer.hear()
    assert 1 == client.peer.pings
    client.peer.say()
    assert not client.connection.pulse.is_asked
    assert client.connection.is_open


async def test_bytes_that_were_under_way_do_not_answer_a_ping(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    answering = asyncio.ensure_future(client.connection.pulse.answers(within_s=0.05))
    await asyncio.sleep(0)
    client.peer.answer(1)

    assert 200 == (await asking).status
    assert not await answering


async def test_retired_connection_ends_with_its_last_request(client: Client) -> None:
    asking = await client.ask()
    await client.peer.hear()
    client.connection.retire("the test wants it")
    assert "" == client.peer.wire.ended
    client.peer.answer(1)

    assert 200 == (await asking).status
    assert "closed" == client.peer.wire.ended
