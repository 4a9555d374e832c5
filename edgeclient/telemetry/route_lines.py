"""The log lines of the choice among targets; the rules are in `lines.py`."""

from typing import Final

from edgeclient.core.events import Event
from edgeclient.core.route_events import (
    Breaker,
    BreakerChanged,
    CallMoved,
    RetryAfterCapped,
    RetryRefused,
    StreamRestarted,
    TargetSetAside,
    TargetTakenBack,
)
from edgeclient.telemetry.line import Choice, Line

RESTS: Final = Line(
    level="warning",
    word="breaker_changed",
    sentence="{target} is not asked for {rest_s:.0f} s, and then probed: {cause}",
    once_per=("target", "cause"),
)
TRIES: Final = Line(
    level="debug", word="breaker_changed", sentence="One call tries whether {target} has recovered ({cause})"
)
RECOVERED: Final = Line(level="info", word="breaker_changed", sentence="{target} is asked again ({cause})")
SET_ASIDE: Final = Line(
    level="error",
    word="target_set_aside",
    sentence="{target} refuses this node and is asked last, its account needs a person: {problem}",
    once_per=("target", "reason"),
)
MODEL_SET_ASIDE: Final = Line(
    level="error",
    word="target_set_aside",
    sentence="{target} refuses this node {model} and is asked last for it, its account needs a person: {problem}",
    once_per=("target", "reason"),
)
TAKEN_BACK: Final = Line(level="info", word="target_taken_back", sentence="{target} does not refuse this node any more")
MODEL_TAKEN_BACK: Final = Line(
    level="info", word="target_taken_back", sentence="{target} does not refuse this node {model} any more"
)
_BY_STATE = {Breaker.OPEN: RESTS, Breaker.HALF_OPEN: TRIES, Breaker.CLOSED: RECOVERED}


def _breaker(event: BreakerChanged) -> Line:
    return _BY_STATE[event.after]


ROUTE_LINES: Final[dict[type[Event], Line | Choice | None]] = {
    BreakerChanged: Choice(lines=(RESTS, TRIES, RECOVERED), pick=_breaker),
    CallMoved: Line(
        level="debug",
        word="call_moved",
        sentence="Call {call_id} goes on at {after} with {model_after}, after {reason} at {before} with {model_before}",
    ),
    StreamRestarted: Line(
        level="debug", word="stream_restarted", sentence="The stream of call {call_id} begins anew at {target}"
    ),
    TargetSetAside: Choice(
        lines=(SET_ASIDE, MODEL_SET_ASIDE), pick=lambda event: MODEL_SET_ASIDE if event.model else SET_ASIDE
    ),
    TargetTakenBack: Choice(
        lines=(TAKEN_BACK, MODEL_TAKEN_BACK), pick=lambda event: MODEL_TAKEN_BACK if event.model else TAKEN_BACK
    ),
    RetryRefused: Line(
        level="warning",
        word="retry_refused",
        sentence="Calls end with {reason} without another attempt: the node repeats as much as it may already",
        once_per=("reason",),
    ),
    RetryAfterCapped: Line(
        level="warning",
        word="retry_after_capped",
        sentence="{target} wants to be asked again in {told_s:.0f} s, which is not believed; it is {kept_s:.0f} s",
        once_per=("target",),
    ),
}
