"""The admin port over real sockets: what operators ask, and what nobody should send."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeclient.config.setting import SettingError
from edgeclient.core.events import DefectFound, Event
from edgeclient.telemetry.admin import AdminServer
from edgeclient.telemetry.admin_connection import AdminConnection, AdminLimits
from edgeclient.telemetry.admin_pages import MakePage, Page, admin_pages
from edgeclient.telemetry.metrics import Metrics

GUARD_S = 20
QUICK_S = 0.05  # short enough for a test to wait for, and nothing else happens meanwhile
HUGE = 32 * 1024 * 1024  # more than the buffers of a socket pair hold


class Node:
    """What the port tells about, changeable by a test."""

    def __init__(self) -> None:
        self.metrics = Metrics(node_id="box-1", version="1.2.3", targets=["dashscope"])
        self.readiness: dict[str, str] = {"uplink": "", "key": ""}
        self.events: list[Event] = []
        self.limits = AdminLimits()
        self.pages: dict[str, MakePage] = admin_pages(metrics=self.metrics.page, readiness=lambda: self.readiness)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def server(node: Node) -> AsyncIterator[AdminServer]:
    """A server with the limits that the node has when the fixture is made; a test with others makes its own."""
    server = AdminServer("127.0.0.1:0", pages=node.pages, observe=node.events.append, limits=node.limits)
    async with asyncio.timeout(GUARD_S):
        await server.start()
        yield server
        await server.close()


@pytest.fixture
async def client(server: AdminServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{server.address}", trust_env=False) as client:
        yield client


async def connect(server: AdminServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def said(server: AdminServer, request: bytes) -> bytes:
    """Everything that the port says to these bytes until it hangs up."""
    reader, writer = await connect(server)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


class Watched(AdminServer):
    """A server that tells when a connection has gone."""

    def __init__(self, listen: str, **more: Any) -> None:
        super().__init__(listen, **more)
        self.gone = asyncio.Event()

    def left(self, connection: AdminConnection) -> None:
        super().left(connection)
        self.gone.set()


class Limited:
    """A server with limits of its own."""

    def __init__(self, node: Node, **limits: float) -> None:
        limited = AdminLimits(**limits)  # type: ignore[arg-type]  # numbers of either kind
        self.server = Watched("127.0.0.1:0", pages=node.pages, observe=node.events.append, limits=limited)
        self._guard = asyncio.timeout(GUARD_S)

    async def __aenter__(self) -> Watched:
        await self._guard.__aenter__()
        await self.server.start()
        return self.server

    async def __aexit__(self, *failure: object) -> None:
        await self.server.close()
        await self._guard.__aexit__(None, None, None)


async def test_prometheus_reads_the_metrics(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")

    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {"edgeclient_uplink_state", "process_resident_memory_bytes", "target_info"} <= families


async def test_openmetrics_is_given_to_who_asks_for_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_live_and_ready(client: httpx.AsyncClient, node: Node) -> None:
    live, ready = await client.get("/livez"), await client.get("/readyz")
    node.readiness["uplink"] = "the provider cannot be reached"
    unready = await client.get("/readyz")

    assert (live.status_code, live.text) == (200, "ok\n")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert unready.status_code == 503
    assert unready.json()["checks"][0] == {
        "name": "uplink",
        "ready": False,
        "reason": "the provider cannot be reached",
    }


async def test_root_lists_the_pages_and_a_wrong_path_is_told_them(client: httpx.AsyncClient) -> None:
    root, wrong = await client.get("/"), await client.get("/metric")

    assert root.text.split() == ["/metrics", "/livez", "/readyz"]
    assert wrong.status_code == 404
    assert "/metrics, /livez, /readyz" in wrong.text


async def test_query_is_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez?verbose=1")).status_code == 200


async def test_head_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient) -> None:
    head, get = await client.head("/livez"), await client.get("/livez")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == "3"


async def test_other_methods_are_refused_and_told_which_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/metrics")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/metrics", content=b"x" * 100_000)

    assert answer.status_code == 400
    assert answer.headers["connection"] == "close"


async def test_connection_is_kept_for_the_next_request(server: AdminServer) -> None:
    reader, writer = await connect(server)
    answers = []
    for _ in range(3):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        answers.append((head.split(b"\r\n")[0], await reader.readexactly(3)))
    writer.close()

    assert answers == [(b"HTTP/1.1 200 OK", b"ok\n")] * 3


async def test_requests_sent_ahead_are_answered_in_order(server: AdminServer) -> None:
    requests = b"".join(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"livez", b"nowhere", b"readyz"))

    answer = await said(server, requests + b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"200", b"200"]


async def test_request_in_single_bytes_is_understood(server: AdminServer) -> None:
    reader, writer = await connect(server)
    for byte in b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
    answer = await reader.read()
    writer.close()

    assert answer.endswith(b"\r\n\r\nok\n")


async def test_old_http_is_answered_and_hung_up_on(server: AdminServer) -> None:
    assert (await said(server, b"GET /livez HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\nok\n")


async def test_peer_that_has_no_more_to_say_still_gets_its_answer(server: AdminServer) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    writer.write_eof()
    answer = await reader.read()
    writer.close()

    assert answer.endswith(b"\r\n\r\nok\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # a TLS handshake
        b"\x00" * 1000,
        b"GET /livez HTTP/1.1\r\n\r\n",  # no host
        b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
    ],
)
async def test_garbage_is_answered_with_400_and_hung_up_on(server: AdminServer, garbage: bytes, node: Node) -> None:
    answer = await said(server, garbage)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert node.events == []
    assert (await said(server, b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_http2_is_told_that_it_is_not_spoken_here(server: AdminServer) -> None:
    answer = await said(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"505"]


async def test_huge_head_is_refused_and_the_peer_is_told(server: AdminServer) -> None:
    answer = await said(server, b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000)

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_slow_request_is_ended_however_it_trickles(node: Node) -> None:
    async with Limited(node, request_timeout_s=QUICK_S) as server:
        answer = await said(server, b"GET /livez HT")

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_silent_connection_is_ended(node: Node) -> None:
    async with Limited(node, request_timeout_s=QUICK_S) as server:
        assert (await said(server, b"")).startswith(b"HTTP/1.1 408 ")


async def test_idle_connection_is_ended_without_a_word(node: Node) -> None:
    async with Limited(node, idle_timeout_s=QUICK_S) as server:
        answer = await said(server, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"ok\n")


async def test_peer_that_does_not_read_is_cut_off(node: Node) -> None:
    node.pages["/huge"] = lambda _: Page(body=b"x" * HUGE)
    async with Limited(node, write_timeout_s=QUICK_S) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        await server.gone.wait()
        with suppress(ConnectionResetError):
            assert len(await reader.read()) < HUGE
        writer.close()


async def test_slow_reader_gets_everything(node: Node) -> None:
    node.pages["/huge"] = lambda _: Page(body=b"x" * HUGE)
    async with Limited(node) as server:
        first, last = b"GET /huge HTTP/1.1\r\nHost: a\r\n", b"Connection: close\r\n"
        answer = await said(server, first + b"\r\n" + first + last + b"\r\n")

    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(answer) > 2 * HUGE


async def test_one_connection_too_many_is_told_so_and_others_are_served(node: Node) -> None:
    async with Limited(node, max_connections=1) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        first = await reader.readuntil(b"ok\n")
        second = await said(server, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        third = await reader.readuntil(b"ok\n")
        writer.close()

    assert (first[:12], second[:12], third[:12]) == (b"HTTP/1.1 200", b"HTTP/1.1 503", b"HTTP/1.1 200")


async def test_page_that_fails_is_a_defect_and_the_port_stays_open(client: httpx.AsyncClient, node: Node) -> None:
    def broken(_accept: str) -> Page:
        raise ZeroDivisionError("a secret")

    node.pages["/broken"] = broken
    answer, after = await client.get("/broken"), await client.get("/livez")

    assert (answer.status_code, after.status_code) == (500, 200)
    assert "secret" not in answer.text
    (event,) = node.events
    assert isinstance(event, DefectFound)
    assert (event.where, event.kind) == ("admin /broken", "ZeroDivisionError")
    assert "test_admin.py" in event.traceback
    assert "secret" not in event.traceback


async def test_close_ends_idle_connections_and_may_be_called_twice(node: Node) -> None:
    server = AdminServer("127.0.0.1:0", pages=node.pages, observe=node.events.append)
    async with asyncio.timeout(GUARD_S):
        await server.start()
        reader, writer = await connect(server)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"ok\n")
        await server.close()
        await server.close()
        rest = await reader.read()
        writer.close()

    assert rest == b""
    assert server.address == ""


async def test_close_does_not_wait_for_a_peer_that_does_not_read(node: Node) -> None:
    asked = asyncio.Event()

    def huge(_accept: str) -> Page:
        asked.set()
        return Page(body=b"x" * HUGE)

    node.pages["/huge"] = huge
    async with Limited(node) as server:
        _, writer = await connect(server)
        writer.write(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
        await asked.wait()
        await server.close()
        writer.transport.abort()

    assert server.gone.is_set()


async def test_taken_port_is_one_clear_sentence(server: AdminServer, node: Node) -> None:
    second = AdminServer(server.address, pages=node.pages, observe=node.events.append)

    with pytest.raises(SettingError) as caught:
        await second.start()

    assert caught.value.problems == [
        f"admin.listen: {server.address} is in use by another program; stop that or choose another port"
    ]
    await second.close()


@pytest.mark.parametrize(
    ("listen", "words"),
    [("192.0.2.1:9464", "is no address of this machine"), ("no-such-host.invalid:9464", "cannot be resolved")],
)
async def test_impossible_address_is_one_clear_sentence(listen: str, words: str, node: Node) -> None:
    with pytest.raises(SettingError, match=words):
        await AdminServer(listen, pages=node.pages, observe=node.events.append).start()


async def test_ipv6_address_is_written_with_brackets(node: Node) -> None:
    server = AdminServer("[::1]:0", pages=node.pages, observe=node.events.append)
    try:
        await server.start()
    except SettingError:
        pytest.skip("this machine has no IPv6")
    address = server.address
    await server.close()

    assert address.startswith("[::1]:")


async def test_unix_socket_is_served_and_removed(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    server = AdminServer(f"unix:{path}", pages=node.pages, observe=node.events.append)
    await server.start()
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        answer = await client.get("/readyz")
    await server.close()

    assert json.loads(answer.text)["ready"] is True
    assert not path.exists()
