"""The clock of the queue: it may run late, never early, whatever the wall clock does.

Queue time is a count of milliseconds that is stored with every commit and goes on from there. Within a boot it follows
CLOCK_BOOTTIME, which no one can set and which counts suspended time. After a reboot what is certain is only the time
since that boot; how long the node was off before it, nobody but the wall clock knows. That is believed only if the
kernel says that it is synchronised, both when it was stored and now, and if it moved forward by a plausible amount. A
node without a trusted clock so keeps an expired job a little too long, and never expires one that is still wanted.

Wall time is for people: it is told, and decides nothing.
"""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_OFF_MS = 400 * 86_400_000  # longer than the longest ttl and the longest retention that make sense
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # struct timex has 208 bytes at most; all zero asks and changes nothing


class TimeSource(Protocol):
    """What this machine knows of time."""

    def boot_id(self) -> str:
        """Differs from boot to boot."""
        ...

    def boot_ms(self) -> int:
        """Milliseconds since the boot, suspended time included; never jumps."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""
        ...

    def wall_is_trusted(self) -> bool:
        """The wall clock is kept by something that knows better."""
        ...


class SystemTime:
    """The clocks of this machine."""

    def __init__(self) -> None:
        try:
            self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:  # no /proc: every start counts as a boot, which is late and never early
            self._boot_id = ""
        self._libc = ctypes.CDLL(None, use_errno=True)

    def boot_id(self) -> str:
        """Differs from boot to boot; empty if that is not known."""
        return self._boot_id

    def boot_ms(self) -> int:
        """Milliseconds since the boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def wall_is_trusted(self) -> bool:
        """The kernel says that the clock is synchronised."""
        state: int = self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return 0 <= state < _TIME_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One moment on all clocks, as stored.

    Attributes:
        queue_ms: Queue time.
        boot_id, boot_ms: The boot and the time within it; "" and 0 before the first.
        wall_ms: Wall time if it was trusted, else 0.
    """

    queue_ms: int = 0
    boot_id: str = ""
    boot_ms: int = 0
    wall_ms: int = 0


class QueueClock:
    """Queue time, from the last stored moment on.

    Attributes:
        same_boot: That moment was certainly within this boot.
    """

    __slots__ = ("_base_boot_ms", "_base_queue_ms", "_off_since", "_source", "same_boot")

    def __init__(self, source: TimeSource, stored: Anchor) -> None:
        self._source = source
        boot_ms = source.boot_ms()
        same_boot = bool(stored.boot_id) and stored.boot_id == source.boot_id() and boot_ms >= stored.boot_ms
        self.same_boot = same_boot
        self._base_boot_ms = boot_ms
        self._base_queue_ms = stored.queue_ms + (boot_ms - stored.boot_ms if same_boot else 0)
        self._off_since = None if same_boot or not stored.wall_ms else stored
        if not same_boot and stored.boot_id and stored.boot_id != source.boot_id():
            self._base_queue_ms += boot_ms

    def now_ms(self) -> int:
        """Queue time now; never goes back."""
        return self._base_queue_ms + max(0, self._source.boot_ms() - self._base_boot_ms)

    def wall_ms(self) -> int:
        """Wall time now, to be told; never 0, which means that it does not apply."""
        return max(1, self._source.wall_ms())

    def to_wall_ms(self, queue_ms: int) -> int:
        """The wall time that a moment of queue time will have, as far as one can tell now; 0 stays 0."""
        return max(1, self._source.wall_ms() + queue_ms - self.now_ms()) if queue_ms else 0

    def anchor(self) -> Anchor:
        """This moment, to be stored. Credits the time that the node was off, as soon as that can be known."""
        wall_ms = self._source.wall_ms() if self._source.wall_is_trusted() else 0
        if wall_ms and self._off_since is not None:
            self._credit(self._off_since, wall_ms)
        return Anchor(
            queue_ms=self.now_ms(), boot_id=self._source.boot_id(), boot_ms=self._source.boot_ms(), wall_ms=wall_ms
        )

    def _credit(self, before: Anchor, wall_ms: int) -> None:
        passed_ms = wall_ms - before.wall_ms
        if 0 < passed_ms <= MAX_OFF_MS:
            self._base_queue_ms += max(0, before.queue_ms + passed_ms - self.now_ms())
        self._off_since = None
