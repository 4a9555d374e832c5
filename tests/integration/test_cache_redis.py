"""The cache over a real Redis: shared between nodes, and whatever becomes of it, calls are neither slow nor wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from cache_bench import NODE_KEY, body, cache_config, cache_key, content
from contracts.store_contract import StoreBench, StoreContract
from fakes.link import WatchedLink
from harness.certificates import Authority
from harness.redis_server import RedisServer, needs_redis
from upstream_end import RealClock

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.redis_link import RedisLink
from edgeclient.cache.redis_store import RedisStore
from edgeclient.cache.seal import Checksum, Seal
from edgeclient.core.cache import CacheKey, CacheUnreachableError
from edgeclient.core.cache_events import CacheLookedUp, CacheStoreBack, CacheStoreLost, CacheWritesRefused
from edgeclient.core.companion import companion
from edgeclient.core.events import Event

SECRET = "the boiler in hall 7 reads 97 degrees"
GENEROUS_S = 5.0  # a budget that a machine under load keeps to as well

pytestmark = needs_redis


class Node:
    """One node's way to Redis."""

    def __init__(
        self,
        url: str,
        *,
        seal: Seal | None = None,
        password: str = "",
        ca_file: str = "",
        budget_s: float = GENEROUS_S,
        **settings: Any,
    ) -> None:
        link = RedisLink(url, user="", password=password, ca_file=ca_file, prefix="edgeclient")
        self.link = WatchedLink(link)
        self.events: list[Event] = []
        self.store = RedisStore(
            self.link,
            cache_config(redis_budget_s=min(budget_s, 1.0), **settings),
            seal=seal or Checksum(),
            clock=RealClock(),
            observe=self._observed,
        )
        self.store._budget_s = budget_s
        self._count = 0
        self._observed_any = asyncio.Event()

    async def keep(self, key: CacheKey, kept: bytes) -> None:
        self.store.keep(key, kept)
        self._count += 1
        await self.link.put_done(self._count)

    async def pass_by(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)  # Redis has a clock of its own

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def seen(self, kind: type[Event], count: int = 1) -> None:
        async with asyncio.timeout(30):
            while len(self.told(kind)) < count:
                self._observed_any.clear()
                await self._observed_any.wait()

    def _observed(self, event: Event) -> None:
        self.events.append(event)
        self._observed_any.set()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def started(stack: AsyncExitStack, node: Node) -> Node:
    stack.push_async_callback(node.store.close)
    await stack.enter_async_context(companion(node.store.run(), name="writes and probes"))
    return node


async def serving(stack: AsyncExitStack, tmp_path: Path, *options: str) -> RedisServer:
    return await stack.enter_async_context(RedisServer(tmp_path / "redis", *options))


def cipher() -> Cipher:
    return Cipher(NODE_KEY, purpose="test", wall_s=time.time)


class TestRedisStore(StoreContract):
    @pytest.fixture(params=["plain", "sealed"])
    async def bench(self, request: pytest.FixtureRequest, tmp_path: Path, stack: AsyncExitStack) -> StoreBench:
        server = await serving(stack, tmp_path)
        return await started(stack, Node(server.url, seal=None if request.param == "plain" else cipher()))


async def test_nodes_with_the_same_key_share_and_others_see_nothing(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    one, other, stranger = [
        await started(stack, Node(server.url, seal=seal)) for seal in (cipher(), cipher(), Checksum())
    ]
    await one.keep(cache_key(), body(SECRET))

    assert SECRET == content(await other.store.find(cache_key()))
    assert await stranger.store.find(cache_key()) is None


@pytest.mark.parametrize("sealed", [False, True])
async def test_who_can_read_redis_cannot_read_sealed_answers(
    tmp_path: Path, stack: AsyncExitStack, *, sealed: bool
) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url, seal=cipher() if sealed else None))
    await node.keep(cache_key(SECRET, caller="camera-7"), body(SECRET))
    reader = redis.asyncio.Redis.from_url(server.url)
    keys: list[Any] = await reader.keys("*")
    values: list[Any] = [await reader.get(key) for key in keys]
    seen = b"".join([*keys, *values])
    lives_ms = [await reader.pttl(key) for key in keys]
    await reader.aclose()

    assert (SECRET.encode() in seen) is not sealed, "the scan can see"
    assert b"camera-7" not in seen
    assert 1 == len(keys)
    assert 990_000 < lives_ms[0] <= 1_000_000


async def test_killed_server_is_a_miss_and_is_used_again_when_it_is_back(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url))
    await node.keep(cache_key(), body())
    server.kill()

    assert [None] * 5 == [await node.store.find(cache_key()) for _ in range(5)]
    assert 1 == len(node.told(CacheStoreLost))

    await server.start()
    await node.seen(CacheStoreBack)
    await node.keep(cache_key(), body("new"))
    assert "new" == content(await node.store.find(cache_key()))


async def test_server_that_hangs_costs_two_budgets_and_then_nothing(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url, budget_s=0.05))
    await node.keep(cache_key(), body())
    server.stop()

    assert [None] * 50 == [await node.store.find(cache_key()) for _ in range(50)]
    assert ["late", "late"] == [event.outcome for event in node.told(CacheLookedUp)]

    server.go_on()
    node.store._budget_s = GENEROUS_S
    await node.seen(CacheStoreBack)
    assert "yes" == content(await node.store.find(cache_key()))


