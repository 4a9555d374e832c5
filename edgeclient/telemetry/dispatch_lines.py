"""The log lines of the order of service; the rules are in `lines.py`."""

from typing import Final

from edgeclient.core.dispatch_events import (
    CallReleased,
    CallTurnedAway,
    GroupReleased,
    WidthNarrowed,
    WidthRestored,
)
from edgeclient.core.events import Event
from edgeclient.telemetry.line import Choice, Line

NO_ROOM: Final = Line(
    level="warning",
    word="call_turned_away",
    sentence="Calls of priority {priority} are turned away before their turn: {cause}",
    once_per=("cause", "priority"),
)
NOT_SENT: Final = Line(
    level="debug", word="call_turned_away", sentence="Call {call_id} did not come to its turn: {cause}"
)
_FOR_LACK_OF_ROOM = ("full", "shed", "too_long", "deadline")


def _turned_away(event: CallTurnedAway) -> Line:
    return NO_ROOM if event.cause in _FOR_LACK_OF_ROOM else NOT_SENT


DISPATCH_LINES: Final[dict[type[Event], Line | Choice | None]] = {
    CallReleased: None,  # traffic
    GroupReleased: None,  # traffic
    CallTurnedAway: Choice(lines=(NO_ROOM, NOT_SENT), pick=_turned_away),
    WidthNarrowed: Line(
        level="warning",
        word="width_narrowed",
        sentence="{target} gets at most {after} requests at a time, it was {before}: {reason}",
        once_per=("target", "reason"),
    ),
    WidthRestored: Line(
        level="info",
        word="width_restored",
        sentence="{target} gets {width} requests at a time again, after {duration_s:.0f} s",
    ),
}
