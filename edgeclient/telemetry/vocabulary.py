"""The values that a label may have, so that no caller can make Prometheus keep a series for each of its ideas.

A label is a promise about memory: every value of it lives until the process ends. Model names need the bound although
they are checked, because the dated snapshots of a known model (`qwen-plus-2026-01-01`) pass the check in any number.
"""

from collections.abc import Iterable

from edgeclient.telemetry.faults import OTHER


class Vocabulary(dict[str, str]):
    """Maps a value to the label it gets: itself, or `_OTHER` once there are too many.

    Args:
        known: Values that have their place from the start.
        spare: How many more may be learnt.
    """

    def __init__(self, known: Iterable[str] = (), *, spare: int) -> None:
        super().__init__({value: value for value in ("", *known)})
        self._limit = len(self) + spare

    def __missing__(self, value: str) -> str:
        if len(self) >= self._limit:
            return OTHER
        self[value] = value
        return value
