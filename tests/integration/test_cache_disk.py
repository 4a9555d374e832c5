"""The cache's file: it outlives a restart, and whatever is wrong with it, calls go on and nothing false is given."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from cache_bench import NODE_KEY, answer, body, cache_config, cache_key, content
from fakes.clock import FakeClock

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.disk import DiskStore
from edgeclient.cache.disk_file import NAME, DiskFile, Row
from edgeclient.cache.seal import Checksum, Seal
from edgeclient.config.setting import SettingError
from edgeclient.core.cache_events import (
    CacheEvicted,
    CacheFileDiscarded,
    CacheLookedUp,
    CacheStoreBack,
    CacheStoreLost,
    CacheWriteDropped,
)
from edgeclient.core.events import Event

SECRET = "the boiler in hall 7 reads 97 degrees"


class Node:
    """The disk of one node over several lives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.stores: list[DiskStore] = []
        self.seal: Seal = Checksum()

    @property
    def path(self) -> Path:
        return self.directory / NAME

    @property
    def cipher(self) -> Cipher:
        return Cipher(NODE_KEY, purpose="test", wall_s=self.clock.wall_s)

    async def start(self, *, budget_s: float = 20.0, **settings: Any) -> DiskStore:
        config = cache_config(directory=str(self.directory), **settings)
        store = DiskStore(
            config, seal=self.seal, clock=self.clock, observe=self.events.append, budget_s=budget_s, try_again_s=60
        )
        self.stores.append(store)
        await store.open()
        return store

    async def restart(self, **settings: Any) -> DiskStore:
        await self.stores[-1].close()
        return await self.start(**settings)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def raw(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.directory.iterdir()))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path / "cache")
    async with asyncio.timeout(60):
        yield node
    for store in node.stores:
        await store.close()


async def settled(store: DiskStore) -> None:
    """Return when everything that waited has been done."""
    assert store._thread is not None
    await store._thread.do(lambda file: file.count)


