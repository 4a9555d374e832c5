"""Waiting for what a control plane brings about in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_PAUSE_S = 0.2


def until(found: Callable[[], _T], *, what: str, within_s: float = 60.0) -> _T:
    """The first answer that counts as true.

    Raises:
        TimeoutError: none within the time; the message says for what.
    """
    deadline_s = time.monotonic() + within_s
    while not (answer := found()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {within_s:g} s for {what}")
        time.sleep(_PAUSE_S)
    return answer
