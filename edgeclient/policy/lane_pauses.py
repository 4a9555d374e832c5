"""Which lanes have asked for less traffic, and until when. A lane is a model in an account.

Two kinds of pauses. What a provider has told (`Retry-After`) holds for every call: nobody asks that lane before. Where
it told none, the pause is a guess of this node's (`upstream/failures.py`), made for the call that was refused. What a
guess is about is often over in a second, so others only go elsewhere first for as long, and the line in front of the
target finds the pace.

For others than the call that was told, neither lasts longer than a minute: then one of them finds out whether it still
holds, as with what a target refuses. Of two pauses of a lane the longer one counts, for what was under way together is
refused together, and each is told its own.
"""

from collections.abc import Mapping

from edgeclient.core.errors import Throttled

LONGEST_PAUSE_S = 60.0

Lane = tuple[str, str]
"""Account, and id of the model."""


class LanePauses:
    """The lanes that have asked for less; see the module. Reads no clock."""

    __slots__ = ("_guessed", "_told")

    def __init__(self) -> None:
        self._told: dict[Lane, float] = {}
        self._guessed: dict[Lane, float] = {}

    def __bool__(self) -> bool:
        """Some lane may have a pause."""
        return bool(self._told or self._guessed)

    def __repr__(self) -> str:
        return f"<LanePauses {sorted(self._told)} were told, {sorted(self._guessed)} guessed>"

    def throttled(self, lane: Lane, error: Throttled, now_s: float) -> None:
        """An attempt was refused with this."""
        self._told, self._guessed = _after(self._told, now_s), _after(self._guessed, now_s)
        pauses = self._told if error.retry_after_told else self._guessed
        until_s = now_s + min(error.retry_after_s or 0.0, LONGEST_PAUSE_S)
        pauses[lane] = max(until_s, pauses.get(lane, until_s))

    def told_s(self, lane: Lane, now_s: float) -> float:
        """How long nobody is to ask it; 0.0: it may be asked."""
        return max(0.0, self._told.get(lane, now_s) - now_s)

    def guessed_s(self, lane: Lane, now_s: float) -> float:
        """How long others are asked first; 0.0: not at all."""
        return max(0.0, self._guessed.get(lane, now_s) - now_s)


def _after(pauses: Mapping[Lane, float], now_s: float) -> dict[Lane, float]:
    return {lane: until_s for lane, until_s in pauses.items() if until_s > now_s}
