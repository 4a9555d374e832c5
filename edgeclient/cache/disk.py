"""Answers on the disk of this node, where they outlive a restart.

Nobody waits for a write. A look-up has a budget, because flash memory sometimes takes a second for what it mostly does
in a tenth of a millisecond; what comes later is a miss.

Ages are told by the wall clock, for they outlive the process. A box without a battery starts in the past: what is from
the future then is neither fresh nor thrown away, its age is not known.
"""

import asyncio
import stat
from contextlib import suppress
from pathlib import Path

import apsw

from edgeclient.cache.disk_file import NAME, DiskFile, ForeignFileError, Row
from edgeclient.cache.disk_thread import STORE, DiskThread
from edgeclient.cache.seal import Seal, SealError
from edgeclient.config.cache_schema import CacheConfig
from edgeclient.config.setting import SettingError
from edgeclient.core.cache import Cached, CacheKey, StoreStats
from edgeclient.core.cache_events import CacheLookedUp
from edgeclient.core.ports import Clock, Observe
from edgeclient.v1 import chat_pb2

_BUDGET_S = 0.05
_TRY_AGAIN_S = 60.0
_CLOCKS_DIFFER_MS = 1000


class DiskStore:
    """See the module. Usable between `open` and `close`.

    Args:
        config: Where, how much and how long.
        seal: Protects what is written.
        clock: Tells ages.
        observe: Takes events.
        budget_s: Longest time that a call waits for the disk.
        try_again_s: Pause before a disk that failed is tried again.
    """

    def __init__(
        self,
        config: CacheConfig,
        *,
        seal: Seal,
        clock: Clock,
        observe: Observe,
        budget_s: float = _BUDGET_S,
        try_again_s: float = _TRY_AGAIN_S,
    ) -> None:
        self._directory = Path(config.directory)
        self._max_bytes = config.max_disk_bytes
        self._keep_ms = round((config.ttl_s + config.stale_s) * 1000)
        self._seal = seal
        self._clock = clock
        self._observe = observe
        self._budget_s = budget_s
        self._try_again_s = try_again_s
        self._thread: DiskThread | None = None

    async def open(self) -> None:
        """Make the folder and open the file.

        Raises:
            SettingError: They cannot be used.
        """
        thread = DiskThread(
            self._directory / NAME,
            scheme=self._seal.scheme,
            max_bytes=self._max_bytes,
            keep_ms=self._keep_ms,
            clock=self._clock,
            observe=self._observe,
            try_again_s=self._try_again_s,
        )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(self._directory.stat().st_mode) & 0o077:
                with suppress(OSError):  # a mounted volume may belong to somebody else: the file is 0600
                    self._directory.chmod(0o700)
            await thread.start()
        except ForeignFileError as problem:
            cure = "give each its own folder"
            raise SettingError(
                [f"cache.directory: {self._directory / NAME} cannot be used: {problem}; {cure}"]
            ) from None
        except (FileExistsError, NotADirectoryError):
            raise SettingError([f"cache.directory: {self._directory} is not a folder"]) from None
        except (OSError, apsw.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise SettingError([f"cache.directory: {self._directory} cannot be written ({why})"]) from None
        self._thread = thread

    async def close(self) -> None:
        """Write what waits and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.close()

    def stats(self) -> StoreStats:
        """Counts."""
        return self._thread.stats if self._thread is not None else StoreStats(usable=False)

    async def find(self, key: CacheKey) -> Cached | None:
        """The answer, however old, if it is found in time."""
        thread = self._thread
        if thread is None or not thread.stats.usable:
            return None
        began_s = self._clock.monotonic_s()
        name = self._seal.tag(key.digest)
        outcome = "late"
        found = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._budget_s):
                read = await thread.do(lambda file: self._read(file, name))
            found = self._answer(*read) if read is not None else None
            outcome = "hit" if found else "miss"
        self._observe(CacheLookedUp(store=STORE, outcome=outcome, duration_s=self._clock.monotonic_s() - began_s))
        return found

    def keep(self, key: CacheKey, body: bytes) -> None:
        """Keep an answer that has just come from the provider; some time, if at all."""
        thread = self._thread
        if thread is None:
            return
        name, owner = self._seal.tag(key.digest), self._owner(key.caller)
        born_ms = round(self._clock.wall_s() * 1000)
        sealed = self._seal.seal(_place(name, owner, born_ms), body)
        thread.write(Row(name=name, owner=owner, born_ms=born_ms, body=sealed))

    async def forget(self, caller: str) -> int:
        """Remove all of a caller, without a byte left; returns how many."""
        owner = self._owner(caller)
        return (await self._thread.do(lambda file: file.forget(owner)) or 0) if self._thread is not None else 0

    def _read(self, file: DiskFile, name: bytes) -> tuple[bytes, int] | None:
        """Runs in the thread."""
        row = file.get(name)
        if row is None:
            return None
        try:
            return self._seal.open(_place(name, row.owner, row.born_ms), row.body), row.born_ms
        except SealError:
            file.drop(name)
            return None

    def _answer(self, body: bytes, born_ms: int) -> Cached | None:
        age_ms = round(self._clock.wall_s() * 1000) - born_ms
        if age_ms > self._keep_ms:
            return None
        age_s = max(0, age_ms) / 1000 if age_ms >= -_CLOCKS_DIFFER_MS else None
        return Cached(response=chat_pb2.ChatResponse.FromString(body), age_s=age_s, store=STORE)

    def _owner(self, caller: str) -> bytes:
        return self._seal.tag(b"owner " + caller.encode())


def _place(name: bytes, owner: bytes, born_ms: int) -> bytes:
    return name + owner + born_ms.to_bytes(8, signed=True)