async def test_reply_that_comes_too_late_is_nobody_elses_answer(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url))
    texts = [f"question {number}" for number in range(20)]
    for text in texts:
        await node.keep(cache_key(text), body(f"answer to {text}"))
    for _ in range(3):
        server.stop()
        cut = [asyncio.create_task(node.store.find(cache_key(text)), name=text) for text in texts]
        await asyncio.sleep(0.01)
        for task in cut:
            task.cancel()
        await asyncio.wait(cut)
        server.go_on()

        for text in reversed(texts):
            assert f"answer to {text}" == content(await node.store.find(cache_key(text)))
    assert [] == node.told(CacheStoreLost)


async def test_cancellation_is_never_lost(tmp_path: Path, stack: AsyncExitStack) -> None:
    """The client's own time limits lost one in ten of them, and a node that drains waited for ever."""
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url))
    for number in range(300):
        task = asyncio.create_task(node.link.put(bytes(16), bytes(16), b"x", life_ms=1000), name="put")
        for _ in range(number % 30):
            await asyncio.sleep(0)
        cut = task.cancel()
        await asyncio.wait([task])

        assert task.cancelled() is cut


async def test_nobody_there_is_told_with_what_was_tried(stack: AsyncExitStack) -> None:
    node = await started(stack, Node("redis://127.0.0.1:9"))

    assert [None] * 3 == [await node.store.find(cache_key()) for _ in range(3)]
    assert "127.0.0.1:9" in node.told(CacheStoreLost)[0].problem
    with pytest.raises(CacheUnreachableError, match=r"127\.0\.0\.1:9"):
        await node.store.forget("device-7")


@pytest.mark.parametrize("password", ["", "wrong-password"])
async def test_wrong_password_is_told_with_the_cure_and_not_repeated(
    tmp_path: Path, stack: AsyncExitStack, password: str
) -> None:
    server = await serving(stack, tmp_path, "--requirepass", "right-password")
    node = await started(stack, Node(server.url, password=password))

    assert await node.store.find(cache_key()) is None
    (lost,) = node.told(CacheStoreLost)
    assert "password" in lost.problem.lower() or "NOAUTH" in lost.problem
    assert "right-password" not in lost.problem
    assert not password or password not in lost.problem


async def test_right_password_lets_in(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path, "--requirepass", "right-password")
    node = await started(stack, Node(server.url, password="right-password"))
    await node.keep(cache_key(), body())

    assert "yes" == content(await node.store.find(cache_key()))


async def test_full_memory_takes_nothing_and_is_read_all_the_same(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    node = await started(stack, Node(server.url))
    await node.keep(cache_key(), body())
    for number in range(40):
        node.store.keep(cache_key(str(number)), bytes(200_000))
        await asyncio.sleep(0)
    await node.seen(CacheWritesRefused)

    assert "yes" == content(await node.store.find(cache_key()))
    assert "maxmemory" in node.told(CacheWritesRefused)[0].problem
    assert [] == node.told(CacheStoreLost)


async def test_values_of_others_under_the_same_names_do_no_harm(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url))
    name = f"edgeclient:{Checksum().tag(cache_key().digest).hex()}"
    other = redis.asyncio.Redis.from_url(server.url)
    for put in (other.set(name, b"hello", px=5000), other.set(name, bytes(100), px=5000), other.set(name, bytes(100))):
        await put
        assert await node.store.find(cache_key()) is None
    await other.delete(name)
    await other.lpush(name, "a list")
    assert await node.store.find(cache_key()) is None
    await other.aclose()


async def test_forgetting_finds_everything_among_much_else(tmp_path: Path, stack: AsyncExitStack) -> None:
    server = await serving(stack, tmp_path)
    node = await started(stack, Node(server.url, seal=cipher()))
    other = redis.asyncio.Redis.from_url(server.url)
    await other.mset({f"foreign:{number}": b"x" for number in range(3000)})
    await other.mset({f"edgeclient:{number:032x}": b"x" * 20 for number in range(3000)})
    for number in range(30):
        await node.keep(cache_key(str(number)), body())
    await node.keep(cache_key(caller="device-8"), body("mine"))

    assert 30 == await node.store.forget("device-7")
    assert 6001 == await other.dbsize()
    await other.aclose()
    assert "mine" == content(await node.store.find(cache_key(caller="device-8")))


async def test_tls_with_a_private_ca_and_without_the_right_one(
    tmp_path: Path, stack: AsyncExitStack, unused_tcp_port: int
) -> None:
    authority = Authority()
    ca_file, certificate_file, key_file = (tmp_path / name for name in ("ca.pem", "redis.pem", "redis.key"))
    ca_file.write_bytes(authority.pem)
    authority.issue().write(certificate_file, key_file)
    options = {
        "--tls-port": str(unused_tcp_port),
        "--tls-cert-file": str(certificate_file),
        "--tls-key-file": str(key_file),
        "--tls-ca-cert-file": str(ca_file),
        "--tls-auth-clients": "no",
    }
    await serving(stack, tmp_path, *[word for pair in options.items() for word in pair])
    url = f"rediss://127.0.0.1:{unused_tcp_port}/0"
    node = await started(stack, Node(url, ca_file=str(ca_file)))
    await node.keep(cache_key(), body())

    assert "yes" == content(await node.store.find(cache_key()))
    stranger = await started(stack, Node(url))
    assert [None] * 2 == [await stranger.store.find(cache_key()) for _ in range(2)]
    assert "certificate" in stranger.told(CacheStoreLost)[0].problem.lower()
