"""Prepared answers and templates, replaced while the node runs when their file is.

The file is looked at when a call wants it, at most once a second, so a node that nobody calls does nothing; it is read
in a thread, because a large one would hold up every stream. A wrong file is told once, with everything that is wrong,
and the last good one stays in use. At the start there is no last good one: there it is a mistake in the settings.
"""

import asyncio
import os
from pathlib import Path

from edgeclient.config.prepared_file import read_prepared
from edgeclient.config.setting import SettingError
from edgeclient.core.cache_events import PreparedChanged, PreparedUnusable
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.prepared import Prepared

_LOOK_AGAIN_S = 1.0

_Stamp = tuple[int, ...]


class PreparedSource:
    """See the module. `run` is a task of whoever wires it.

    Args:
        path: The file.
        catalogue: The models that it may name.
        observe: Takes `PreparedChanged` and `PreparedUnusable`.
        clock: Tells when a second has passed.

    Raises:
        SettingError: The file cannot be used.
    """

    def __init__(self, path: Path, *, catalogue: Catalogue, observe: Observe, clock: Clock) -> None:
        self._path = path
        self._catalogue = catalogue
        self._observe = observe
        self._clock = clock
        self._look_at_s = clock.monotonic_s() + _LOOK_AGAIN_S
        self._changed = asyncio.Event()
        self._stamp = _stamp(path)
        try:
            self._prepared = read_prepared(path, catalogue)
        except SettingError as error:
            raise SettingError([f"prepare.file: {problem}" for problem in error.problems]) from None

    def current(self) -> Prepared:
        """What is prepared now; a change of the file is taken over soon after the first call that comes upon it."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_AGAIN_S
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._changed.set()
        return self._prepared

    def models_changed(self) -> None:
        """What names of models mean has changed, and some may stand in the file: read it again."""
        self._changed.set()

    async def run(self) -> None:
        """Take changes over until cancelled."""
        self._tell()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                prepared = await asyncio.to_thread(read_prepared, self._path, self._catalogue)
            except SettingError as error:
                self._observe(PreparedUnusable(path=str(self._path), problem="; ".join(error.problems)))
            else:
                self._prepared = prepared
                self._tell()

    def _tell(self) -> None:
        templates = self._prepared.templates
        self._observe(
            PreparedChanged(
                path=str(self._path),
                pinned_count=self._prepared.pinned.count,
                template_count=len(templates),
                names=", ".join(templates),
            )
        )


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116  the same call, a third of the cost; it runs on the way of calls
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
