"""The log lines of work at half price; the rules are in `lines.py`."""

from typing import Final

from edgeclient.core.events import Event
from edgeclient.core.half_price_events import (
    BatchCameLate,
    BatchChanged,
    BatchFileKept,
    BatchLinesSettled,
    BatchMissing,
    BatchRefused,
    BatchStuck,
    SentLive,
)
from edgeclient.telemetry.line import Choice, Line

CHANGED: Final = Line(
    level="debug", word="batch_changed", sentence="Batch {batch} of {line_count} jobs for {model} is {state}"
)
PLACED: Final = Line(
    level="info",
    word="batch_changed",
    sentence="The provider has batch {batch} as {batch_id}: {line_count} jobs for {model} at half price",
)
ENDED: Final = Line(
    level="info", word="batch_changed", sentence="The provider has ended batch {batch} ({batch_id}): {status}"
)
SETTLED: Final = Line(
    level="debug", word="batch_lines_settled", sentence="{count} jobs of a batch for {model}: {outcome}"
)
UNKNOWN: Final = Line(
    level="error",
    word="batch_lines_settled",
    sentence="{count} jobs of a batch for {model} were perhaps billed, and nobody knows what became of them",
)
_BY_STATE: Final = {"submitted": PLACED, "collecting": ENDED}

HALF_PRICE_LINES: Final[dict[type[Event], Line | Choice | None]] = {
    BatchChanged: Choice(lines=(CHANGED, PLACED, ENDED), pick=lambda event: _BY_STATE.get(event.state, CHANGED)),
    BatchLinesSettled: Choice(
        lines=(SETTLED, UNKNOWN), pick=lambda event: UNKNOWN if event.outcome == "unknown" else SETTLED
    ),
    SentLive: Line(
        level="debug", word="jobs_sent_live", sentence="{count} jobs that can wait are sent at the full price ({cause})"
    ),
    BatchRefused: Line(
        level="warning",
        word="batch_refused",
        sentence="The provider refused batch {batch} of {line_count} jobs for {model}, which are sent at the full"
        " price: {problem}",
        once_per=("model", "problem"),
    ),
    BatchStuck: Line(
        level="warning",
        word="batch_stuck",
        sentence="Batch {batch} does not get on from {state} and is tried again: {problem}",
        once_per=("state", "problem"),
    ),
    BatchMissing: Line(
        level="error",
        word="batch_missing",
        sentence="The order of batch {batch} was cut off, and the provider does not list it: its {line_count} jobs for"
        " {model} are UNCERTAIN, or sent again by their resend_policy; it is looked for further",
    ),
    BatchCameLate: Line(
        level="error",
        word="batch_came_late",
        sentence="The provider has batch {batch} after all, as {batch_id}: {wanted_count} of its {line_count} jobs wait"
        " for it, and what it does for the others is billed for nothing",
    ),
    BatchFileKept: Line(
        level="warning",
        word="batch_file_kept",
        sentence="File {file_id} of batch {batch} is still at the provider, with prompts or answers in it: {problem}",
        once_per=("file_id",),
    ),
}