async def test_answers_outlive_a_restart(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    after = await node.restart()
    node.clock.advance(5)

    found = await after.find(cache_key())

    assert found is not None
    assert (answer("yes"), 5.0, "disk") == (found.response, found.age_s, found.store)
    assert 1 == after.stats().entries


@pytest.mark.parametrize("sealed", [False, True])
async def test_sealed_file_holds_no_word_of_an_answer_and_no_caller(node: Node, *, sealed: bool) -> None:
    node.seal = node.cipher if sealed else Checksum()
    store = await node.start()
    store.keep(cache_key(SECRET, caller="camera-7-of-hall-7"), body(SECRET))
    await settled(store)
    before = node.raw()
    await store.close()

    for raw in (before, node.raw()):
        assert (SECRET.encode() in raw) is not sealed, "the scan can see"
        assert b"camera-7" not in raw
        assert cache_key(SECRET, caller="camera-7-of-hall-7").digest not in raw


async def test_forgotten_caller_leaves_no_byte(node: Node) -> None:
    store = await node.start()
    for number in range(50):
        store.keep(cache_key(str(number)), body(f"{SECRET} {number} {'x' * number * 100}"))
    store.keep(cache_key(caller="device-8"), body("mine"))
    await settled(store)
    assert SECRET.encode() in node.raw()

    assert 50 == await store.forget("device-7")

    assert SECRET.encode() not in node.raw()
    assert "mine" == content(await store.find(cache_key(caller="device-8")))


async def test_what_is_replaced_or_too_old_leaves_no_byte_either(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key("a"), body(SECRET))
    store.keep(cache_key("b"), body(SECRET))
    store.keep(cache_key("a"), body("new"))
    await settled(store)
    node.clock.advance(1001)
    await settled(store)
    await store.close()

    assert SECRET.encode() not in node.raw()
    assert [("age", 2)] == [(event.cause, event.count) for event in node.told(CacheEvicted)]


async def test_expired_answer_is_not_found_before_it_is_swept(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    node.clock.advance(999)
    assert await store.find(cache_key()) is not None
    node.clock.advance(2)

    assert await store.find(cache_key()) is None
    assert [] == node.told(CacheEvicted)


async def test_box_that_starts_in_the_past_keeps_its_answers_and_tells_no_age(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    await settled(store)
    node.clock = FakeClock(wall_s=1000.0)
    after = await node.restart()

    found = await after.find(cache_key())

    assert found is not None
    assert found.age_s is None
    assert 1 == after.stats().entries


async def test_another_version_is_thrown_away_and_told_once(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    await store.close()
    with apsw.Connection(str(node.path)) as connection:
        connection.pragma("user_version", 99)
    connection.close()

    after = await node.start()

    assert await after.find(cache_key()) is None
    (event,) = node.told(CacheFileDiscarded)
    assert "schema 99" in event.problem
    after.keep(cache_key(), body("new"))
    assert "new" == content(await after.find(cache_key()))


@pytest.mark.parametrize("before_is_sealed", [False, True])
async def test_another_key_is_another_cache(node: Node, *, before_is_sealed: bool) -> None:
    seals: list[Seal] = [node.cipher, Checksum()]
    node.seal = seals[not before_is_sealed]
    store = await node.start()
    store.keep(cache_key(), body(SECRET))
    await settled(store)

    node.seal = seals[before_is_sealed]
    after = await node.restart()

    assert await after.find(cache_key()) is None
    assert ["it was sealed in another way, or with another key"] == [
        event.problem for event in node.told(CacheFileDiscarded)
    ]
    assert SECRET.encode() not in node.raw()


def _cut(raw: bytearray) -> None:
    del raw[len(raw) // 2 :]


def _garbage(raw: bytearray) -> None:
    raw[:] = b"\x00garbage" * 1000


def _header(raw: bytearray) -> None:
    raw[0:16] = b"something else!!"


def _pages(raw: bytearray) -> None:
    raw[4096:] = Random(1).randbytes(len(raw) - 4096)


@pytest.mark.parametrize("damage", [_cut, _garbage, _header, _pages])
async def test_damaged_file_is_begun_anew_while_calls_go_on(node: Node, damage: Callable[[bytearray], None]) -> None:
    store = await node.start()
    for number in range(20):
        store.keep(cache_key(str(number)), body("x" * 5000))
    await store.close()
    raw = bytearray(node.path.read_bytes())
    damage(raw)
    node.path.write_bytes(raw)

    after = await node.start()
    for number in range(20):
        assert content(await after.find(cache_key(str(number)))) in (None, "x" * 5000)
    after.keep(cache_key("new"), body("new"))

    assert "new" == content(await after.find(cache_key("new")))
    assert 1 == len(node.told(CacheFileDiscarded))
    assert [] == node.told(CacheStoreLost)


@pytest.mark.parametrize("sealed", [False, True])
async def test_flipped_bit_is_a_miss_and_never_another_answer(node: Node, *, sealed: bool) -> None:
    node.seal = node.cipher if sealed else Checksum()
    store = await node.start()
    store.keep(cache_key(), body("yes" * 100))
    await store.close()
    with apsw.Connection(str(node.path)) as connection:
        ((kept,),) = connection.execute("SELECT body FROM answer").fetchall()
        assert isinstance(kept, bytes)
        altered = bytearray(kept)
        altered[-10] ^= 1
        connection.execute("UPDATE answer SET body = ?", (bytes(altered),))
    connection.close()

    after = await node.start()

    assert await after.find(cache_key()) is None
    await settled(after)
    assert 0 == after.stats().entries


@pytest.mark.parametrize("column", ["name", "owner", "born_ms"])
async def test_row_that_was_moved_opens_nowhere_else(node: Node, column: str) -> None:
    store = await node.start()
    store.keep(cache_key("hi"), body("for hi"))
    await store.close()
    other = {"name": node.seal.tag(cache_key("ho").digest), "owner": bytes(16), "born_ms": 1_799_999_995_000}[column]
    with apsw.Connection(str(node.path)) as connection:
        connection.execute(f"UPDATE answer SET {column} = ?", (other,))  # noqa: S608  a column of ours
    connection.close()

    after = await node.start()

    assert [None, None] == [await after.find(cache_key(text)) for text in ("hi", "ho")]


async def test_database_of_another_program_is_left_alone(node: Node) -> None:
    node.directory.mkdir()
    with apsw.Connection(str(node.path)) as connection:
        connection.execute("CREATE TABLE precious (x); INSERT INTO precious VALUES (1)")
    connection.close()

    with pytest.raises(SettingError, match="another program"):
        await node.start()

    connection = apsw.Connection(str(node.path))
    assert [(1,)] == connection.execute("SELECT x FROM precious").fetchall()
    connection.close()


async def test_file_that_another_process_has_is_left_alone(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())

    with pytest.raises(SettingError, match="another process"):
        await node.start()

    assert "yes" == content(await store.find(cache_key()))


async def test_folder_that_is_none_is_told(node: Node) -> None:
    node.directory.write_text("a file")

    with pytest.raises(SettingError, match=r"cache\.directory"):
        await node.start()


async def test_files_are_for_their_owner_only(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    await settled(store)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (node.directory, *node.directory.iterdir())}
    assert {"cache": 0o700} | dict.fromkeys(modes.keys() - {"cache"}, 0o600) == modes


@pytest.mark.parametrize("size_bytes", [200, 3000, 30_000])
async def test_file_never_grows_beyond_its_limit_and_the_newest_stay(node: Node, size_bytes: int) -> None:
    limit_bytes = 1024 * 1024
    store = await node.start(max_disk_bytes=limit_bytes)
    count = 3 * limit_bytes // size_bytes
    random = Random(1)
    for number in range(count):
        store.keep(cache_key(str(number)), random.randbytes(size_bytes))
        if not number % 20:
            await settled(store)
            assert node.path.stat().st_size <= limit_bytes
    await settled(store)

    stats = store.stats()
    assert limit_bytes // 2 < stats.size_bytes <= limit_bytes
    assert sum(event.count for event in node.told(CacheEvicted)) == count - stats.entries
    assert store._thread is not None
    newest = [node.seal.tag(cache_key(str(number)).digest) for number in range(count - 10, count)]
    assert 10 == await store._thread.do(lambda file: sum(file.get(name) is not None for name in newest))
    assert [] == node.told(CacheStoreLost)


async def test_smaller_limit_takes_effect_at_the_start(node: Node) -> None:
    store = await node.start(max_disk_bytes=4 * 1024**2)
    for number in range(100):
        store.keep(cache_key(str(number)), bytes(30_000))
    after = await node.restart(max_disk_bytes=1024**2)

    assert after.stats().size_bytes <= 1024**2
    await after.close()
    assert node.path.stat().st_size <= 1024**2


async def test_counts_are_those_of_the_file(node: Node) -> None:
    store = await node.start()
    random = Random(7)
    for number in range(200):
        store.keep(cache_key(str(random.randrange(40))), bytes(random.randrange(5000)))
        if not number % 50:
            await store.forget("device-7")
    await settled(store)
    counted = store.stats()

    after = await node.restart()

    assert (counted.entries, counted.size_bytes) == (after.stats().entries, after.stats().size_bytes)


def _fails(_file: DiskFile) -> int:
    raise apsw.FullError


async def test_disk_that_fails_is_done_without_and_tried_again(node: Node) -> None:
    store = await node.start()
    store.keep(cache_key(), body())
    await settled(store)
    assert store._thread is not None

    assert await store._thread.do(_fails) is None
    assert await store.find(cache_key()) is None
    store.keep(cache_key(), body())
    await store._thread.do(lambda _: None)

    assert 1 == len(node.told(CacheStoreLost))
    assert ["unusable"] == [event.why for event in node.told(CacheWriteDropped)]
    assert not store.stats().usable
    assert not node.path.exists(), "its room is somebody else's now"

    node.clock.advance(60)
    await settled(store)
    store.keep(cache_key(), body())
    assert "yes" == content(await store.find(cache_key()))
    assert [60.0] == [event.duration_s for event in node.told(CacheStoreBack)]


async def test_slow_disk_is_not_waited_for(node: Node) -> None:
    store = await node.start(budget_s=0.01)
    store.keep(cache_key(), body())
    go = threading.Event()
    assert store._thread is not None
    stuck = asyncio.ensure_future(store._thread.do(lambda _: go.wait()))
    await asyncio.sleep(0)

    assert await store.find(cache_key()) is None
    assert ["late"] == [event.outcome for event in node.told(CacheLookedUp)]
    go.set()
    await stuck


async def test_writes_that_wait_are_bounded(node: Node) -> None:
    store = await node.start()
    go = threading.Event()
    assert store._thread is not None
    stuck = asyncio.ensure_future(store._thread.do(lambda _: go.wait()))
    await asyncio.sleep(0)
    for number in range(50):
        store.keep(cache_key(str(number)), bytes(200_000))

    assert 50 - 4 * 1024**2 // 200_033 == len(node.told(CacheWriteDropped))
    go.set()
    await stuck
    await settled(store)
    dropped = len(node.told(CacheWriteDropped))
    store.keep(cache_key("next"), body("x" * 300_000))
    assert "x" * 300_000 == content(await store.find(cache_key("next")))
    assert dropped == len(node.told(CacheWriteDropped))


def test_row_takes_the_pages_that_it_takes() -> None:
    def room(size_bytes: int) -> int:
        return Row(name=b"", owner=b"", born_ms=0, body=bytes(size_bytes)).room_bytes

    assert [160, 960, 4096, 8192] == [room(size_bytes) for size_bytes in (0, 800, 900, 4000)]
