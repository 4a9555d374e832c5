"""The subjects that something is counted of, by name, in bounded number."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from edgeclient.core.accounts import OTHER

T = TypeVar("T")
_SWEEP_PAUSE_S = 1.0  # looking through all of them takes a millisecond


class Register(Generic[T]):
    """Makes a subject's account when it is first asked for; see the module.

    Args:
        make: Makes it, from the name.
        is_idle: Nothing would be lost by forgetting it, at this moment.
        most: Most subjects. Further ones share the account `OTHER`, until others can be forgotten.
    """

    def __init__(self, make: Callable[[str], T], *, is_idle: Callable[[T, float], bool], most: int) -> None:
        self._make = make
        self._is_idle = is_idle
        self._most = most
        self._by_name: dict[str, T] = {}
        self._next_sweep_s = 0.0

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(self._by_name.items())

    def find(self, name: str) -> T | None:
        """The account of this name, if there is one."""
        return self._by_name.get(name)

    def of(self, name: str, now_s: float) -> T:
        """The account of this name."""
        found = self._by_name.get(name)
        if found is not None:
            return found
        if len(self._by_name) >= self._most and now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + _SWEEP_PAUSE_S
            for idle in [each for each, account in self._by_name.items() if self._is_idle(account, now_s)]:
                del self._by_name[idle]
        if len(self._by_name) >= self._most:
            name = OTHER
        return self._by_name.get(name) or self._by_name.setdefault(name, self._make(name))

    def forget(self, name: str) -> None:
        """Lose the account of this name."""
        self._by_name.pop(name, None)
