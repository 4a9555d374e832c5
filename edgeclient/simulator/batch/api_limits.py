"""How often the management endpoints may be called, by account.

3 uploads and 10 other file calls a second, 1,000 creations, queries and cancellations each and 100 lists a minute.
Refused calls do not count.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from edgeclient.simulator.rates.window import Window


class ApiCall(StrEnum):
    """The calls that are counted apart."""

    UPLOAD = "upload"
    FILE = "file"
    CREATE = "create"
    QUERY = "query"
    LIST = "list"
    CANCEL = "cancel"


LIMITS: Final = {
    ApiCall.UPLOAD: (3, 1),
    ApiCall.FILE: (10, 1),
    ApiCall.CREATE: (1_000, 60),
    ApiCall.QUERY: (1_000, 60),
    ApiCall.LIST: (100, 60),
    ApiCall.CANCEL: (1_000, 60),
}


class ApiGate:
    """Counts always, refuses only when it is told to."""

    def __init__(self, *, enforced: bool, clock: Callable[[], float]) -> None:
        self._enforced = enforced
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Nothing was called yet."""
        self._windows = {call: Window(period_s) for call, (_, period_s) in LIMITS.items()}
        self._admitted = dict.fromkeys(ApiCall, 0)
        self._refused = dict.fromkeys(ApiCall, 0)

    def admits(self, call: ApiCall) -> bool:
        """Count the call, or refuse it."""
        window, (limit, _), now_s = self._windows[call], LIMITS[call], self._clock()
        if self._enforced and window.used(now_s) >= limit:
            self._refused[call] += 1
            return False
        window.add(now_s, 1)
        self._admitted[call] += 1
        return True

    def report(self) -> dict[str, Any]:
        """By call, for the admin API and for tests."""
        return {
            call.value: {
                "limit": limit,
                "period_s": period_s,
                "admitted": self._admitted[call],
                "refused": self._refused[call],
                "highest": self._windows[call].highest,
            }
            for call, (limit, period_s) in LIMITS.items()
        }
