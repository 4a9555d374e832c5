"""The thread that has the cache's file open, and what it does when something is wrong.

Damage: the file is thrown away and begun anew, at once. Anything else that the disk says, a full one included: the file
is thrown away, which leaves its room to those who need it more, and the cache does without until it is tried again.
Nobody who waits is told more than that there is nothing.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import apsw

from edgeclient.cache.disk_file import DiskFile, ForeignFileError, Row, UnusableFileError, discard
from edgeclient.core.cache import StoreStats
from edgeclient.core.cache_events import (
    CacheEvicted,
    CacheFileDiscarded,
    CacheStoreBack,
    CacheStoreLost,
    CacheWriteDropped,
)
from edgeclient.core.events import Event
from edgeclient.core.ports import Clock, Observe

STORE = "disk"
_MOST_WAITING_BYTES = 4 * 1024**2
_MOST_PER_TURN = 64
_SWEEP_S = 600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[T]):
    run: Callable[[DiskFile], T]
    future: asyncio.Future[T | None]


class DiskThread:
    """See the module.

    Args:
        path: The file.
        scheme: How bodies are sealed.
        max_bytes: Largest size of the file.
        keep_ms: Older answers are removed.
        clock: Time.
        observe: Takes events, in the event loop.
        try_again_s: Pause before a disk that failed is tried again.

    Attributes:
        stats: The counts.
    """

    def __init__(
        self,
        path: Path,
        *,
        scheme: str,
        max_bytes: int,
        keep_ms: int,
        clock: Clock,
        observe: Observe,
        try_again_s: float,
    ) -> None:
        self.stats = StoreStats(usable=False)
        self._path = path
        self._scheme = scheme
        self._max_bytes = max_bytes
        self._keep_ms = keep_ms
        self._clock = clock
        self._observe = observe
        self._try_again_s = try_again_s
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Task[Any] | Row | None] = SimpleQueue()
        self._waiting_bytes = 0
        self._file: DiskFile | None = None
        self._lost_at_s = 0.0
        self._sweep_at_s = 0.0
        self._thread = threading.Thread(target=self._main, name="cache", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()

    # in the event loop

    async def start(self) -> None:
        """Open the file.

        Raises:
            ForeignFileError, apsw.Error, OSError: It cannot be.
        """
        self._thread.start()
        await asyncio.shield(self._opened)

    def write(self, row: Row) -> None:
        """Store an answer, some time; it is dropped if too much waits already."""
        if self._waiting_bytes + len(row.body) > _MOST_WAITING_BYTES:
            self._observe(CacheWriteDropped(store=STORE, why="busy"))
            return
        self._waiting_bytes += len(row.body)
        self._waiting.put(row)

    async def do(self, run: Callable[[DiskFile], T]) -> T | None:
        """What a function of the file returns; None if there is no file now."""
        future: asyncio.Future[T | None] = self._loop.create_future()
        self._waiting.put(_Task(run=run, future=future))
        return await future

    async def close(self) -> None:
        """Write what waits and close the file."""
        self._waiting.put(None)
        await self._ended.wait()

    def _written(self, size_bytes: int) -> None:
        self._waiting_bytes -= size_bytes

    # in the thread

    def _main(self) -> None:
        try:
            self._file = self._open()
        except BaseException as error:  # noqa: BLE001  carried over to who waits for it
            self._tell(self._opened.set_exception, error)
            self._tell(self._ended.set)
            return
        self._count()
        self._tell(self._opened.set_result, None)
        while (turn := self._take()) is not None:
            self._serve(turn)
        if self._file is not None:
            with suppress(apsw.Error):
                self._file.close()
        self._tell(self._ended.set)

    def _take(self) -> list[_Task[Any] | Row] | None:
        """What waits, in its order; None: it is time to close."""
        turn: list[_Task[Any] | Row] = []
        with suppress(Empty):
            timeout_s: float | None = _SWEEP_S
            while len(turn) < _MOST_PER_TURN:
                each = self._waiting.get(timeout=timeout_s) if not turn else self._waiting.get_nowait()
                if each is None:
                    if not turn:
                        return None
                    self._waiting.put(None)  # after this turn
                    break
                turn.append(each)
        return turn

    def _serve(self, turn: list[_Task[Any] | Row]) -> None:
        rows = [each for each in turn if isinstance(each, Row)]
        tasks = [each for each in turn if isinstance(each, _Task) and not each.future.cancelled()]
        results: list[Any] = []
        try:
            file = self._file or self._open_again()
            if file is not None:
                self._put(file, rows)
                results = [task.run(file) for task in tasks]
                self._sweep(file)
        except Exception as fault:  # noqa: BLE001  whatever it is, calls go on without the file, and the log has it
            self._break(fault)
        if rows:
            self._tell(self._written, sum(len(row.body) for row in rows))
            if self._file is None:
                self._tell(self._observe, CacheWriteDropped(store=STORE, why="unusable"))
        results += [None] * (len(tasks) - len(results))
        self._count()
        for task, result in zip(tasks, results, strict=True):
            self._tell(_settle, task.future, result)

    def _put(self, file: DiskFile, rows: list[Row]) -> None:
        if rows:
            self._tell_evicted("room", file.put(rows))

    def _sweep(self, file: DiskFile) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._sweep_at_s:
            self._sweep_at_s = now_s + _SWEEP_S
            self._tell_evicted("age", file.drop_old(before_ms=round(self._clock.wall_s() * 1000) - self._keep_ms))

    def _open(self) -> DiskFile:
        try:
            return DiskFile(self._path, scheme=self._scheme, max_bytes=self._max_bytes)
        except UnusableFileError as problem:
            discard(self._path)
            self._tell_event(CacheFileDiscarded(path=str(self._path), problem=str(problem)))
            return DiskFile(self._path, scheme=self._scheme, max_bytes=self._max_bytes)

    def _open_again(self) -> DiskFile | None:
        now_s = self._clock.monotonic_s()
        if now_s < self._lost_at_s + self._try_again_s:
            return None
        try:
            self._file = self._open()
        except (apsw.Error, OSError, ForeignFileError, UnusableFileError):
            self._lost_at_s = now_s
            return None
        self._tell_event(CacheStoreBack(store=STORE, duration_s=now_s - self._lost_at_s))
        return self._file

    def _break(self, fault: Exception) -> None:
        """Throw the file away; damage is mended by that, and anything else waits."""
        file, self._file = self._file, None
        problem = str(fault) or type(fault).__name__
        with suppress(apsw.Error):
            if file is not None:
                file.close()
        with suppress(OSError):
            discard(self._path)
        if isinstance(fault, apsw.CorruptError | apsw.NotADBError):
            self._tell_event(CacheFileDiscarded(path=str(self._path), problem=problem))
            with suppress(apsw.Error, OSError, ForeignFileError, UnusableFileError):
                self._file = self._open()
        if self._file is None:
            self._lost_at_s = self._clock.monotonic_s()
            self._tell_event(CacheStoreLost(store=STORE, problem=problem))

    def _count(self) -> None:
        file = self._file
        self.stats = (
            StoreStats(usable=False)
            if file is None
            else StoreStats(entries=file.count, size_bytes=file.room_bytes, usable=True)
        )

    def _tell_evicted(self, cause: str, count: int) -> None:
        if count:
            self._tell_event(CacheEvicted(store=STORE, cause=cause, count=count))

    def _tell_event(self, event: Event) -> None:
        self._tell(self._observe, event)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(what, *values)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
