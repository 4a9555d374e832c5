"""Names of the metrics of the choice among targets; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import Spec

BREAKER_STATE: Final = Spec(
    name="edgeclient_breaker_state",
    help="1 for the present state of a target: closed (it is asked), open (it rests), half_open (one call tries).",
    labels=("target", "state"),
)
BREAKER_CHANGES: Final = Spec(
    name="edgeclient_breaker_changes", help="Changes of these states, by the new one.", labels=("target", "state")
)
MOVES: Final = Spec(
    name="edgeclient_moves",
    help="Attempts that went at once to another target, or asked another model, because the one before had failed.",
    labels=("before", "after", "error_type"),
)
STAND_INS: Final = Spec(
    name="edgeclient_stand_ins",
    help="Those of them that asked another model in place of the caller's.",
    labels=("model", "stand_in"),
)
RESTARTS: Final = Spec(name="edgeclient_stream_restarts", help="Broken streams that began anew.", labels=("target",))
SET_ASIDE: Final = Spec(
    name="edgeclient_set_aside",
    help="Times that a target refused this node (key, account, model) and was set aside.",
    labels=("target", "error_type"),
)
RETRIES_REFUSED: Final = Spec(
    name="edgeclient_retries_refused",
    help="Attempts that were not made because the node repeats as much as it may already.",
    labels=("error_type",),
)
RETRY_AFTER_CAPPED: Final = Spec(
    name="edgeclient_retry_after_capped",
    help="Answers that named so late a moment for a repeat that it was not believed.",
    labels=("target",),
)
