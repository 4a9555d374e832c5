"""Names of the metrics of the order of service; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import OVERHEAD_SECONDS, Spec

QUEUE_WAIT: Final = Spec(
    name="edgeclient_queue_wait_seconds",
    help="Time that an attempt waited for its turn, those that did not have to included.",
    labels=("priority",),
    buckets=(*OVERHEAD_SECONDS, 300.0),
)
GROUP_CALLS: Final = Spec(
    name="edgeclient_group_calls",
    help="Calls that were released together; the count is that of groups, the sum that of calls.",
    labels=("target",),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
TURNED_AWAY: Final = Spec(
    name="edgeclient_turned_away",
    help="Attempts that did not come to their turn, so that nothing was sent, by what ended the wait.",
    labels=("cause", "priority"),
)
NARROWED: Final = Spec(
    name="edgeclient_width_narrowed",
    help="Times that fewer requests were let through for what the provider answered, or did not.",
    labels=("target", "error_type"),
)
QUEUE_PENDING: Final = Spec(
    name="edgeclient_queue_pending", help="Calls that wait for their turn.", labels=("target", "priority")
)
WIDTH: Final = Spec(
    name="edgeclient_width", help="How many requests may be in progress at the provider now.", labels=("target",)
)
