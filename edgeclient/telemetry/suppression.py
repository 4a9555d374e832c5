"""Says a repeated thing once per interval, and how often it happened in between.

A dead provider fails every call with the same words; one line per interval tells as much as a thousand and leaves the
flash memory of an edge box alone. What is left out is not lost: metrics count every failure, and the next line with the
same key says how many were left out before it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

INTERVAL_S = 10.0  # shorter than a person's patience, longer than any burst of retries
MAX_KEYS = 256  # reasons times targets are far fewer; the bound is for keys made of foreign texts


@dataclass(slots=True)
class _Window:
    ends_at_s: float
    suppressed: int = 0


class Suppression:
    """Decides which repetitions are told. Reads no clock.

    Args:
        interval_s: A key is admitted at most once in this time.
        max_keys: Keys that are remembered; beyond it the oldest is forgotten.
    """

    def __init__(self, *, interval_s: float = INTERVAL_S, max_keys: int = MAX_KEYS) -> None:
        self._interval_s = interval_s
        self._max_keys = max_keys
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, key: Hashable, *, now_s: float) -> int | None:
        """How many were suppressed since the last admission of `key`; None if this one is to be suppressed too."""
        window = self._windows.get(key)
        if window is not None and now_s < window.ends_at_s:
            window.suppressed += 1
            return None
        suppressed = 0 if window is None else self._windows.pop(key).suppressed
        if len(self._windows) >= self._max_keys:
            del self._windows[next(iter(self._windows))]
        self._windows[key] = _Window(now_s + self._interval_s)  # last in the dictionary: the youngest
        return suppressed
